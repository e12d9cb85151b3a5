package changes

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// How often a mirror that has heard of a version it does not have looks for it, and how long a look may take.
const (
	lookEvery = 200 * time.Millisecond
	lookFor   = 2 * time.Second
)

// Mirror is a copy of one stored document that follows the change stream. The entry of the stream comes before the row, so what was
// heard of is looked for until it is there. It is safe for concurrent use.
type Mirror[T any] struct {
	load    func(context.Context) (T, error)
	version func(T) int64
	now     func() time.Time

	current atomic.Pointer[T]
	wanted  atomic.Int64

	mu     sync.Mutex // held while looking
	looked time.Time
}

// NewMirror holds first until Refresh. load reads the document, version tells the V of a copy.
func NewMirror[T any](first T, load func(context.Context) (T, error), version func(T) int64, now func() time.Time) *Mirror[T] {
	m := &Mirror[T]{load: load, version: version, now: now}
	m.current.Store(&first)
	return m
}

// Get returns the copy. It reads the store where a newer version has been announced, at most once in lookEvery; while that fails, the
// copy is as old as it was.
func (m *Mirror[T]) Get() T {
	have := m.current.Load()
	if m.wanted.Load() > m.version(*have) && m.mu.TryLock() {
		defer m.mu.Unlock()
		if now := m.now(); now.Sub(m.looked) >= lookEvery || now.Before(m.looked) {
			m.looked = now
			ctx, cancel := context.WithTimeout(context.Background(), lookFor)
			defer cancel()
			_ = m.Refresh(ctx) // the next caller tries again
		}
	}
	return *m.current.Load()
}

// Refresh reads the store.
func (m *Mirror[T]) Refresh(ctx context.Context) error {
	v, err := m.load(ctx)
	if err == nil {
		m.Adopt(v)
	}
	return err
}

// Adopt takes a version that is not older than the one at hand.
func (m *Mirror[T]) Adopt(v T) {
	for {
		old := m.current.Load()
		if m.version(v) < m.version(*old) || m.current.CompareAndSwap(old, &v) {
			return
		}
	}
}

// Heard takes a version from the change stream.
func (m *Mirror[T]) Heard(v int64) {
	for {
		old := m.wanted.Load()
		if v <= old || m.wanted.CompareAndSwap(old, v) {
			return
		}
	}
}
