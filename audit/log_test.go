package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/audit"
	"example.com/broker/store/sqlite"
)

// memory is a store that can be away, for tests in a bubble, which has no room for a database.
type memory struct {
	mu      sync.Mutex
	batches [][]audit.Event
	fail    error
	calls   int
}

func (m *memory) AppendAudit(ctx context.Context, events []audit.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	if m.fail != nil {
		return m.fail
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	m.batches = append(m.batches, slices.Clone(events))
	return nil
}

func (m *memory) ListAudit(context.Context, string, int) ([]audit.Event, error) { return nil, nil }

func (m *memory) TrimAudit(context.Context, time.Time, int) (int, error) { return 0, nil }

func (m *memory) set(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

func (m *memory) called() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls
}

func (m *memory) sizes() []int {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []int
	for _, b := range m.batches {
		out = append(out, len(b))
	}
	return out
}

func (m *memory) events() []audit.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Concat(m.batches...)
}

// running starts a log in the current bubble; stop ends it and waits.
func running(t *testing.T, store audit.Store) (l *audit.Log, text *bytes.Buffer, stop func()) {
	t.Helper()
	text = &bytes.Buffer{}
	l = audit.NewLog(store, time.Now, slog.New(slog.NewJSONHandler(text, nil)))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	return l, text, func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

func record(t *testing.T, l *audit.Log, n int) {
	t.Helper()
	for i := range n {
		l.Record(t.Context(), audit.Event{Action: "test", Target: fmt.Sprint(i), Outcome: "done"})
	}
}

func TestEventsAreStoredWithinASecondInOneBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		l, _, stop := running(t, m)
		defer stop()
		record(t, l, 5)
		synctest.Wait()
		if m.called() != 0 {
			t.Errorf("%d calls of the store at once, want none", m.called())
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]int{5}, m.sizes()); diff != "" {
			t.Errorf("after a second (-want +got):\n%s", diff)
		}
		time.Sleep(time.Minute)
		if m.called() != 1 {
			t.Errorf("%d calls of the store, want none where there is nothing to store", m.called())
		}
		record(t, l, 600)
		synctest.Wait()
		if diff := cmp.Diff([]int{5, 256, 256}, m.sizes()); diff != "" {
			t.Errorf("full batches do not wait (-want +got):\n%s", diff)
		}
	})
}

func TestNothingIsLostWhileTheStoreIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		m.set(errors.New("store is away"))
		l, text, stop := running(t, m)
		record(t, l, 10)
		time.Sleep(3 * time.Second)
		m.set(nil)
		time.Sleep(time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]int{10}, m.sizes()); diff != "" {
			t.Errorf("after it came back (-want +got):\n%s", diff)
		}
		if !strings.Contains(text.String(), "store is away") {
			t.Errorf("nobody is told: %s", text)
		}
		stop()
		if broken := audit.Broken(m.events()); broken != nil {
			t.Errorf("the chain is broken at %v", broken)
		}
	})
}

func TestAFullQueueGoesToTheLogAndMemoryStaysBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		m.set(errors.New("away"))
		l, text, stop := running(t, m)
		const batch, queue = 256, 4096
		record(t, l, batch)
		time.Sleep(2 * time.Second)
		for range 10 {
			record(t, l, 500)
			time.Sleep(time.Second)
		}
		synctest.Wait()
		lost := strings.Count(text.String(), "does not reach the store")
		if want := batch + 5000 - (batch + queue); lost != want {
			t.Errorf("%d events went to the log, want %d: what neither the batch nor the queue holds", lost, want)
		}
		if !strings.Contains(text.String(), `"target":"499"`) {
			t.Error("the content of an event is not in the log")
		}
		m.set(nil)
		stop()
		if got := len(m.events()); got != batch+queue {
			t.Errorf("%d events were stored in the end, want %d", got, batch+queue)
		}
		if broken := audit.Broken(m.events()); broken != nil {
			t.Errorf("the chain is broken at %v", broken)
		}
	})
}

func TestTheEndWritesWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		l, text, stop := running(t, m)
		record(t, l, 7)
		stop()
		if diff := cmp.Diff([]int{7}, m.sizes()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		record(t, l, 2)
		if n := strings.Count(text.String(), "does not reach the store"); n != 2 {
			t.Errorf("%d of 2 events recorded after the end are in the log", n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		m.set(errors.New("away"))
		l, text, stop := running(t, m)
		record(t, l, 3)
		stop()
		if !strings.Contains(text.String(), "were not stored") || !strings.Contains(text.String(), `"target":"2"`) {
			t.Errorf("the log does not have what could not be stored: %s", text)
		}
	})
}

