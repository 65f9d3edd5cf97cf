-- Caps on steps, over all workflows of an account.
CREATE TABLE concurrency_key (
    id          TEXT PRIMARY KEY,
    account     TEXT NOT NULL,
    name        TEXT NOT NULL,
    most        INTEGER NOT NULL CHECK (most > 0),
    created_at  INTEGER NOT NULL,
    modified_at INTEGER NOT NULL,
    UNIQUE (account, name)
) STRICT, WITHOUT ROWID;
