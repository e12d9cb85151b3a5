package users_test

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"example.com/broker/internal/fault"
	"example.com/broker/rbac"
	"example.com/broker/users"
	"github.com/google/go-cmp/cmp"
)

func TestARoleChangeRaisesTheVersionAndSignsNobodyOut(t *testing.T) {
	w := newWorld(t)
	u, _ := w.resolve(github("1", ""), open)
	got, err := w.GrantRole(t.Context(), u.ID, rbac.Editor)
	if err != nil || got.Ver != 2 || got.Epoch != 0 {
		t.Errorf("got Ver %d, Epoch %d, %v; want 2, 0", got.Ver, got.Epoch, err)
	}
	w.wantHooks("version 2 before row 1")
	w.audit.wantLast(t, "user.role_grant", u.ID, "done", "")
	if diff := cmp.Diff([]string{rbac.Editor, rbac.Viewer}, got.Roles(w.now())); diff != "" {
		t.Errorf("roles (-want +got):\n%s", diff)
	}
	w.store.wantCalls(t, 1, 0, func() {
		if _, err := w.GrantRole(t.Context(), u.ID, rbac.Editor); err != nil {
			t.Errorf("again: %v", err)
		}
	})
	got, err = w.RevokeRole(t.Context(), u.ID, rbac.Editor)
	if err != nil || got.Ver != 3 {
		t.Errorf("got Ver %d, %v; want 3", got.Ver, err)
	}
	w.wantHooks("version 3 before row 2")
	if got, err := w.RevokeRole(t.Context(), u.ID, rbac.Viewer); err != nil || len(got.Roles(w.now())) != 0 {
		t.Errorf("the default role: got %v, %v", got.Roles(w.now()), err)
	}
	w.wantHooks("version 4 before row 3")
	if got, err := w.RevokeRole(t.Context(), u.ID, rbac.Viewer); err != nil || got.Ver != 4 {
		t.Errorf("again: got %+v, %v", got, err)
	}
	_, err = w.GrantRole(t.Context(), u.ID, "root")
	wantCode(t, err, fault.Invalid, "role_unknown")
	_, err = w.RevokeRole(t.Context(), u.ID, "root")
	wantCode(t, err, fault.Invalid, "role_unknown")
	_, err = w.GrantRole(t.Context(), "usr_nobody", rbac.Editor)
	wantCode(t, err, fault.NotFound, "user_unknown")
}

func TestAGrantEndsByItself(t *testing.T) {
	w := newWorld(t)
	u := w.create(users.NewUser{Username: "bob", Roles: []string{}})
	end := w.now().Add(time.Hour)
	for _, past := range []time.Time{w.now(), w.now().Add(-time.Second), w.now().Add(time.Microsecond)} {
		_, err := w.GrantRoleUntil(t.Context(), u.ID, rbac.Editor, past)
		wantCode(t, err, fault.Invalid, "until_past")
	}
	for range 2 { // the second changes nothing
		got, err := w.GrantRoleUntil(t.Context(), u.ID, rbac.Editor, end)
		if err != nil || got.Ver != 2 {
			t.Fatalf("got %+v, %v", got, err)
		}
	}
	w.audit.wantLast(t, "user.role_grant", u.ID, "done", "")
	roles := func() []string {
		t.Helper()
		f, err := w.Facts(t.Context(), u.ID)
		if err != nil {
			t.Fatal(err)
		}
		return f.Roles(w.now())
	}
	w.pass(time.Hour - 30*time.Second)
	if got := roles(); !slices.Equal(got, []string{rbac.Editor}) {
		t.Errorf("before its end: %v", got)
	}
	loads := w.store.reads.Load()
	w.pass(30 * time.Second)
	if got := roles(); len(got) != 0 || w.store.reads.Load() != loads {
		t.Errorf("at its end, from the cache: %v", got)
	}
	why, err := w.Why(t.Context(), u.ID)
	if err != nil || len(why) != 1 || why[0].State != "expired" || !why[0].Until.Equal(end) {
		t.Errorf("why: %+v, %v", why, err)
	}
	// Given again without an end, it has none; given with one, it has that.
	got, err := w.GrantRole(t.Context(), u.ID, rbac.Editor)
	if err != nil || len(got.Grants) != 1 || !got.Grants[0].Until.IsZero() {
		t.Errorf("got %+v, %v", got.Grants, err)
	}
}

func TestAnAdminWithAnEndIsNotTheLastOne(t *testing.T) {
	w := newWorld(t)
	a, b := w.create(users.NewUser{Username: "a", Roles: []string{rbac.Admin}}), w.create(users.NewUser{Username: "b"})
	end := w.now().Add(time.Hour)
	_, err := w.GrantRoleUntil(t.Context(), a.ID, rbac.Admin, end)
	wantCode(t, err, fault.Conflict, "last_admin")
	if _, err := w.GrantRoleUntil(t.Context(), b.ID, rbac.Admin, end); err != nil {
		t.Fatal(err)
	}
	_, err = w.RevokeRole(t.Context(), a.ID, rbac.Admin)
	wantCode(t, err, fault.Conflict, "last_admin")
	if _, err := w.GrantRole(t.Context(), b.ID, rbac.Admin); err != nil {
		t.Fatal(err)
	}
	if _, err := w.GrantRoleUntil(t.Context(), a.ID, rbac.Admin, end); err != nil {
		t.Fatal(err)
	}
	_, err = w.RevokeRole(t.Context(), b.ID, rbac.Admin)
	wantCode(t, err, fault.Conflict, "last_admin")
}

