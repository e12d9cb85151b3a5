package verify_test

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/verify"
)

func TestRevocationIsAskedOnEveryRequest(t *testing.T) {
	s := ecSigner("ec-1", 1)
	var revoked error
	var asked int
	v := newVerifier(t, func(c *verify.Config) {
		c.Keys = staticKeys(t, s)
		c.Revocations = revocationsFunc(func(_ context.Context, c *verify.Claims) error {
			asked++
			if c.ID != "jti_1" || c.KeyID != "ec-1" || c.Version != 7 {
				t.Errorf("got claims %+v, want those of the token", c)
			}
			return revoked
		})
	})
	token := s.token(t, nil, nil)
	for range 3 {
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Fatalf("verify: %v", err)
		}
	}
	if asked != 3 {
		t.Errorf("got %d questions for 3 requests", asked)
	}

	tests := []struct {
		rule       string
		err        error
		code, text string
	}{
		{"revoked", &verify.Error{Code: verify.CodeInvalidToken, Description: "the token was revoked"}, verify.CodeInvalidToken, "the token was revoked"},
		{"cannot tell, said so", &verify.Error{Code: verify.CodeUnavailable, Description: "stale", RetryAfter: time.Second}, verify.CodeUnavailable, "stale"},
		{"cannot tell, any other error", errors.New("store down"), verify.CodeUnavailable, "cannot be told"},
		{"cannot tell, a code that is no answer", &verify.Error{Code: verify.CodeInsufficientScope}, verify.CodeUnavailable, "cannot be told"},
		{"cannot tell, the caller left", context.Canceled, verify.CodeUnavailable, "cannot be told"},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			revoked = tt.err
			got, err := v.Verify(t.Context(), token)
			wantRefusal(t, got, err, tt.code, tt.text)
		})
	}
}

func TestRevocationIsNotAskedAboutUnprovenClaims(t *testing.T) {
	s := ecSigner("ec-1", 1)
	v := newVerifier(t, func(c *verify.Config) {
		c.Keys = staticKeys(t, s)
		c.Revocations = revocationsFunc(func(context.Context, *verify.Claims) error {
			t.Error("asked about a forged token")
			return nil
		})
	})
	got, err := v.Verify(t.Context(), ecSigner("ec-1", 9).token(t, nil, nil))
	wantRefusal(t, got, err, verify.CodeInvalidToken, "signature")
}

func TestARememberedTokenExpires(t *testing.T) {
	s, clock := ecSigner("ec-1", 1), newClock()
	v := newVerifier(t, func(c *verify.Config) { c.Keys, c.Now = staticKeys(t, s), clock.Now })
	token := s.token(t, nil, members{"exp": epoch.Unix() + 10})
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Fatalf("verify: %v", err)
	}
	clock.Advance(40 * time.Second) // exp + leeway, while the cache would keep it for 60 s
	got, err := v.Verify(t.Context(), token)
	wantRefusal(t, got, err, verify.CodeInvalidToken, "expired")
}

func TestARememberedTokenFallsWithItsKey(t *testing.T) {
	s := ecSigner("ec-1", 1)
	key := crypto.PublicKey(s.public())
	var err error
	v := newVerifier(t, func(c *verify.Config) {
		c.Keys = keySetFunc(func(context.Context, string, string) (crypto.PublicKey, error) { return key, err })
	})
	token := s.token(t, nil, nil)
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Fatalf("verify: %v", err)
	}
	key = ecSigner("ec-1", 2).public()
	got, gotErr := v.Verify(t.Context(), token)
	wantRefusal(t, got, gotErr, verify.CodeInvalidToken, "signature")

	err = verify.ErrUnknownKey
	got, gotErr = v.Verify(t.Context(), token)
	wantRefusal(t, got, gotErr, verify.CodeInvalidToken, "no key 'ec-1'")
}

func TestATokenBelongsToItsReceiver(t *testing.T) {
	s := ecSigner("ec-1", 1)
	v := newVerifier(t, func(c *verify.Config) { c.Keys = staticKeys(t, s) })
	token := s.token(t, nil, nil)
	for range 2 { // from the signature, then from the cache
		got, err := v.Verify(t.Context(), token)
		if err != nil {
			t.Fatalf("verify: %v", err)
		}
		want := []string{"editor", "viewer", "editor", "viewer", audience, "openid", "orders:read"}
		if diff := cmp.Diff(want, slices.Concat(got.Subject.Roles, got.Claims.Roles, got.Claims.Audience, got.Subject.Scopes)); diff != "" {
			t.Fatalf("roles, audience and scopes (-want +got):\n%s", diff)
		}
		member, _ := got.Claims.Member("email")
		if string(member) != `"alice@example.com"` {
			t.Fatalf("got member %s, want what the token says", member)
		}
		got.Subject.Roles[0], got.Claims.Roles[1], got.Claims.Audience[0], got.Subject.Scopes[0] = "admin", "admin", "x", "x"
		copy(member, `"mallory@`)
	}
}

func TestTheCacheCanBeSwitchedOff(t *testing.T) {
	s := ecSigner("ec-1", 1)
	v := newVerifier(t, func(c *verify.Config) { c.Keys, c.CacheEntries = staticKeys(t, s), -1 })
	token := s.token(t, nil, nil)
	for range 2 {
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Errorf("verify: %v", err)
		}
	}
}

func TestConcurrentRequestsSeeTheirOwnToken(t *testing.T) {
	s := edSigner("ed-1", 1)
	v := newVerifier(t, func(c *verify.Config) { c.Keys, c.CacheEntries = staticKeys(t, s), 16 })
	tokens := make([]string, 40) // more than the cache holds
	for i := range tokens {
		tokens[i] = s.token(t, nil, members{"sub": fmt.Sprintf("usr_%d", i)})
	}
	var wrong atomic.Int32
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			for i := range 200 {
				n := (i*7 + g) % len(tokens)
				got, err := v.Verify(t.Context(), tokens[n])
				if err != nil || got.Subject.ID != fmt.Sprintf("usr_%d", n) {
					wrong.Add(1)
				}
			}
		})
	}
	group.Wait()
	if n := wrong.Load(); n != 0 {
		t.Errorf("got %d wrong answers, want none", n)
	}
}
