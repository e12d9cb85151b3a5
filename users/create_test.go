package users_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"example.com/broker/internal/fault"
	"example.com/broker/internal/ratelimit"
	"example.com/broker/internal/secret"
	"example.com/broker/rbac"
	"example.com/broker/users"
	"github.com/google/go-cmp/cmp"
)

func TestCreateNamesWhatIsWrong(t *testing.T) {
	w := newWorld(t)
	w.create(users.NewUser{ID: "old-1", Username: "bob", Email: "bob@example.com", EmailVerified: true})
	before := w.all()
	for _, tt := range []struct {
		rule string
		n    users.NewUser
		kind fault.Kind
		code string
	}{
		{"a login name that is taken, in any case", users.NewUser{Username: "BOB", Password: goodPassword}, fault.Conflict, "username_taken"},
		{"an address that is taken, in any case", users.NewUser{Email: "BOB@example.com", Claimable: true}, fault.Conflict, "address_taken"},
		{"an id that is taken", users.NewUser{ID: "old-1", Username: "other", Password: goodPassword}, fault.Conflict, "user_exists"},
		{"a login name with an @", users.NewUser{Username: "a@example.com"}, fault.Invalid, "username_invalid"},
		{"a login name with a space", users.NewUser{Username: "a b"}, fault.Invalid, "username_invalid"},
		{"a login name in other letters", users.NewUser{Username: "bоb"}, fault.Invalid, "username_invalid"}, // a Cyrillic o
		{"a login name that looks like an id", users.NewUser{Username: "usr_0190"}, fault.Invalid, "username_invalid"},
		{"a login name of 65 characters", users.NewUser{Username: strings.Repeat("a", 65)}, fault.Invalid, "username_invalid"},
		{"an address without a domain", users.NewUser{Email: "bob@"}, fault.Invalid, "address_invalid"},
		{"an address that is a list", users.NewUser{Email: "a@example.com,b@example.com"}, fault.Invalid, "address_invalid"},
		{"an id with a space", users.NewUser{ID: "a b"}, fault.Invalid, "user_id_invalid"},
		{"an id of 256 characters", users.NewUser{ID: strings.Repeat("a", 256)}, fault.Invalid, "user_id_invalid"},
		{"a role nobody knows", users.NewUser{Roles: []string{"superuser"}}, fault.Invalid, "role_unknown"},
		{"a password with nothing to type above it", users.NewUser{Email: "x@example.com", Password: goodPassword}, fault.Invalid, "no_login"},
		{"a weak password", users.NewUser{Username: "x", Password: "short"}, fault.Invalid, "password_too_short"},
		{"two passwords", users.NewUser{Username: "x", Password: goodPassword, PasswordHash: "$2b$"}, fault.Invalid, "password_conflict"},
		{"a hash beyond the bounds", users.NewUser{Username: "x", PasswordHash: "$argon2id$v=19$m=4194304,t=1000000,p=1$MDEyMzQ1Njc4OWFiY2RlZg$MDEyMzQ1Njc4OWFiY2RlZg"}, fault.Invalid, "password_hash_refused"},
		{"nothing at all", users.NewUser{}, fault.Invalid, "no_way_in"},
		{"no way in", users.NewUser{Username: "x"}, fault.Invalid, "no_way_in"},
		{"an address, and no way in", users.NewUser{Email: "x@example.com", EmailVerified: true, Roles: []string{rbac.Admin}}, fault.Invalid, "no_way_in"},
		{"claimable without an address", users.NewUser{Username: "x", Claimable: true}, fault.Invalid, "claimable_invalid"},
		{"claimable with a password", users.NewUser{Username: "x", Email: "x@example.com", Password: goodPassword, Claimable: true}, fault.Invalid, "claimable_invalid"},
	} {
		_, err := w.Create(t.Context(), tt.n)
		if !fault.Is(err, tt.kind) || fault.CodeOf(err) != tt.code {
			t.Errorf("%s: got %v, want %s", tt.rule, err, tt.code)
		}
	}
	if diff := cmp.Diff(before, w.all()); diff != "" {
		t.Errorf("something changed (-before +after):\n%s", diff)
	}
}

