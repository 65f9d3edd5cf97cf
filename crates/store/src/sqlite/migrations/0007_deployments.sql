-- Deployments of scripts, so that what was deployed before can be seen and come back.
CREATE TABLE deployment (
    no         INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    script     INTEGER NOT NULL,
    version    TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    details    TEXT NOT NULL
) STRICT;
CREATE INDEX deployment_of ON deployment (script, no);
CREATE INDEX deployment_version ON deployment (version);
INSERT INTO deployment (id, script, version, created_at, details)
SELECT deployed, no, deployed, deployed_at, '{}' FROM script WHERE deployed IS NOT NULL ORDER BY no;

-- Settings of a script beside its versions, as JSON text that the engine reads.
ALTER TABLE script ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';

-- Scripts that were removed while versions of them were still needed by instances.
CREATE TABLE deleted_script (
    no      INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    name    TEXT NOT NULL
) STRICT;
