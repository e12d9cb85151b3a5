package sqlite_test

import (
	"errors"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"example.com/broker/store"
	"example.com/broker/store/sqlite"
	"example.com/broker/store/storetest"
)

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) *storetest.Fixture {
		stop := &stopper{}
		stop.after(-1)
		path := filepath.Join(t.TempDir(), "data", "broker.db")
		f := &storetest.Fixture{Stores: open(t, path, sqlite.Hooks{BeforeWrite: stop.next}), StopAfter: stop.after, Atomic: true}
		f.Reopen = func(t *testing.T) *store.Stores {
			t.Helper()
			if err := f.Stores.Close(); err != nil {
				t.Fatalf("close: %v", err)
			}
			f.Stores = open(t, path, sqlite.Hooks{BeforeWrite: stop.next})
			return f.Stores
		}
		return f
	})
}

// open opens a file until the end of the test.
func open(t testing.TB, path string, h sqlite.Hooks) *store.Stores {
	t.Helper()
	s, err := sqlite.Open(t.Context(), options(t, path, h))
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func options(t testing.TB, path string, h sqlite.Hooks) sqlite.Options {
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	return sqlite.WithHooks(sqlite.Options{Path: path, Now: func() time.Time { return start() }, Log: log}, h)
}

func start() time.Time { return time.Date(2100, time.March, 1, 12, 0, 0, 0, time.UTC) }

// stopper fails each statement after the first n.
type stopper struct{ left atomic.Int64 }

var errStopped = errors.New("stopped by the test")

func (s *stopper) after(n int) { s.left.Store(int64(n)) }

func (s *stopper) next() error {
	switch left := s.left.Load(); {
	case left < 0:
		return nil
	case left == 0:
		return errStopped
	default:
		s.left.Store(left - 1)
		return nil
	}
}