func TestAMappedRoleIsTakenWhereItCameFrom(t *testing.T) {
	w := newWorld(t)
	u := w.create(users.NewUser{Username: "bob"})
	u.Grants = []rbac.Grant{{Role: rbac.Editor, Source: rbac.Mapping, Since: w.now()}}
	must(t, w.store.Store.Replace(t.Context(), u, nil, nil, w.now()))
	_, err := w.RevokeRole(t.Context(), u.ID, rbac.Editor)
	wantCode(t, err, fault.Conflict, "role_mapped")
}

func TestTheLastAdminStays(t *testing.T) {
	w := newWorld(t)
	a := w.create(users.NewUser{Username: "a", Roles: []string{rbac.Admin}})
	// An expiring or mapped admin can vanish and does not count.
	b := w.create(users.NewUser{Username: "b"})
	b.Grants = []rbac.Grant{{Role: rbac.Admin, Source: rbac.Mapping, Since: w.now()}, {Role: rbac.Admin, Source: rbac.Manual, Since: w.now(), Until: w.now().Add(time.Hour)}}
	must(t, w.store.Store.Replace(t.Context(), b, nil, nil, w.now()))
	if _, err := w.Disable(t.Context(), b.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Enable(t.Context(), b.ID); err != nil {
		t.Fatal(err)
	}
	w.wantHooks("version 2 before row 1", "epoch 2 before row 1")
	before := w.get(a.ID)
	_, err := w.RevokeRole(t.Context(), a.ID, rbac.Admin)
	wantCode(t, err, fault.Conflict, "last_admin")
	w.audit.wantLast(t, "user.role_revoke", a.ID, "denied", "last_admin")
	_, err = w.Disable(t.Context(), a.ID)
	wantCode(t, err, fault.Conflict, "last_admin")
	w.wantSame(before)
	w.wantHooks()

	if _, err := w.GrantRole(t.Context(), b.ID, rbac.Admin); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Disable(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	_, err = w.RevokeRole(t.Context(), b.ID, rbac.Admin)
	wantCode(t, err, fault.Conflict, "last_admin")
	// Enabled, the first counts again.
	if _, err := w.Enable(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := w.RevokeRole(t.Context(), b.ID, rbac.Admin); err != nil {
		t.Error(err)
	}
}

func TestTwoAtOnceCannotRemoveTheLastTwoAdmins(t *testing.T) {
	w := newWorld(t)
	ids := []string{
		w.create(users.NewUser{Username: "a", Roles: []string{rbac.Admin}}).ID,
		w.create(users.NewUser{Username: "b", Roles: []string{rbac.Admin}}).ID,
	}
	var refused atomic.Int64
	atOnce(50, func(i int) {
		var err error
		if i%4 < 2 {
			_, err = w.RevokeRole(t.Context(), ids[i%2], rbac.Admin)
		} else {
			_, err = w.Disable(t.Context(), ids[i%2])
		}
		if fault.CodeOf(err) == "last_admin" {
			refused.Add(1)
		} else if err != nil {
			t.Error(err)
		}
	})
	live := 0
	for _, id := range ids {
		if u := w.get(id); u.Status == users.Active && slices.Contains(u.Roles(w.now()), rbac.Admin) {
			live++
		}
	}
	members, err := w.admins.Admins(t.Context())
	if live != 1 || refused.Load() == 0 || err != nil || len(members) != 1 {
		t.Errorf("%d admins live, members %v, %d refused, %v; want one", live, members, refused.Load(), err)
	}
}

func TestDisablingEndsEverythingAndEnablingRevivesNothing(t *testing.T) {
	w := newWorld(t)
	u, _ := w.resolve(github("1", ""), open)
	got, err := w.Disable(t.Context(), u.ID)
	if err != nil || got.Status != users.Disabled || got.Ver != 2 || got.Epoch != 2 {
		t.Errorf("got %+v, %v", got, err)
	}
	w.wantHooks("epoch 2 before row 1")
	w.audit.wantLast(t, "user.disable", u.ID, "done", "")
	if got, err := w.Disable(t.Context(), u.ID); err != nil || got.Ver != 2 {
		t.Errorf("again: got %+v, %v", got, err)
	}
	got, err = w.Enable(t.Context(), u.ID)
	if err != nil || got.Status != users.Active || got.Ver != 2 || got.Epoch != 2 {
		t.Errorf("enabled: got %+v, %v", got, err)
	}
	w.wantHooks()
	if u, out := w.resolve(github("1", ""), open); u.ID != got.ID || out.How != users.Known {
		t.Errorf("got %s %s", u.ID, out.How)
	}
}

func TestSignOutEverywhere(t *testing.T) {
	w := newWorld(t)
	u, _ := w.resolve(github("1", ""), open)
	if _, err := w.GrantRole(t.Context(), u.ID, rbac.Editor); err != nil {
		t.Fatal(err)
	}
	got, err := w.RaiseEpoch(t.Context(), u.ID)
	if err != nil || got.Ver != 3 || got.Epoch != 3 {
		t.Errorf("got %+v, %v, want Ver and Epoch 3", got, err)
	}
	w.wantHooks("version 2 before row 1", "epoch 3 before row 2")
}

func TestParallelChangesAllArriveAndEachHasItsCounter(t *testing.T) {
	w := newWorld(t)
	u, _ := w.resolve(github("1", ""), open)
	atOnce(20, func(int) {
		if _, err := w.RaiseEpoch(t.Context(), u.ID); err != nil {
			t.Error(err)
		}
	})
	if got := w.get(u.ID); got.Ver != 21 || got.Epoch != 21 {
		t.Errorf("got Ver %d, Epoch %d, want 21", got.Ver, got.Epoch)
	}
}
