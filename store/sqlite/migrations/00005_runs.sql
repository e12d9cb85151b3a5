-- +goose Up

-- run counts failures in a row, over windows; until is when the row is of no more use. The program before this version leaves both alone.
ALTER TABLE counters ADD COLUMN run INTEGER NOT NULL DEFAULT 0;
ALTER TABLE counters ADD COLUMN until INTEGER NOT NULL DEFAULT 0;
UPDATE counters SET run = count, until = ends;
DROP INDEX counters_by_ends;
CREATE INDEX counters_by_until ON counters (until);
