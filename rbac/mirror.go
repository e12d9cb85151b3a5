package rbac

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

// mirror is a copy of one stored document that follows the change stream. The entry of the stream comes before the row, so what was
// heard of is looked for until it is there.
type mirror[T any] struct {
	load    func(context.Context) (T, error)
	version func(T) int64
	now     func() time.Time

	current atomic.Pointer[T]
	wanted  atomic.Int64

	mu     sync.Mutex // held while looking
	looked time.Time
}

// get returns the copy. It reads the store where a newer version has been announced, at most once in lookEvery; while that fails, the
// copy is as old as it was.
func (m *mirror[T]) get() T {
	have := m.current.Load()
	if m.wanted.Load() > m.version(*have) && m.mu.TryLock() {
		defer m.mu.Unlock()
		if now := m.now(); now.Sub(m.looked) >= lookEvery || now.Before(m.looked) {
			m.looked = now
			ctx, cancel := context.WithTimeout(context.Background(), lookFor)
			defer cancel()
			_ = m.refresh(ctx) // the next caller tries again
		}
	}
	return *m.current.Load()
}

// refresh reads the store.
func (m *mirror[T]) refresh(ctx context.Context) error {
	v, err := m.load(ctx)
	if err == nil {
		m.adopt(v)
	}
	return err
}

// adopt takes a version that is not older than the one at hand.
func (m *mirror[T]) adopt(v T) {
	for {
		old := m.current.Load()
		if m.version(v) < m.version(*old) || m.current.CompareAndSwap(old, &v) {
			return
		}
	}
}

// heard takes a version from the change stream.
func (m *mirror[T]) heard(v int64) {
	for {
		old := m.wanted.Load()
		if v <= old || m.wanted.CompareAndSwap(old, v) {
			return
		}
	}
}
