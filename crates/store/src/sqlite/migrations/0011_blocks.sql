-- How many instances there are among 2,048 numbers in a row, so that pages deep in a long list, and counts of a time span, are found by adding up a few
-- hundred numbers. `kind` is a final status, or 0 for all instances whatever their status. The times of creation are bounds: what has left may
-- have been the first or the last.
CREATE TABLE instance_block (
    workflow INTEGER NOT NULL,
    kind     INTEGER NOT NULL,
    block    INTEGER NOT NULL,
    n        INTEGER NOT NULL,
    first_at INTEGER NOT NULL,
    last_at  INTEGER NOT NULL,
    PRIMARY KEY (workflow, kind, block)
) STRICT, WITHOUT ROWID;
INSERT INTO instance_block
SELECT workflow, 0, no >> 11, count(*), min(created_at), max(created_at) FROM instance
WHERE workflow NOT IN (SELECT workflow FROM doomed) GROUP BY 1, 3;
INSERT INTO instance_block
SELECT workflow, status, no >> 11, count(*), min(created_at), max(created_at) FROM instance
WHERE status BETWEEN 3 AND 5 AND workflow NOT IN (SELECT workflow FROM doomed) GROUP BY 1, 2, 3;

-- With the blocks one index serves both order and time.
DROP INDEX instance_created;
DROP INDEX instance_all;
CREATE INDEX instance_all ON instance (workflow, no, created_at);
