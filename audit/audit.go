// Package audit is the append-only record of who did what: state changes and denials. Allows and token issues are logs and metrics.
package audit

import (
	"context"
	"time"
)

// Event is one entry. No field may hold a secret.
type Event struct {
	ID        string            `json:"id" bson:"_id"`        // UUIDv7, set by Log in the order of the chain
	At        time.Time         `json:"at" bson:"at"`         // set by Log, UTC milliseconds
	Action    string            `json:"action" bson:"action"` // such as "user.disable"
	Actor     string            `json:"actor,omitempty" bson:"actor,omitempty"`
	Target    string            `json:"target,omitempty" bson:"target,omitempty"`
	ClientID  string            `json:"client_id,omitempty" bson:"client_id,omitempty"`
	RequestID string            `json:"request_id,omitempty" bson:"request_id,omitempty"`
	Outcome   string            `json:"outcome" bson:"outcome"` // "done" or "denied"
	Detail    map[string]string `json:"detail,omitempty" bson:"detail,omitempty"`
	// After is the time of the event before it from the same replica and start, zero for the first; Chain binds it to that one: SHA-256 over
	// the previous Chain and this event. Both are set by Log.
	After time.Time `json:"after,omitzero" bson:"after,omitempty"`
	Chain string    `json:"chain" bson:"chain"`
}

// Store keeps events.
type Store interface {
	// AppendAudit adds events; repeating an event (same ID) is success.
	AppendAudit(ctx context.Context, events []Event) error
	// ListAudit returns events newest first, at most limit, those with an ID below before ("" for the newest).
	ListAudit(ctx context.Context, before string, limit int) ([]Event, error)
	// TrimAudit removes events from before a time, oldest first, at most limit, and returns how many; fewer than limit: there are no more. It
	// may leave those of the last second. Repeating it goes on.
	TrimAudit(ctx context.Context, before time.Time, limit int) (int, error)
}

// Recorder takes events from domain code. Log is the one of a running broker.
type Recorder interface {
	// Record takes an event without blocking on the store, and sets its ID, time and chain.
	Record(ctx context.Context, e Event)
}
