package mongo_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/audit"
	"example.com/broker/clients"
	"example.com/broker/internal/changes"
	"example.com/broker/internal/fault"
	"example.com/broker/internal/ratelimit"
	"example.com/broker/keys"
	"example.com/broker/store"
	"example.com/broker/store/mongo/mongotest"
	"example.com/broker/tokens"
	"example.com/broker/users"
)

// disturbed is one database opened twice: by a broker behind a proxy, and by one that sees what really happened.
type disturbed struct {
	behind, direct *store.Stores
	proxy          *mongotest.Proxy
}

func disturb(t *testing.T, timeout time.Duration) disturbed {
	t.Helper()
	database, proxy := mongotest.Database(t), mongotest.ServerProxy(t)
	o := options(proxy.URI(mongotest.URI(t)), database)
	o.Timeout = timeout
	return disturbed{behind: open(t, o), direct: open(t, options(mongotest.URI(t), database)), proxy: proxy}
}

// loseOne loses the answers to whatever the broker behind the proxy asks in the next moment.
func (d disturbed) loseOne(t *testing.T) {
	t.Helper()
	d.proxy.LoseAnswers()
	timer := time.AfterFunc(100*time.Millisecond, d.proxy.Pass)
	t.Cleanup(func() { timer.Stop() })
}

