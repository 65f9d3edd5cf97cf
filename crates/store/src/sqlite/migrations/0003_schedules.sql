-- Schedules of workflows. Firings up to and including `done_until` are dealt with.
CREATE TABLE schedule (
    workflow   INTEGER NOT NULL,
    cron       TEXT NOT NULL,
    done_until INTEGER NOT NULL,
    PRIMARY KEY (workflow, cron)
) STRICT, WITHOUT ROWID;
