package users_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/broker/internal/fault"
	"example.com/broker/rbac"
	"example.com/broker/users"
	"github.com/google/go-cmp/cmp"
)

func TestAnUnknownPersonBecomesAUserWithTheDefaultRole(t *testing.T) {
	w := newWorld(t)
	id := github("583231", "Octo@Example.com")
	id.Claims = map[string]any{"roles": []string{"admin"}, "email_verified": true, "id": "usr_1"} // G11
	u, out := w.resolve(id, open)
	if out.How != users.Created || out.Purged != "" {
		t.Errorf("outcome: got %+v, want created", out)
	}
	if !strings.HasPrefix(u.ID, "usr_") || len(u.ID) != 4+36 {
		t.Errorf("id %q, want usr_ and a UUID", u.ID)
	}
	if diff := cmp.Diff([]string{rbac.Viewer}, u.Roles(w.now())); diff != "" {
		t.Errorf("roles (-want +got):\n%s", diff)
	}
	if u.Grants[0].Source != rbac.Default {
		t.Errorf("source of the role: got %s, want default", u.Grants[0].Source)
	}
	id.Claims = nil
	want := users.User{
		ID: u.ID, Name: id.Name, Email: "Octo@Example.com", EmailVerified: true, Status: users.Active,
		Identities: []users.Linked{{Identity: id, LinkedAt: w.now()}},
		Grants:     u.Grants, Ver: 1, CreatedAt: w.now(), UpdatedAt: w.now(), V: 1,
	}
	if diff := cmp.Diff(want, w.get(u.ID)); diff != "" {
		t.Errorf("stored user (-want +got):\n%s", diff)
	}
	w.audit.wantLast(t, "user.create", u.ID, "done", "")
	w.wantHooks()
}

func TestAKnownIdentityCostsTwoReadsAndNoWrite(t *testing.T) {
	w := newWorld(t)
	id := github("1", "a@example.com")
	first, _ := w.resolve(id, open)
	for _, p := range []users.Policy{open, {Linking: users.LinkOff}, {Linking: users.LinkTrust}} {
		w.store.wantCalls(t, 2, 0, func() {
			u, out := w.resolve(id, p)
			if u.ID != first.ID || out.How != users.Known {
				t.Errorf("got %s %s, want %s known", u.ID, out.How, first.ID)
			}
		})
	}
}

func TestTheProfileFollowsTheUpstreamAndTheAccountStays(t *testing.T) {
	w := newWorld(t)
	id := github("1", "a@example.com")
	id.Picture = "https://pics.example/1"
	first, _ := w.resolve(id, open)

	id.Handle, id.Name, id.Email = "renamed", "New Name", "new@example.com"
	var u users.User
	w.store.wantCalls(t, 2, 1, func() { u, _ = w.resolve(id, open) })
	if u.ID != first.ID || u.Identities[0].Handle != "renamed" || u.Name != "New Name" || u.Identities[0].Email != "new@example.com" {
		t.Errorf("got %+v, want the new profile under %s", u, first.ID)
	}
	if u.Email != "a@example.com" || !u.EmailVerified {
		t.Errorf("address of the account: got %s, want the old one until somebody asks", u.Email)
	}
	if u.Ver != 1 {
		t.Errorf("Ver %d: a profile is nothing that live tokens must hear of", u.Ver)
	}
	w.store.wantCalls(t, 2, 0, func() { w.resolve(id, open) })

	id.Picture = "https://pics.example/2"
	w.store.wantCalls(t, 2, 0, func() { w.resolve(id, open) })
	w.pass(24 * time.Hour)
	w.store.wantCalls(t, 2, 1, func() { u, _ = w.resolve(id, open) })
	if u.Picture != id.Picture {
		t.Errorf("picture: got %s, want %s after a day", u.Picture, id.Picture)
	}
}

