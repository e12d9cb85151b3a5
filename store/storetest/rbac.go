package storetest

import (
	"fmt"
	"testing"

	"example.com/broker/internal/fault"
	"example.com/broker/rbac"
)

func testRBAC(t *testing.T, f *Fixture) {
	s, ctx := f.Stores.RBAC, t.Context()

	t.Run("at first there are no roles and no rules, in version 0", func(t *testing.T) {
		same(t, rbac.RoleSet{}, must(s.LoadRoles(ctx))(t))
		same(t, rbac.RuleSet{}, must(s.LoadRules(ctx))(t))
	})
	t.Run("every field is stored, but not the mark of the configuration", func(t *testing.T) {
		roles, rules := filled[rbac.RoleSet]("wide"), filled[rbac.RuleSet]("wide")
		roles.V, rules.V = 0, 0
		done(t, s.SwapRoles(ctx, roles))
		done(t, s.SwapRules(ctx, rules))
		roles.V, rules.V = 1, 1
		for i := range rules.Rules {
			rules.Rules[i].Fixed = false
		}
		same(t, roles, must(s.LoadRoles(ctx))(t))
		same(t, rules, must(s.LoadRules(ctx))(t))
	})
	t.Run("a swap raises V by one, keeps the order, and leaves the other document alone", func(t *testing.T) {
		before := must(s.LoadRoles(ctx))(t)
		rules := rbac.RuleSet{V: 1, By: "ada", At: start()}
		for i := range 50 {
			rules.Rules = append(rules.Rules, rbac.Rule{ID: fmt.Sprint(50 - i), Values: []string{"b", "a"}})
		}
		done(t, s.SwapRules(ctx, rules))
		rules.V = 2
		same(t, rules, must(s.LoadRules(ctx))(t))
		same(t, before, must(s.LoadRoles(ctx))(t))
	})
	t.Run("a swap of another version is refused and changes nothing", func(t *testing.T) {
		roles, rules := must(s.LoadRoles(ctx))(t), must(s.LoadRules(ctx))(t)
		for _, v := range []int64{0, 5} {
			fails(t, s.SwapRoles(ctx, rbac.RoleSet{V: v}), fault.Conflict, "roles_changed")
			fails(t, s.SwapRules(ctx, rbac.RuleSet{V: v}), fault.Conflict, "rules_changed")
		}
		same(t, roles, must(s.LoadRoles(ctx))(t))
		same(t, rules, must(s.LoadRules(ctx))(t))
	})
	t.Run("both are there after a restart", func(t *testing.T) {
		roles, rules := must(s.LoadRoles(ctx))(t), must(s.LoadRules(ctx))(t)
		s = f.Reopen(t).RBAC
		same(t, roles, must(s.LoadRoles(ctx))(t))
		same(t, rules, must(s.LoadRules(ctx))(t))
	})
}

func testRBACRaces(t *testing.T, f *Fixture) {
	s, ctx := f.Stores.RBAC, t.Context()
	for v := range int64(3) {
		t.Run(fmt.Sprintf("of many who swap version %d one does", v), func(t *testing.T) {
			set := func(i int) rbac.RoleSet {
				return rbac.RoleSet{V: v, At: start(), Roles: []rbac.Role{{Name: fmt.Sprint(v, "-", i), Permissions: []rbac.Permission{"a:b"}}}}
			}
			errs := race(racers, func(i int) error { return s.SwapRoles(ctx, set(i)) })
			want := set(oneWins(t, errs, fault.Conflict, "roles_changed"))
			want.V++
			same(t, want, must(s.LoadRoles(ctx))(t))
		})
	}
}
