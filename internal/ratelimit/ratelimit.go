// Package ratelimit counts failures in the store, so that a limit outlives a restart and holds across replicas.
package ratelimit

import (
	"context"
	"time"
)

// Bounds are what a tally may come to: at most Limit failures in Window, and at most Run in a row.
type Bounds struct {
	// Limit is how many failures pass in one window.
	Limit int64
	// Window starts with the first failure and ends so much later, whatever happens in between.
	Window time.Duration
	// Run is how many failures in a row pass, in however many windows; zero for any number. A success ends a run.
	Run int64
	// Memory is how long a run is remembered after its last failure, at least for Window. It is there so that names which somebody made up
	// do not fill the store for ever; whoever waits that long between guesses makes Run of them in it.
	Memory time.Duration
}

// Tally is what the store knows of one key.
type Tally struct {
	// Count is the failures of the window, which ends at Ends.
	Count int64
	Ends  time.Time
	// Run is the failures since the last success. It is forgotten at Forgotten.
	Run       int64
	Forgotten time.Time
}

// Spent reports whether the tally is full of failures in a row at now.
func (b Bounds) Spent(t Tally, now time.Time) bool {
	return b.Run > 0 && t.Run >= b.Run && t.Forgotten.After(now)
}

// Full reports whether there is no room for another failure at now.
func (b Bounds) Full(t Tally, now time.Time) bool {
	return b.Spent(t, now) || t.Count >= b.Limit && t.Ends.After(now)
}

// Store keeps a tally for each key. Methods are atomic on one row.
type Store interface {
	// Take adds one to both counts of key, unless the tally is full within the bounds at now, and returns it; taken says which. Where there
	// is none, or the window has ended at now, Count starts at 1 in a window that ends at now+Window; where the run has been forgotten at
	// now, Run starts at 1. Each failure keeps a run from being forgotten, one that is not taken does not.
	Take(ctx context.Context, key string, b Bounds, now time.Time) (t Tally, taken bool, err error)
	// Return takes one back of the run, and of the window if it is still the one that ends at ends. Neither goes below zero.
	Return(ctx context.Context, key string, ends time.Time) error
	// Reset is Return for a success: the run starts again from nothing.
	Reset(ctx context.Context, key string, ends time.Time) error
	// Forget removes the tally. That there is none is success.
	Forget(ctx context.Context, key string) error
}
