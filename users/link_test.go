package users_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"example.com/broker/internal/fault"
	"example.com/broker/users"
)

func TestLinkAddsAWayInOnce(t *testing.T) {
	w := newWorld(t)
	u, _ := w.resolve(github("1", "a@example.com"), open)
	id := google("2", "other@example.com")
	for range 2 {
		if _, err := w.Link(t.Context(), u.ID, id); err != nil {
			t.Fatal(err)
		}
	}
	got := w.get(u.ID)
	if len(got.Identities) != 2 || got.Email != "a@example.com" || got.Ver != 1 {
		t.Errorf("%+v, want two identities and nothing else changed", got)
	}
	if u2, out := w.resolve(id, open); u2.ID != u.ID || out.How != users.Known {
		t.Errorf("got %s %s", u2.ID, out.How)
	}
	w.audit.wantLast(t, "user.link", u.ID, "done", "")
	_, err := w.Link(t.Context(), "usr_nobody", google("3", ""))
	wantCode(t, err, fault.NotFound, "user_unknown")
}

func TestAnIdentityOfAnotherUserIsNotLinked(t *testing.T) {
	w := newWorld(t)
	id := github("1", "a@example.com")
	owner, _ := w.resolve(id, open)
	other, _ := w.resolve(google("2", ""), open)
	_, err := w.Link(t.Context(), other.ID, id)
	wantCode(t, err, fault.Conflict, "identity_taken")
	w.audit.wantLast(t, "user.link", other.ID, "denied", "identity_taken")
	w.wantSame(owner)
	w.wantSame(other)
}

func TestLinkProvesTheAddressThatTheUserPutDown(t *testing.T) {
	w := newWorld(t)
	bob, err := w.Register(t.Context(), users.Registration{Username: "bob", Password: goodPassword, Email: "bob@example.com"})
	must(t, err)
	if u, err := w.Link(t.Context(), bob.ID, google("1", "else@example.com")); err != nil || u.EmailVerified {
		t.Errorf("another address: %+v, %v", u, err)
	}
	if u, err := w.Link(t.Context(), bob.ID, unverified(google("2", "bob@example.com"))); err != nil || u.EmailVerified {
		t.Errorf("the unverified address: %+v, %v", u, err)
	}
	u, err := w.Link(t.Context(), bob.ID, google("3", "Bob@example.com"))
	if err != nil || !u.EmailVerified || u.Password == "" {
		t.Errorf("the verified address: %+v, %v", u, err)
	}
	_, _, err = w.Resolve(t.Context(), github("4", "bob@example.com"), open)
	linkRequired(t, err)
}

// G09.
func TestOneIdentityLinkedByTwoAtOnceHasOneOwner(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		for round := range 10 {
			id := google(fmt.Sprint("shared", round), "")
			var owners [2]users.User
			for i := range owners {
				owners[i], _ = w.resolve(github(fmt.Sprint(round, i), ""), open)
			}
			var won atomic.Int64
			atOnce(2, func(i int) {
				_, err := w.Link(t.Context(), owners[i].ID, id)
				if err == nil {
					won.Add(1)
				} else if fault.CodeOf(err) != "identity_taken" {
					t.Error(err)
				}
			})
			if n := len(w.get(owners[0].ID).Identities) + len(w.get(owners[1].ID).Identities); won.Load() != 1 || n != 3 {
				t.Fatalf("%d won, %d identities in all; want 1 and 3", won.Load(), n)
			}
		}
	})
}

func TestAnAccountHasABoundedNumberOfIdentities(t *testing.T) {
	w := newWorld(t)
	u, _ := w.resolve(github("0", ""), open)
	for i := 1; i < users.MaxIdentities; i++ {
		if _, err := w.Link(t.Context(), u.ID, github(fmt.Sprint(i), "")); err != nil {
			t.Fatal(err)
		}
	}
	_, err := w.Link(t.Context(), u.ID, github("one more", ""))
	wantCode(t, err, fault.Conflict, "too_many_identities")
}

