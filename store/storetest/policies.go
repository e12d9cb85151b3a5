package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"example.com/broker/abac"
	"example.com/broker/internal/fault"
)

func testPolicies(t *testing.T, f *Fixture) {
	s, ctx := f.Stores.Policies, t.Context()
	stored := func(t *testing.T, want abac.Set) {
		t.Helper()
		same(t, want, must(s.LoadPolicies(ctx, want.App))(t))
	}

	t.Run("an application without policies has version 0", func(t *testing.T) {
		if set := must(s.LoadPolicies(ctx, "none"))(t); set.V != 0 || set.App != "none" || len(set.Policies) != 0 {
			t.Fatalf("got %+v, want an empty set", set)
		}
	})
	t.Run("every field is stored", func(t *testing.T) {
		set := filled[abac.Set]("wide")
		set.App, set.V = "wide", 0
		done(t, s.SwapPolicies(ctx, set))
		set.V = 1
		stored(t, set)
	})
	t.Run("a swap raises V by one and keeps the order of the policies", func(t *testing.T) {
		set := abac.Set{App: "wide", V: 1, Schema: "entity ü;"}
		for i := range 50 {
			set.Policies = append(set.Policies, abac.Policy{ID: fmt.Sprint(50 - i), Text: strings.Repeat("// <é>\n", 100), V: int64(i)})
		}
		done(t, s.SwapPolicies(ctx, set))
		set.V = 2
		stored(t, set)
	})
	t.Run("a set of the largest size is stored", func(t *testing.T) {
		set := abac.Set{App: "large", Entities: strings.Repeat("é", abac.MaxSetText/2)}
		done(t, s.SwapPolicies(ctx, set))
		set.V = 1
		stored(t, set)
	})
	t.Run("a swap of another version is refused and changes nothing", func(t *testing.T) {
		want := must(s.LoadPolicies(ctx, "wide"))(t)
		for _, v := range []int64{0, 1, 3} {
			fails(t, s.SwapPolicies(ctx, abac.Set{App: "wide", V: v, Schema: "stale"}), fault.Conflict, "policies_changed")
		}
		stored(t, want)
	})
	t.Run("a swap of a set that was never stored is refused", func(t *testing.T) {
		fails(t, s.SwapPolicies(ctx, abac.Set{App: "ghost", V: 1}), fault.Conflict, "policies_changed")
		if set := must(s.LoadPolicies(ctx, "ghost"))(t); set.V != 0 {
			t.Fatalf("got version %d, want none stored", set.V)
		}
	})
	t.Run("applications follow each other by name without gap or repeat", func(t *testing.T) {
		names := []string{"zb", "za", "z-", "z_", "z9"}
		for _, app := range names {
			done(t, s.SwapPolicies(ctx, abac.Set{App: app}))
		}
		slices.Sort(names)
		got := must(s.PolicyApps(ctx, "z", 2))(t)
		same(t, names, append(got, must(s.PolicyApps(ctx, got[1], 10))(t)...))
		done(t, s.SwapPolicies(ctx, abac.Set{App: "z9", V: 1, Removed: true}))
		same(t, []string{"z-", "z_", "za", "zb"}, must(s.PolicyApps(ctx, "z", 10))(t))
		stored(t, abac.Set{App: "z9", V: 2, Removed: true})
		done(t, s.SwapPolicies(ctx, abac.Set{App: "z9", V: 2, Schema: "entity again;"}))
		same(t, names, must(s.PolicyApps(ctx, "z", 10))(t))
		large := abac.Set{App: "zz", Entities: strings.Repeat("é", abac.MaxSetText/2)}
		done(t, s.SwapPolicies(ctx, large))
		same(t, append(names, "zz"), must(s.PolicyApps(ctx, "z", 10))(t))
		if n := len(must(s.PolicyApps(ctx, "", 0))(t)); n != 0 {
			t.Fatalf("a page of no length has %d", n)
		}
	})
}

func testPolicyRaces(t *testing.T, f *Fixture) {
	s, ctx := f.Stores.Policies, t.Context()
	for v := range int64(2) {
		t.Run(fmt.Sprintf("of many who swap version %d one does", v), func(t *testing.T) {
			set := func(i int) abac.Set { return abac.Set{App: "raced", V: v, Schema: fmt.Sprint(v, "-", i)} }
			errs := race(racers, func(i int) error { return s.SwapPolicies(ctx, set(i)) })
			want := set(oneWins(t, errs, fault.Conflict, "policies_changed"))
			want.V++
			same(t, want, must(s.LoadPolicies(ctx, "raced"))(t))
		})
	}
}
