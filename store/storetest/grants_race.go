package storetest

import (
	"fmt"
	"testing"
	"time"

	"example.com/broker/internal/fault"
	"example.com/broker/tokens"
)

func testGrantRaces(t *testing.T, f *Fixture) {
	s := f.Stores.Grants
	ctx, now := t.Context(), start()

	t.Run("of many who redeem one code one does", func(t *testing.T) {
		g := grantWithCode("code")
		done(t, s.InsertGrant(ctx, g))
		answers := make([]tokens.Grant, racers)
		errs := race(racers, func(i int) (err error) {
			r := redemption(g, now)
			r.Cur = fmt.Sprint("secret-", i)
			answers[i], err = s.RedeemGrant(ctx, r)
			return err
		})
		winner := oneWins(t, errs, fault.Conflict, "grant_unmatched")
		got := must(s.GetGrant(ctx, g.ID))(t)
		same(t, answers[winner], got)
		if want := fmt.Sprint("secret-", winner); got.Cur != want || !got.CodeSpent.Equal(now) {
			t.Fatalf("got current secret %s spent at %v, want the winner's %s", got.Cur, got.CodeSpent, want)
		}
	})
	t.Run("of many who rotate one token one does, at each link of the chain", func(t *testing.T) {
		g := family("chain")
		done(t, s.InsertGrant(ctx, g))
		for link := range 5 {
			to := func(i int) string { return fmt.Sprintf("secret-%d-%d", link, i) }
			errs := race(racers, func(i int) error {
				_, err := s.RotateGrant(ctx, rotation(g, to(i), now))
				return err
			})
			winner := oneWins(t, errs, fault.Conflict, "grant_unmatched")
			want := g
			want.Prev, want.Cur, want.Successor, want.RotatedAt = g.Cur, to(winner), "sealed "+to(winner), now
			g = must(s.GetGrant(ctx, g.ID))(t)
			same(t, want, g)
		}
	})
	t.Run("of many who kill a grant the first sets the time", func(t *testing.T) {
		done(t, s.InsertGrant(ctx, family("killed")))
		seen := make([]time.Time, racers)
		allDone(t, race(racers, func(i int) error {
			if err := s.KillGrant(ctx, "killed", now.Add(time.Duration(i)*time.Second)); err != nil {
				return err
			}
			g, err := s.GetGrant(ctx, "killed")
			seen[i] = g.Dead
			return err
		}))
		for _, at := range seen {
			if at.IsZero() || !at.Equal(seen[0]) {
				t.Fatalf("the time of death was read as %v and as %v", seen[0], at)
			}
		}
	})
	t.Run("no rotation follows a kill", func(t *testing.T) {
		for round := range 10 {
			g := family(fmt.Sprint("ended-", round))
			done(t, s.InsertGrant(ctx, g))
			errs := race(2, func(i int) error {
				if i == 0 {
					return s.KillGrant(ctx, g.ID, now)
				}
				_, err := s.RotateGrant(ctx, rotation(g, "secret-1", now))
				return err
			})
			done(t, errs[0])
			got := must(s.GetGrant(ctx, g.ID))(t)
			if rotated := got.Cur == "secret-1"; rotated != (errs[1] == nil) || !got.Dead.Equal(now) {
				t.Fatalf("rotated: %v, answered: %v, dead: %v", rotated, errs[1], got.Dead)
			}
			refused(s.RotateGrant(ctx, rotation(got, "secret-2", now)))(t, fault.Conflict, "grant_unmatched")
		}
	})
}
