-- +goose Up

-- The oldest schema version a program must know to work with this file. A migration that the program before it cannot live with
-- raises it.
CREATE TABLE schema_compat (
    only   INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    oldest INTEGER NOT NULL
) STRICT;
INSERT INTO schema_compat (only, oldest) VALUES (1, 1);

-- One row, rewritten by Ping.
CREATE TABLE pulse (
    only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    at   INTEGER NOT NULL
) STRICT;
INSERT INTO pulse (only, at) VALUES (1, 0);

CREATE TABLE users (
    id  TEXT    NOT NULL PRIMARY KEY,
    v   INTEGER NOT NULL,
    doc TEXT    NOT NULL
) STRICT;

CREATE TABLE claims (
    kind    TEXT    NOT NULL,
    key     TEXT    NOT NULL,
    user_id TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE admins (
    user_id TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TABLE clients (
    id  TEXT    NOT NULL PRIMARY KEY,
    v   INTEGER NOT NULL,
    doc TEXT    NOT NULL
) STRICT;

-- bucket is the expiry rounded up to a coarse step: a sliding expiry must not rewrite an index entry each time.
CREATE TABLE sessions (
    id          TEXT    NOT NULL PRIMARY KEY,
    user_id     TEXT    NOT NULL,
    secret_hash TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    idle_until  INTEGER NOT NULL,
    until       INTEGER NOT NULL,
    bucket      INTEGER NOT NULL,
    doc         TEXT    NOT NULL
) STRICT;
CREATE INDEX sessions_by_user ON sessions (user_id, created_at, id);
CREATE INDEX sessions_by_bucket ON sessions (bucket);

CREATE TABLE key_sets (
    alg TEXT    NOT NULL PRIMARY KEY,
    v   INTEGER NOT NULL,
    doc TEXT    NOT NULL
) STRICT;

-- doc holds what never changes after the insert.
CREATE TABLE grants (
    id           TEXT    NOT NULL PRIMARY KEY,
    client_id    TEXT    NOT NULL,
    code_hash    TEXT    NOT NULL,
    redirect_uri TEXT    NOT NULL,
    challenge    TEXT    NOT NULL,
    code_until   INTEGER NOT NULL,
    code_spent   INTEGER NOT NULL,
    anchor_hash  TEXT    NOT NULL,
    cur          TEXT    NOT NULL,
    prev         TEXT    NOT NULL,
    successor    TEXT    NOT NULL,
    rotated_at   INTEGER NOT NULL,
    idle_until   INTEGER NOT NULL,
    until        INTEGER NOT NULL,
    dead         INTEGER NOT NULL,
    bucket       INTEGER NOT NULL,
    doc          TEXT    NOT NULL
) STRICT;
CREATE INDEX grants_by_bucket ON grants (bucket);

CREATE TABLE once_records (
    kind  TEXT    NOT NULL,
    id    TEXT    NOT NULL,
    value BLOB    NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX once_records_by_until ON once_records (until);

CREATE TABLE once_marks (
    kind  TEXT    NOT NULL,
    id    TEXT    NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX once_marks_by_until ON once_marks (until);

-- until 0 means never.
CREATE TABLE changes (
    kind  TEXT    NOT NULL,
    key   TEXT    NOT NULL,
    value INTEGER NOT NULL,
    until INTEGER NOT NULL,
    at    INTEGER NOT NULL,
    PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX changes_by_at ON changes (at);
CREATE INDEX changes_by_until ON changes (until) WHERE until > 0;

-- The last position given out. It is kept apart from the entries, whose newest may be swept: a position is never used twice.
CREATE TABLE change_position (
    only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    at   INTEGER NOT NULL
) STRICT;
INSERT INTO change_position (only, at) VALUES (1, 0);

CREATE TABLE counters (
    key   TEXT    NOT NULL PRIMARY KEY,
    count INTEGER NOT NULL,
    ends  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX counters_by_ends ON counters (ends);

CREATE TABLE audit (
    id  TEXT NOT NULL PRIMARY KEY,
    doc TEXT NOT NULL
) STRICT;