func TestRecordsAtTheEndAreStoredOrLogged(t *testing.T) {
	m := &memory{}
	var text bytes.Buffer
	l := audit.NewLog(m, time.Now, slog.New(slog.NewJSONHandler(&text, nil)))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { _ = l.Run(ctx) })
	for range 8 {
		wg.Go(func() {
			for i := range 200 {
				if i == 100 {
					cancel()
				}
				l.Record(t.Context(), audit.Event{Action: "test", Outcome: "done"})
			}
		})
	}
	wg.Wait()
	if got := len(m.events()) + strings.Count(text.String(), "does not reach the store"); got != 1600 {
		t.Errorf("%d of 1600 events were stored or logged", got)
	}
}

func TestTheChainIsReadBackFromTheStore(t *testing.T) {
	at := time.Date(2030, 1, 2, 3, 4, 5, 678_901_234, time.FixedZone("CET", 3600))
	st, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "b.db"), Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	// Two replicas, or two starts: each has a chain of its own.
	for _, replica := range []string{"a", "b"} {
		l := audit.NewLog(st.Audit, func() time.Time { return at }, slog.New(slog.DiscardHandler))
		ctx := audit.WithRequest(t.Context(), "req-"+replica)
		l.Record(ctx, audit.Event{Action: "user.disable", Actor: "usr_1", Target: "usr_2", Outcome: "done", Detail: map[string]string{"b": "2", "a": "<1> & \u2028"}})
		l.Record(ctx, audit.Event{Action: "user.grant", Actor: "usr_1", Outcome: "denied", RequestID: "mine", Detail: map[string]string{}})
		l.Record(ctx, audit.Event{Action: "login", Actor: "jo\xff\r\n\x1b[31m", ClientID: "spa", Outcome: "denied", Detail: map[string]string{"agent\xfe": "\xff\xfe"}})
		l.Record(ctx, audit.Event{})
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := l.Run(ended); err != nil {
			t.Fatal(err)
		}
	}
	list, err := st.Audit.ListAudit(t.Context(), "", 100)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(list)
	if broken := audit.Broken(list); len(list) != 8 || broken != nil {
		t.Fatalf("%d events, broken at %v", len(list), broken)
	}
	first := list[0]
	if first.RequestID != "req-a" || list[1].RequestID != "mine" || !first.At.Equal(at.Truncate(time.Millisecond)) || first.At.Location() != time.UTC {
		t.Errorf("stored as %+v", first)
	}
	for i := range list {
		for what, alter := range map[string]func([]audit.Event) []audit.Event{
			"an actor altered":  func(l []audit.Event) []audit.Event { l[i].Actor += "x"; return l },
			"a time altered":    func(l []audit.Event) []audit.Event { l[i].At = l[i].At.Add(time.Millisecond); return l },
			"a detail altered":  func(l []audit.Event) []audit.Event { l[i].Detail = map[string]string{"a": "2"}; return l },
			"a link altered":    func(l []audit.Event) []audit.Event { l[i].Chain = "x"; return l },
			"an event repeated": func(l []audit.Event) []audit.Event { return slices.Insert(l, i, l[i]) },
		} {
			if broken := audit.Broken(alter(slices.Clone(list))); len(broken) == 0 {
				t.Errorf("event %d: %s, and nobody sees it", i, what)
			}
		}
		last := i == 3 || i == 7
		if broken := audit.Broken(slices.Delete(slices.Clone(list), i, i+1)); (len(broken) == 0) != last {
			t.Errorf("event %d taken out: broken at %v", i, broken)
		}
		if i != 3 && i != 7 {
			swapped := slices.Clone(list)
			swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
			if len(audit.Broken(swapped)) == 0 {
				t.Errorf("events %d and %d swapped, and nobody sees it", i, i+1)
			}
		}
	}
}

func TestRequestOf(t *testing.T) {
	if got := audit.RequestOf(t.Context()); got != "" {
		t.Errorf("without a request: %q", got)
	}
	if got := audit.RequestOf(audit.WithRequest(t.Context(), "req")); got != "req" {
		t.Errorf("got %q", got)
	}
}
