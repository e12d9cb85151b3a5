package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func testAllow(t *testing.T, f *Fixture) {
	s := f.Stores.Allowed
	ctx, now := t.Context(), start()
	until := now.Add(time.Hour)
	allowed := func(t *testing.T, jti string, at time.Time, want bool) {
		t.Helper()
		if got := must(s.TokenAllowed(ctx, jti, at))(t); got != want {
			t.Fatalf("token %q at %v: allowed is %v, want %v", jti, at, got, want)
		}
	}

	t.Run("a token that is not stored is not allowed", func(t *testing.T) {
		for _, jti := range []string{"never", ""} {
			allowed(t, jti, now, false)
		}
	})
	t.Run("a token is allowed until just before its end, at the end it is not", func(t *testing.T) {
		done(t, s.AllowToken(ctx, "ends", until))
		allowed(t, "ends", now, true)
		allowed(t, "ends", until.Add(-tick), true)
		allowed(t, "ends", until, false)
		allowed(t, "ends", until.Add(day), false)
	})
	t.Run("a token that has ended already is not allowed", func(t *testing.T) {
		done(t, s.AllowToken(ctx, "past", now.Add(-tick)))
		allowed(t, "past", now, false)
	})
	t.Run("allowing again is success, and the later end stays", func(t *testing.T) {
		for _, end := range []time.Time{until, until.Add(-time.Minute), until} {
			done(t, s.AllowToken(ctx, "again", end))
			allowed(t, "again", until.Add(-tick), true)
			allowed(t, "again", until, false)
		}
		done(t, s.AllowToken(ctx, "again", until.Add(time.Minute)))
		allowed(t, "again", until, true)
		allowed(t, "again", until.Add(time.Minute), false)
	})
	t.Run("an end in another zone is the same end", func(t *testing.T) {
		done(t, s.AllowToken(ctx, "local", until.In(time.FixedZone("east", 3600))))
		allowed(t, "local", until.Add(-tick), true)
		allowed(t, "local", until, false)
	})
	t.Run("a forgotten token is not allowed, others are, and forgetting what is gone is success", func(t *testing.T) {
		done(t, s.AllowToken(ctx, "kept", until))
		done(t, s.AllowToken(ctx, "forgotten", until))
		for range 2 {
			done(t, s.ForgetToken(ctx, "forgotten"))
			allowed(t, "forgotten", now, false)
		}
		done(t, s.ForgetToken(ctx, "never"))
		allowed(t, "kept", now, true)
	})
	t.Run("ids are compared byte by byte", func(t *testing.T) {
		done(t, s.AllowToken(ctx, "jti:é/$1", until))
		for _, jti := range []string{"jti:e\u0301/$1", "JTI:é/$1", "jti:é/$1 ", "jti:é/$"} {
			allowed(t, jti, now, false)
			done(t, s.ForgetToken(ctx, jti))
		}
		allowed(t, "jti:é/$1", now, true)
		long := strings.Repeat("x", 500)
		done(t, s.AllowToken(ctx, long+"1", until))
		allowed(t, long+"1", now, true)
		allowed(t, long+"2", now, false)
	})
}

func testAllowRaces(t *testing.T, f *Fixture) {
	s := f.Stores.Allowed
	ctx, now := t.Context(), start()
	until := now.Add(time.Hour)

	t.Run("all who allow one token succeed, and the latest end stays", func(t *testing.T) {
		allDone(t, race(racers, func(i int) error {
			return s.AllowToken(ctx, "raced", until.Add(time.Duration(i*37%racers)*time.Second))
		}))
		last := until.Add((racers - 1) * time.Second)
		if !must(s.TokenAllowed(ctx, "raced", last.Add(-tick)))(t) || must(s.TokenAllowed(ctx, "raced", last))(t) {
			t.Fatalf("the token does not end at %v", last)
		}
	})
	t.Run("all who forget one token succeed, and whoever has forgotten it finds it refused", func(t *testing.T) {
		allDone(t, race(racers, func(int) error {
			if err := s.ForgetToken(ctx, "raced"); err != nil {
				return err
			}
			if ok, err := s.TokenAllowed(ctx, "raced", now); err != nil || ok {
				return fmt.Errorf("allowed is %v after it was forgotten (%w)", ok, err)
			}
			return nil
		}))
	})
	t.Run("whoever has allowed a token finds it allowed, whatever others do", func(t *testing.T) {
		allDone(t, race(racers, func(i int) error {
			mine, other := fmt.Sprint("mine-", i), fmt.Sprint("other-", i)
			for _, jti := range []string{mine, other} {
				if err := s.AllowToken(ctx, jti, until); err != nil {
					return err
				}
			}
			if err := s.ForgetToken(ctx, other); err != nil {
				return err
			}
			kept, err := s.TokenAllowed(ctx, mine, now)
			if err != nil {
				return err
			}
			gone, err := s.TokenAllowed(ctx, other, now)
			if err == nil && (!kept || gone) {
				err = fmt.Errorf("allowed is %v and %v, want true and false", kept, gone)
			}
			return err
		}))
	})
}
