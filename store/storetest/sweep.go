package storetest

import (
	"fmt"
	"testing"
	"time"

	"example.com/broker/apikeys"
	"example.com/broker/audit"
	"example.com/broker/clients"
	"example.com/broker/internal/changes"
	"example.com/broker/internal/fault"
	"example.com/broker/internal/ratelimit"
	"example.com/broker/sessions"
	"example.com/broker/tokens"
	"example.com/broker/users"
)

// testSweep sweeps days after some rows ended and before others do.
func testSweep(t *testing.T, f *Fixture) {
	s := f.Stores
	ctx, now := t.Context(), start()
	past, future := now.Add(67*time.Minute), now.Add(60*day)
	swept := now.Add(30 * day)

	live, ended, idle := session("live"), session("ended"), session("idle")
	live.IdleUntil, live.Until = future, future
	ended.IdleUntil, ended.Until = future, past
	idle.IdleUntil, idle.Until = past, future
	for _, v := range []sessions.Session{live, ended, idle} {
		done(t, s.Sessions.InsertSession(ctx, v))
	}
	kept, touched := family("kept"), session("touched")
	kept.IdleUntil, kept.Until = future, future
	touched.Until = future
	done(t, s.Sessions.InsertSession(ctx, touched))
	done(t, s.Sessions.TouchSession(ctx, "touched", future, now))
	moved, over, unused := family("moved"), family("over"), grantWithCode("unused")
	moved.IdleUntil, moved.Until, over.IdleUntil, over.Until = past, future, past, past
	unused.Until = past
	used := grantWithCode("used")
	used.Until = future
	for _, g := range []tokens.Grant{kept, moved, over, unused, used} {
		done(t, s.Grants.InsertGrant(ctx, g))
	}
	r := rotation(moved, "secret-1", now)
	r.IdleUntil = future
	moved = must(s.Grants.RotateGrant(ctx, r))(t)
	redeem := redemption(used, now)
	redeem.AnchorHash, redeem.Cur, redeem.IdleUntil = "", "", time.Time{}
	used = must(s.Grants.RedeemGrant(ctx, redeem))(t)
	for id, until := range map[string]time.Time{"past": past, "future": future} {
		done(t, s.Once.Put(ctx, "trip", id, []byte("x"), until))
		done(t, s.Once.Mark(ctx, "flow", id, until))
		done(t, s.Changes.Append(ctx, changes.Entry{Kind: changes.RevokedToken, Key: id, Until: until}))
		_, _, err := s.Limits.Take(ctx, id, ratelimit.Bounds{Limit: 1000, Window: until.Sub(now)}, now)
		done(t, err)
	}
	expired, listed, revoked := apiKey("expired"), apiKey("listed"), apiKey("revoked")
	expired.ExpiresAt = past.Add(-apikeys.Listed)
	listed.ExpiresAt = swept.Add(2*day - apikeys.Listed)
	revoked.ExpiresAt, revoked.RevokedAt = future, now
	for _, k := range []apikeys.Key{expired, listed, revoked} {
		done(t, s.APIKeys.InsertKey(ctx, k))
	}
	for jti, until := range map[string]time.Time{"past": past, "future": future, "moved": past} {
		done(t, s.Allowed.AllowToken(ctx, jti, until))
	}
	done(t, s.Allowed.AllowToken(ctx, "moved", future))
	done(t, s.Changes.Append(ctx, changes.Entry{Kind: changes.UserVersion, Key: "always", Value: 1}))
	done(t, s.Users.Create(ctx, users.User{ID: "usr"}, []users.Claim{address("usr@example.org")}, now))
	done(t, s.Clients.InsertClient(ctx, clients.Client{ID: "app"}))
	done(t, s.Audit.AppendAudit(ctx, []audit.Event{{ID: "old", At: now}}))
	const many = 1700 // more than a batch
	allDone(t, race(racers, func(i int) error {
		for j := range many / racers {
			if err := s.Once.Mark(ctx, "many", fmt.Sprint(i, "-", j), past); err != nil {
				return err
			}
		}
		return nil
	}))

	t.Run("nothing goes ahead of its end", func(t *testing.T) {
		done(t, s.Sweep(ctx, past.Add(-tick)))
		for _, id := range []string{"ended", "idle"} {
			must(s.Sessions.GetSession(ctx, id))(t)
		}
		must(s.Grants.GetGrant(ctx, "over"))(t)
		must(s.APIKeys.GetKey(ctx, "expired"))(t)
		if !must(s.Allowed.TokenAllowed(ctx, "past", past.Add(-tick)))(t) {
			t.Fatal("an allowed token went ahead of its end")
		}
		fails(t, s.Once.Put(ctx, "trip", "past", nil, future), fault.Conflict, "")
		fails(t, s.Once.Mark(ctx, "flow", "past", future), fault.Conflict, "")
		if _, ok := find(must(s.Changes.Read(ctx, 0, now))(t), changes.RevokedToken, "past"); !ok {
			t.Fatal("an entry went ahead of its end")
		}
		if n, _, err := s.Limits.Take(ctx, "past", ratelimit.Bounds{Limit: 1000, Window: time.Hour}, now); err != nil || n.Count != 2 {
			t.Fatalf("got count %d, %v, want 2", n.Count, err)
		}
	})
	done(t, s.Sweep(ctx, swept))
	t.Run("what has ended is gone", func(t *testing.T) {
		refused(s.Sessions.GetSession(ctx, "ended"))(t, fault.NotFound, "session_unknown")
		refused(s.Sessions.GetSession(ctx, "idle"))(t, fault.NotFound, "session_unknown")
		refused(s.Grants.GetGrant(ctx, "over"))(t, fault.NotFound, "grant_unknown")
		refused(s.Grants.GetGrant(ctx, "unused"))(t, fault.NotFound, "grant_unknown")
		refused(s.APIKeys.GetKey(ctx, "expired"))(t, fault.NotFound, "key_unknown")
		fails(t, s.APIKeys.RevokeKey(ctx, "expired", now), fault.NotFound, "key_unknown")
		if must(s.Allowed.TokenAllowed(ctx, "past", past.Add(-tick)))(t) { // it would be, were it still there
			t.Fatal("an allowed token that ended is still stored")
		}
		done(t, s.Once.Put(ctx, "trip", "past", []byte("x"), future))
		done(t, s.Once.Mark(ctx, "flow", "past", future))
		for i := range racers {
			for j := range many / racers {
				done(t, s.Once.Mark(ctx, "many", fmt.Sprint(i, "-", j), future))
			}
		}
		if _, ok := find(must(s.Changes.Read(ctx, 0, now))(t), changes.RevokedToken, "past"); ok {
			t.Fatal("an entry that ended is still in the stream")
		}
		if n, _, err := s.Limits.Take(ctx, "past", ratelimit.Bounds{Limit: 1000, Window: time.Hour}, now); err != nil || n.Count != 1 {
			t.Fatalf("got count %d, %v, want a new counter", n.Count, err)
		}
	})
	t.Run("what has not ended is kept, also where its end was moved", func(t *testing.T) {
		same(t, live, must(s.Sessions.GetSession(ctx, "live"))(t))
		must(s.Sessions.GetSession(ctx, "touched"))(t)
		same(t, kept, must(s.Grants.GetGrant(ctx, "kept"))(t))
		same(t, moved, must(s.Grants.GetGrant(ctx, "moved"))(t))
		for _, k := range []apikeys.Key{listed, revoked} {
			same(t, k, must(s.APIKeys.GetKey(ctx, k.ID))(t))
		}
		for _, jti := range []string{"future", "moved"} {
			if !must(s.Allowed.TokenAllowed(ctx, jti, swept))(t) {
				t.Fatalf("the allowed token %s is gone", jti)
			}
		}
		must(s.Once.Take(ctx, "trip", "future", now))(t)
		fails(t, s.Once.Mark(ctx, "flow", "future", future), fault.Conflict, "")
		entries := must(s.Changes.Read(ctx, 0, now))(t)
		_, future := find(entries, changes.RevokedToken, "future")
		_, always := find(entries, changes.UserVersion, "always")
		if !future || !always {
			t.Fatalf("got %+v, want the entries that have not ended", entries)
		}
		if n, _, err := s.Limits.Take(ctx, "future", ratelimit.Bounds{Limit: 1000, Window: time.Hour}, now); err != nil || n.Count != 2 {
			t.Fatalf("got count %d, %v, want 2", n.Count, err)
		}
	})
	t.Run("a spent code is kept as long as what it bought, so that its replay is seen", func(t *testing.T) {
		same(t, used, must(s.Grants.GetGrant(ctx, "used"))(t))
	})
	t.Run("what has no end is kept", func(t *testing.T) {
		must(s.Users.Get(ctx, "usr"))(t)
		must(s.Users.Holder(ctx, address("usr@example.org")))(t)
		must(s.Clients.GetClient(ctx, "app"))(t)
		if got := must(s.Audit.ListAudit(ctx, "", 5))(t); len(got) != 1 {
			t.Fatalf("got %d audit events, want 1", len(got))
		}
	})
	t.Run("sweeping again is success", func(t *testing.T) { done(t, s.Sweep(ctx, swept)) })
}