// A lost answer is no lost work: the write that happened is recognised as one's own.
func TestLostAnswerOfOnesOwnWriteIsSuccess(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		setup func(context.Context, *store.Stores) error
		act   func(context.Context, *store.Stores) error
		// done looks at what is stored.
		done func(context.Context, *store.Stores) (bool, error)
	}{
		{
			name: "session inserted",
			act:  func(ctx context.Context, s *store.Stores) error { return s.Sessions.InsertSession(ctx, aSession("s")) },
			done: func(ctx context.Context, s *store.Stores) (bool, error) {
				got, err := s.Sessions.GetSession(ctx, "s")
				return cmp.Equal(got, aSession("s")), err
			},
		},
		{
			name:  "session replaced",
			setup: func(ctx context.Context, s *store.Stores) error { return s.Sessions.InsertSession(ctx, aSession("s")) },
			act: func(ctx context.Context, s *store.Stores) error {
				next := aSession("s")
				next.SecretHash = "next"
				return s.Sessions.ReplaceSession(ctx, next, "hash")
			},
			done: func(ctx context.Context, s *store.Stores) (bool, error) {
				got, err := s.Sessions.GetSession(ctx, "s")
				return got.SecretHash == "next", err
			},
		},
		{
			name:  "session touched",
			setup: func(ctx context.Context, s *store.Stores) error { return s.Sessions.InsertSession(ctx, aSession("s")) },
			act: func(ctx context.Context, s *store.Stores) error {
				return s.Sessions.TouchSession(ctx, "s", now.Add(2*time.Hour), now)
			},
			done: func(ctx context.Context, s *store.Stores) (bool, error) {
				got, err := s.Sessions.GetSession(ctx, "s")
				return got.IdleUntil.Equal(now.Add(2 * time.Hour)), err
			},
		},
		{
			name: "mark set",
			act: func(ctx context.Context, s *store.Stores) error {
				return s.Once.Mark(ctx, "flow", "m", now.Add(time.Hour))
			},
			done: func(ctx context.Context, s *store.Stores) (bool, error) {
				return fault.Is(s.Once.Mark(ctx, "flow", "m", now.Add(time.Hour)), fault.Conflict), nil
			},
		},
		{
			name: "record put",
			act: func(ctx context.Context, s *store.Stores) error {
				return s.Once.Put(ctx, "reset", "r", []byte("v"), now.Add(time.Hour))
			},
			done: func(ctx context.Context, s *store.Stores) (bool, error) {
				got, err := s.Once.Take(ctx, "reset", "r", now)
				return string(got) == "v", err
			},
		},
		{
			name:  "code redeemed, no family begun",
			setup: func(ctx context.Context, s *store.Stores) error { return s.Grants.InsertGrant(ctx, aCode("g")) },
			act: func(ctx context.Context, s *store.Stores) error {
				_, err := s.Grants.RedeemGrant(ctx, aRedemption("g"))
				return err
			},
			done: func(ctx context.Context, s *store.Stores) (bool, error) {
				got, err := s.Grants.GetGrant(ctx, "g")
				return !got.CodeSpent.IsZero(), err
			},
		},
		{
			name:  "token rotated",
			setup: func(ctx context.Context, s *store.Stores) error { return s.Grants.InsertGrant(ctx, aFamily("g")) },
			act: func(ctx context.Context, s *store.Stores) error {
				got, err := s.Grants.RotateGrant(ctx, aRotation("g", "second"))
				if err == nil && (got.Cur != "second" || got.Prev != "first") {
					return fault.New(fault.Internal, "", "the grant returned is not the one after the update: %+v", got)
				}
				return err
			},
			done: func(ctx context.Context, s *store.Stores) (bool, error) {
				got, err := s.Grants.GetGrant(ctx, "g")
				return got.Cur == "second" && got.Prev == "first" && got.Successor == "sealed second", err
			},
		},
		{
			name:  "grant killed",
			setup: func(ctx context.Context, s *store.Stores) error { return s.Grants.InsertGrant(ctx, aFamily("g")) },
			act:   func(ctx context.Context, s *store.Stores) error { return s.Grants.KillGrant(ctx, "g", now) },
			done: func(ctx context.Context, s *store.Stores) (bool, error) {
				got, err := s.Grants.GetGrant(ctx, "g")
				return got.Dead.Equal(now), err
			},
		},
		{
			name: "user created",
			act: func(ctx context.Context, s *store.Stores) error {
				return s.Users.Create(ctx, aUser("u"), claimsOf("u"), now)
			},
			done: func(ctx context.Context, s *store.Stores) (bool, error) {
				got, err := s.Users.Get(ctx, "u")
				return cmp.Equal(got, aUser("u")), err
			},
		},
		{
			name:  "user replaced",
			setup: func(ctx context.Context, s *store.Stores) error { return s.Users.Create(ctx, aUser("u"), nil, now) },
			act: func(ctx context.Context, s *store.Stores) error {
				next := aUser("u")
				next.Ver = 7
				return s.Users.Replace(ctx, next, nil, nil, now)
			},
			done: func(ctx context.Context, s *store.Stores) (bool, error) {
				got, err := s.Users.Get(ctx, "u")
				return got.Ver == 7 && got.V == 1, err
			},
		},
		{
			name: "claim taken over",
			setup: func(ctx context.Context, s *store.Stores) error {
				return s.Users.Create(ctx, aUser("u"), claimsOf("u"), now)
			},
			act: func(ctx context.Context, s *store.Stores) error {
				return s.Users.TakeOver(ctx, claimsOf("u")[0], users.Holder{UserID: "u", At: now}, "other", now.Add(time.Hour))
			},
			done: func(ctx context.Context, s *store.Stores) (bool, error) {
				got, err := s.Users.Holder(ctx, claimsOf("u")[0])
				return got.UserID == "other", err
			},
		},
		{
			name: "client inserted",
			act: func(ctx context.Context, s *store.Stores) error {
				return s.Clients.InsertClient(ctx, clients.Client{ID: "c", Name: "app"})
			},
			done: func(ctx context.Context, s *store.Stores) (bool, error) {
				got, err := s.Clients.GetClient(ctx, "c")
				return got.Name == "app", err
			},
		},
		{
			name: "keys stored",
			act:  func(ctx context.Context, s *store.Stores) error { return s.Keys.SwapKeys(ctx, keys.Set{Alg: "ES256"}) },
			done: func(ctx context.Context, s *store.Stores) (bool, error) {
				got, err := s.Keys.LoadKeys(ctx, "ES256")
				return got.V == 1, err
			},
		},
		{
			name: "API key inserted",
			act:  func(ctx context.Context, s *store.Stores) error { return s.APIKeys.InsertKey(ctx, anAPIKey("k")) },
			done: func(ctx context.Context, s *store.Stores) (bool, error) {
				got, err := s.APIKeys.GetKey(ctx, "k")
				return cmp.Equal(got, anAPIKey("k")), err
			},
		},
		{
			name:  "API key revoked",
			setup: func(ctx context.Context, s *store.Stores) error { return s.APIKeys.InsertKey(ctx, anAPIKey("k")) },
			act:   func(ctx context.Context, s *store.Stores) error { return s.APIKeys.RevokeKey(ctx, "k", now) },
			done: func(ctx context.Context, s *store.Stores) (bool, error) {
				got, err := s.APIKeys.GetKey(ctx, "k")
				return got.RevokedAt.Equal(now), err
			},
		},
		{
			name:  "API key touched",
			setup: func(ctx context.Context, s *store.Stores) error { return s.APIKeys.InsertKey(ctx, anAPIKey("k")) },
			act:   func(ctx context.Context, s *store.Stores) error { return s.APIKeys.TouchKey(ctx, "k", now) },
			done: func(ctx context.Context, s *store.Stores) (bool, error) {
				got, err := s.APIKeys.GetKey(ctx, "k")
				return got.LastUsed.Equal(now), err
			},
		},
		{
			name: "token allowed",
			act: func(ctx context.Context, s *store.Stores) error {
				return s.Allowed.AllowToken(ctx, "j", now.Add(time.Hour))
			},
			done: func(ctx context.Context, s *store.Stores) (bool, error) { return s.Allowed.TokenAllowed(ctx, "j", now) },
		},
		{
			name: "token forgotten",
			setup: func(ctx context.Context, s *store.Stores) error {
				return s.Allowed.AllowToken(ctx, "j", now.Add(time.Hour))
			},
			act: func(ctx context.Context, s *store.Stores) error { return s.Allowed.ForgetToken(ctx, "j") },
			done: func(ctx context.Context, s *store.Stores) (bool, error) {
				ok, err := s.Allowed.TokenAllowed(ctx, "j", now)
				return !ok, err
			},
		},
		{
			name: "entry appended",
			act: func(ctx context.Context, s *store.Stores) error {
				return s.Changes.Append(ctx, changes.Entry{Kind: changes.RevokedGrant, Key: "g", Until: now.Add(time.Hour)})
			},
			done: func(ctx context.Context, s *store.Stores) (bool, error) {
				got, err := s.Changes.Read(ctx, 0, now)
				return len(got) == 1, err
			},
		},
		{
			name: "admin left",
			setup: func(ctx context.Context, s *store.Stores) error {
				if err := s.Admins.JoinAdmins(ctx, "a"); err != nil {
					return err
				}
				return s.Admins.JoinAdmins(ctx, "b")
			},
			act: func(ctx context.Context, s *store.Stores) error { return s.Admins.LeaveAdmins(ctx, "a") },
			done: func(ctx context.Context, s *store.Stores) (bool, error) {
				got, err := s.Admins.Admins(ctx)
				return cmp.Equal(got, []string{"b"}), err
			},
		},
		{
			name: "events recorded",
			act: func(ctx context.Context, s *store.Stores) error {
				return s.Audit.AppendAudit(ctx, []audit.Event{{ID: "e"}})
			},
			done: func(ctx context.Context, s *store.Stores) (bool, error) {
				got, err := s.Audit.ListAudit(ctx, "", 10)
				return len(got) == 1, err
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := disturb(t, 5*time.Second)
			if test.setup != nil {
				if err := test.setup(t.Context(), d.behind); err != nil {
					t.Fatalf("setup: %v", err)
				}
			}
			d.loseOne(t)
			if err := test.act(t.Context(), d.behind); err != nil {
				t.Errorf("the write whose answer was lost: got %v, want success", err)
			}
			if done, err := test.done(t.Context(), d.direct); err != nil || !done {
				t.Errorf("the write did not happen as asked (%v)", err)
			}
		})
	}
}

