package storetest

import (
	"testing"
	"time"

	"example.com/broker/internal/fault"
	"example.com/broker/users"
)

func testClaims(t *testing.T, f *Fixture) {
	s := f.Stores.Users
	ctx, now := t.Context(), start()
	create := func(t *testing.T, id string, claims ...users.Claim) users.User {
		t.Helper()
		u := users.User{ID: id, Status: users.Active}
		done(t, s.Create(ctx, u, claims, now))
		return u
	}
	holds := func(t *testing.T, c users.Claim, id string, at time.Time) {
		t.Helper()
		same(t, users.Holder{UserID: id, At: at}, must(s.Holder(ctx, c))(t))
	}
	free := func(t *testing.T, c users.Claim) {
		t.Helper()
		refused(s.Holder(ctx, c))(t, fault.NotFound, "claim_unknown")
	}

	t.Run("a created user holds the claims since now", func(t *testing.T) {
		create(t, "holder", identity("i-holder"), address("holder@example.org"))
		holds(t, identity("i-holder"), "holder", now)
		holds(t, address("holder@example.org"), "holder", now)
	})
	t.Run("a claim nobody holds is not found", func(t *testing.T) { free(t, address("free@example.org")) })
	t.Run("one key is two claims as an identity and as an address", func(t *testing.T) {
		create(t, "as-identity", identity("shared-key"))
		create(t, "as-address", address("shared-key"))
		holds(t, identity("shared-key"), "as-identity", now)
		holds(t, address("shared-key"), "as-address", now)
	})
	t.Run("keys are compared byte by byte", func(t *testing.T) {
		keys := []string{
			"straße@example.org", "strasse@example.org", "STRASSE@example.org", "\u00e9@example.org", "e\u0301@example.org",
			"pad@example.org", "pad@example.org ", " pad@example.org", "k@example.org", "\u212a@example.org", "a.b:c/d$e", "a", "A", "",
		}
		for i, key := range keys {
			id := string(rune('a'+i)) + "-bytes"
			create(t, id, address(key))
			holds(t, address(key), id, now)
		}
	})
	t.Run("a claim that another user holds is refused, and no user comes of it", func(t *testing.T) {
		create(t, "first", identity("i-first"), address("contended@example.org"))
		err := s.Create(ctx, users.User{ID: "second"}, []users.Claim{identity("i-second"), address("contended@example.org")}, now)
		fails(t, err, fault.Conflict, "claim_taken")
		refused(s.Get(ctx, "second"))(t, fault.NotFound, "user_unknown")
		holds(t, address("contended@example.org"), "first", now)
		if h, err := s.Holder(ctx, identity("i-second")); err == nil && (f.Atomic || h.UserID != "second") {
			t.Fatalf("the claim before it is held by %q", h.UserID)
		}
	})
	t.Run("a claim held already is success and is renewed", func(t *testing.T) {
		u := create(t, "again", identity("i-again"))
		later := now.Add(time.Hour)
		done(t, s.Replace(ctx, u, []users.Claim{identity("i-again")}, nil, later))
		holds(t, identity("i-again"), "again", later)
	})
	t.Run("a claim left behind by a creation is its user's when the creation is repeated", func(t *testing.T) {
		u := create(t, "left", identity("i-left"))
		done(t, s.TakeOver(ctx, identity("i-left"), users.Holder{UserID: u.ID, At: now}, "to-come", now.Add(tick)))
		create(t, "to-come", identity("i-left"), address("to-come@example.org"))
		holds(t, identity("i-left"), "to-come", now)
	})
	t.Run("a replacement takes claims, then drops those its user holds", func(t *testing.T) {
		u := create(t, "mover", address("old@example.org"))
		create(t, "bystander", address("bystander@example.org"))
		drop := []users.Claim{address("old@example.org"), address("bystander@example.org"), address("nobodys@example.org")}
		done(t, s.Replace(ctx, u, []users.Claim{address("new@example.org")}, drop, now.Add(tick)))
		holds(t, address("new@example.org"), "mover", now.Add(tick))
		free(t, address("old@example.org"))
		holds(t, address("bystander@example.org"), "bystander", now)
	})
	t.Run("a replacement that wants another user's claim changes nothing of the user", func(t *testing.T) {
		u := create(t, "greedy", address("mine@example.org"))
		create(t, "owner", address("theirs@example.org"))
		u.Name = "changed"
		err := s.Replace(ctx, u, []users.Claim{address("theirs@example.org")}, []users.Claim{address("mine@example.org")}, now)
		fails(t, err, fault.Conflict, "claim_taken")
		same(t, users.User{ID: "greedy", Status: users.Active}, must(s.Get(ctx, "greedy"))(t))
		holds(t, address("mine@example.org"), "greedy", now)
		holds(t, address("theirs@example.org"), "owner", now)
	})
	t.Run("a replacement of an old version drops nothing", func(t *testing.T) {
		u := create(t, "stale", address("stale@example.org"))
		done(t, s.Replace(ctx, u, nil, nil, now))
		fails(t, s.Replace(ctx, u, nil, []users.Claim{address("stale@example.org")}, now), fault.Conflict, "user_changed")
		holds(t, address("stale@example.org"), "stale", now)
	})
	t.Run("a dropped claim is free for another user", func(t *testing.T) {
		u := create(t, "giver", address("given@example.org"))
		done(t, s.Replace(ctx, u, nil, []users.Claim{address("given@example.org")}, now))
		create(t, "receiver", address("given@example.org"))
		holds(t, address("given@example.org"), "receiver", now)
	})
	t.Run("a takeover moves the claim and its time", func(t *testing.T) {
		create(t, "past", identity("i-moved"))
		done(t, s.TakeOver(ctx, identity("i-moved"), users.Holder{UserID: "past", At: now}, "next", now.Add(time.Hour)))
		holds(t, identity("i-moved"), "next", now.Add(time.Hour))
	})
	t.Run("a takeover from a holder as it no longer is, is refused", func(t *testing.T) {
		create(t, "kept", identity("i-kept"))
		for name, from := range map[string]users.Holder{
			"another user": {UserID: "other", At: now},
			"another time": {UserID: "kept", At: now.Add(-tick)},
			"no holder":    {},
		} {
			if err := s.TakeOver(ctx, identity("i-kept"), from, "thief", now); fault.CodeOf(err) != "claim_taken" || !fault.Is(err, fault.Conflict) {
				t.Fatalf("%s: got %v, want conflict claim_taken", name, err)
			}
		}
		fails(t, s.TakeOver(ctx, identity("i-none"), users.Holder{UserID: "kept", At: now}, "thief", now), fault.Conflict, "claim_taken")
		holds(t, identity("i-kept"), "kept", now)
		free(t, identity("i-none"))
	})
	t.Run("a takeover that was read before a renewal is refused", func(t *testing.T) {
		u := create(t, "alive", identity("i-alive"))
		seen := must(s.Holder(ctx, identity("i-alive")))(t)
		done(t, s.Replace(ctx, u, []users.Claim{identity("i-alive")}, nil, now.Add(time.Minute)))
		fails(t, s.TakeOver(ctx, identity("i-alive"), seen, "thief", now.Add(time.Minute)), fault.Conflict, "claim_taken")
	})
}
