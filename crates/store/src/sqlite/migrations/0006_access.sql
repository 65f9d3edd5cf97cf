-- Tokens, as their SHA-256 alone: they are 256 random bits, so there is nothing to guess and nothing to slow down.
CREATE TABLE token (
    id         TEXT PRIMARY KEY,
    hash       BLOB NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    used_at    INTEGER,
    details    TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Changes that were asked for. Without a status while there is no answer.
CREATE TABLE audit (
    no      INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    account TEXT,
    details TEXT NOT NULL,
    status  INTEGER
) STRICT;
CREATE INDEX audit_account ON audit (account, no) WHERE account IS NOT NULL;