func TestIdentitiesAreToldApartByNamespaceAndSubjectAlone(t *testing.T) {
	w := newWorld(t)
	a, _ := w.resolve(github("1", ""), open)
	other := github("1", "")
	other.Namespace = "https://other.example"
	b, _ := w.resolve(other, open)
	c, _ := w.resolve(github("01", ""), open)
	upper := github("a", "")
	d, _ := w.resolve(upper, open)
	upper.Subject = "A"
	e, _ := w.resolve(upper, open)
	ids := []string{a.ID, b.ID, c.ID, d.ID, e.ID}
	slices.Sort(ids)
	if len(slices.Compact(ids)) != 5 {
		t.Error("different identities share a user")
	}
	same := github("1", "")
	same.Provider = "github-renamed"
	if u, _ := w.resolve(same, open); u.ID != a.ID {
		t.Error("the provider's id is part of the key")
	}
}

func TestAnIdentityWithoutAUsableKeyIsRefused(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		rule string
		edit func(*users.Identity)
	}{
		{"no subject", func(i *users.Identity) { i.Subject = "" }},
		{"no namespace", func(i *users.Identity) { i.Namespace = "" }},
		{"the namespace of login names", func(i *users.Identity) { i.Namespace = users.LocalNamespace }},
		{"a subject of 256 bytes", func(i *users.Identity) { i.Subject = strings.Repeat("x", 256) }},
		{"a subject with a zero byte", func(i *users.Identity) { i.Subject = "a\x00b" }},
		{"a subject that is not UTF-8", func(i *users.Identity) { i.Subject = "\xff" }},
	} {
		id := github("1", "a@example.com")
		tt.edit(&id)
		_, _, err := w.Resolve(t.Context(), id, open)
		if !fault.Is(err, fault.Invalid) || fault.CodeOf(err) != "identity_invalid" {
			t.Errorf("%s: got %v, want identity_invalid", tt.rule, err)
		}
	}
	if n := len(w.all()); n != 0 {
		t.Errorf("%d users were made", n)
	}
}

func TestHostileProfilesAreCutToShape(t *testing.T) {
	w := newWorld(t)
	id := github("1", "")
	id.Name, id.Handle = strings.Repeat("é", 500), "line\r\nbreak\x00"
	id.Picture, id.Email, id.EmailVerified = "javascript:alert(1)", "a@b@example.com", true
	u, _ := w.resolve(id, open)
	got := u.Identities[0].Identity
	if len(got.Name) > 256 || got.Handle != "linebreak" || got.Picture != "" || got.Email != "" || got.EmailVerified || u.EmailVerified {
		t.Errorf("stored %+v", got)
	}
}

// G03, G04.
func TestAnAddressThatIsNotVerifiedOpensNothing(t *testing.T) {
	w := newWorld(t)
	owner, _ := w.resolve(google("1", "a@example.com"), open)
	ahead := w.create(users.NewUser{Email: "ahead@example.com", Claimable: true})
	for _, l := range []users.Linking{users.LinkOff, users.LinkProve, users.LinkTrust} {
		for i, addr := range []string{"a@example.com", "ahead@example.com"} {
			id := unverified(google(fmt.Sprint(l, i), addr))
			u, out := w.resolve(id, users.Policy{Linking: l, Registration: true})
			if out.How != users.Created || u.ID == owner.ID || u.ID == ahead.ID || u.EmailVerified {
				t.Errorf("%s: got %+v %s, want another account without a verified address", l, u, out.How)
			}
		}
	}
	w.wantSame(owner)
	w.wantSame(ahead)

	// Nor does coming again verify it.
	again := unverified(github("7", "again@example.com"))
	w.resolve(again, open)
	w.store.wantCalls(t, 2, 0, func() {
		if u, _ := w.resolve(again, open); u.EmailVerified {
			t.Error("an address became verified by signing in twice")
		}
	})

	// Nor does it reserve: the owner of a free mailbox still gets it.
	w.resolve(unverified(github("9", "free@example.com")), open)
	if u, out := w.resolve(google("8", "free@example.com"), open); out.How != users.Created || !u.EmailVerified {
		t.Errorf("got %+v, want a new account with the address", out)
	}
}

