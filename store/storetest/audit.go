package storetest

import (
	"fmt"
	"testing"
	"time"

	"example.com/broker/audit"
)

func testAudit(t *testing.T, f *Fixture) {
	s, ctx := f.Stores.Audit, t.Context()
	event := func(i int) audit.Event {
		e := filled[audit.Event](fmt.Sprint(i))
		e.ID, e.At = fmt.Sprintf("%04d", i), start().Add(time.Duration(i)*time.Second)
		return e
	}
	var want []audit.Event // newest first
	for i := range 10 {
		want = append([]audit.Event{event(i)}, want...)
	}

	t.Run("an empty log lists as nothing", func(t *testing.T) { same(t, nil, must(s.ListAudit(ctx, "", 10))(t)) })
	t.Run("appending nothing is success", func(t *testing.T) { done(t, s.AppendAudit(ctx, nil)) })
	t.Run("every field of an event is stored", func(t *testing.T) {
		done(t, s.AppendAudit(ctx, []audit.Event{event(0)}))
		same(t, want[9:], must(s.ListAudit(ctx, "", 10))(t))
	})
	t.Run("an event appended again is stored once, and those beside it are stored", func(t *testing.T) {
		done(t, s.AppendAudit(ctx, []audit.Event{event(2), event(0), event(1)}))
		done(t, s.AppendAudit(ctx, []audit.Event{event(2), event(1)}))
		same(t, want[7:], must(s.ListAudit(ctx, "", 10))(t))
	})
	t.Run("an event is never changed", func(t *testing.T) {
		forged := event(1)
		forged.Actor = "somebody else"
		done(t, s.AppendAudit(ctx, []audit.Event{forged}))
		same(t, want[7:], must(s.ListAudit(ctx, "", 10))(t))
	})
	t.Run("of many who append the same events each is stored once", func(t *testing.T) {
		allDone(t, race(racers, func(i int) error { return s.AppendAudit(ctx, []audit.Event{event(i % 10), event((i + 1) % 10)}) }))
		same(t, want, must(s.ListAudit(ctx, "", 100))(t))
	})
	t.Run("pages follow each other, newest first, without gap or repeat", func(t *testing.T) {
		var got []audit.Event
		for before := ""; ; before = got[len(got)-1].ID {
			page := must(s.ListAudit(ctx, before, 3))(t)
			got = append(got, page...)
			if len(page) < 3 {
				break
			}
		}
		same(t, want, got)
		same(t, nil, must(s.ListAudit(ctx, "", 0))(t))
		same(t, nil, must(s.ListAudit(ctx, "", -1))(t))
	})
	t.Run("what is older than a moment goes, oldest first and no more than asked for", func(t *testing.T) {
		trim := func(before time.Time, limit, n int, left []audit.Event) {
			t.Helper()
			if got := must(s.TrimAudit(ctx, before, limit))(t); got != n {
				t.Errorf("%d events went, want %d", got, n)
			}
			same(t, left, must(s.ListAudit(ctx, "", 100))(t))
		}
		bound := start().Add(8 * time.Second)
		trim(start(), 100, 0, want)
		trim(bound, 0, 0, want)
		trim(bound, 5, 5, want[:5])
		trim(bound, 500, 3, want[:2])
		trim(bound, 500, 0, want[:2])
		trim(start().Add(time.Hour), 500, 2, nil)
		done(t, s.AppendAudit(ctx, []audit.Event{event(3)}))
		same(t, want[6:7], must(s.ListAudit(ctx, "", 100))(t))
	})
	t.Run("of many who trim at once none takes what is younger", func(t *testing.T) {
		done(t, s.AppendAudit(ctx, want))
		bound := start().Add(5 * time.Second)
		allDone(t, race(racers, func(int) error { _, err := s.TrimAudit(ctx, bound, 3); return err }))
		for must(s.TrimAudit(ctx, bound, 3))(t) > 0 {
			continue
		}
		same(t, want[:5], must(s.ListAudit(ctx, "", 100))(t))
	})
}
