package users_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"example.com/broker/internal/fault"
	"example.com/broker/rbac"
	"example.com/broker/users"
)

func (s *spyStore) Delete(ctx context.Context, id string, v int64) error {
	if err := s.write(ctx, "delete"); err != nil {
		return err
	}
	return s.Store.Delete(ctx, id, v)
}

// Wherever a deletion breaks off, nobody comes in, a repetition completes it, and whoever proves the same identity afterwards is somebody new.
func TestADeletionMayBreakOffAnywhere(t *testing.T) {
	died := errors.New("died")
	for stop := range 5 {
		t.Run(fmt.Sprintf("after %d writes", stop), func(t *testing.T) {
			w := newWorld(t)
			w.store.stepwise = true
			u, _ := w.resolve(github("1", "jo@example.com"), open)
			w.wantHooks()
			n := 0
			w.store.before = func(context.Context, string) error {
				if n++; n > stop {
					return died
				}
				return nil
			}
			err := w.Delete(t.Context(), u.ID)
			w.store.before = nil
			if err != nil {
				if stop > 0 {
					if got := w.get(u.ID); got.Status != users.Disabled || got.Epoch != 2 {
						t.Errorf("after the first write: %s, epoch %d", got.Status, got.Epoch)
					}
				}
				must(t, w.Delete(t.Context(), u.ID))
			}
			if stop > 0 { // the entry before the first write comes again with it
				w.wantHooks("epoch 2 before row 1")
			}
			_, err = w.Get(t.Context(), u.ID)
			wantCode(t, err, fault.NotFound, "user_unknown")
			wantCode(t, w.Delete(t.Context(), u.ID), fault.NotFound, "user_unknown")
			again, out := w.resolve(github("1", "jo@example.com"), open)
			if again.ID == u.ID || out.How != users.Created || again.Email != "jo@example.com" {
				t.Errorf("the same identity afterwards is %+v, %s; want a new user with the address", again, out.How)
			}
		})
	}
}

func TestTheLastAdminIsNotDeleted(t *testing.T) {
	w := newWorld(t)
	a, b := w.create(users.NewUser{Username: "ada", Roles: []string{rbac.Admin}}), w.create(users.NewUser{Username: "bob", Roles: []string{rbac.Admin}})
	errs := make([]error, 2)
	atOnce(2, func(i int) { errs[i] = w.Delete(t.Context(), []string{a.ID, b.ID}[i]) })
	if (errs[0] == nil) == (errs[1] == nil) {
		t.Fatalf("got %v, want one to win", errs)
	}
	for _, err := range errs {
		if err != nil {
			wantCode(t, err, fault.Conflict, "last_admin")
		}
	}
	if got := w.all(); len(got) != 1 || got[0].Status != users.Active {
		t.Errorf("left: %+v", got)
	}
}

func TestAChangeMayNameTheVersionItWasDecidedOn(t *testing.T) {
	w := newWorld(t)
	u := w.create(users.NewUser{Username: "ada"})
	ctx := users.WithVersion(t.Context(), u.V)
	if _, err := w.GrantRole(ctx, u.ID, rbac.Editor); err != nil {
		t.Fatal(err)
	}
	_, err := w.Disable(ctx, u.ID)
	wantCode(t, err, fault.Conflict, "user_version")
	wantCode(t, w.Delete(ctx, u.ID), fault.Conflict, "user_version")
	must(t, w.Delete(users.WithVersion(t.Context(), u.V+1), u.ID))
}
