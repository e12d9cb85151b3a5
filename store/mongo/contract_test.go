package mongo_test

import (
	"errors"
	"sync"
	"testing"

	"example.com/broker/store"
	"example.com/broker/store/mongo"
	"example.com/broker/store/mongo/mongotest"
	"example.com/broker/store/storetest"
)

func TestContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) *storetest.Fixture {
		t.Helper()
		var b breaker
		b.stopAfter(-1)
		o := options(mongotest.URI(t), mongotest.Database(t)).WithStep(b.step)
		f := &storetest.Fixture{Stores: open(t, o), StopAfter: b.stopAfter, Ahead: b.between}
		f.Reopen = func(t *testing.T) *store.Stores {
			t.Helper()
			if err := f.Stores.Close(); err != nil {
				t.Fatalf("Close: %v", err)
			}
			s, err := mongo.Open(t.Context(), o)
			if err != nil {
				t.Fatalf("Open again: %v", err)
			}
			f.Stores = s
			t.Cleanup(func() { _ = s.Close() })
			return s
		}
		return f
	})
}

// breaker ends a sequence after so many writes, or lets somebody else in between.
type breaker struct {
	mu    sync.Mutex
	left  int // -1: no end
	ahead int
	act   func() // nil: nobody
}

// between has act run once, ahead of write n.
func (b *breaker) between(n int, act func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ahead, b.act = n, act
}

// other is the act that is due, nil for none.
func (b *breaker) other() (act func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.act != nil && b.ahead == 0 {
		act, b.act = b.act, nil
	}
	b.ahead--
	return act
}

var errStopped = errors.New("stopped by the test")

func (b *breaker) stopAfter(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left = n
}

func (b *breaker) step() error {
	if act := b.other(); act != nil {
		act()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch b.left {
	case -1:
		return nil
	case 0:
		return errStopped
	}
	b.left--
	return nil
}
