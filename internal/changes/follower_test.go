package changes_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"example.com/broker/internal/changes"
)

var epoch = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// stream keeps entries at positions that the test chooses, as a store does whose commits come out of order.
type stream struct {
	mu      sync.Mutex
	entries []changes.Entry
	reads   []int64
	err     error
}

func (s *stream) Append(_ context.Context, entries ...changes.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.entries = append(s.entries, entries...)
	return nil
}

func (s *stream) Read(_ context.Context, from int64, now time.Time) ([]changes.Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads = append(s.reads, from)
	var out []changes.Entry
	for _, e := range s.entries {
		if e.At >= from && (e.Until.IsZero() || now.Before(e.Until)) {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b changes.Entry) int { return cmp.Compare(a.At, b.At) })
	return out, s.err
}

func (s *stream) Overlap() (near, far int64) { return 5_000, 120_000 }

func (s *stream) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// heard collects what a follower hands out.
type heard struct{ list []string }

func (h *heard) take(e changes.Entry) {
	h.list = append(h.list, fmt.Sprintf("%s:%s=%d", e.Kind, e.Key, e.Value))
}

func (h *heard) since(t *testing.T, want ...string) {
	t.Helper()
	if diff := gocmp.Diff(want, h.list); diff != "" {
		t.Errorf("heard (-want +got):\n%s", diff)
	}
	h.list = nil
}

func follow(s changes.Stream, now func() time.Time) (*changes.Follower, *heard) {
	f := changes.New(s, changes.Options{Now: now})
	h := &heard{}
	f.On(changes.RevokedToken, h.take)
	f.On(changes.UserVersion, h.take)
	return f, h
}

func poll(t *testing.T, f *changes.Follower) {
	t.Helper()
	if err := f.Poll(t.Context()); err != nil {
		t.Fatalf("Poll: %v", err)
	}
}

func TestFirstPollHandsOutEveryUnexpiredEntry(t *testing.T) {
	s := &stream{entries: []changes.Entry{
		{Kind: changes.RevokedToken, Key: "old", At: 1, Until: epoch.Add(time.Hour)},
		{Kind: changes.RevokedToken, Key: "over", At: 2, Until: epoch},
		{Kind: changes.UserVersion, Key: "u", Value: 7, At: 900_000},
		{Kind: changes.RevokedClient, Key: "nobody listens", At: 900_001},
	}}
	f, h := follow(s, func() time.Time { return epoch })
	poll(t, f)
	h.since(t, "jti:old=0", "usr:u=7")
}

func TestPollHearsWhatWasCommittedLate(t *testing.T) {
	s := &stream{entries: []changes.Entry{{Kind: changes.RevokedToken, Key: "newest", At: 1_000_000}}}
	f, h := follow(s, func() time.Time { return epoch })
	poll(t, f)
	h.since(t, "jti:newest=0")

	s.entries = append(s.entries,
		changes.Entry{Kind: changes.RevokedToken, Key: "near", At: 995_000},
		changes.Entry{Kind: changes.RevokedToken, Key: "far", At: 880_000})
	poll(t, f)
	h.since(t, "jti:near=0")
	for range 8 {
		poll(t, f)
	}
	h.since(t)
	poll(t, f)
	h.since(t, "jti:far=0")
}

func TestPollHandsOutAChangeOnce(t *testing.T) {
	s := &stream{entries: []changes.Entry{{Kind: changes.UserVersion, Key: "u", Value: 1, At: 10}}}
	f, h := follow(s, func() time.Time { return epoch })
	for range 25 {
		poll(t, f)
	}
	h.since(t, "usr:u=1")
	s.entries[0].Value, s.entries[0].At = 2, 20
	for range 25 {
		poll(t, f)
	}
	h.since(t, "usr:u=2")
	s.entries[0].Until, s.entries[0].At = epoch.Add(time.Hour), 30
	poll(t, f)
	h.since(t, "usr:u=2")
}

func TestAppendIsHeardHereAtOnce(t *testing.T) {
	s := &stream{}
	f, h := follow(s, func() time.Time { return epoch })
	e := changes.Entry{Kind: changes.RevokedToken, Key: "a"}
	if err := f.Append(t.Context(), e); err != nil {
		t.Fatalf("Append: %v", err)
	}
	h.since(t, "jti:a=0")
	if len(s.entries) != 1 {
		t.Errorf("the stream has %d entries, want 1", len(s.entries))
	}

	s.fail(errors.New("store down"))
	if err := f.Append(t.Context(), e); err == nil {
		t.Error("Append succeeds though the stream refuses")
	}
	h.since(t)
}

func TestMemoryHoldsTheFarWindowOnly(t *testing.T) {
	s := &stream{}
	f, _ := follow(s, func() time.Time { return epoch })
	for i := range 2_000 {
		s.entries = append(s.entries, changes.Entry{Kind: changes.RevokedToken, Key: fmt.Sprint(i), At: int64(i) * 1_000})
	}
	poll(t, f)
	if got := f.KnownLen(); got > 121 {
		t.Errorf("after the first poll %d identities are known, want those of two minutes (121)", got)
	}
	for i := range 20 {
		s.entries = append(s.entries, changes.Entry{Kind: changes.RevokedToken, Key: fmt.Sprint("n", i), At: int64(3_000_000 + i)})
		poll(t, f)
	}
	if got := f.KnownLen(); got > 20 {
		t.Errorf("%d identities are known, want the 20 recent ones at most", got)
	}
}

func TestStaleness(t *testing.T) {
	now := epoch
	s := &stream{}
	f, _ := follow(s, func() time.Time { return now })
	if !f.Stale(now) {
		t.Error("a follower that never polled vouches for what it knows")
	}
	poll(t, f)
	if got := f.AsOf(); !got.Equal(epoch) {
		t.Errorf("AsOf = %v, want %v", got, epoch)
	}
	for after, want := range map[time.Duration]bool{
		0: false, 10 * time.Second: false, 10*time.Second + 1: true, -time.Second: false, -time.Hour: true,
	} {
		if got := f.Stale(epoch.Add(after)); got != want {
			t.Errorf("Stale %v after the last poll = %v, want %v", after, got, want)
		}
	}
	now = epoch.Add(time.Minute)
	s.fail(errors.New("store down"))
	if err := f.Poll(t.Context()); err == nil {
		t.Fatal("Poll succeeds though the stream refuses")
	}
	if !f.Stale(now) {
		t.Error("a failed poll counts as one")
	}
}

func TestRunPollsEveryIntervalAndLogsATroubleOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := &stream{}
		f := changes.New(s, changes.Options{Now: time.Now, Log: slog.New(slog.NewTextHandler(&log, nil))})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- f.Run(ctx) }()

		time.Sleep(5*time.Second + time.Millisecond)
		synctest.Wait()
		if got := len(s.reads); got != 10 {
			t.Errorf("%d polls in five seconds, want 10", got)
		}
		s.fail(errors.New("store down"))
		time.Sleep(20 * time.Second)
		if !f.Stale(time.Now()) {
			t.Error("not stale after twenty seconds without a poll")
		}
		s.fail(nil)
		time.Sleep(time.Second)
		if f.Stale(time.Now()) {
			t.Error("still stale after polls succeed again")
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v, want the error of the context", err)
		}
		if got := strings.Count(log.String(), "\n"); got != 2 {
			t.Errorf("%d lines logged, want one for the trouble and one for its end:\n%s", got, &log)
		}
	})
}
