// Package onetime is the contract for what may happen once: a record taken by exactly one caller, a mark set by exactly one caller.
package onetime

import (
	"context"
	"time"
)

// Box keeps records and marks under (kind, id) until they expire. Expiry is judged by the now a caller passes, not by whether a
// sweeper has run. All methods are atomic on one row and safe for concurrent use by any number of replicas.
type Box interface {
	// Put stores a record. fault.Conflict if the id is in use.
	Put(ctx context.Context, kind, id string, value []byte, until time.Time) error
	// Take removes a record and returns its value, to one caller only. fault.NotFound if there is none or it has expired at now.
	Take(ctx context.Context, kind, id string, now time.Time) ([]byte, error)
	// Mark sets a mark. fault.Conflict if it is set already, also where it has expired but is still stored.
	Mark(ctx context.Context, kind, id string, until time.Time) error
}
