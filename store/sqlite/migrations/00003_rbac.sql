-- +goose Up

-- Documents of which there is one each, by name.
CREATE TABLE documents (
    name TEXT    NOT NULL PRIMARY KEY,
    v    INTEGER NOT NULL,
    doc  TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
