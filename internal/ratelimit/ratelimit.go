// Package ratelimit counts failures in the store, so that a limit outlives a restart and holds across replicas.
package ratelimit

import (
	"context"
	"time"
)

// Store keeps counters. Methods are atomic on one row.
type Store interface {
	// Increment adds one to the counter of key and returns the new count and when its window ends. A counter that does not exist,
	// or whose window has ended at now, starts at 1 with a window that ends at now+window.
	Increment(ctx context.Context, key string, window time.Duration, now time.Time) (count int64, ends time.Time, err error)
	// Decrement takes one back unless the counter is gone, expired at now, or zero already.
	Decrement(ctx context.Context, key string, now time.Time) error
}
