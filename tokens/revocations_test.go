package tokens_test

import (
	"errors"
	"testing"
	"time"

	"example.com/broker/internal/changes"
	"example.com/broker/internal/fault"
	"example.com/broker/tokens"
	"example.com/broker/verify"
)

func claims() *verify.Claims {
	return &verify.Claims{
		Subject: "usr_1", ClientID: client, ID: "jti_1", GrantID: "gid_1", SessionID: "sid_1", KeyID: "kid_1", Version: 3, IssuedAt: epoch,
	}
}

func check(t *testing.T, r *replica, c *verify.Claims) string {
	t.Helper()
	err := r.revocations.Check(t.Context(), c)
	if err == nil {
		return ""
	}
	e, ok := errors.AsType[*verify.Error](err)
	if !ok {
		t.Fatalf("Check = %v, want a *verify.Error", err)
	}
	return e.Code
}

func TestWhatIsRevokedIsRefusedHereAtOnceAndThereAfterAPoll(t *testing.T) {
	for name, test := range map[string]struct {
		entry changes.Entry
		want  string
	}{
		"the token":                              {changes.Entry{Kind: changes.RevokedToken, Key: "jti_1"}, verify.CodeInvalidToken},
		"the grant":                              {changes.Entry{Kind: changes.RevokedGrant, Key: "gid_1"}, verify.CodeInvalidToken},
		"the session":                            {changes.Entry{Kind: changes.RevokedSession, Key: "sid_1"}, verify.CodeInvalidToken},
		"the signing key":                        {changes.Entry{Kind: changes.RevokedKey, Key: "kid_1"}, verify.CodeInvalidToken},
		"the client":                             {changes.Entry{Kind: changes.RevokedClient, Key: client}, verify.CodeInvalidToken},
		"the client's tokens up to this one":     {changes.Entry{Kind: changes.RevokedClient, Key: client, Value: epoch.Unix()}, verify.CodeInvalidToken},
		"the client's tokens before this one":    {changes.Entry{Kind: changes.RevokedClient, Key: client, Value: epoch.Unix() - 1}, ""},
		"a change to the user":                   {changes.Entry{Kind: changes.UserVersion, Key: "usr_1", Value: 4}, verify.CodeInvalidToken},
		"a counter beyond what is kept":          {changes.Entry{Kind: changes.UserVersion, Key: "usr_1", Value: 1 << 60}, verify.CodeInvalidToken},
		"the change the token knows of":          {changes.Entry{Kind: changes.UserVersion, Key: "usr_1", Value: 3}, ""},
		"a sign-out is for sessions and grants":  {changes.Entry{Kind: changes.UserEpoch, Key: "usr_1", Value: 9}, ""},
		"another token":                          {changes.Entry{Kind: changes.RevokedToken, Key: "jti_2"}, ""},
		"another kind under the same key":        {changes.Entry{Kind: changes.RevokedGrant, Key: "jti_1"}, ""},
		"a user of the client's name":            {changes.Entry{Kind: changes.UserVersion, Key: client, Value: 9}, ""},
		"a revocation that has expired long ago": {changes.Entry{Kind: changes.RevokedToken, Key: "jti_1", Until: epoch.Add(-time.Hour)}, ""},
		"a revocation that holds for good":       {changes.Entry{Kind: changes.RevokedToken, Key: "jti_1"}, verify.CodeInvalidToken},
	} {
		i := install(t)
		here, there := i.replica(t), i.replica(t)
		must(t, here.follower.Append(t.Context(), test.entry))
		if got := check(t, here, claims()); got != test.want {
			t.Errorf("%s: here %q, want %q", name, got, test.want)
		}
		if got := check(t, there, claims()); got != "" {
			t.Errorf("%s: there %q before it can know", name, got)
		}
		there.poll(t)
		if got := check(t, there, claims()); got != test.want {
			t.Errorf("%s: there %q, want %q", name, got, test.want)
		}
		if late := i.replica(t); check(t, late, claims()) != test.want {
			t.Errorf("%s: a replica that starts later answers %q, want %q", name, check(t, late, claims()), test.want)
		}
	}
}

