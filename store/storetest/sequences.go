package storetest

import (
	"fmt"
	"testing"
	"time"

	"example.com/broker/audit"
	"example.com/broker/internal/changes"
	"example.com/broker/internal/fault"
	"example.com/broker/users"
)

// maxSteps is more than any sequence here has.
const maxSteps = 30

// testSequences stops each sequence after each of its row writes and looks what the next one finds.
func testSequences(t *testing.T, f *Fixture) {
	if f.StopAfter == nil {
		if !f.Atomic {
			t.Fatal("a driver whose sequences are no transactions must let the contract stop them: Fixture.StopAfter is nil")
		}
		f.StopAfter = func(int) {}
	}
	t.Run("create, stopped after each step, is safe and is completed by repetition", func(t *testing.T) {
		steps(t, f, 4, func(t *testing.T, k int, stopped func(error) bool) bool {
			return createThen(t, f, fmt.Sprintf("repeat-%02d", k), stopped, repeatCreate)
		})
	})
	t.Run("create, stopped after each step, is completed by whoever proves the identity again", func(t *testing.T) {
		steps(t, f, 4, func(t *testing.T, k int, stopped func(error) bool) bool {
			return createThen(t, f, fmt.Sprintf("prove-%02d", k), stopped, proveAgain)
		})
	})
	t.Run("replace, stopped after each step, is safe and is completed by repetition", func(t *testing.T) {
		steps(t, f, 5, func(t *testing.T, k int, stopped func(error) bool) bool { return replaceThenRepeat(t, f, k, stopped) })
	})
	t.Run("what is unlinked and linked again in between is linked, and its claim held", func(t *testing.T) {
		for _, clock := range []time.Duration{-time.Minute, time.Minute} { // of the replica that links, against the one that unlinks
			for k := range 3 {
				unlinkAndLink(t, f, fmt.Sprintf("relink-%d-%s", k, clock), k, clock)
			}
		}
	})
	t.Run("append, stopped after each step, is completed by repetition", func(t *testing.T) {
		steps(t, f, 3, func(t *testing.T, k int, stopped func(error) bool) bool { return appendThenRepeat(t, f, k, stopped) })
	})
	t.Run("audit, stopped after each step, is completed by repetition", func(t *testing.T) {
		steps(t, f, 0, func(t *testing.T, k int, stopped func(error) bool) bool { return auditThenRepeat(t, f, k, stopped) })
	})
}

// steps runs one for k = 0, 1, 2 … until the sequence was not stopped any more, and wants it to have had at least least writes. one
// passes the error of its sequence to stopped, which also ends the stopping.
func steps(t *testing.T, f *Fixture, least int, one func(t *testing.T, k int, stopped func(error) bool) bool) {
	t.Helper()
	for k := range maxSteps {
		f.StopAfter(k)
		complete := one(t, k, func(err error) bool {
			f.StopAfter(-1)
			return err != nil
		})
		if complete {
			if k < least && !f.Atomic {
				t.Fatalf("stopped after %d writes the sequence still completed, want at least %d writes to be counted", k, least)
			}
			return
		}
	}
	t.Fatalf("the sequence failed with %d writes let through", maxSteps)
}

func threeClaims(id string) (users.User, []users.Claim) {
	u := person(id)
	u.Username = "name-" + id
	login := users.Identity{Namespace: users.LocalNamespace, Subject: u.Username}
	return u, append(personClaims(u), identity(login.Key()))
}

func createThen(t *testing.T, f *Fixture, id string, stopped func(error) bool,
	complete func(*testing.T, *Fixture, users.User, []users.Claim) users.User,
) bool {
	t.Helper()
	s, ctx := f.Stores.Users, t.Context()
	u, claims := threeClaims(id)
	wasStopped := stopped(s.Create(ctx, u, claims, start()))
	if wasStopped {
		refused(s.Get(ctx, id))(t, fault.NotFound, "user_unknown")
		for _, c := range claims {
			h, err := s.Holder(ctx, c)
			if f.Atomic || err != nil {
				fails(t, err, fault.NotFound, "claim_unknown")
			} else if h.UserID != id {
				t.Fatalf("a claim of the stopped creation is held by %q, want %q", h.UserID, id)
			}
		}
		u = complete(t, f, u, claims)
	}
	same(t, u, must(s.Get(ctx, u.ID))(t))
	for _, c := range claims {
		if h := must(s.Holder(ctx, c))(t); h.UserID != u.ID {
			t.Fatalf("a claim is held by %q, want %q", h.UserID, u.ID)
		}
	}
	return !wasStopped
}

func repeatCreate(t *testing.T, f *Fixture, u users.User, claims []users.Claim) users.User {
	t.Helper()
	done(t, f.Stores.Users.Create(t.Context(), u, claims, start().Add(time.Second)))
	return u
}

// proveAgain is what a later sign-in does: it finds who holds the identity, and finishes the work under that id.
func proveAgain(t *testing.T, f *Fixture, u users.User, claims []users.Claim) users.User {
	t.Helper()
	s, ctx := f.Stores.Users, t.Context()
	held, err := s.Holder(ctx, claims[0])
	u.ID += "-later"
	if err == nil {
		fails(t, s.Create(ctx, u, claims, start().Add(time.Second)), fault.Conflict, "claim_taken")
		u.ID = held.UserID
	}
	done(t, s.Create(ctx, u, claims, start().Add(time.Second)))
	return u
}

