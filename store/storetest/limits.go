package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"example.com/broker/internal/ratelimit"
)

func testLimits(t *testing.T, f *Fixture) {
	s := f.Stores.Limits
	ctx, now := t.Context(), start()
	const window, memory = 15 * time.Minute, 90 * day
	wide := ratelimit.Bounds{Limit: 1000, Window: window, Memory: memory}
	take := func(t *testing.T, key string, b ratelimit.Bounds, at time.Time, want bool) ratelimit.Tally {
		t.Helper()
		got, taken, err := s.Take(ctx, key, b, at)
		done(t, err)
		if taken != want {
			t.Fatalf("got %+v, taken %v, want %v", got, taken, want)
		}
		return got
	}
	tally := func(t *testing.T, key string, at time.Time, want ratelimit.Tally) {
		t.Helper()
		want.Forgotten = at.Add(memory)
		same(t, want, take(t, key, wide, at, true))
	}
	// count looks at the window alone.
	count := func(t *testing.T, key string, at time.Time, want int64, ends time.Time) {
		t.Helper()
		if got := take(t, key, wide, at, true); got.Count != want || !got.Ends.Equal(ends) {
			t.Fatalf("got %d until %v, want %d until %v", got.Count, got.Ends, want, ends)
		}
	}
	// run looks at the failures in a row alone.
	run := func(t *testing.T, key string, at time.Time, want int64) {
		t.Helper()
		if got := take(t, key, wide, at, true); got.Run != want {
			t.Fatalf("got %d in a row, want %d", got.Run, want)
		}
	}

	t.Run("both counts start at 1, and the window does not slide", func(t *testing.T) {
		tally(t, "a", now, ratelimit.Tally{Count: 1, Ends: now.Add(window), Run: 1})
		tally(t, "a", now.Add(time.Minute), ratelimit.Tally{Count: 2, Ends: now.Add(window), Run: 2})
		tally(t, "a", now.Add(window-tick), ratelimit.Tally{Count: 3, Ends: now.Add(window), Run: 3})
	})
	t.Run("at the end of the window it starts again, and the run goes on", func(t *testing.T) {
		tally(t, "a", now.Add(window), ratelimit.Tally{Count: 1, Ends: now.Add(2 * window), Run: 4})
		tally(t, "a", now.Add(window), ratelimit.Tally{Count: 2, Ends: now.Add(2 * window), Run: 5})
		tally(t, "a", now.Add(10*window), ratelimit.Tally{Count: 1, Ends: now.Add(11 * window), Run: 6})
	})
	t.Run("each failure keeps the run from being forgotten, and at the end of its memory it is", func(t *testing.T) {
		tally(t, "slow", now, ratelimit.Tally{Count: 1, Ends: now.Add(window), Run: 1})
		at := now.Add(memory - tick)
		tally(t, "slow", at, ratelimit.Tally{Count: 1, Ends: at.Add(window), Run: 2})
		at = at.Add(memory - tick)
		tally(t, "slow", at, ratelimit.Tally{Count: 1, Ends: at.Add(window), Run: 3})
		at = at.Add(memory)
		tally(t, "slow", at, ratelimit.Tally{Count: 1, Ends: at.Add(window), Run: 1})
	})
	t.Run("a run is remembered for the window at least", func(t *testing.T) {
		want := ratelimit.Tally{Count: 1, Ends: now.Add(window), Run: 1, Forgotten: now.Add(window)}
		same(t, want, take(t, "short", ratelimit.Bounds{Limit: 1, Window: window}, now, true))
	})
	t.Run("a full window takes no more, and says until when", func(t *testing.T) {
		b := ratelimit.Bounds{Limit: 2, Window: window, Run: 9, Memory: memory}
		take(t, "full", b, now, true)
		want := take(t, "full", b, now, true)
		for range 3 {
			same(t, want, take(t, "full", b, now.Add(window-tick), false))
		}
		got := take(t, "full", b, now.Add(window), true)
		same(t, ratelimit.Tally{Count: 1, Ends: now.Add(2 * window), Run: 3, Forgotten: now.Add(window + memory)}, got)
	})
	t.Run("a full run takes no more in any window, and is not kept from being forgotten by that", func(t *testing.T) {
		b := ratelimit.Bounds{Limit: 9, Window: window, Run: 2, Memory: memory}
		take(t, "closed", b, now, true)
		want := take(t, "closed", b, now, true)
		for _, after := range []time.Duration{0, window - tick, window, memory - tick} {
			same(t, want, take(t, "closed", b, now.Add(after), false))
		}
		got := take(t, "closed", b, now.Add(memory), true)
		same(t, ratelimit.Tally{Count: 1, Ends: now.Add(memory + window), Run: 1, Forgotten: now.Add(2 * memory)}, got)
	})
	t.Run("what was full has room again after a return, a reset, or being forgotten", func(t *testing.T) {
		b := ratelimit.Bounds{Limit: 1, Window: window, Run: 1, Memory: memory}
		take(t, "room", b, now, true)
		take(t, "room", b, now, false)
		done(t, s.Return(ctx, "room", now.Add(window)))
		take(t, "room", b, now, true)
		take(t, "room", b, now, false)
		done(t, s.Reset(ctx, "room", now.Add(window)))
		take(t, "room", b, now, true)
		take(t, "room", b, now, false)
		done(t, s.Forget(ctx, "room"))
		take(t, "room", b, now, true)
	})
	t.Run("keys are kept apart byte by byte", func(t *testing.T) {
		for _, key := range []string{"login:é@example.org", "login:e\u0301@example.org", "LOGIN:é@example.org", "$a.b", ""} {
			tally(t, key, now, ratelimit.Tally{Count: 1, Ends: now.Add(window), Run: 1})
		}
	})
	t.Run("a return takes one back of both, down to zero", func(t *testing.T) {
		tally(t, "back", now, ratelimit.Tally{Count: 1, Ends: now.Add(window), Run: 1})
		tally(t, "back", now, ratelimit.Tally{Count: 2, Ends: now.Add(window), Run: 2})
		done(t, s.Return(ctx, "back", now.Add(window)))
		tally(t, "back", now, ratelimit.Tally{Count: 2, Ends: now.Add(window), Run: 2})
		for range 5 {
			done(t, s.Return(ctx, "back", now.Add(window)))
		}
		tally(t, "back", now, ratelimit.Tally{Count: 1, Ends: now.Add(window), Run: 1})
	})
	t.Run("a return leaves another window alone, and what is not there", func(t *testing.T) {
		count(t, "ended", now, 1, now.Add(window))
		count(t, "ended", now.Add(window), 1, now.Add(2*window))
		done(t, s.Return(ctx, "ended", now.Add(window)))
		count(t, "ended", now.Add(window), 2, now.Add(2*window))
		run(t, "ended", now.Add(window), 3)
		done(t, s.Return(ctx, "never", now.Add(window)))
		count(t, "never", now, 1, now.Add(window))
	})
	t.Run("a reset ends the run and takes one back of the window", func(t *testing.T) {
		for i := range int64(3) {
			tally(t, "won", now, ratelimit.Tally{Count: i + 1, Ends: now.Add(window), Run: i + 1})
		}
		done(t, s.Reset(ctx, "won", now.Add(window)))
		tally(t, "won", now, ratelimit.Tally{Count: 3, Ends: now.Add(window), Run: 1})
		done(t, s.Reset(ctx, "won", now.Add(window)))
		done(t, s.Return(ctx, "won", now.Add(window)))
		tally(t, "won", now, ratelimit.Tally{Count: 2, Ends: now.Add(window), Run: 1})
	})
	t.Run("a reset after its window has ended ends the run all the same", func(t *testing.T) {
		tally(t, "late", now, ratelimit.Tally{Count: 1, Ends: now.Add(window), Run: 1})
		tally(t, "late", now.Add(window), ratelimit.Tally{Count: 1, Ends: now.Add(2 * window), Run: 2})
		done(t, s.Reset(ctx, "late", now.Add(window)))
		tally(t, "late", now.Add(window), ratelimit.Tally{Count: 2, Ends: now.Add(2 * window), Run: 1})
		done(t, s.Reset(ctx, "never", now.Add(time.Hour)))
	})
	t.Run("what is forgotten starts again, and forgetting nothing is success", func(t *testing.T) {
		tally(t, "gone", now, ratelimit.Tally{Count: 1, Ends: now.Add(window), Run: 1})
		done(t, s.Forget(ctx, "gone"))
		tally(t, "gone", now.Add(tick), ratelimit.Tally{Count: 1, Ends: now.Add(window + tick), Run: 1})
		done(t, s.Forget(ctx, "nothing"))
	})
	t.Run("a sweep leaves a run that is remembered", func(t *testing.T) {
		count(t, "swept", now, 1, now.Add(window))
		done(t, f.Stores.Sweep(ctx, now.Add(memory/2)))
		run(t, "swept", now.Add(memory/2), 2)
	})
}

