-- +goose Up

-- One row per application; doc holds its policies, schema and entities.
CREATE TABLE policies (
    app TEXT    NOT NULL PRIMARY KEY,
    v   INTEGER NOT NULL,
    doc TEXT    NOT NULL
) STRICT;

CREATE TABLE articles (
    id  TEXT    NOT NULL PRIMARY KEY,
    v   INTEGER NOT NULL,
    doc TEXT    NOT NULL
) STRICT;