// G04.
func TestTheSameVerifiedAddressMergesNothing(t *testing.T) {
	w := newWorld(t)
	owner, _ := w.resolve(github("1", "Ann@Example.com"), open)
	if _, err := w.Link(t.Context(), owner.ID, google("7", "")); err != nil {
		t.Fatal(err)
	}
	before := w.get(owner.ID)
	id := google("2", "ann@example.com")
	_, _, err := w.Resolve(t.Context(), id, open)
	l := linkRequired(t, err)
	want := &users.LinkRequired{UserID: owner.ID, Methods: []string{"github", "google"}, Identity: id}
	if diff := cmp.Diff(want, l); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	w.wantSame(before)
	w.audit.wantLast(t, "user.resolve", owner.ID, "denied", "identity_conflict")
	if n := len(w.all()); n != 1 {
		t.Errorf("%d users, want 1", n)
	}

	// After the proof the identity is linked and known.
	if _, err := w.Link(t.Context(), l.UserID, l.Identity); err != nil {
		t.Fatal(err)
	}
	if u, out := w.resolve(id, open); u.ID != owner.ID || out.How != users.Known {
		t.Errorf("after linking: got %s %s, want %s known", u.ID, out.How, owner.ID)
	}
}

func TestThePasswordIsNamedAmongTheWaysIn(t *testing.T) {
	w := newWorld(t)
	w.create(users.NewUser{Username: "ann", Email: "ann@example.com", EmailVerified: true, Password: goodPassword})
	_, _, err := w.Resolve(t.Context(), google("2", "ann@example.com"), open)
	if diff := cmp.Diff([]string{users.MethodPassword}, linkRequired(t, err).Methods); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLinkingOffMakesAnAccountWithoutTheAddress(t *testing.T) {
	w := newWorld(t)
	owner, _ := w.resolve(github("1", "a@example.com"), open)
	before := w.get(owner.ID)
	p := users.Policy{Linking: users.LinkOff, Registration: true}
	u, out := w.resolve(google("2", "a@example.com"), p)
	if u.ID == owner.ID || out.How != users.Created || u.Email != "" || u.EmailVerified {
		t.Errorf("got %+v, want a new account without an address", u)
	}
	w.wantSame(before)
	w.store.wantCalls(t, 2, 0, func() { w.resolve(google("2", "a@example.com"), p) })
}

func TestTrustLinksOnlyWhereBothSidesAreSure(t *testing.T) {
	w := newWorld(t)
	trust := users.Policy{Linking: users.LinkTrust, Registration: true}
	owner, _ := w.resolve(github("1", "a@example.com"), open)

	id := google("2", "a@example.com")
	id.Authoritative = false
	_, _, err := w.Resolve(t.Context(), id, trust)
	linkRequired(t, err)

	id.Authoritative = true
	_, _, err = w.Resolve(t.Context(), id, open)
	linkRequired(t, err)

	u, out := w.resolve(id, trust)
	if u.ID != owner.ID || out.How != users.TrustLink || len(w.get(owner.ID).Identities) != 2 {
		t.Errorf("got %s %s, want %s linked", u.ID, out.How, owner.ID)
	}
	w.audit.wantLast(t, "user.link", owner.ID, "done", "")
}

func TestAUserCreatedAheadIsClaimedOnceByTheVerifiedAddress(t *testing.T) {
	w := newWorld(t)
	ahead := w.create(users.NewUser{Name: "", Email: "New@example.com", Roles: []string{rbac.Editor}, Claimable: true})
	closed := users.Policy{Linking: users.LinkOff}
	u, out := w.resolve(github("1", "new@Example.com"), closed)
	if u.ID != ahead.ID || out.How != users.Claimed {
		t.Fatalf("got %s %s, want %s claimed", u.ID, out.How, ahead.ID)
	}
	got := w.get(ahead.ID)
	if got.Claimable || !got.EmailVerified || len(got.Identities) != 1 || got.Name != "Name 1" {
		t.Errorf("claimed user: %+v", got)
	}
	if diff := cmp.Diff([]string{rbac.Editor}, got.Roles(w.now())); diff != "" {
		t.Errorf("roles (-want +got):\n%s", diff)
	}
	w.audit.wantLast(t, "user.claim", ahead.ID, "done", "")
	_, _, err := w.Resolve(t.Context(), google("2", "new@example.com"), open)
	linkRequired(t, err)
}

func TestAUserCreatedAheadWhoCannotBeClaimedIsToldWhomToAsk(t *testing.T) {
	w := newWorld(t)
	for i, verified := range []bool{false, true} {
		addr := fmt.Sprintf("ahead%d@example.com", i)
		ahead := w.create(users.NewUser{Email: addr, EmailVerified: verified, Claimable: true})
		ahead.Claimable = false
		must(t, w.store.Store.Replace(t.Context(), ahead, nil, nil, w.now()))
		ahead = w.get(ahead.ID)
		_, _, err := w.Resolve(t.Context(), google(addr, addr), open)
		wantCode(t, err, fault.Forbidden, "not_claimable")
		if !strings.Contains(err.Error(), "help@example.com") {
			t.Errorf("%v does not say whom to ask", err)
		}
		w.wantSame(ahead)
	}
}

// G01, G02.
func TestTheOwnerOfAMailboxVoidsWhatOthersPreparedWithIt(t *testing.T) {
	w := newWorld(t)
	attacker, err := w.Register(t.Context(), users.Registration{Username: "mallory", Password: goodPassword, Email: "Victim@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	planted := github("666", "mallory@evil.example")
	if _, err := w.Link(t.Context(), attacker.ID, planted); err != nil {
		t.Fatal(err)
	}
	w.wantHooks()

	victim, out := w.resolve(google("1", "victim@Example.com"), open)
	if victim.ID == attacker.ID || out.How != users.Created || out.Purged != attacker.ID {
		t.Fatalf("got %s %+v, want a new account and %s purged", victim.ID, out, attacker.ID)
	}
	if !victim.EmailVerified || victim.Ver != 1 {
		t.Errorf("victim: %+v", victim)
	}
	w.wantHooks("epoch 2 before row 1")
	got := w.get(attacker.ID)
	if got.Password != "" || len(got.Identities) != 0 || got.Email != "" || got.Ver != 2 || got.Epoch != 2 {
		t.Errorf("purged account: %+v", got)
	}
	if _, err := w.authenticate("mallory", goodPassword.Reveal()); fault.CodeOf(err) != "credentials_invalid" {
		t.Errorf("the unproven password: got %v, want credentials_invalid", err)
	}
	if u, out := w.resolve(planted, open); u.ID == victim.ID || u.ID == attacker.ID || out.How != users.Created {
		t.Errorf("the planted identity: got %s %s, want an account of its own", u.ID, out.How)
	}
	if u, out := w.resolve(google("1", "victim@example.com"), open); u.ID != victim.ID || out.How != users.Known || out.Purged != "" {
		t.Errorf("the victim again: got %s %+v, want known", u.ID, out)
	}
}

func TestLinkingOffOrTrustDoNotSaveAnUnprovenAccount(t *testing.T) {
	for _, l := range []users.Linking{users.LinkOff, users.LinkTrust} {
		w := newWorld(t)
		attacker, err := w.Register(t.Context(), users.Registration{Username: "mallory", Password: goodPassword, Email: "victim@example.com"})
		if err != nil {
			t.Fatal(err)
		}
		u, out := w.resolve(google("1", "victim@example.com"), users.Policy{Linking: l, Registration: true})
		if out.Purged != attacker.ID || u.ID == attacker.ID || !u.EmailVerified {
			t.Errorf("%s: got %s %+v", l, u.ID, out)
		}
	}
}

func TestAPurgeStopsWhereTheStreamDoes(t *testing.T) {
	broken := errors.New("stream is gone")
	w := newWorld(t, func(o *users.Options) {
		o.BeforeEpoch = func(context.Context, string, int64) error { return broken }
	})
	attacker, err := w.Register(t.Context(), users.Registration{Username: "mallory", Password: goodPassword, Email: "victim@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Resolve(t.Context(), google("1", "victim@example.com"), open); !errors.Is(err, broken) {
		t.Errorf("got %v, want the hook's error", err)
	}
	w.wantSame(attacker)
}

func TestSomebodyMadeAnAdminByHandIsNotPurged(t *testing.T) {
	w := newWorld(t)
	root := w.create(users.NewUser{Username: "root", Email: "root@example.com", Password: goodPassword, Roles: []string{rbac.Admin}})
	_, _, err := w.Resolve(t.Context(), google("1", "root@example.com"), users.Policy{Linking: users.LinkTrust, Registration: true})
	linkRequired(t, err)
	w.wantSame(root)
}

func TestAKnownIdentityWhoseAddressBecomesVerifiedTakesIt(t *testing.T) {
	w := newWorld(t)
	id := github("1", "a@example.com")
	u, _ := w.resolve(unverified(id), open)
	attacker, err := w.Register(t.Context(), users.Registration{Username: "mallory", Password: goodPassword, Email: "a@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	got, out := w.resolve(id, open)
	if got.ID != u.ID || !got.EmailVerified || out.Purged != attacker.ID {
		t.Errorf("got %+v %+v, want %s with the address and %s purged", got, out, u.ID, attacker.ID)
	}
	_, _, err = w.Resolve(t.Context(), google("2", "a@example.com"), open)
	if l := linkRequired(t, err); l.UserID != u.ID {
		t.Errorf("the address belongs to %s, want %s", l.UserID, u.ID)
	}
}

func TestAnAddressThatAnotherProvedIsNotTaken(t *testing.T) {
	w := newWorld(t)
	id := github("1", "a@example.com")
	w.resolve(unverified(id), open)
	owner, _ := w.resolve(google("2", "a@example.com"), open)
	u, out := w.resolve(id, open)
	if u.EmailVerified || out.Purged != "" {
		t.Errorf("got %+v %+v, want no verified address", u, out)
	}
	w.wantSame(owner)
}

func TestLookAlikeAddressesAreDifferent(t *testing.T) {
	w := newWorld(t)
	owner, _ := w.resolve(github("1", "kate@example.com"), open)
	u, out := w.resolve(google("2", "\u212Aate@example.com"), open) // the Kelvin sign, whose Unicode lower case is k
	if u.ID == owner.ID || out.How != users.Created {
		t.Errorf("got %s %s, want another account", u.ID, out.How)
	}
}

// G11.
func TestClosedRegistrationLetsOnlyKnownPeopleIn(t *testing.T) {
	w := newWorld(t, func(o *users.Options) { o.BootstrapAdmins = []string{"github:1"} })
	closed := users.Policy{Linking: users.LinkProve}
	_, _, err := w.Resolve(t.Context(), github("2", "a@example.com"), closed)
	wantCode(t, err, fault.Forbidden, "registration_closed")
	_, _, err = w.Resolve(t.Context(), unverified(github("2", "a@example.com")), closed)
	wantCode(t, err, fault.Forbidden, "registration_closed")
	if n := len(w.all()); n != 0 {
		t.Errorf("%d users were made", n)
	}
	w.resolve(github("2", "a@example.com"), open)
	w.resolve(github("2", "a@example.com"), closed)
	if u, _ := w.resolve(github("1", ""), closed); !slices.Contains(u.Roles(w.now()), rbac.Admin) {
		t.Error("the bootstrap admin was kept out or is none")
	}
	// Nobody loses a password to somebody who is then sent away.
	local := w.create(users.NewUser{Username: "bob", Email: "bob@example.com", Password: goodPassword})
	_, _, err = w.Resolve(t.Context(), google("3", "bob@example.com"), closed)
	wantCode(t, err, fault.Forbidden, "registration_closed")
	w.wantSame(local)
}

func TestADisabledUserComesInByNoDoor(t *testing.T) {
	w := newWorld(t)
	id := github("1", "a@example.com")
	u, _ := w.resolve(id, open)
	local := w.create(users.NewUser{Username: "bob", Email: "b@example.com", EmailVerified: true, Password: goodPassword})
	ahead := w.create(users.NewUser{Email: "c@example.com", Claimable: true})
	for _, id := range []string{u.ID, local.ID, ahead.ID} {
		if _, err := w.Disable(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	before := w.all()
	for _, l := range []users.Linking{users.LinkOff, users.LinkProve, users.LinkTrust} {
		p := users.Policy{Linking: l, Registration: true}
		for _, id := range []users.Identity{id, google("2", "a@example.com"), google("3", "b@example.com"), google("4", "c@example.com")} {
			_, _, err := w.Resolve(t.Context(), id, p)
			wantCode(t, err, fault.Forbidden, "account_disabled")
		}
	}
	_, err := w.Link(t.Context(), u.ID, google("5", ""))
	wantCode(t, err, fault.Forbidden, "account_disabled")
	_, err = w.SetPassword(t.Context(), local.ID, "another long password")
	wantCode(t, err, fault.Forbidden, "account_disabled")
	_, err = w.authenticate("bob", goodPassword.Reveal())
	wantCode(t, err, fault.Forbidden, "account_disabled")
	_, err = w.GrantRole(t.Context(), u.ID, rbac.Editor)
	wantCode(t, err, fault.Conflict, "user_disabled")
	if diff := cmp.Diff(before, w.all()); diff != "" {
		t.Errorf("something changed (-before +after):\n%s", diff)
	}
}

func TestBootstrapAdmins(t *testing.T) {
	w := newWorld(t, func(o *users.Options) { o.BootstrapAdmins = []string{"github:1", "Boss@example.com"} })
	isAdmin := func(u users.User) bool {
		members, err := w.admins.Admins(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		granted := slices.ContainsFunc(u.Grants, func(g rbac.Grant) bool { return g.Role == rbac.Admin && g.Source == rbac.Manual && g.Until.IsZero() })
		if granted != slices.Contains(members, u.ID) {
			t.Errorf("%s: granted %v, but members are %v", u.ID, granted, members)
		}
		return granted
	}
	one := github("1", "x@example.com")
	u, _ := w.resolve(one, open)
	if !isAdmin(u) {
		t.Error("the named identity is no admin")
	}
	w.wantHooks("version 2 before row 1")
	w.store.wantCalls(t, 2, 0, func() { w.resolve(one, open) })

	for _, tt := range []struct {
		rule string
		id   users.Identity
		want bool
	}{
		{"the same subject at another provider is nobody", google("1", ""), false},
		{"an unverified address is nobody's", unverified(github("3", "boss@example.com")), false},
		{"a verified address counts, in any case", google("4", "BOSS@example.com"), true},
	} {
		if u, _ := w.resolve(tt.id, open); isAdmin(u) != tt.want {
			t.Errorf("%s: admin %v", tt.rule, !tt.want)
		}
	}
	// Configuration wins over a revocation, and an interrupted grant is finished.
	if _, err := w.RevokeRole(t.Context(), u.ID, rbac.Admin); err != nil {
		t.Fatal(err)
	}
	if u, _ := w.resolve(one, open); !isAdmin(u) {
		t.Error("not given back at the next sign-in")
	}
}

// G09, on a store with transactions and on one without.
func TestManyFirstSignInsMakeOneUser(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		var mu sync.Mutex
		ids := map[string]int{}
		atOnce(20, func(int) {
			u, _, err := w.Resolve(t.Context(), github("1", "a@example.com"), open)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			ids[u.ID]++
			mu.Unlock()
		})
		if all := w.all(); len(ids) != 1 || len(all) != 1 {
			t.Errorf("%d ids were answered, %d users exist; want one", len(ids), len(all))
		}
	})
}

func TestManyClaimsOfOneUserHaveOneWinner(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		ahead := w.create(users.NewUser{Email: "a@example.com", Claimable: true})
		var mu sync.Mutex
		won, conflicts := 0, 0
		atOnce(20, func(i int) {
			u, out, err := w.Resolve(t.Context(), github(fmt.Sprint(i%10), "a@example.com"), open) // each identity twice
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil && u.ID == ahead.ID:
				if out.How == users.Claimed {
					won++
				}
			case fault.CodeOf(err) == "identity_conflict":
				conflicts++
			default:
				t.Errorf("got %s, %v", u.ID, err)
			}
		})
		got := w.get(ahead.ID)
		if won != 1 || conflicts != 18 || len(got.Identities) != 1 || got.Claimable || len(w.all()) != 1 {
			t.Errorf("%d claimed, %d conflicts, %d identities, %d users; want 1, 18, 1, 1", won, conflicts, len(got.Identities), len(w.all()))
		}
		// The losers can link what they brought, after proof.
		for i := range 10 {
			if _, err := w.Link(t.Context(), ahead.ID, github(fmt.Sprint(i), "a@example.com")); err != nil {
				t.Errorf("link %d: %v", i, err)
			}
		}
	})
}

func TestManyIdentitiesWithOneNewAddressMakeOneAccountWithIt(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		var mu sync.Mutex
		created := 0
		atOnce(20, func(i int) {
			_, _, err := w.Resolve(t.Context(), github(fmt.Sprint(i), "a@example.com"), open)
			if err == nil {
				mu.Lock()
				created++
				mu.Unlock()
			} else if fault.CodeOf(err) != "identity_conflict" {
				t.Error(err)
			}
		})
		if created != 1 || len(w.all()) != 1 {
			t.Errorf("%d created, %d exist; want one", created, len(w.all()))
		}
		owner := w.all()[0]
		for i := range 20 {
			if _, err := w.Link(t.Context(), owner.ID, github(fmt.Sprint(i), "a@example.com")); err != nil {
				t.Errorf("link %d: %v", i, err)
			}
		}
	})
}

func TestManyProofsOfAMailboxPurgeOnce(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		attacker, err := w.Register(t.Context(), users.Registration{Username: "mallory", Password: goodPassword, Email: "v@example.com"})
		if err != nil {
			t.Fatal(err)
		}
		atOnce(20, func(int) {
			u, _, err := w.Resolve(t.Context(), google("1", "v@example.com"), open)
			if err != nil || u.ID == attacker.ID || !u.EmailVerified {
				t.Errorf("got %+v, %v", u, err)
			}
		})
		if got := w.get(attacker.ID); got.Ver != 2 || got.Password != "" || len(w.all()) != 2 {
			t.Errorf("purged account %+v, %d users; want one purge and two users", got, len(w.all()))
		}
	})
}

