package tokens_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"example.com/broker/internal/changes"
	"example.com/broker/tokens"
	"example.com/broker/verify"
)

// ids is an AllowStore that counts, and refuses what fail names.
type ids struct {
	mu            sync.Mutex
	until         map[string]time.Time
	reads, writes int
	fail          string
}

func (s *ids) AllowToken(_ context.Context, jti string, until time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	if s.fail == "allow" {
		return errDown
	}
	s.until[jti] = until
	return nil
}

func (s *ids) TokenAllowed(_ context.Context, jti string, now time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if s.fail == "ask" {
		return false, errDown
	}
	return now.Before(s.until[jti]), nil
}

func (s *ids) ForgetToken(_ context.Context, jti string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	if s.fail == "forget" {
		return errDown
	}
	delete(s.until, jti)
	return nil
}

func (s *ids) reset() { s.reads, s.writes = 0, 0 }

// listed is a replica in allowlist mode.
func listed(t *testing.T) (*replica, *ids) {
	t.Helper()
	r, s := solo(t), &ids{until: map[string]time.Time{}}
	var err error
	r.issuer, err = tokens.NewIssuer(tokens.IssuerOptions{URL: issuer, Ring: r.ring, Now: r.now, Allowed: s})
	must(t, err)
	r.verifier, err = tokens.NewVerifier(tokens.VerifierOptions{Issuer: issuer, Ring: r.ring, Revocations: r.revocations, Now: r.now, Allowed: s})
	must(t, err)
	r.grants, err = tokens.NewGrants(tokens.GrantsOptions{
		Store: r.store, Changes: r.follower, Revocations: r.revocations, Audit: r.trail, Now: r.now, AccessLife: tokens.DefaultAccessLife, Allowed: s,
	})
	must(t, err)
	return r, s
}

func (r *replica) issue(t *testing.T) tokens.Access {
	t.Helper()
	u := alice()
	a, err := r.issuer.AccessToken(t.Context(), tokens.AccessRequest{ClientID: client, User: &u})
	must(t, err)
	return a
}

func (r *replica) refusal(t *testing.T, raw string) string {
	t.Helper()
	code := ""
	for name, check := range map[string]func(context.Context, string) (*verify.Token, error){"Own": r.verifier.Own, "Any": r.verifier.Any} {
		got := ""
		_, err := check(t.Context(), raw)
		if e, ok := errors.AsType[*verify.Error](err); ok {
			got = e.Code
		} else if err != nil {
			t.Errorf("%s: %v, want a *verify.Error", name, err)
		}
		if code != "" && got != code {
			t.Errorf("%s says %q, the other %q", name, got, code)
		}
		code = got
	}
	return code
}

// TestAllowlistCosts: one write a token, one read a check, and none where the token is bad anyway.
func TestAllowlistCosts(t *testing.T) {
	r, s := listed(t)
	a := r.issue(t)
	if s.writes != 1 || s.reads != 0 {
		t.Errorf("issuing takes %d writes and %d reads, want one write", s.writes, s.reads)
	}
	s.reset()
	if !r.accepts(t, a.Raw) || s.reads != 1 || s.writes != 0 {
		t.Errorf("a check takes %d reads and %d writes, want one read", s.reads, s.writes)
	}
	s.reset()
	for _, bad := range []string{"a.b.c", a.Raw[:len(a.Raw)-8] + "AAAAAAAA"} {
		if r.accepts(t, bad) || s.reads != 0 {
			t.Errorf("a bad token takes %d reads", s.reads)
		}
	}
	must(t, r.follower.Append(t.Context(), changes.Entry{Kind: changes.UserVersion, Key: "usr_1", Value: 99, Until: r.now().Add(time.Hour)}))
	if r.accepts(t, a.Raw) || s.reads != 0 {
		t.Errorf("a token that the blocklist refuses takes %d reads", s.reads)
	}
}

func TestAllowlistRefusesWhatIsNotStored(t *testing.T) {
	r, s := listed(t)
	a := r.issue(t)
	if got := r.refusal(t, a.Raw); got != "" {
		t.Errorf("a stored token: %q", got)
	}
	unlisted, err := tokens.NewIssuer(tokens.IssuerOptions{URL: issuer, Ring: r.ring, Now: r.now})
	must(t, err)
	u := alice()
	signed, err := unlisted.AccessToken(t.Context(), tokens.AccessRequest{ClientID: client, User: &u})
	must(t, err)
	if got := r.refusal(t, signed.Raw); got != verify.CodeInvalidToken {
		t.Errorf("a signature alone: %q", got)
	}
	r.after(t, tokens.DefaultAccessLife+29*time.Second)
	if got := r.refusal(t, a.Raw); got != "" {
		t.Errorf("within the leeway of its end: %q", got)
	}
	must(t, s.ForgetToken(t.Context(), a.ID))
	if got := r.refusal(t, a.Raw); got != verify.CodeInvalidToken {
		t.Errorf("forgotten: %q", got)
	}
}

func TestAllowlistRevocation(t *testing.T) {
	r, s := listed(t)
	a := r.issue(t)
	s.fail = "forget"
	if err := r.grants.RevokeAccess(t.Context(), a.ID, a.ExpiresAt); !errors.Is(err, errDown) {
		t.Errorf("RevokeAccess: %v, want the store's error", err)
	}
	if got := r.refusal(t, a.Raw); got != verify.CodeInvalidToken {
		t.Errorf("half revoked: %q; the entry in the stream goes first", got)
	}
	s.fail = ""
	must(t, r.grants.RevokeAccess(t.Context(), a.ID, a.ExpiresAt))
	if _, held := s.until[a.ID]; held {
		t.Error("still stored")
	}
}

func TestAllowlistWithoutItsStore(t *testing.T) {
	r, s := listed(t)
	a := r.issue(t)
	s.fail = "ask"
	if got := r.refusal(t, a.Raw); got != verify.CodeUnavailable {
		t.Errorf("nobody can tell: %q, want temporarily_unavailable", got)
	}
	s.fail = "allow"
	u := alice()
	if a, err := r.issuer.AccessToken(t.Context(), tokens.AccessRequest{ClientID: client, User: &u}); !errors.Is(err, errDown) || a.Raw != "" {
		t.Errorf("a token that is not stored leaves: %v, %v", a, err)
	}
}
