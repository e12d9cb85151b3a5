package changes

import (
	"context"
	"time"

	"example.com/broker/internal/fault"
)

// Attempts is how often a change by compare-and-swap gives way to somebody else's before it gives up. Each time one change of the others
// was stored, so it takes a crowd to come to it, or a store that takes none.
const Attempts = 32

// Contended is the answer to a change that gave way Attempts times: fault.Unavailable "store_contended".
func Contended() error {
	e := fault.New(fault.Unavailable, "store_contended", "Somebody else was first, %d times in a row. The change was not stored: try again.", Attempts)
	e.RetryAfter = time.Second
	return e
}

// Unstored is the version that an editor wants who has read that nothing is stored yet. It is not 0, which stands for any.
const Unstored int64 = -1

// Document is one stored document that is changed by compare-and-swap and announced on the change stream.
type Document[T any] struct {
	Load func(context.Context) (T, error)
	// Swap stores a document if the stored version is still that of the given one, which it raises by one. fault.Conflict otherwise.
	Swap func(context.Context, T) error
	// Announce appends the version to the change stream, before the document is written.
	Announce func(ctx context.Context, version int64) error
	// Stamp gives the place of the version, and of who wrote it and when.
	Stamp func(*T) (v *int64, by *string, at *time.Time)
}

// Edit is one change of a document.
type Edit[T any] struct {
	// Want is the version that the editor has seen, Unstored for none, 0 for any; Code and What ("The roles were") word the refusal of another one.
	Want       int64
	Code, What string
	// By and At say who makes the change, and when.
	By string
	At time.Time
	// Do changes the document at hand, and is called again where somebody else was first.
	Do func(*T) error
}

// Change edits the document and returns it as it is stored. fault.Conflict with the edit's Code if the version is not the one wanted, naming
// who wrote it and when; fault.Unavailable "store_contended" if others were first Attempts times; otherwise what Do, the store or the stream
// return. Repeating it is safe.
func (d Document[T]) Change(ctx context.Context, e Edit[T]) (T, error) {
	var none T
	for range Attempts {
		doc, err := d.Load(ctx)
		if err != nil {
			return none, err
		}
		v, by, at := d.Stamp(&doc)
		if e.Want != 0 && max(e.Want, 0) != *v {
			return none, e.outdated(*v, *by, *at)
		}
		if err := e.Do(&doc); err != nil {
			return none, err
		}
		*by, *at = e.By, e.At.UTC().Truncate(time.Millisecond)
		if err := d.Announce(ctx, *v+1); err != nil {
			return none, err
		}
		err = d.Swap(ctx, doc)
		if fault.Is(err, fault.Conflict) {
			continue
		}
		if err != nil {
			return none, err
		}
		*v++
		return doc, nil
	}
	return none, Contended()
}

func (e Edit[T]) outdated(have int64, by string, at time.Time) error {
	want := max(e.Want, 0)
	if by == "" {
		return fault.New(fault.Conflict, e.Code, "%s changed meanwhile: the version is %d, expected %d. Read again, then repeat.", e.What, have, want)
	}
	return fault.New(fault.Conflict, e.Code, "%s changed by %s at %s: the version is %d, expected %d. Read again, then repeat.",
		e.What, by, at.Format(time.RFC3339), have, want)
}
