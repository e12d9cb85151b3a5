package storetest

import (
	"context"
	"fmt"
	"slices"
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

const unavailable = "store_unavailable"

// call is one use of a method.
type call struct {
	name string
	do   func(ctx context.Context) error
}

// calls uses every method of a store once, in an order in which all succeed once and most cannot succeed twice.
func calls(s *store.Stores) []call {
	now := start()
	until := now.Add(time.Hour)
	return []call{
		{"Create", func(ctx context.Context) error {
			return s.Users.Create(ctx, users.User{ID: "none"}, []users.Claim{address("none")}, now)
		}},
		{"Get", func(ctx context.Context) error { _, err := s.Users.Get(ctx, "some"); return err }},
		{"Holder", func(ctx context.Context) error { _, err := s.Users.Holder(ctx, address("some")); return err }},
		{"TakeOver", func(ctx context.Context) error {
			return s.Users.TakeOver(ctx, address("some"), users.Holder{UserID: "some", At: now}, "thief", now)
		}},
		{"Replace", func(ctx context.Context) error {
			return s.Users.Replace(ctx, users.User{ID: "some", Name: "changed"}, nil, []users.Claim{address("some")}, now)
		}},
		{"List", func(ctx context.Context) error { _, err := s.Users.List(ctx, "", 5); return err }},
		{"Admins", func(ctx context.Context) error { _, err := s.Admins.Admins(ctx); return err }},
		{"JoinAdmins", func(ctx context.Context) error { return s.Admins.JoinAdmins(ctx, "none") }},
		{"LeaveAdmins", func(ctx context.Context) error { return s.Admins.LeaveAdmins(ctx, "some") }},
		{"InsertClient", func(ctx context.Context) error { return s.Clients.InsertClient(ctx, clients.Client{ID: "none"}) }},
		{"GetClient", func(ctx context.Context) error { _, err := s.Clients.GetClient(ctx, "some"); return err }},
		{"ReplaceClient", func(ctx context.Context) error {
			return s.Clients.ReplaceClient(ctx, clients.Client{ID: "some", Name: "changed"})
		}},
		{"ListClients", func(ctx context.Context) error { _, err := s.Clients.ListClients(ctx, "", 5); return err }},
		{"InsertSession", func(ctx context.Context) error { return s.Sessions.InsertSession(ctx, session("none")) }},
		{"GetSession", func(ctx context.Context) error { _, err := s.Sessions.GetSession(ctx, "some"); return err }},
		{"TouchSession", func(ctx context.Context) error { return s.Sessions.TouchSession(ctx, "some", until.Add(day), now) }},
		{"ReplaceSession", func(ctx context.Context) error { return s.Sessions.ReplaceSession(ctx, session("some"), "hash-some") }},
		{"DeleteSession", func(ctx context.Context) error { return s.Sessions.DeleteSession(ctx, "some") }},
		{"SessionsOf", func(ctx context.Context) error { _, err := s.Sessions.SessionsOf(ctx, "usr", 5); return err }},
		{"LoadKeys", func(ctx context.Context) error { _, err := s.Keys.LoadKeys(ctx, "ES256"); return err }},
		{"SwapKeys", func(ctx context.Context) error { return s.Keys.SwapKeys(ctx, keys.Set{Alg: "ES256"}) }},
		{"InsertGrant", func(ctx context.Context) error { return s.Grants.InsertGrant(ctx, family("none")) }},
		{"GetGrant", func(ctx context.Context) error { _, err := s.Grants.GetGrant(ctx, "some"); return err }},
		{"RedeemGrant", func(ctx context.Context) error {
			_, err := s.Grants.RedeemGrant(ctx, redemption(grantWithCode("coded"), now))
			return err
		}},
		{"RotateGrant", func(ctx context.Context) error {
			_, err := s.Grants.RotateGrant(ctx, rotation(family("some"), "secret-1", now))
			return err
		}},
		{"KillGrant", func(ctx context.Context) error { return s.Grants.KillGrant(ctx, "some", now) }},
		{"AllowToken", func(ctx context.Context) error { return s.Allowed.AllowToken(ctx, "none", until) }},
		{"TokenAllowed", func(ctx context.Context) error { _, err := s.Allowed.TokenAllowed(ctx, "some", now); return err }},
		{"ForgetToken", func(ctx context.Context) error { return s.Allowed.ForgetToken(ctx, "some") }},
		{"InsertKey", func(ctx context.Context) error { return s.APIKeys.InsertKey(ctx, apiKey("none")) }},
		{"GetKey", func(ctx context.Context) error { _, err := s.APIKeys.GetKey(ctx, "some"); return err }},
		{"KeysOf", func(ctx context.Context) error { _, err := s.APIKeys.KeysOf(ctx, "usr", 5); return err }},
		{"LiveKeysOf", func(ctx context.Context) error { _, err := s.APIKeys.LiveKeysOf(ctx, "usr", now, 5); return err }},
		{"TouchKey", func(ctx context.Context) error { return s.APIKeys.TouchKey(ctx, "some", until) }},
		{"RevokeKey", func(ctx context.Context) error { return s.APIKeys.RevokeKey(ctx, "some", now) }},
		{"Put", func(ctx context.Context) error { return s.Once.Put(ctx, "trip", "none", nil, until) }},
		{"Take", func(ctx context.Context) error { _, err := s.Once.Take(ctx, "trip", "some", now); return err }},
		{"Mark", func(ctx context.Context) error { return s.Once.Mark(ctx, "flow", "none", until) }},
		{"Append", func(ctx context.Context) error {
			return s.Changes.Append(ctx, changes.Entry{Kind: changes.UserVersion, Key: "none"})
		}},
		{"Read", func(ctx context.Context) error { _, err := s.Changes.Read(ctx, 0, now); return err }},
		{"Take", func(ctx context.Context) error {
			_, _, err := s.Limits.Take(ctx, "none", ratelimit.Bounds{Limit: 1000, Window: time.Hour}, now)
			return err
		}},
		{"Return", func(ctx context.Context) error { return s.Limits.Return(ctx, "some", until) }},
		{"Reset", func(ctx context.Context) error { return s.Limits.Reset(ctx, "some", until) }},
		{"Forget", func(ctx context.Context) error { return s.Limits.Forget(ctx, "some") }},
		{"AppendAudit", func(ctx context.Context) error { return s.Audit.AppendAudit(ctx, []audit.Event{{ID: "none"}}) }},
		{"ListAudit", func(ctx context.Context) error { _, err := s.Audit.ListAudit(ctx, "", 5); return err }},
		{"TrimAudit", func(ctx context.Context) error { _, err := s.Audit.TrimAudit(ctx, now, 5); return err }},
		{"Ping", s.Ping},
		{"Sweep", func(ctx context.Context) error { return s.Sweep(ctx, now) }},
	}
}

func testContext(t *testing.T, f *Fixture) {
	s := f.Stores
	ctx, now := t.Context(), start()
	done(t, s.Users.Create(ctx, users.User{ID: "some"}, []users.Claim{address("some")}, now))
	done(t, s.Admins.JoinAdmins(ctx, "some"))
	done(t, s.Admins.JoinAdmins(ctx, "other"))
	done(t, s.Clients.InsertClient(ctx, clients.Client{ID: "some"}))
	done(t, s.Sessions.InsertSession(ctx, session("some")))
	done(t, s.Grants.InsertGrant(ctx, family("some")))
	done(t, s.Grants.InsertGrant(ctx, grantWithCode("coded")))
	done(t, s.Allowed.AllowToken(ctx, "some", now.Add(time.Hour)))
	done(t, s.APIKeys.InsertKey(ctx, apiKey("some")))
	done(t, s.Once.Put(ctx, "trip", "some", nil, now.Add(time.Hour)))
	_, _, err := s.Limits.Take(ctx, "some", ratelimit.Bounds{Limit: 1000, Window: time.Hour}, now)
	done(t, err)

	for _, c := range calls(s) {
		t.Run(c.name+" by a caller who has left is unavailable", func(t *testing.T) {
			fails(t, c.do(cancelled(ctx)), fault.Unavailable, unavailable)
		})
	}
	t.Run("and none of it happened", func(t *testing.T) {
		nothingHappened(t, s)
		for _, c := range calls(s) {
			done(t, c.do(ctx))
		}
	})
	t.Run("a caller who leaves meanwhile gets all of a sequence, nothing, or a prefix that counts for nothing", func(t *testing.T) {
		for round := range 40 {
			leaveMeanwhile(t, f, fmt.Sprintf("leaver-%02d", round))
		}
	})
	t.Run("the store goes on for others", func(t *testing.T) { done(t, s.Ping(ctx)) })
}

// nothingHappened looks at what a second call would not betray; the other methods fail the second time if the first was carried out.
func nothingHappened(t *testing.T, s *store.Stores) {
	t.Helper()
	ctx, now := t.Context(), start()
	admins := must(s.Admins.Admins(ctx))(t)
	slices.Sort(admins)
	same(t, []string{"other", "some"}, admins)
	same(t, session("some"), must(s.Sessions.GetSession(ctx, "some"))(t))
	same(t, family("some"), must(s.Grants.GetGrant(ctx, "some"))(t))
	same(t, []apikeys.Key{apiKey("some")}, must(s.APIKeys.KeysOf(ctx, "usr", 5))(t))
	for jti, want := range map[string]bool{"none": false, "some": true} {
		if got := must(s.Allowed.TokenAllowed(ctx, jti, now))(t); got != want {
			t.Fatalf("token %s: allowed is %v, want %v", jti, got, want)
		}
	}
	same(t, nil, must(s.Changes.Read(ctx, 0, now))(t))
	same(t, nil, must(s.Audit.ListAudit(ctx, "", 5))(t))
	for key, want := range map[string]int64{"none": 1, "some": 2} {
		if n, _, err := s.Limits.Take(ctx, key, ratelimit.Bounds{Limit: 1000, Window: time.Hour}, now); err != nil || n.Count != want {
			t.Fatalf("counter %s: got %d, %v, want %d", key, n.Count, err, want)
		}
	}
}

func leaveMeanwhile(t *testing.T, f *Fixture, id string) {
	t.Helper()
	s, ctx := f.Stores.Users, t.Context()
	leaving, leave := context.WithCancel(ctx)
	defer leave()
	u, claims := threeClaims(id)
	errs := race(2, func(i int) error {
		if i == 0 {
			leave()
			return nil
		}
		return s.Create(leaving, u, claims, start())
	})
	_, err := s.Get(ctx, id)
	switch {
	case errs[1] == nil:
		done(t, err)
	case err != nil:
		fails(t, errs[1], fault.Unavailable, unavailable)
		fails(t, err, fault.NotFound, "user_unknown")
		done(t, s.Create(ctx, u, claims, start()))
	}
	for _, c := range claims {
		if h := must(s.Holder(ctx, c))(t); h.UserID != id {
			t.Fatalf("a claim is held by %q, want %q", h.UserID, id)
		}
	}
}

func testClose(t *testing.T, f *Fixture) {
	s := f.Stores
	ctx := t.Context()
	t.Run("what was acknowledged while the store closed is there when it opens again", func(t *testing.T) {
		stored := make([]bool, racers)
		errs := race(racers+1, func(i int) error {
			if i == racers {
				return s.Close()
			}
			err := s.Clients.InsertClient(ctx, clients.Client{ID: fmt.Sprint("closing-", i)})
			stored[i] = err == nil
			if fault.Is(err, fault.Unavailable) {
				return nil
			}
			return err
		})
		allDone(t, errs)
		for _, c := range calls(s) {
			fails(t, c.do(ctx), fault.Unavailable, unavailable)
		}
		s = f.Reopen(t)
		for i, want := range stored {
			if _, err := s.Clients.GetClient(ctx, fmt.Sprint("closing-", i)); want && err != nil {
				t.Fatalf("an acknowledged client is lost: %v", err)
			}
		}
	})
}