// A caller that lost the race as well as the answer must not take the winner's work for its own, however alike the two are.
func TestLostAnswerOfAnothersWriteIsNoSuccess(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		setup func(context.Context, *store.Stores) error
		act   func(context.Context, *store.Stores) error
	}{
		{
			name: "the same mark",
			act: func(ctx context.Context, s *store.Stores) error {
				return s.Once.Mark(ctx, "flow", "m", now.Add(time.Hour))
			},
		},
		{
			name: "the same record",
			act: func(ctx context.Context, s *store.Stores) error {
				return s.Once.Put(ctx, "reset", "r", []byte("v"), now.Add(time.Hour))
			},
		},
		{
			name:  "the same code at the same millisecond",
			setup: func(ctx context.Context, s *store.Stores) error { return s.Grants.InsertGrant(ctx, aCode("g")) },
			act: func(ctx context.Context, s *store.Stores) error {
				_, err := s.Grants.RedeemGrant(ctx, aRedemption("g"))
				return err
			},
		},
		{
			name:  "the same version of a user",
			setup: func(ctx context.Context, s *store.Stores) error { return s.Users.Create(ctx, aUser("u"), nil, now) },
			act: func(ctx context.Context, s *store.Stores) error {
				return s.Users.Replace(ctx, aUser("u"), nil, nil, now)
			},
		},
		{
			name: "the same API key",
			act:  func(ctx context.Context, s *store.Stores) error { return s.APIKeys.InsertKey(ctx, anAPIKey("k")) },
		},
		{
			name: "the same first keys",
			act:  func(ctx context.Context, s *store.Stores) error { return s.Keys.SwapKeys(ctx, keys.Set{Alg: "ES256"}) },
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := disturb(t, 5*time.Second)
			if test.setup != nil {
				if err := test.setup(t.Context(), d.direct); err != nil {
					t.Fatalf("setup: %v", err)
				}
			}
			if err := test.act(t.Context(), d.direct); err != nil {
				t.Fatalf("the winner: %v", err)
			}
			d.loseOne(t)
			wantFault(t, test.act(t.Context(), d.behind), fault.Unavailable, "store_unavailable")
		})
	}
}

