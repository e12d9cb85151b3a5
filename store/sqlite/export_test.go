package sqlite

import (
	"context"
	"strings"

	"example.com/broker/store"
)

// Hooks lets the external tests of this package look in and break in.
type Hooks struct {
	MaxBatch    int
	BeforeWrite func() error
	Committed   func(ops int)
}

// WithHooks returns o with the hooks set.
func WithHooks(o Options, h Hooks) Options {
	o.hooks = hooks{maxBatch: h.MaxBatch, beforeWrite: h.BeforeWrite, committed: h.Committed}
	return o
}

// Ask returns the one value of a query or pragma, run where it waits for no write.
func Ask[T any](ctx context.Context, s *store.Stores, query string) (v T, err error) {
	err = s.Users.(*userStore).read.one(ctx, query, nil, &v)
	return v, err
}

// Plan returns how SQLite would run a query, a step a line.
func Plan(ctx context.Context, s *store.Stores, query string) (string, error) {
	steps, err := list(ctx, s.Users.(*userStore).read, func(row scanner) (step string, err error) {
		var id, parent, unused int
		err = row.Scan(&id, &parent, &unused, &step)
		return step, err
	}, "EXPLAIN QUERY PLAN "+query)
	return strings.Join(steps, "\n"), err
}

// Tell runs a pragma in the writer, whose connection has settings of its own.
func Tell(ctx context.Context, s *store.Stores, pragma string) (v int64, err error) {
	err = s.Users.(*userStore).write.do(ctx, func(t *tx) error { return t.one(pragma, nil, &v) })
	return v, err
}