func onBothStores(t *testing.T, f func(*testing.T, *world)) {
	t.Helper()
	t.Run("transactions", func(t *testing.T) { f(t, newWorld(t)) })
	t.Run("single writes", func(t *testing.T) {
		w := newWorld(t)
		w.store.stepwise = true
		f(t, w)
	})
}

// Every prefix of the sequence of writes is safe: the next sign-in finishes it.
func TestASignInThatBreaksOffIsFinishedByTheNext(t *testing.T) {
	killed := fault.New(fault.Unavailable, "killed", "killed")
	for step := range 10 {
		w := newWorld(t)
		w.store.stepwise = true
		attacker, err := w.Register(t.Context(), users.Registration{Username: "mallory", Password: goodPassword, Email: "v@example.com"})
		if err != nil {
			t.Fatal(err)
		}
		n, dead := 0, false
		w.store.before = func(context.Context, string) error {
			if n++; n > step {
				dead = true
				return killed
			}
			return nil
		}
		_, _, err = w.Resolve(t.Context(), google("1", "v@example.com"), open)
		if dead && !errors.Is(err, killed) || !dead && err != nil {
			t.Fatalf("step %d: got %v", step, err)
		}
		w.store.before = nil
		u, _ := w.resolve(google("1", "v@example.com"), open)
		if u.ID == attacker.ID || !u.EmailVerified || len(w.all()) != 2 || w.get(attacker.ID).Password != "" {
			t.Errorf("step %d: finished as %+v", step, u)
		}
		if !dead {
			if step != 4 { // purge, two claims, create
				t.Errorf("the sequence has %d writes, want 4", step)
			}
			return
		}
	}
	t.Error("the sequence never ends")
}