func TestTokenOfAClientHasNoUserCounter(t *testing.T) {
	r := solo(t)
	must(t, r.follower.Append(t.Context(), changes.Entry{Kind: changes.UserVersion, Key: client, Value: 9}))
	c := claims()
	c.Subject, c.Version = client, 0
	if got := check(t, r, c); got != "" {
		t.Errorf("Check = %q: a user whose id is the client's speaks for the client", got)
	}
}

func TestRaisedCounterHoldsThoughEntriesComeOutOfOrder(t *testing.T) {
	r := solo(t)
	for _, v := range []int64{7, 5, 6} {
		must(t, r.follower.Append(t.Context(), changes.Entry{Kind: changes.UserVersion, Key: "usr_1", Value: v, Until: epoch.Add(time.Hour)}))
		must(t, r.follower.Append(t.Context(), changes.Entry{Kind: changes.UserEpoch, Key: "usr_1", Value: v - 1, Until: epoch.Add(30 * 24 * time.Hour)}))
	}
	if ver, over := r.revocations.UserVer("usr_1"), r.revocations.UserEpoch("usr_1"); ver != 7 || over != 6 {
		t.Errorf("UserVer %d, UserEpoch %d; want 7 and 6", ver, over)
	}
	if ver := r.revocations.UserVer("usr_2"); ver != 0 {
		t.Errorf("UserVer of a user nobody spoke of = %d", ver)
	}
}

// TestStaleMeansUnavailable: the design's 503, never 401, also for what is known to be revoked.
func TestStaleMeansUnavailable(t *testing.T) {
	r := solo(t)
	must(t, r.follower.Append(t.Context(), changes.Entry{Kind: changes.RevokedToken, Key: "jti_1"}))
	good := claims()
	good.ID = "jti_2"
	r.advance(changes.MaxStaleness)
	if got := check(t, r, good); got != "" {
		t.Errorf("ten seconds after a poll: %q", got)
	}
	r.advance(time.Millisecond)
	for _, c := range []*verify.Claims{good, claims()} {
		if got := check(t, r, c); got != verify.CodeUnavailable {
			t.Errorf("more than ten seconds after a poll: %q, want unavailable", got)
		}
	}
	err := r.revocations.Fresh()
	wantKind(t, "Fresh", fault.Unavailable, err)
	if e, ok := errors.AsType[*fault.Error](err); !ok || e.RetryAfter <= 0 {
		t.Errorf("Fresh = %+v, want RetryAfter", err)
	}
	r.poll(t)
	if got := check(t, r, good); got != "" {
		t.Errorf("after the next poll: %q", got)
	}
}

// TestRevokeAccess: one token dies, its grant and its sisters live.
func TestRevokeAccess(t *testing.T) {
	i := install(t)
	r := i.replica(t)
	g, token := r.family(t, r.offline())
	u := alice()
	one, err := r.issuer.AccessToken(t.Context(), tokens.AccessRequest{ClientID: client, User: &u, Grant: &g})
	must(t, err)
	sister := r.access(t, g)
	must(t, r.grants.RevokeAccess(t.Context(), one.ID, one.ExpiresAt))
	if r.accepts(t, one.Raw) {
		t.Error("the revoked token is accepted")
	}
	if !r.accepts(t, sister) {
		t.Error("another token of the grant is refused")
	}
	r.mustRotate(t, token)

	r.after(t, tokens.DefaultAccessLife+29*time.Second) // within the verifier's leeway
	for name, r := range map[string]*replica{"here": r, "on a replica that starts now": i.replica(t)} {
		if !r.accepts(t, r.access(t, g)) || r.accepts(t, one.Raw) {
			t.Errorf("%s the revocation ends before the token does", name)
		}
	}
}
