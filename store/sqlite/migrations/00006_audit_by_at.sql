-- +goose Up

-- Audit events are removed by their age. The program before this version leaves the index alone.
CREATE INDEX audit_by_at ON audit (unixepoch(doc ->> 'at'), id);
