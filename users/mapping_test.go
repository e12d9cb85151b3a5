package users_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/rbac"
	"example.com/broker/store/sqlite"
	"example.com/broker/users"
)

// mapping is a world in which those of the group "staff" at GitHub are editors.
func mapping(t *testing.T) *world {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "rules"), Now: time.Now})
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	o := rbac.Options{Store: s.RBAC, Now: time.Now, Announce: func(context.Context, int64) error { return nil }}
	roles := rbac.NewRoles(o)
	rules, err := rbac.NewRules(o, []rbac.Rule{{ID: "staff", Provider: "github", Claim: "groups", Op: rbac.In, Values: []string{"staff"}, Roles: []string{rbac.Editor}}}, roles)
	must(t, err)
	return newWorld(t, func(o *users.Options) { o.Roles, o.Rules = roles, rules })
}

func member(groups ...any) users.Identity {
	id := github("1", "jo@example.com")
	id.Claims = map[string]any{"groups": groups}
	return id
}

// A sign-in that confirms what is costs no write and no token; one that changes the roles raises the version and signs nobody out.
func TestMappedRolesFollowTheSignIn(t *testing.T) {
	w := mapping(t)
	want := func(u users.User, ver int64, roles ...string) {
		t.Helper()
		if diff := cmp.Diff(roles, u.Roles(w.now())); diff != "" || u.Ver != ver || u.Epoch != 0 {
			t.Errorf("Ver %d, Epoch %d, want %d, 0; roles (-want +got):\n%s", u.Ver, u.Epoch, ver, diff)
		}
	}
	u, _ := w.resolve(member("staff"), open)
	want(u, 2, rbac.Editor, rbac.Viewer)
	w.store.wantCalls(t, 2, 0, func() { u, _ = w.resolve(member("staff"), open) })
	want(u, 2, rbac.Editor, rbac.Viewer)
	w.pass(20 * 24 * time.Hour)
	u, _ = w.resolve(member("staff"), open)
	want(u, 2, rbac.Editor, rbac.Viewer)
	w.pass(20 * 24 * time.Hour)
	want(w.get(u.ID), 2, rbac.Editor, rbac.Viewer) // confirmed in between
	unasked := github("1", "jo@example.com")
	unasked.Unasked = rbac.Unasked{"groups": "timeout"}
	u, _ = w.resolve(unasked, open)
	want(u, 2, rbac.Editor, rbac.Viewer)
	w.pass(20 * 24 * time.Hour)
	want(w.get(u.ID), 2, rbac.Viewer)
	u, _ = w.resolve(member("staff"), open)
	want(u, 3, rbac.Editor, rbac.Viewer)
	u, _ = w.resolve(member(), open)
	want(u, 4, rbac.Viewer)
}

// Whoever cannot come by a provider any more keeps nothing that its rules gave.
func TestUnlinkingTakesMappedRoles(t *testing.T) {
	w := mapping(t)
	u, _ := w.resolve(member("staff"), open)
	if _, err := w.Link(t.Context(), u.ID, google("2", "jo@example.com")); err != nil {
		t.Fatal(err)
	}
	got, err := w.Unlink(t.Context(), u.ID, github("1", "").Key())
	if err != nil || got.Ver != 3 || !cmp.Equal(got.Roles(w.now()), []string{rbac.Viewer}) {
		t.Errorf("got %v, Ver %d, %v", got.Roles(w.now()), got.Ver, err)
	}
}
