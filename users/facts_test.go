package users_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"example.com/broker/internal/fault"
	"example.com/broker/rbac"
	"example.com/broker/users"
)

func (w *world) factsOf(id string) users.User {
	w.t.Helper()
	u, err := w.Facts(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return u
}

func TestWarmFactsCostNoRead(t *testing.T) {
	w := newWorld(t)
	u := w.create(users.NewUser{Username: "bob", Password: goodPassword})
	w.store.wantCalls(t, 1, 0, func() { w.factsOf(u.ID) })
	w.store.wantCalls(t, 0, 0, func() {
		if got := w.factsOf(u.ID); got.Password != "" || got.Username != "bob" {
			t.Errorf("got %+v, want the user without the password", got)
		}
	})
	w.pass(time.Minute)
	w.store.wantCalls(t, 1, 0, func() { w.factsOf(u.ID) })
	_, err := w.Facts(t.Context(), "usr_nobody")
	wantCode(t, err, fault.NotFound, "user_unknown")
}

func TestFactsAreNeverOlderThanTheStream(t *testing.T) {
	w := newWorld(t)
	u := w.create(users.NewUser{Username: "bob"})
	w.factsOf(u.ID)

	// The entry comes first: until the row follows, each answer is read, and the old row is not kept.
	w.Invalidate(u.ID, 2)
	for range 2 {
		w.store.wantCalls(t, 1, 0, func() { w.factsOf(u.ID) })
	}
	// The row as another replica writes it.
	row := w.get(u.ID)
	row.Status, row.Ver, row.Epoch = users.Disabled, 2, 2
	must(t, w.store.Store.Replace(t.Context(), row, nil, nil, w.now()))
	if got := w.factsOf(u.ID); got.Status != users.Disabled {
		t.Errorf("got %+v, want the new row", got)
	}
	w.store.wantCalls(t, 0, 0, func() { w.factsOf(u.ID) })

	// An entry that is known already costs nothing.
	w.Invalidate(u.ID, 2)
	w.store.wantCalls(t, 0, 0, func() { w.factsOf(u.ID) })
}

func TestAFloorOutlivesTheGapBetweenEntryAndRow(t *testing.T) {
	w := newWorld(t)
	u := w.create(users.NewUser{Username: "bob"})
	// Whenever the entry comes between two turns of the floors, it holds for 30 s of gap and the minute of what was cached in it.
	w.Invalidate("somebody else", 1)
	for range 20 {
		w.pass(50 * time.Second)
		w.Invalidate(u.ID, 2)
		for range 10 { // u is not cached
			w.pass(9 * time.Second)
			w.Invalidate("somebody else", 1)
			w.store.wantCalls(t, 1, 0, func() { w.factsOf(u.ID) })
		}
	}
}

func TestWritesOfThisReplicaAreSeenAtOnce(t *testing.T) {
	w := newWorld(t)
	u := w.create(users.NewUser{Username: "bob"})
	for i, act := range []func(context.Context, string) (users.User, error){
		func(ctx context.Context, id string) (users.User, error) { return w.GrantRole(ctx, id, rbac.Editor) },
		w.RaiseEpoch,
		func(ctx context.Context, id string) (users.User, error) { return w.Link(ctx, id, github("1", "")) },
		w.Disable,
		w.Enable,
	} {
		w.factsOf(u.ID)
		want, err := act(t.Context(), u.ID)
		if err != nil {
			t.Fatal(err)
		}
		if got := w.factsOf(u.ID); got.V != want.V {
			t.Errorf("act %d: got version %d of the row, want %d", i, got.V, want.V)
		}
	}
}

func TestFactsAreBounded(t *testing.T) {
	w := newWorld(t, func(o *users.Options) { o.FactsSize = 2 })
	var ids []string
	for i := range 3 {
		ids = append(ids, w.create(users.NewUser{Username: fmt.Sprint("u", i)}).ID)
	}
	w.factsOf(ids[0])
	w.factsOf(ids[1])
	w.factsOf(ids[0])
	w.factsOf(ids[2]) // pushes out the least recently used
	w.store.wantCalls(t, 0, 0, func() { w.factsOf(ids[0]); w.factsOf(ids[2]) })
	w.store.wantCalls(t, 1, 0, func() { w.factsOf(ids[1]) })
}

func TestAClockSetBackDoesNotKeepFactsAlive(t *testing.T) {
	w := newWorld(t)
	u := w.create(users.NewUser{Username: "bob"})
	w.factsOf(u.ID)
	w.pass(-time.Hour)
	w.store.wantCalls(t, 1, 0, func() { w.factsOf(u.ID) })
}

func TestFactsMayBeAskedAndInvalidatedAtOnce(t *testing.T) {
	w := newWorld(t)
	u := w.create(users.NewUser{Username: "bob"})
	atOnce(16, func(i int) {
		for n := range 50 {
			if i%4 == 0 {
				w.Invalidate(u.ID, int64(n%3))
			} else if _, err := w.Facts(t.Context(), u.ID); err != nil {
				t.Error(err)
			}
		}
	})
}

func BenchmarkFactsWarm(b *testing.B) {
	w := newWorld(b)
	u := w.create(users.NewUser{Username: "bob"})
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := w.Facts(b.Context(), u.ID); err != nil {
				b.Error(err)
			}
		}
	})
}