func TestAClaimThatNobodyLists(t *testing.T) {
	id := github("1", "a@example.com")
	identity, address := users.Claim{Kind: users.ClaimIdentity, Key: id.Key()}, users.Claim{Kind: users.ClaimAddress, Key: "a@example.com"}

	t.Run("young, of the identity: the work goes on under its id", func(t *testing.T) {
		w := newWorld(t)
		must(t, w.store.hold(t.Context(), identity, "usr_ghost", w.now()))
		w.pass(10*time.Minute - time.Millisecond)
		if u, out := w.resolve(id, open); u.ID != "usr_ghost" || out.How != users.Created {
			t.Errorf("got %s %s, want usr_ghost created", u.ID, out.How)
		}
	})
	t.Run("old, of the identity: it is taken over", func(t *testing.T) {
		w := newWorld(t)
		must(t, w.store.hold(t.Context(), identity, "usr_ghost", w.now()))
		w.pass(10 * time.Minute)
		if u, _ := w.resolve(id, open); u.ID == "usr_ghost" {
			t.Error("an id that may have belonged to a deleted user came back")
		}
	})
	t.Run("young, of the identity, of somebody who exists: wait", func(t *testing.T) {
		w := newWorld(t)
		other, _ := w.resolve(github("2", ""), open)
		must(t, w.store.hold(t.Context(), identity, other.ID, w.now()))
		_, _, err := w.Resolve(t.Context(), id, open)
		wantBusy(t, err)
		_, err = w.Link(t.Context(), w.create(users.NewUser{Username: "bob"}).ID, id)
		wantBusy(t, err)
		w.pass(10 * time.Minute)
		if u, _ := w.resolve(id, open); u.ID == other.ID {
			t.Error("the identity opened an account that does not list it")
		}
	})
	t.Run("young, of the address: wait", func(t *testing.T) {
		w := newWorld(t)
		must(t, w.store.hold(t.Context(), address, "usr_ghost", w.now()))
		_, _, err := w.Resolve(t.Context(), id, open)
		wantBusy(t, err)
		w.pass(10 * time.Minute)
		if u, _ := w.resolve(id, open); !u.EmailVerified {
			t.Errorf("got %+v, want the address", u)
		}
	})
	t.Run("of the address, of somebody who moved away: it is taken over", func(t *testing.T) {
		w := newWorld(t)
		other, _ := w.resolve(github("2", "b@example.com"), open)
		must(t, w.store.hold(t.Context(), address, other.ID, w.now()))
		w.pass(10 * time.Minute)
		if u, _ := w.resolve(id, open); u.ID == other.ID || !u.EmailVerified {
			t.Errorf("got %+v, want a new account with the address", u)
		}
	})
}

func wantBusy(t *testing.T, err error) {
	t.Helper()
	e, ok := errors.AsType[*fault.Error](err)
	if !ok || e.Kind != fault.Unavailable || e.Code != "user_busy" || e.RetryAfter <= 0 {
		t.Errorf("got %v, want user_busy with RetryAfter", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