func testLimitRaces(t *testing.T, f *Fixture) {
	s := f.Stores.Limits
	ctx, now := t.Context(), start()
	const window, memory = time.Minute, 90 * day
	wide := ratelimit.Bounds{Limit: 1000, Window: window, Run: 1000, Memory: memory}
	take := func(key string, at time.Time) (ratelimit.Tally, error) {
		got, taken, err := s.Take(ctx, key, wide, at)
		if err == nil && !taken {
			err = errors.New("not taken")
		}
		return got, err
	}
	// counts wants racers increments to have returned each number once, all with the same end, and so each length of the run after before.
	counts := func(t *testing.T, key string, at time.Time, before int64) {
		t.Helper()
		got, runs, ends := make([]int64, racers), make([]int64, racers), make([]time.Time, racers)
		allDone(t, race(racers, func(i int) error {
			c, err := take(key, at)
			got[i], runs[i], ends[i] = c.Count, c.Run, c.Ends
			return err
		}))
		slices.Sort(got)
		slices.Sort(runs)
		for i := range racers {
			if got[i] != int64(i+1) || runs[i] != before+int64(i+1) || !ends[i].Equal(at.Add(window)) {
				t.Fatalf("counts %v, runs %v, window %d ends %v; want 1 to %d, after %d, all until %v", got, runs, i, ends[i], racers, before, at.Add(window))
			}
		}
	}

	t.Run("no count of a new counter is lost", func(t *testing.T) { counts(t, "raced", now, 0) })
	t.Run("a window starts again once", func(t *testing.T) { counts(t, "raced", now.Add(window), racers) })
	t.Run("what is forgotten starts again once", func(t *testing.T) { counts(t, "raced", now.Add(2*memory), 0) })
	at, ends := now.Add(2*memory), now.Add(2*memory).Add(window)
	t.Run("no return is lost, none goes below zero", func(t *testing.T) {
		allDone(t, race(racers, func(i int) error {
			if i < racers*3/4 {
				return s.Return(ctx, "raced", ends)
			}
			_, err := take("raced", at)
			return err
		}))
		got := must(take("raced", at))(t)
		if want := int64(racers - racers*3/4 + racers/4 + 1); got.Count != want || got.Run != want {
			t.Fatalf("got %+v, want %d of both", got, want)
		}
		allDone(t, race(racers, func(int) error { return s.Return(ctx, "raced", ends) }))
		if got := must(take("raced", at))(t); got.Count != 1 || got.Run != 1 {
			t.Fatalf("got %+v, want 1 of both", got)
		}
	})
	t.Run("resets at once leave no run, and take back one each", func(t *testing.T) {
		counts(t, "won", now, 0)
		allDone(t, race(racers-1, func(int) error { return s.Reset(ctx, "won", now.Add(window)) }))
		if got := must(take("won", now))(t); got.Count != 2 || got.Run != 1 {
			t.Fatalf("got %+v, want 2 in the window and 1 in a row", got)
		}
	})
	t.Run("of those that come at once no more are taken than there is room for", func(t *testing.T) {
		for name, b := range map[string]ratelimit.Bounds{
			"window": {Limit: 7, Window: window, Run: 50, Memory: memory}, "run": {Limit: 50, Window: window, Run: 7, Memory: memory},
		} {
			for _, at := range []time.Time{now, now.Add(2 * memory)} {
				var taken atomic.Int64
				allDone(t, race(racers, func(int) error {
					got, ok, err := s.Take(ctx, name, b, at)
					if ok {
						taken.Add(1)
					} else if err == nil && !b.Full(got, at) {
						err = fmt.Errorf("refused with %+v", got)
					}
					return err
				}))
				if taken.Load() != 7 {
					t.Fatalf("%s: %d were taken, want 7", name, taken.Load())
				}
			}
		}
	})
}
