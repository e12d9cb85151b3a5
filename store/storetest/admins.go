package storetest

import (
	"fmt"
	"slices"
	"testing"

	"example.com/broker/internal/fault"
)

func testAdmins(t *testing.T, f *Fixture) {
	s, ctx := f.Stores.Admins, t.Context()
	members := func(t *testing.T, want ...string) {
		t.Helper()
		got := must(s.Admins(ctx))(t)
		slices.Sort(got)
		same(t, want, got)
	}

	t.Run("at first there are none, and leaving is success", func(t *testing.T) {
		members(t)
		done(t, s.LeaveAdmins(ctx, "ada"))
		members(t)
	})
	t.Run("joining twice is joining once", func(t *testing.T) {
		done(t, s.JoinAdmins(ctx, "ada"))
		done(t, s.JoinAdmins(ctx, "ada"))
		members(t, "ada")
	})
	t.Run("the last one cannot leave", func(t *testing.T) {
		fails(t, s.LeaveAdmins(ctx, "ada"), fault.Conflict, "last_admin")
		members(t, "ada")
	})
	t.Run("whoever is no member leaves with success beside the last one", func(t *testing.T) {
		done(t, s.LeaveAdmins(ctx, "bob"))
		members(t, "ada")
	})
	t.Run("one of two can leave, and then the other cannot", func(t *testing.T) {
		done(t, s.JoinAdmins(ctx, "bob"))
		members(t, "ada", "bob")
		done(t, s.LeaveAdmins(ctx, "ada"))
		fails(t, s.LeaveAdmins(ctx, "bob"), fault.Conflict, "last_admin")
		members(t, "bob")
	})
}

func testAdminRaces(t *testing.T, f *Fixture) {
	s, ctx := f.Stores.Admins, t.Context()

	t.Run("all who join at once are members", func(t *testing.T) {
		allDone(t, race(racers, func(i int) error { return s.JoinAdmins(ctx, fmt.Sprint("admin-", i%50)) }))
		if got := must(s.Admins(ctx))(t); len(got) != 50 {
			t.Fatalf("got %d admins, want 50", len(got))
		}
	})
	t.Run("of all who leave at once one stays", func(t *testing.T) {
		errs := race(50, func(i int) error { return s.LeaveAdmins(ctx, fmt.Sprint("admin-", i)) })
		left := must(s.Admins(ctx))(t)
		if len(left) != 1 {
			t.Fatalf("got admins %v, want exactly one", left)
		}
		for i, err := range errs {
			if fmt.Sprint("admin-", i) == left[0] {
				fails(t, err, fault.Conflict, "last_admin")
			} else {
				done(t, err)
			}
		}
	})
	t.Run("of the last two, whom many remove at once, one stays", func(t *testing.T) {
		for round := range 10 {
			last := must(s.Admins(ctx))(t)[0]
			pair := []string{last, fmt.Sprint("second-", round)}
			done(t, s.JoinAdmins(ctx, pair[1]))
			errs := race(racers, func(i int) error { return s.LeaveAdmins(ctx, pair[i%2]) })
			left := must(s.Admins(ctx))(t)
			if len(left) != 1 || !slices.Contains(pair, left[0]) {
				t.Fatalf("got admins %v, want one of %v", left, pair)
			}
			for i, err := range errs {
				if pair[i%2] == left[0] {
					fails(t, err, fault.Conflict, "last_admin")
				} else {
					done(t, err)
				}
			}
		}
	})
}