func TestUnlinkLeavesAWayIn(t *testing.T) {
	w := newWorld(t)
	id := github("1", "a@example.com")
	u, _ := w.resolve(id, open)
	_, err := w.Unlink(t.Context(), u.ID, id.Key())
	wantCode(t, err, fault.Conflict, "last_method")
	w.audit.wantLast(t, "user.unlink", u.ID, "denied", "last_method")
	_, err = w.Unlink(t.Context(), u.ID, google("1", "").Key())
	wantCode(t, err, fault.NotFound, "method_unknown")

	other := google("2", "")
	if _, err := w.Link(t.Context(), u.ID, other); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Unlink(t.Context(), u.ID, id.Key()); err != nil {
		t.Fatal(err)
	}
	// The identity is free, but the address is still the user's.
	_, _, err = w.Resolve(t.Context(), id, open)
	linkRequired(t, err)
	if _, err := w.Link(t.Context(), u.ID, id); err != nil {
		t.Errorf("linking it again: %v", err)
	}
}

func TestAnIdentityThatCannotSignInIsNoWayIn(t *testing.T) {
	w := newWorld(t, func(o *users.Options) {
		o.Usable = func(l users.Linked) bool { return l.Provider == "github" }
	})
	id := github("1", "")
	u, _ := w.resolve(id, open)
	if _, err := w.Link(t.Context(), u.ID, google("2", "")); err != nil {
		t.Fatal(err)
	}
	_, err := w.Unlink(t.Context(), u.ID, id.Key())
	wantCode(t, err, fault.Conflict, "last_method")
	if _, err := w.Unlink(t.Context(), u.ID, google("2", "").Key()); err != nil {
		t.Error(err)
	}
}

func TestThePasswordIsAWayInThatCanBeTaken(t *testing.T) {
	w := newWorld(t)
	bob := w.create(users.NewUser{Username: "bob", Password: goodPassword})
	key := users.Identity{Namespace: users.LocalNamespace, Subject: "bob"}.Key()
	_, err := w.Unlink(t.Context(), bob.ID, key)
	wantCode(t, err, fault.Conflict, "last_method")
	if _, err := w.Link(t.Context(), bob.ID, github("1", "")); err != nil {
		t.Fatal(err)
	}
	u, err := w.Unlink(t.Context(), bob.ID, key)
	if err != nil || u.Password != "" || u.Epoch != 2 {
		t.Errorf("got %+v, %v, want no password and a new epoch", u, err)
	}
	w.wantHooks("epoch 2 before row 1")
	_, err = w.Unlink(t.Context(), bob.ID, github("1", "").Key())
	wantCode(t, err, fault.Conflict, "last_method")
}

func TestTwoAtOnceCannotTakeTheLastTwoWaysIn(t *testing.T) {
	w := newWorld(t)
	a, b := github("1", ""), google("2", "")
	u, _ := w.resolve(a, open)
	if _, err := w.Link(t.Context(), u.ID, b); err != nil {
		t.Fatal(err)
	}
	var gone atomic.Int64
	atOnce(100, func(i int) {
		key := a.Key()
		if i%2 == 1 {
			key = b.Key()
		}
		_, err := w.Unlink(t.Context(), u.ID, key)
		switch fault.CodeOf(err) {
		case "last_method", "method_unknown":
		default:
			if err != nil {
				t.Error(err)
			}
			gone.Add(1)
		}
	})
	if n := len(w.get(u.ID).Identities); gone.Load() != 1 || n != 1 {
		t.Errorf("%d taken, %d left; want 1 and 1", gone.Load(), n)
	}
}

func TestLinkingAgainRepairsALostClaim(t *testing.T) {
	w := newWorld(t)
	id := github("1", "a@example.com")
	u, _ := w.resolve(id, open)
	h, err := w.store.Holder(t.Context(), users.Claim{Kind: users.ClaimIdentity, Key: id.Key()})
	must(t, err)
	must(t, w.store.Store.TakeOver(t.Context(), users.Claim{Kind: users.ClaimIdentity, Key: id.Key()}, h, "usr_ghost", w.now()))
	_, _, err = w.Resolve(t.Context(), id, open)
	linkRequired(t, err)
	if _, err := w.Link(t.Context(), u.ID, id); err != nil {
		t.Fatal(err)
	}
	if got, out := w.resolve(id, open); got.ID != u.ID || out.How != users.Known || len(got.Identities) != 1 {
		t.Errorf("got %+v %s", got, out.How)
	}
}
