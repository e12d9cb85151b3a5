package storetest

import (
	"testing"
	"time"

	"example.com/broker/apikeys"
	"example.com/broker/audit"
	"example.com/broker/clients"
	"example.com/broker/internal/changes"
	"example.com/broker/internal/fault"
	"example.com/broker/internal/ratelimit"
	"example.com/broker/keys"
	"example.com/broker/store"
	"example.com/broker/users"
)

// testRestart writes one of each, opens the same data again and wants it all back: nothing acknowledged lost, nothing spent revived.
func testRestart(t *testing.T, f *Fixture) {
	ctx, now := t.Context(), start()
	u := filled[users.User]("kept")
	u.ID = "kept"
	claim := identity("i-kept")
	c := filled[clients.Client]("kept")
	v := session("kept")
	fresh, spent, rotated := grantWithCode("fresh"), grantWithCode("spent"), family("rotated")
	set := keys.Set{Alg: "ES256", Keys: filled[keys.Set]("kept").Keys}
	event := filled[audit.Event]("kept")

	s := f.Stores
	done(t, s.Users.Create(ctx, u, []users.Claim{claim}, now))
	done(t, s.Admins.JoinAdmins(ctx, "kept"))
	done(t, s.Clients.InsertClient(ctx, c))
	done(t, s.Sessions.InsertSession(ctx, v))
	done(t, s.Keys.SwapKeys(ctx, set))
	done(t, s.Grants.InsertGrant(ctx, fresh))
	done(t, s.Grants.InsertGrant(ctx, spent))
	must(s.Grants.RedeemGrant(ctx, redemption(spent, now)))(t)
	done(t, s.Grants.InsertGrant(ctx, rotated))
	must(s.Grants.RotateGrant(ctx, rotation(rotated, "secret-1", now)))(t)
	key, revoked := filled[apikeys.Key]("kept"), apiKey("revoked")
	key.RevokedAt = time.Time{}
	done(t, s.APIKeys.InsertKey(ctx, key))
	done(t, s.APIKeys.InsertKey(ctx, revoked))
	done(t, s.APIKeys.RevokeKey(ctx, revoked.ID, now))
	key.LastUsed, revoked.RevokedAt = key.LastUsed.Add(time.Hour), now
	done(t, s.APIKeys.TouchKey(ctx, key.ID, key.LastUsed))
	for _, jti := range []string{"kept", "forgotten"} {
		done(t, s.Allowed.AllowToken(ctx, jti, now.Add(time.Hour)))
	}
	done(t, s.Allowed.ForgetToken(ctx, "forgotten"))
	done(t, s.Once.Put(ctx, "trip", "fresh", []byte("x"), now.Add(time.Hour)))
	done(t, s.Once.Put(ctx, "trip", "spent", []byte("x"), now.Add(time.Hour)))
	must(s.Once.Take(ctx, "trip", "spent", now))(t)
	done(t, s.Once.Mark(ctx, "flow", "set", now.Add(time.Hour)))
	done(t, s.Changes.Append(ctx, changes.Entry{Kind: changes.UserVersion, Key: "kept", Value: 4}))
	position := newest(must(s.Changes.Read(ctx, 0, now))(t))
	_, _, err := s.Limits.Take(ctx, "kept", ratelimit.Bounds{Limit: 1000, Window: time.Hour}, now)
	done(t, err)
	done(t, s.Audit.AppendAudit(ctx, []audit.Event{event}))

	s = f.Reopen(t)
	t.Run("what was stored is there", func(t *testing.T) {
		same(t, u, must(s.Users.Get(ctx, "kept"))(t))
		same(t, users.Holder{UserID: "kept", At: now}, must(s.Users.Holder(ctx, claim))(t))
		same(t, []string{"kept"}, must(s.Admins.Admins(ctx))(t))
		same(t, c, must(s.Clients.GetClient(ctx, c.ID))(t))
		same(t, v, must(s.Sessions.GetSession(ctx, "kept"))(t))
		same(t, set.Keys, must(s.Keys.LoadKeys(ctx, "ES256"))(t).Keys)
		same(t, key, must(s.APIKeys.GetKey(ctx, key.ID))(t))
		same(t, []apikeys.Key{key}, must(s.APIKeys.KeysOf(ctx, key.OwnerID, 5))(t))
		if !must(s.Allowed.TokenAllowed(ctx, "kept", now))(t) {
			t.Fatal("an allowed token is lost")
		}
		same(t, []audit.Event{event}, must(s.Audit.ListAudit(ctx, "", 10))(t))
	})
	t.Run("what was spent stays spent, what was not can be", func(t *testing.T) {
		refused(s.Grants.RedeemGrant(ctx, redemption(spent, now)))(t, fault.Conflict, "grant_unmatched")
		must(s.Grants.RedeemGrant(ctx, redemption(fresh, now)))(t)
		refused(s.Grants.RotateGrant(ctx, rotation(rotated, "secret-x", now)))(t, fault.Conflict, "grant_unmatched")
		rotated.Cur = "secret-1"
		must(s.Grants.RotateGrant(ctx, rotation(rotated, "secret-2", now)))(t)
		refused(s.Once.Take(ctx, "trip", "spent", now))(t, fault.NotFound, "")
		must(s.Once.Take(ctx, "trip", "fresh", now))(t)
		fails(t, s.Once.Mark(ctx, "flow", "set", now.Add(time.Hour)), fault.Conflict, "")
		same(t, revoked, must(s.APIKeys.GetKey(ctx, revoked.ID))(t))
		if must(s.Allowed.TokenAllowed(ctx, "forgotten", now))(t) {
			t.Fatal("a forgotten token is allowed again")
		}
		if n, _, err := s.Limits.Take(ctx, "kept", ratelimit.Bounds{Limit: 1000, Window: time.Hour}, now); err != nil || n.Count != 2 {
			t.Fatalf("got count %d, %v, want 2", n.Count, err)
		}
	})
	t.Run("the stream goes on where it was", func(t *testing.T) { streamGoesOn(t, s, position, now) })
	t.Run("the last position is not given again, though its entry was swept", func(t *testing.T) {
		done(t, s.Changes.Append(ctx, changes.Entry{Kind: changes.RevokedToken, Key: "swept", Until: now.Add(time.Minute)}))
		position := newest(must(s.Changes.Read(ctx, 0, now))(t))
		done(t, s.Sweep(ctx, now.Add(time.Hour)))
		s = f.Reopen(t)
		streamGoesOn(t, s, position, now)
	})
}

// streamGoesOn wants a follower who has read up to position to be given the next entry.
func streamGoesOn(t *testing.T, s *store.Stores, position int64, now time.Time) {
	t.Helper()
	done(t, s.Changes.Append(t.Context(), changes.Entry{Kind: changes.ClientVersion, Key: "next", Value: 1}))
	e, ok := find(must(s.Changes.Read(t.Context(), position, now))(t), changes.ClientVersion, "next")
	if near, _ := s.Changes.Overlap(); !ok || near == 0 && e.At == position {
		t.Fatalf("after position %d the next entry is at %d", position, e.At)
	}
}
