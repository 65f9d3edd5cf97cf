-- The version of the script that a version of a workflow was made for, and whether a graph can be read from its code: NULL while
-- nobody has looked.
ALTER TABLE workflow_version ADD COLUMN script_version TEXT;
ALTER TABLE workflow_version ADD COLUMN has_graph INTEGER CHECK (has_graph IN (0, 1));
UPDATE workflow_version SET script_version = (SELECT script_version FROM pin WHERE pin.version = workflow_version.id ORDER BY no LIMIT 1);
