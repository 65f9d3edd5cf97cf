-- Status 8: rolling back. A check cannot be changed in place, so the table is made anew.

CREATE TABLE instance_2 (
    no                INTEGER PRIMARY KEY,
    workflow          INTEGER NOT NULL,
    id                TEXT NOT NULL,
    pin               INTEGER NOT NULL,
    trigger           INTEGER NOT NULL,
    status            INTEGER NOT NULL CHECK (status BETWEEN 0 AND 8),
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
INSERT INTO instance_2 (no, workflow, id, pin, trigger, status, created_at, modified_at, started_at, ended_at, success_retention,
       error_retention, expires_at, epoch, node, wake_at, head, next_seq)
SELECT no, workflow, id, pin, trigger, status, created_at, modified_at, started_at, ended_at, success_retention,
       error_retention, expires_at, epoch, node, wake_at, head, next_seq
FROM instance;
DROP TABLE instance;
ALTER TABLE instance_2 RENAME TO instance;

-- As before: the final statuses are 3, 4 and 5, and a commit that neither changes the status nor ends a lease touches no index.
CREATE INDEX instance_all ON instance (workflow, no);
CREATE INDEX instance_created ON instance (workflow, created_at, no);
CREATE INDEX instance_live ON instance (workflow, no) WHERE status NOT BETWEEN 3 AND 5;
CREATE INDEX instance_final ON instance (workflow, status, no, created_at) WHERE status BETWEEN 3 AND 5;
CREATE INDEX instance_due ON instance (wake_at, no) WHERE node IS NULL AND wake_at IS NOT NULL;
CREATE INDEX instance_held ON instance (node) WHERE node IS NOT NULL;
CREATE INDEX instance_expiry ON instance (expires_at, no) WHERE expires_at IS NOT NULL;
-- Queued instances that wait for a slot of a workflow whose concurrency is limited.
CREATE INDEX instance_parked ON instance (workflow, no) WHERE status = 0 AND node IS NULL AND wake_at IS NULL;
