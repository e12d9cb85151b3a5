package storetest

import (
	"fmt"
	"testing"
	"time"

	"example.com/broker/internal/fault"
	"example.com/broker/users"
)

func testUserRaces(t *testing.T, f *Fixture) {
	s := f.Stores.Users
	ctx, now := t.Context(), start()

	t.Run("of many who create a user with the same claims one does", func(t *testing.T) {
		claims := []users.Claim{identity("i-same"), address("same@example.org")}
		id := func(i int) string { return fmt.Sprintf("same-%03d", i) }
		errs := race(racers, func(i int) error { return s.Create(ctx, users.User{ID: id(i)}, claims, now) })
		winner := oneWins(t, errs, fault.Conflict, "claim_taken")
		for _, c := range claims {
			same(t, users.Holder{UserID: id(winner), At: now}, must(s.Holder(ctx, c))(t))
		}
		all := must(s.List(ctx, "", racers))(t)
		if len(all) != 1 || all[0].ID != id(winner) {
			t.Fatalf("got %d users, want only %s", len(all), id(winner))
		}
	})
	t.Run("of many who create the same user one does", func(t *testing.T) {
		claims := []users.Claim{identity("i-twin"), address("twin@example.org")}
		errs := race(racers, func(i int) error {
			return s.Create(ctx, users.User{ID: "twin", Name: fmt.Sprint(i)}, claims, now)
		})
		winner := oneWins(t, errs, fault.Conflict, "user_exists")
		same(t, users.User{ID: "twin", Name: fmt.Sprint(winner)}, must(s.Get(ctx, "twin"))(t))
	})
	t.Run("of many who replace one version one does", func(t *testing.T) {
		done(t, s.Create(ctx, users.User{ID: "swapped"}, nil, now))
		errs := race(racers, func(i int) error {
			return s.Replace(ctx, users.User{ID: "swapped", Name: fmt.Sprint(i)}, nil, nil, now)
		})
		winner := oneWins(t, errs, fault.Conflict, "user_changed")
		same(t, users.User{ID: "swapped", Name: fmt.Sprint(winner), V: 1}, must(s.Get(ctx, "swapped"))(t))
	})
	t.Run("of many who link one identity one does", func(t *testing.T) {
		id := func(i int) string { return fmt.Sprintf("linker-%03d", i) }
		for i := range racers {
			done(t, s.Create(ctx, users.User{ID: id(i)}, nil, now))
		}
		errs := race(racers, func(i int) error {
			return s.Replace(ctx, users.User{ID: id(i), Name: "linked"}, []users.Claim{identity("i-linked")}, nil, now)
		})
		winner := oneWins(t, errs, fault.Conflict, "claim_taken")
		for i := range racers {
			if got := must(s.Get(ctx, id(i)))(t); (got.Name == "linked") != (i == winner) {
				t.Fatalf("%s: name %q, winner %s", got.ID, got.Name, id(winner))
			}
		}
	})
	t.Run("of many who take over a claim one does", func(t *testing.T) {
		done(t, s.Create(ctx, users.User{ID: "gone"}, []users.Claim{identity("i-gone")}, now))
		from, at := must(s.Holder(ctx, identity("i-gone")))(t), now.Add(time.Hour)
		errs := race(racers, func(i int) error { return s.TakeOver(ctx, identity("i-gone"), from, fmt.Sprint("heir-", i), at) })
		winner := oneWins(t, errs, fault.Conflict, "claim_taken")
		same(t, users.Holder{UserID: fmt.Sprint("heir-", winner), At: at}, must(s.Holder(ctx, identity("i-gone")))(t))
	})
	t.Run("either the holder renews a claim or another takes it over", func(t *testing.T) {
		for round := range 20 {
			c, id := identity(fmt.Sprint("i-either-", round)), fmt.Sprint("either-", round)
			done(t, s.Create(ctx, users.User{ID: id + "-first"}, []users.Claim{c}, now))
			from := must(s.Holder(ctx, c))(t)
			done(t, s.TakeOver(ctx, c, from, id, now.Add(tick)))
			from = must(s.Holder(ctx, c))(t)
			errs := race(2, func(i int) error {
				if i == 0 {
					return s.Create(ctx, users.User{ID: id}, []users.Claim{c}, now.Add(time.Hour))
				}
				return s.TakeOver(ctx, c, from, id+"-other", now.Add(time.Hour))
			})
			oneWins(t, errs, fault.Conflict, "claim_taken")
		}
	})
}
