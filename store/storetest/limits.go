package storetest

import (
	"slices"
	"testing"
	"time"
)

func testLimits(t *testing.T, f *Fixture) {
	s := f.Stores.Limits
	ctx, now := t.Context(), start()
	const window = 15 * time.Minute
	count := func(t *testing.T, key string, at time.Time, want int64, ends time.Time) {
		t.Helper()
		n, until, err := s.Increment(ctx, key, window, at)
		done(t, err)
		if n != want || !until.Equal(ends) {
			t.Fatalf("got %d until %v, want %d until %v", n, until, want, ends)
		}
	}

	t.Run("a counter starts at 1, and its window does not slide", func(t *testing.T) {
		count(t, "a", now, 1, now.Add(window))
		count(t, "a", now.Add(time.Minute), 2, now.Add(window))
		count(t, "a", now.Add(window-tick), 3, now.Add(window))
	})
	t.Run("at the end of the window it starts again", func(t *testing.T) {
		count(t, "a", now.Add(window), 1, now.Add(2*window))
		count(t, "a", now.Add(window), 2, now.Add(2*window))
		count(t, "a", now.Add(10*window), 1, now.Add(11*window))
	})
	t.Run("keys are kept apart byte by byte", func(t *testing.T) {
		for _, key := range []string{"login:é@example.org", "login:e\u0301@example.org", "LOGIN:é@example.org", "$a.b", ""} {
			count(t, key, now, 1, now.Add(window))
		}
	})
	t.Run("a decrement takes one back, down to zero", func(t *testing.T) {
		count(t, "back", now, 1, now.Add(window))
		count(t, "back", now, 2, now.Add(window))
		done(t, s.Decrement(ctx, "back", now))
		count(t, "back", now, 2, now.Add(window))
		for range 5 {
			done(t, s.Decrement(ctx, "back", now))
		}
		count(t, "back", now, 1, now.Add(window))
	})
	t.Run("a decrement at the end of the window, or of nothing, changes nothing", func(t *testing.T) {
		count(t, "ended", now, 1, now.Add(window))
		done(t, s.Decrement(ctx, "ended", now.Add(window)))
		count(t, "ended", now, 2, now.Add(window))
		done(t, s.Decrement(ctx, "never", now))
		count(t, "never", now, 1, now.Add(window))
	})
}

func testLimitRaces(t *testing.T, f *Fixture) {
	s := f.Stores.Limits
	ctx, now := t.Context(), start()
	const window = time.Minute
	// counts wants racers increments to have returned each number once, all with the same end.
	counts := func(t *testing.T, key string, at time.Time) {
		t.Helper()
		got, ends := make([]int64, racers), make([]time.Time, racers)
		allDone(t, race(racers, func(i int) (err error) {
			got[i], ends[i], err = s.Increment(ctx, key, window, at)
			return err
		}))
		slices.Sort(got)
		for i := range racers {
			if got[i] != int64(i+1) || !ends[i].Equal(at.Add(window)) {
				t.Fatalf("counts %v, window %d ends %v; want 1 to %d, all until %v", got, i, ends[i], racers, at.Add(window))
			}
		}
	}

	t.Run("no count of a new counter is lost", func(t *testing.T) { counts(t, "raced", now) })
	t.Run("a window starts again once", func(t *testing.T) { counts(t, "raced", now.Add(window)) })
	t.Run("no decrement is lost, none goes below zero", func(t *testing.T) {
		allDone(t, race(racers, func(i int) error {
			if i < racers*3/4 {
				return s.Decrement(ctx, "raced", now.Add(window))
			}
			_, _, err := s.Increment(ctx, "raced", window, now.Add(window))
			return err
		}))
		n, _, err := s.Increment(ctx, "raced", window, now.Add(window))
		done(t, err)
		if want := int64(racers - racers*3/4 + racers/4 + 1); n != want {
			t.Fatalf("got %d, want %d", n, want)
		}
		allDone(t, race(racers, func(int) error { return s.Decrement(ctx, "raced", now.Add(window)) }))
		if n, _, err := s.Increment(ctx, "raced", window, now.Add(window)); err != nil || n != 1 {
			t.Fatalf("got %d, %v, want 1", n, err)
		}
	})
}
