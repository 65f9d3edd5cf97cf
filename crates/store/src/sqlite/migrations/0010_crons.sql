-- Schedules of scripts, for their `scheduled` handlers. Firings up to and including `done_until` are dealt with.
CREATE TABLE script_cron (
    script      INTEGER NOT NULL,
    cron        TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    modified_at INTEGER NOT NULL,
    done_until  INTEGER NOT NULL,
    PRIMARY KEY (script, cron)
) STRICT, WITHOUT ROWID;