func TestAnImportKeepsIDHashAndRoles(t *testing.T) {
	w := newWorld(t)
	u := w.create(users.NewUser{ID: "legacy|42", Username: "bob", PasswordHash: bcryptPHC(t, goodPassword.Reveal(), 4), Roles: []string{rbac.Editor, rbac.Admin}})
	if u.ID != "legacy|42" {
		t.Errorf("id %q", u.ID)
	}
	if diff := cmp.Diff([]string{rbac.Admin, rbac.Editor}, u.Roles(w.now())); diff != "" {
		t.Errorf("roles (-want +got):\n%s", diff)
	}
	members, err := w.admins.Admins(t.Context())
	if err != nil || !slices.Contains(members, u.ID) {
		t.Errorf("admins: %v, %v", members, err)
	}
	if got, err := w.authenticate("bob", goodPassword.Reveal()); err != nil || got.ID != u.ID {
		t.Errorf("login: %s, %v", got.ID, err)
	}
}

func TestRegistrationTellsNothingAboutAddresses(t *testing.T) {
	w := newWorld(t)
	owner, _ := w.resolve(github("1", "known@example.com"), open)
	a, err := w.Register(t.Context(), users.Registration{Username: "a", Password: goodPassword, Email: "known@example.com"})
	must(t, err)
	b, err := w.Register(t.Context(), users.Registration{Username: "b", Password: goodPassword, Email: "unknown@example.com"})
	must(t, err)
	for _, u := range []*users.User{&a, &b} {
		u.ID, u.Username, u.Email, u.Password = "", "", "", ""
	}
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("known and unknown address differ:\n%s", diff)
	}
	w.wantSame(owner)
	_, _, err = w.Resolve(t.Context(), google("2", "known@example.com"), open)
	if l := linkRequired(t, err); l.UserID != owner.ID {
		t.Errorf("the address went to %s", l.UserID)
	}
	_, err = w.Register(t.Context(), users.Registration{Username: "A", Password: goodPassword})
	wantCode(t, err, fault.Conflict, "username_taken")
	_, err = w.Register(t.Context(), users.Registration{Password: goodPassword})
	wantCode(t, err, fault.Invalid, "username_invalid")
	_, err = w.Register(t.Context(), users.Registration{Username: "c"})
	wantCode(t, err, fault.Invalid, "password_too_short")
}

func TestManyRegistrationsOfOneNameMakeOneUser(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		var made atomic.Int64
		atOnce(20, func(i int) {
			_, err := w.Register(t.Context(), users.Registration{Username: "bob", Password: goodPassword, Email: fmt.Sprintf("b%d@example.com", i)})
			if err == nil {
				made.Add(1)
			} else if fault.CodeOf(err) != "username_taken" && fault.CodeOf(err) != "user_busy" {
				t.Error(err)
			}
		})
		if made.Load() != 1 || len(w.all()) != 1 {
			t.Errorf("%d made, %d exist; want one", made.Load(), len(w.all()))
		}
	})
}

func TestALoginNameWhoseMakerDiedIsFreeAfterTenMinutes(t *testing.T) {
	w := newWorld(t)
	name := users.Claim{Kind: users.ClaimIdentity, Key: users.Identity{Namespace: users.LocalNamespace, Subject: "bob"}.Key()}
	must(t, w.store.hold(t.Context(), name, "usr_ghost", w.now()))
	_, err := w.Create(t.Context(), users.NewUser{Username: "bob", Password: goodPassword})
	wantBusy(t, err)
	w.pass(10 * time.Minute)
	w.create(users.NewUser{Username: "bob"})
}

func TestAUserHasTheDefaultRoleOrThoseThatWereNamed(t *testing.T) {
	w := newWorld(t)
	for i, tt := range []struct {
		rule        string
		named, want []string
	}{
		{"left out", nil, []string{rbac.Viewer}},
		{"none", []string{}, []string{}},
		{"one", []string{rbac.Editor}, []string{rbac.Editor}},
	} {
		u := w.create(users.NewUser{Username: fmt.Sprint("u", i), Roles: tt.named})
		if diff := cmp.Diff(tt.want, u.Roles(w.now())); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.rule, diff)
		}
	}
}