func replaceThenRepeat(t *testing.T, f *Fixture, k int, stopped func(error) bool) bool {
	t.Helper()
	s, ctx, id := f.Stores.Users, t.Context(), fmt.Sprintf("replace-%02d", k)
	f.StopAfter(-1)
	before, drop := threeClaims(id)
	done(t, s.Create(ctx, before, drop, start()))
	drop = drop[:2]
	after := person(id)
	after.Email, after.Identities[0].Subject, after.Username = id+"@new.example.org", id+"-new", before.Username
	add := personClaims(after)

	f.StopAfter(k)
	wasStopped := stopped(s.Replace(ctx, after, add, drop, start()))
	got := must(s.Get(ctx, id))(t)
	if wasStopped {
		replaceIsSafe(t, f, before, after, got, add, drop)
		after.V = got.V
		done(t, s.Replace(ctx, after, add, drop, start().Add(time.Second)))
		got = must(s.Get(ctx, id))(t)
	}
	after.V = got.V
	same(t, after, got)
	for _, c := range add {
		if h := must(s.Holder(ctx, c))(t); h.UserID != id {
			t.Fatalf("an added claim is held by %q, want %q", h.UserID, id)
		}
	}
	for _, c := range drop {
		refused(s.Holder(ctx, c))(t, fault.NotFound, "claim_unknown")
	}
	return !wasStopped
}

// unlinkAndLink drops the claim of a user, who links the identity again ahead of write k of that, or after it where nothing comes in between.
func unlinkAndLink(t *testing.T, f *Fixture, id string, k int, clock time.Duration) {
	t.Helper()
	s, ctx := f.Stores.Users, t.Context()
	listed := person(id)
	claims := personClaims(listed)
	done(t, s.Create(ctx, listed, claims, start()))
	unlisted := listed
	unlisted.Identities = nil
	link := func() {
		now := must(s.Get(ctx, id))(t)
		if len(now.Identities) > 0 {
			return
		}
		now.Identities = listed.Identities
		done(t, s.Replace(ctx, now, claims[:1], nil, start().Add(clock)))
	}
	if !f.Atomic {
		f.Ahead(k, link)
	}
	done(t, s.Replace(ctx, unlisted, nil, claims[:1], start()))
	if !f.Atomic {
		f.Ahead(-1, nil)
	}
	link()
	h := must(s.Holder(ctx, claims[0]))(t)
	if got := must(s.Get(ctx, id))(t); len(got.Identities) != 1 || h.UserID != id {
		t.Fatalf("ahead of write %d: the identities are %v, and the claim is held by %q", k, got.Identities, h.UserID)
	}
}

// replaceIsSafe wants the user as before with all its claims, or as after with all of the new ones: at no step does a user list what
// somebody else could claim.
func replaceIsSafe(t *testing.T, f *Fixture, before, after, got users.User, add, drop []users.Claim) {
	t.Helper()
	listed := drop
	if got.V == before.V {
		same(t, before, got)
	} else {
		after.V = before.V + 1
		same(t, after, got)
		listed = add
		if f.Atomic {
			t.Fatal("a stopped transaction changed the user")
		}
	}
	for _, c := range listed {
		if h := must(f.Stores.Users.Holder(t.Context(), c))(t); h.UserID != before.ID {
			t.Fatalf("a listed claim is held by %q, want %q", h.UserID, before.ID)
		}
	}
	for _, c := range add {
		if _, err := f.Stores.Users.Holder(t.Context(), c); f.Atomic {
			fails(t, err, fault.NotFound, "claim_unknown")
		}
	}
}

func appendThenRepeat(t *testing.T, f *Fixture, k int, stopped func(error) bool) bool {
	t.Helper()
	s, ctx := f.Stores.Changes, t.Context()
	var entries []changes.Entry
	for i := range 3 {
		entries = append(entries, changes.Entry{Kind: changes.UserVersion, Key: fmt.Sprintf("append-%02d-%d", k, i), Value: int64(k + i + 1)})
	}
	wasStopped := stopped(s.Append(ctx, entries...))
	if wasStopped {
		n := countEntries(t, f, entries)
		if f.Atomic && n != 0 {
			t.Fatalf("a stopped transaction left %d entries", n)
		}
		for _, e := range entries[n:] { // in order: the first n, none of the rest
			if countEntries(t, f, []changes.Entry{e}) != 0 {
				t.Fatalf("entry %q was written ahead of one before it", e.Key)
			}
		}
		done(t, s.Append(ctx, entries...))
	}
	if n := countEntries(t, f, entries); n != len(entries) {
		t.Fatalf("got %d entries, want %d", n, len(entries))
	}
	return !wasStopped
}

func countEntries(t *testing.T, f *Fixture, entries []changes.Entry) (n int) {
	t.Helper()
	for _, e := range must(f.Stores.Changes.Read(t.Context(), 0, start()))(t) {
		for _, want := range entries {
			if e.Kind == want.Kind && e.Key == want.Key && e.Value == want.Value {
				n++
			}
		}
	}
	return n
}

func auditThenRepeat(t *testing.T, f *Fixture, k int, stopped func(error) bool) bool {
	t.Helper()
	s, ctx := f.Stores.Audit, t.Context()
	var events []audit.Event
	for i := range 3 {
		events = append(events, audit.Event{ID: fmt.Sprintf("%02d-%d", k, i), At: start(), Action: "user.disable", Outcome: "done"})
	}
	wasStopped := stopped(s.AppendAudit(ctx, events))
	if wasStopped {
		if n := len(must(s.ListAudit(ctx, fmt.Sprintf("%02d-9", k), 3))(t)); f.Atomic && k == 0 && n != 0 {
			t.Fatalf("a stopped transaction left %d events", n)
		}
		done(t, s.AppendAudit(ctx, events))
	}
	got := must(s.ListAudit(ctx, fmt.Sprintf("%02d-9", k), 3))(t)
	same(t, []audit.Event{events[2], events[1], events[0]}, got)
	return !wasStopped
}