// A rotation whose answer was lost and that was used since by way of another replica happened; one whose grant is dead is refused.
func TestLostRotationSeenLate(t *testing.T) {
	t.Parallel()
	t.Run("killed since", func(t *testing.T) {
		t.Parallel()
		d := disturb(t, 5*time.Second)
		if err := d.direct.Grants.InsertGrant(t.Context(), aFamily("g")); err != nil {
			t.Fatal(err)
		}
		d.proxy.LoseAnswers()
		time.AfterFunc(200*time.Millisecond, func() {
			if err := d.direct.Grants.KillGrant(context.WithoutCancel(t.Context()), "g", now); err != nil {
				t.Errorf("kill: %v", err)
			}
			d.proxy.Pass()
		})
		_, err := d.behind.Grants.RotateGrant(t.Context(), aRotation("g", "second"))
		wantFault(t, err, fault.Conflict, "grant_unmatched")
	})
	t.Run("rotated since", func(t *testing.T) {
		t.Parallel()
		d := disturb(t, 5*time.Second)
		if err := d.direct.Grants.InsertGrant(t.Context(), aFamily("g")); err != nil {
			t.Fatal(err)
		}
		d.proxy.LoseAnswers()
		time.AfterFunc(200*time.Millisecond, func() {
			next := aRotation("g", "third")
			next.From = "second"
			if _, err := d.direct.Grants.RotateGrant(context.WithoutCancel(t.Context()), next); err != nil {
				t.Errorf("rotate again: %v", err)
			}
			d.proxy.Pass()
		})
		if _, err := d.behind.Grants.RotateGrant(t.Context(), aRotation("g", "second")); err != nil {
			t.Errorf("got %v, want success", err)
		}
	})
}

