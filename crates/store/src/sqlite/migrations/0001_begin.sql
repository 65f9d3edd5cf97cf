-- The first schema. Times are milliseconds since the Unix epoch.

-- Numbers that are never used twice, even after what had them was removed.
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO counter VALUES ('instance', 0), ('message', 0), ('node', 0);

CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

-- Starts of servers, with the end of their node lease.
CREATE TABLE node (no INTEGER PRIMARY KEY, lease_until INTEGER NOT NULL) STRICT;

CREATE TABLE script (
    no          INTEGER PRIMARY KEY AUTOINCREMENT,
    account     TEXT NOT NULL,
    name        TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    modified_at INTEGER NOT NULL,
    deployed    TEXT,
    deployed_at INTEGER,
    UNIQUE (account, name),
    CHECK ((deployed IS NULL) = (deployed_at IS NULL))
) STRICT;
CREATE INDEX script_by_name ON script (name);

CREATE TABLE script_version (
    no         INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    script     INTEGER NOT NULL REFERENCES script (no),
    number     INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    metadata   TEXT NOT NULL,
    UNIQUE (script, number)
) STRICT;

CREATE TABLE script_module (
    version  INTEGER NOT NULL REFERENCES script_version (no),
    position INTEGER NOT NULL,
    name     TEXT NOT NULL,
    content  BLOB NOT NULL,
    PRIMARY KEY (version, position)
) STRICT;

CREATE TABLE workflow (
    no           INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT NOT NULL,
    account      TEXT NOT NULL,
    name         TEXT NOT NULL,
    script       TEXT NOT NULL,
    class_name   TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    modified_at  INTEGER NOT NULL,
    triggered_at INTEGER,
    version      TEXT NOT NULL,
    settings     TEXT NOT NULL,
    UNIQUE (account, name)
) STRICT;

CREATE TABLE workflow_version (
    no         INTEGER PRIMARY KEY AUTOINCREMENT,
    workflow   INTEGER NOT NULL,
    id         TEXT NOT NULL,
    class_name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    settings   TEXT NOT NULL
) STRICT;
CREATE INDEX workflow_version_of ON workflow_version (workflow);

-- Workflows that were removed while some of their instances are still here. Those instances are gone for everybody
-- but the sweeper, which removes them little by little.
CREATE TABLE doomed (workflow INTEGER PRIMARY KEY) STRICT;

-- What an instance is pinned to. A few rows that many instances share.
CREATE TABLE pin (
    no             INTEGER PRIMARY KEY,
    version        TEXT NOT NULL,
    script_version TEXT NOT NULL,
    class_name     TEXT NOT NULL,
    UNIQUE (version, script_version, class_name)
) STRICT;

-- `head` is the newest chunk of the journal, `next_seq` the length of the journal.
CREATE TABLE instance (
    no                INTEGER PRIMARY KEY,
    workflow          INTEGER NOT NULL,
    id                TEXT NOT NULL,
    pin               INTEGER NOT NULL,
    trigger           INTEGER NOT NULL,
    status            INTEGER NOT NULL CHECK (status BETWEEN 0 AND 7),
    created_at        INTEGER NOT NULL,
    modified_at       INTEGER NOT NULL,
    started_at        INTEGER,
    ended_at          INTEGER,
    success_retention INTEGER NOT NULL,
    error_retention   INTEGER NOT NULL,
    expires_at        INTEGER,
    epoch             INTEGER NOT NULL,
    node              INTEGER,
    wake_at           INTEGER,
    head              INTEGER NOT NULL,
    next_seq          INTEGER NOT NULL,
    UNIQUE (workflow, id),
    CHECK (node IS NULL OR wake_at IS NULL),
    CHECK ((expires_at IS NOT NULL) = (status BETWEEN 3 AND 5))
) STRICT;
-- The final statuses are 3, 4 and 5; `BETWEEN` because `IN` builds a table each time it is asked.
-- A commit that neither changes the status nor ends a lease touches none of these indexes.
CREATE INDEX instance_all ON instance (workflow, no);
CREATE INDEX instance_created ON instance (workflow, created_at, no);
CREATE INDEX instance_live ON instance (workflow, no) WHERE status NOT BETWEEN 3 AND 5;
CREATE INDEX instance_final ON instance (workflow, status, no, created_at) WHERE status BETWEEN 3 AND 5;
CREATE INDEX instance_due ON instance (wake_at, no) WHERE node IS NULL AND wake_at IS NOT NULL;
CREATE INDEX instance_held ON instance (node) WHERE node IS NOT NULL;
CREATE INDEX instance_expiry ON instance (expires_at, no) WHERE expires_at IS NOT NULL;

-- Chunks of journals in the order they were written, one a commit; `prev` is the chunk before it of the same
-- instance. No index: appending is all that the hot path does, and readers follow `prev` by primary key.
CREATE TABLE journal (
    no       INTEGER PRIMARY KEY,
    instance INTEGER NOT NULL,
    prev     INTEGER,
    chunk    BLOB NOT NULL
) STRICT;

-- Payloads too large for a chunk.
CREATE TABLE payload (
    instance INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    bytes    BLOB NOT NULL,
    PRIMARY KEY (instance, seq)
) STRICT;

CREATE TABLE inbox (
    instance INTEGER NOT NULL,
    no       INTEGER NOT NULL,
    command  BLOB NOT NULL,
    payload  BLOB,
    PRIMARY KEY (instance, no)
) STRICT, WITHOUT ROWID;

CREATE TABLE status_count (
    workflow INTEGER NOT NULL,
    status   INTEGER NOT NULL,
    n        INTEGER NOT NULL CHECK (n >= 0),
    PRIMARY KEY (workflow, status)
) STRICT, WITHOUT ROWID;