func TestFind(t *testing.T) {
	w := newWorld(t)
	u := w.create(users.NewUser{Username: "bob", Email: "bob@example.com"})
	for _, what := range []string{u.ID, "bob", "BOB", "Bob@Example.com"} {
		if got, err := w.Find(t.Context(), what); err != nil || got.ID != u.ID {
			t.Errorf("Find(%q): got %s, %v", what, got.ID, err)
		}
	}
	for _, what := range []string{"", "nobody", "nobody@example.com", "usr_1"} {
		_, err := w.Find(t.Context(), what)
		wantCode(t, err, fault.NotFound, "user_unknown")
	}
}

func TestANewPasswordEndsWhatTheOldOneOpened(t *testing.T) {
	w := newWorld(t)
	u := w.create(users.NewUser{Username: "bob", Password: goodPassword})
	got, err := w.SetPassword(t.Context(), u.ID, "an entirely new phrase")
	if err != nil || got.Ver != 2 || got.Epoch != 2 {
		t.Errorf("got %+v, %v, want Ver and Epoch 2", got, err)
	}
	w.wantHooks("epoch 2 before row 1")
	w.audit.wantLast(t, "user.password", u.ID, "done", "")
	_, err = w.authenticate("bob", goodPassword.Reveal())
	wantCode(t, err, fault.Unauthenticated, "credentials_invalid")
	if _, err := w.authenticate("bob", "an entirely new phrase"); err != nil {
		t.Error(err)
	}
	_, err = w.SetPassword(t.Context(), u.ID, "bob bob bob bob bob")
	wantCode(t, err, fault.Invalid, "password_common")
	nameless, _ := w.resolve(github("1", ""), open)
	_, err = w.SetPassword(t.Context(), nameless.ID, "an entirely new phrase")
	wantCode(t, err, fault.Invalid, "no_login")
	w.wantHooks()
}

// N05: whoever may register costs a hash and rows each time.
func TestRegistrationsFromOneAddressAreBounded(t *testing.T) {
	var limit ratelimit.Rule
	w := newWorld(t, func(o *users.Options) {
		limit = ratelimit.RegisterByAddress()
		limit.Limit = 3
		o.RegisterLimit = &limit
	})
	register := func(name string, password secret.Value, from string) error {
		t.Helper()
		r := users.Registration{Username: name, Password: password}
		if from != "" {
			r.Address = netip.MustParseAddr(from)
		}
		_, err := w.Register(t.Context(), r)
		return err
	}
	const here, nextDoor, there = "2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:3::1"
	for range 5 { // what is refused before the hash costs nothing and counts for nothing
		wantCode(t, register("a b", goodPassword, here), fault.Invalid, "username_invalid")
		wantCode(t, register("a", "short", here), fault.Invalid, "password_too_short")
	}
	must(t, register("a", goodPassword, here))
	wantCode(t, register("a", goodPassword, nextDoor), fault.Conflict, "username_taken")
	must(t, register("b", goodPassword, nextDoor))
	computed := w.hasher.Stats().Computed
	for _, from := range []string{here, nextDoor} {
		err := register("c", goodPassword, from)
		wantCode(t, err, fault.Limited, "rate_limited")
		if e, ok := errors.AsType[*fault.Error](err); !ok || e.RetryAfter != time.Hour {
			t.Errorf("RetryAfter: got %v, want the rest of the hour", err)
		}
	}
	if got := w.hasher.Stats().Computed; got != computed || len(w.all()) != 2 {
		t.Errorf("%d hashes were computed past the limit, %d users exist", got-computed, len(w.all()))
	}
	must(t, register("c", goodPassword, there))
	must(t, register("d", goodPassword, "")) // an address that nobody can tell is not limited
	w.pass(time.Hour)
	must(t, register("e", goodPassword, here))
}