// What cannot be recognised is not guessed: a record that is gone is handed to nobody, and a count is not given twice.
func TestLostAnswerThatTellsNothingIsUnavailable(t *testing.T) {
	t.Parallel()
	t.Run("take", func(t *testing.T) {
		t.Parallel()
		d := disturb(t, 5*time.Second)
		if err := d.behind.Once.Put(t.Context(), "reset", "r", []byte("v"), now.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		d.loseOne(t)
		_, err := d.behind.Once.Take(t.Context(), "reset", "r", now)
		wantFault(t, err, fault.Unavailable, "store_unavailable")
		_, err = d.direct.Once.Take(t.Context(), "reset", "r", now)
		wantFault(t, err, fault.NotFound, "record_unknown")
	})
	t.Run("increment", func(t *testing.T) {
		t.Parallel()
		d := disturb(t, 5*time.Second)
		if _, _, err := d.behind.Limits.Take(t.Context(), "k", ratelimit.Bounds{Limit: 1000, Window: time.Hour}, now); err != nil {
			t.Fatal(err)
		}
		d.loseOne(t)
		_, _, err := d.behind.Limits.Take(t.Context(), "k", ratelimit.Bounds{Limit: 1000, Window: time.Hour}, now)
		wantFault(t, err, fault.Unavailable, "store_unavailable")
		if got, _, err := d.direct.Limits.Take(t.Context(), "k", ratelimit.Bounds{Limit: 1000, Window: time.Hour}, now); err != nil || got.Count != 3 {
			t.Errorf("the count is %d (%v), want 3: the lost one was counted once", got.Count, err)
		}
	})
	t.Run("decrement", func(t *testing.T) {
		t.Parallel()
		d := disturb(t, 5*time.Second)
		for range 3 {
			if _, _, err := d.behind.Limits.Take(t.Context(), "k", ratelimit.Bounds{Limit: 1000, Window: time.Hour}, now); err != nil {
				t.Fatal(err)
			}
		}
		d.loseOne(t)
		wantFault(t, d.behind.Limits.Return(t.Context(), "k", now.Add(time.Hour)), fault.Unavailable, "store_unavailable")
		if got, _, err := d.direct.Limits.Take(t.Context(), "k", ratelimit.Bounds{Limit: 1000, Window: time.Hour}, now); err != nil || got.Count != 3 {
			t.Errorf("the count is %d (%v), want 3: one was given back", got.Count, err)
		}
	})
}

// A store that is silent or gone is no answer: never success, never "no such thing", within the timeout.
func TestNoAnswerIsUnavailable(t *testing.T) {
	t.Parallel()
	const timeout = 300 * time.Millisecond
	calls := map[string]func(context.Context, *store.Stores) error{
		"ping":  func(ctx context.Context, s *store.Stores) error { return s.Ping(ctx) },
		"sweep": func(ctx context.Context, s *store.Stores) error { return s.Sweep(ctx, now) },
		"create user": func(ctx context.Context, s *store.Stores) error {
			return s.Users.Create(ctx, aUser("u"), claimsOf("u"), now)
		},
		"insert session": func(ctx context.Context, s *store.Stores) error { return s.Sessions.InsertSession(ctx, aSession("s")) },
		"delete session": func(ctx context.Context, s *store.Stores) error { return s.Sessions.DeleteSession(ctx, "s") },
		"touch session":  func(ctx context.Context, s *store.Stores) error { return s.Sessions.TouchSession(ctx, "s", now, now) },
		"join admins":    func(ctx context.Context, s *store.Stores) error { return s.Admins.JoinAdmins(ctx, "a") },
		"leave admins":   func(ctx context.Context, s *store.Stores) error { return s.Admins.LeaveAdmins(ctx, "a") },
		"insert client": func(ctx context.Context, s *store.Stores) error {
			return s.Clients.InsertClient(ctx, clients.Client{ID: "c"})
		},
		"swap keys":      func(ctx context.Context, s *store.Stores) error { return s.Keys.SwapKeys(ctx, keys.Set{Alg: "ES256"}) },
		"insert grant":   func(ctx context.Context, s *store.Stores) error { return s.Grants.InsertGrant(ctx, aCode("g")) },
		"kill grant":     func(ctx context.Context, s *store.Stores) error { return s.Grants.KillGrant(ctx, "g", now) },
		"insert API key": func(ctx context.Context, s *store.Stores) error { return s.APIKeys.InsertKey(ctx, anAPIKey("k")) },
		"revoke API key": func(ctx context.Context, s *store.Stores) error { return s.APIKeys.RevokeKey(ctx, "k", now) },
		"touch API key":  func(ctx context.Context, s *store.Stores) error { return s.APIKeys.TouchKey(ctx, "k", now) },
		"get API key": func(ctx context.Context, s *store.Stores) error {
			_, err := s.APIKeys.GetKey(ctx, "k")
			return err
		},
		"list API keys": func(ctx context.Context, s *store.Stores) error {
			_, err := s.APIKeys.LiveKeysOf(ctx, "u1", now, 10)
			return err
		},
		"allow token":  func(ctx context.Context, s *store.Stores) error { return s.Allowed.AllowToken(ctx, "j", now) },
		"forget token": func(ctx context.Context, s *store.Stores) error { return s.Allowed.ForgetToken(ctx, "j") },
		"token allowed": func(ctx context.Context, s *store.Stores) error {
			ok, err := s.Allowed.TokenAllowed(ctx, "j", now)
			if ok {
				return fault.New(fault.Internal, "", "a token that nobody answered for is allowed")
			}
			return err
		},
		"put":  func(ctx context.Context, s *store.Stores) error { return s.Once.Put(ctx, "k", "i", nil, now) },
		"mark": func(ctx context.Context, s *store.Stores) error { return s.Once.Mark(ctx, "k", "i", now) },
		"append": func(ctx context.Context, s *store.Stores) error {
			return s.Changes.Append(ctx, changes.Entry{Kind: "k"})
		},
		"decrement": func(ctx context.Context, s *store.Stores) error { return s.Limits.Return(ctx, "k", now) },
		"reset":     func(ctx context.Context, s *store.Stores) error { return s.Limits.Reset(ctx, "k", now) },
		"forget":    func(ctx context.Context, s *store.Stores) error { return s.Limits.Forget(ctx, "k") },
		"append audit": func(ctx context.Context, s *store.Stores) error {
			return s.Audit.AppendAudit(ctx, []audit.Event{{ID: "e"}})
		},
		"get user": func(ctx context.Context, s *store.Stores) error {
			_, err := s.Users.Get(ctx, "u")
			return err
		},
		"get grant": func(ctx context.Context, s *store.Stores) error {
			_, err := s.Grants.GetGrant(ctx, "g")
			return err
		},
		"redeem": func(ctx context.Context, s *store.Stores) error {
			_, err := s.Grants.RedeemGrant(ctx, aRedemption("g"))
			return err
		},
		"rotate": func(ctx context.Context, s *store.Stores) error {
			_, err := s.Grants.RotateGrant(ctx, aRotation("g", "second"))
			return err
		},
		"take": func(ctx context.Context, s *store.Stores) error {
			_, err := s.Once.Take(ctx, "k", "i", now)
			return err
		},
		"read changes": func(ctx context.Context, s *store.Stores) error {
			_, err := s.Changes.Read(ctx, 0, now)
			return err
		},
		"increment": func(ctx context.Context, s *store.Stores) error {
			_, _, err := s.Limits.Take(ctx, "k", ratelimit.Bounds{Limit: 1000, Window: time.Hour}, now)
			return err
		},
		"list sessions": func(ctx context.Context, s *store.Stores) error {
			_, err := s.Sessions.SessionsOf(ctx, "u", 10)
			return err
		},
	}
	for name, fail := range map[string]func(*mongotest.Proxy){
		"silent": (*mongotest.Proxy).Silence,
		"cut":    (*mongotest.Proxy).Cut,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := disturb(t, timeout)
			fail(d.proxy)
			var group sync.WaitGroup
			for name, call := range calls {
				group.Go(func() {
					began := time.Now()
					err := call(t.Context(), d.behind)
					if !fault.Is(err, fault.Unavailable) || fault.CodeOf(err) != "store_unavailable" {
						t.Errorf("%s: got %v, want store_unavailable", name, err)
					}
					if took := time.Since(began); took > 10*timeout {
						t.Errorf("%s took %v, with a timeout of %v", name, took, timeout)
					}
				})
			}
			group.Wait()
			d.proxy.Pass()
		})
	}
}

// A caller that goes away is not answered, and what it asked for is not taken for done.
func TestCancelledCallIsUnavailable(t *testing.T) {
	t.Parallel()
	s := replicas(t, 1)[0]
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Grants.RedeemGrant(ctx, tokens.Redemption{GrantID: "g", CodeHash: "c"})
	wantFault(t, err, fault.Unavailable, "store_unavailable")
}
