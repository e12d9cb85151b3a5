-- +goose Up

-- gone is when a key leaves its owner's list, some time after it expired. doc holds what never changes after the insert.
CREATE TABLE api_keys (
    id         TEXT    NOT NULL PRIMARY KEY,
    owner_id   TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    last_used  INTEGER NOT NULL,
    revoked_at INTEGER NOT NULL,
    gone       INTEGER NOT NULL,
    doc        TEXT    NOT NULL
) STRICT;
CREATE INDEX api_keys_by_owner ON api_keys (owner_id, created_at, id);
CREATE INDEX api_keys_by_gone ON api_keys (gone);

CREATE TABLE allowed_tokens (
    jti   TEXT    NOT NULL PRIMARY KEY,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX allowed_tokens_by_until ON allowed_tokens (until);
