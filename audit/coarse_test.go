package audit_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/audit"
)

func denial(actor, target string) audit.Event {
	return audit.Event{Action: "route.use", Actor: actor, Target: target, Outcome: "denied", Detail: map[string]string{"code": "role_missing"}}
}

// counts lists the events stored: actor, target and what they stand for.
func (m *memory) counts() []string {
	var out []string
	for _, e := range m.events() {
		out = append(out, e.Actor+" "+e.Target+" "+e.Detail["count"])
	}
	return out
}

func TestEventsThatAreAlikeAreStoredOnceAMinuteAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		l, _, stop := running(t, m)
		r := l.Coarsely()
		for i := range 500 {
			r.Record(audit.WithRequest(t.Context(), "req-"+strconv.Itoa(i)), denial("eve", "GET /a"))
		}
		r.Record(t.Context(), denial("eve", "GET /b"))
		r.Record(t.Context(), denial("mal", "GET /a"))
		time.Sleep(2 * time.Second)
		want := []string{"eve GET /a 1", "eve GET /b 1", "mal GET /a 1"}
		if diff := cmp.Diff(want, m.counts()); diff != "" {
			t.Fatalf("at once (-want +got):\n%s", diff)
		}
		began := m.events()[0].At
		time.Sleep(57 * time.Second)
		if diff := cmp.Diff(want, m.counts()); diff != "" {
			t.Fatalf("within the minute (-want +got):\n%s", diff)
		}
		time.Sleep(3 * time.Second)
		want = append(want, "eve GET /a 499")
		if diff := cmp.Diff(want, m.counts()); diff != "" {
			t.Fatalf("after the minute (-want +got):\n%s", diff)
		}
		last := m.events()[3]
		if last.RequestID != "req-499" || last.Detail["code"] != "role_missing" || last.Outcome != "denied" || last.At.Sub(began) < time.Minute {
			t.Errorf("the event for those counted is %+v", last)
		}

		t.Log("who goes on is stored once a minute")
		for range 180 {
			r.Record(t.Context(), denial("eve", "GET /a"))
			time.Sleep(time.Second)
		}
		if n := len(m.events()); n > 4+4 {
			t.Errorf("%d events of three minutes are stored, want one a minute", n-4)
		}
		time.Sleep(3 * time.Minute)
		sum := 0
		for _, e := range m.events() {
			if e.Actor == "eve" && e.Target == "GET /a" {
				n, err := strconv.Atoi(e.Detail["count"])
				if err != nil {
					t.Error(err)
				}
				sum += n
			}
		}
		if sum != 680 {
			t.Errorf("the events stand for %d denials, want 680", sum)
		}

		t.Log("after a quiet minute the next one is stored at once")
		before := len(m.events())
		r.Record(t.Context(), denial("eve", "GET /a"))
		time.Sleep(2 * time.Second)
		if got := m.counts()[before:]; !cmp.Equal(got, []string{"eve GET /a 1"}) {
			t.Errorf("got %q", got)
		}
		stop()
		if broken := audit.Broken(m.events()); broken != nil {
			t.Errorf("the chain is broken at %v", broken)
		}
	})
}

func TestTheEventThatWasRecordedIsNotChangedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		l, _, stop := running(t, m)
		e := denial("eve", "GET /a")
		l.Coarsely().Record(t.Context(), e)
		if _, counted := e.Detail["count"]; counted {
			t.Error("the caller's own detail was written to")
		}
		stop()
	})
}

func TestTheEndWritesWhatWasCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		l, text, stop := running(t, m)
		r := l.Coarsely()
		for range 3 {
			r.Record(t.Context(), denial("eve", "GET /a"))
		}
		stop()
		if diff := cmp.Diff([]string{"eve GET /a 1", "eve GET /a 2"}, m.counts()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		for range 2 {
			r.Record(t.Context(), denial("eve", "GET /a"))
		}
		if n := strings.Count(text.String(), "does not reach the store"); n != 2 {
			t.Errorf("%d of 2 events recorded after the end are in the log", n)
		}
	})
}

func TestKindsThatAreCountedAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		l, text, stop := running(t, m)
		r := l.Coarsely()
		const kinds = 4096
		for i := range kinds + 100 {
			r.Record(t.Context(), denial("eve"+strconv.Itoa(i), "GET /a"))
			if i%1000 == 0 {
				synctest.Wait() // the queue is taken out
			}
		}
		if n := strings.Count(text.String(), "does not reach the store"); n != 100 {
			t.Errorf("%d events are in the log, want the 100 there was no room for", n)
		}
		time.Sleep(2 * time.Minute)
		r.Record(t.Context(), denial("eve-again", "GET /a"))
		stop()
		if got := m.counts(); len(got) != kinds+1 || got[kinds] != "eve-again GET /a 1" {
			t.Errorf("%d events, want %d: there is room again after a minute", len(got), kinds+1)
		}
	})
}

func TestCountsWaitWhileTheStoreTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		m.set(errors.New("away"))
		l, _, stop := running(t, m)
		record(t, l, 256) // a full batch that nobody takes
		time.Sleep(2 * time.Second)
		for range 20 {
			l.Coarsely().Record(t.Context(), denial("eve", "GET /a"))
			time.Sleep(time.Minute)
		}
		m.set(nil)
		time.Sleep(time.Minute)
		stop()
		var got []string
		for _, e := range m.events() {
			if e.Actor == "eve" {
				got = append(got, e.Detail["count"])
			}
		}
		if diff := cmp.Diff([]string{"1", "19"}, got); diff != "" {
			t.Errorf("memory grew with each minute (-want +got):\n%s", diff)
		}
	})
}

func TestCountingDoesNotWaitForTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		m.set(errors.New("away"))
		l, _, stop := running(t, m)
		r := l.Coarsely()
		record(t, l, 256) // a full batch that nobody takes
		time.Sleep(2 * time.Second)
		began := time.Now()
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for range 1000 {
					r.Record(t.Context(), denial(fmt.Sprint("eve", i), "GET /a"))
				}
			})
		}
		wg.Wait()
		if took := time.Since(began); took != 0 {
			t.Errorf("8,000 denials waited for %v", took)
		}
		m.set(nil)
		time.Sleep(3 * time.Minute)
		stop()
		sum := 0
		for _, e := range m.events() {
			n, _ := strconv.Atoi(e.Detail["count"])
			sum += n
		}
		if sum != 8000 {
			t.Errorf("the events stand for %d denials, want 8000", sum)
		}
	})
}
