package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"sync/atomic"
)

// reader is the pool of read-only connections. Each query sees all that was committed before it began.
type reader struct {
	db    *sql.DB
	stmts sync.Map // query text → *sql.Stmt
	shut  atomic.Bool
}

// one scans the only row of a query; sql.ErrNoRows if there is none.
func (r *reader) one(ctx context.Context, query string, args []any, dest ...any) error {
	stmt, err := r.prepare(ctx, query)
	if err != nil {
		return err
	}
	return stmt.QueryRowContext(ctx, args...).Scan(dest...)
}

// list collects the rows of a query as scan makes values of them.
func list[T any](ctx context.Context, r *reader, scan func(scanner) (T, error), query string, args ...any) (_ []T, err error) {
	defer func() { err = classify(err) }()
	stmt, err := r.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // what it could say, rows.Err has said
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// scanner is a row, of one or of many.
type scanner interface{ Scan(dest ...any) error }

func (r *reader) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if r.shut.Load() {
		return nil, errClosed
	}
	if stmt, ok := r.stmts.Load(query); ok {
		return stmt.(*sql.Stmt), nil
	}
	stmt, err := r.db.PrepareContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	if first, lost := r.stmts.LoadOrStore(query, stmt); lost {
		_ = stmt.Close() // another caller prepared the same meanwhile
		return first.(*sql.Stmt), nil
	}
	return stmt, nil
}

// close waits for the queries under way.
func (r *reader) close() error {
	r.shut.Store(true)
	return r.db.Close()
}
