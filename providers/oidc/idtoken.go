package oidc

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"example.com/broker/providers"
)

const (
	// maxSkew is how far the upstream's clock may be ahead of ours.
	maxSkew = time.Minute
	// maxTokenAge is how old an ID token may be that was fetched this moment.
	maxTokenAge = 10 * time.Minute
	maxSubject  = 255
)

// registered are the claims that decide; see verify.
var registered = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "nonce", "azp", "at_hash", "c_hash", "auth_time"}

// evidence is what an ID token has to fit.
type evidence struct {
	flow              providers.Flow
	code, accessToken string
}

// verify returns the claims of an ID token that passes every check of OpenID Connect Core 1.0 §3.1.3.7. go-oidc checks signature, iss,
// aud and exp; that iat, sub and nonce are there at all, azp, the hashes and the age are left to us. fault.Upstream.
func (p *Provider) verify(ctx context.Context, m *metadata, raw string, e evidence) (claims, error) {
	if raw == "" {
		return nil, providers.Invalid(nil, "The token endpoint sent no ID token.")
	}
	signature := &attempt{metadata: m}
	verifier := gooidc.NewVerifier(p.config.Issuer, signature, &gooidc.Config{
		ClientID: p.config.ClientID, SupportedSigningAlgs: names(m.algorithms), Now: p.config.Now,
	})
	token, err := verifier.Verify(ctx, raw)
	switch {
	case signature.unavailable != nil: // go-oidc hides what kind of error it was
		return nil, signature.unavailable
	case err != nil:
		return nil, providers.Invalid(fmt.Errorf("%.300s", err.Error()), "The ID token does not verify.") // it quotes claims, however long
	}
	id, err := payload(token)
	if err != nil {
		return nil, providers.Invalid(err, "The ID token's claims are not strict JSON.")
	}
	for _, check := range []func() error{
		func() error { return p.checkSubject(id) },
		func() error { return checkParty(id, token.Audience, p.config.ClientID) },
		func() error { return p.checkTimes(id, e.flow.MaxAge) },
		func() error { return checkNonce(id, e.flow.Nonce) },
		func() error { return checkHashes(id, token, e) },
	} {
		if err := check(); err != nil {
			return nil, providers.Invalid(err, "The ID token does not verify.")
		}
	}
	return id, nil
}

// attempt is a go-oidc key set for one token.
type attempt struct {
	*metadata
	unavailable error
}

// VerifySignature takes the compact form alone: the JSON form of a token has an unprotected header.
func (a *attempt) VerifySignature(ctx context.Context, raw string) ([]byte, error) {
	token, err := jose.ParseSignedCompact(raw, a.algorithms)
	if err != nil {
		return nil, err
	}
	payload, err := a.keys.verify(ctx, token)
	if err != nil && !errors.Is(err, errSignature) {
		a.unavailable = err
	}
	return payload, err
}

func names(algorithms []jose.SignatureAlgorithm) []string {
	var out []string
	for _, a := range algorithms {
		out = append(out, string(a))
	}
	return out
}

// payload decodes the claims again, strictly. go-oidc has read them with names in any case, so a name that only folds to one of the
// claims that decide is refused: it would have filled in for an absent one.
func payload(token *gooidc.IDToken) (claims, error) {
	var raw json.RawMessage
	if err := token.Claims(&raw); err != nil {
		return nil, err
	}
	v, err := providers.Decode(raw)
	if err != nil {
		return nil, err
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("the claims are not an object")
	}
	for name := range object {
		for _, r := range registered {
			if name != r && strings.EqualFold(name, r) {
				return nil, errors.New("a claim differs from " + r + " only in case")
			}
		}
	}
	return object, nil
}

func (p *Provider) checkSubject(id claims) error {
	if _, ok := id.subject("sub"); !ok {
		return errors.New("sub is missing or no string of 1 to 255 characters")
	}
	if _, ok := id.subject(p.config.SubjectClaim); !ok {
		return errors.New(p.config.SubjectClaim + ", the configured subject claim, is missing or no string of 1 to 255 characters")
	}
	return nil
}

// checkParty refuses a token that another client asked for, even if we are in its audience.
func checkParty(id claims, audience []string, clientID string) error {
	azp, present := id["azp"]
	switch {
	case present && azp != clientID:
		return errors.New("azp is another client")
	case !present && len(audience) > 1:
		return errors.New("there are several audiences and no azp")
	}
	return nil
}

func (p *Provider) checkTimes(id claims, maxAuthAge *int) error {
	now := p.config.Now()
	if _, ok := id.time("exp"); !ok {
		return errors.New("exp is missing or no time")
	}
	issued, ok := id.time("iat")
	switch {
	case !ok:
		return errors.New("iat is missing or no time")
	case issued.After(now.Add(maxSkew)):
		return errors.New("iat is in the future")
	case issued.Before(now.Add(-maxTokenAge)):
		return errors.New("iat is more than 10 minutes ago")
	}
	authenticated, ok := id.time("auth_time")
	switch _, present := id["auth_time"]; {
	case present && !ok:
		return errors.New("auth_time is no time")
	case authenticated.After(now.Add(maxSkew)):
		return errors.New("auth_time is in the future")
	}
	if maxAuthAge == nil || p.google {
		return nil
	}
	// OpenID Connect Core 1.0 §2: auth_time is required where max_age was sent.
	switch age := now.Add(-maxSkew).Unix() - authenticated.Unix(); { // whole seconds: a Duration overflows at 292 years
	case !ok:
		return errors.New("auth_time is missing, though max_age was sent")
	case age > int64(*maxAuthAge):
		return errors.New("auth_time is longer ago than max_age allows")
	}
	return nil
}

// checkNonce binds the token to the flow: one from another sign-in, injected with its code, has another nonce.
func checkNonce(id claims, want string) error {
	got := id.text("nonce")
	if want == "" || subtle.ConstantTimeCompare([]byte(got), []byte(want)) != 1 {
		return errors.New("nonce is missing or not the one of this sign-in")
	}
	return nil
}

// checkHashes checks at_hash and c_hash where they are there (OpenID Connect Core 1.0 §3.1.3.8, §3.3.2.11).
func checkHashes(id claims, token *gooidc.IDToken, e evidence) error {
	for name, value := range map[string]string{"at_hash": e.accessToken, "c_hash": e.code} {
		hash, present := id[name]
		if !present {
			continue
		}
		// go-oidc knows at_hash alone; the hash of a code is made the same way.
		same := *token
		same.AccessTokenHash, _ = hash.(string)
		if same.VerifyAccessToken(value) != nil {
			return errors.New(name + " does not match")
		}
	}
	return nil
}

// claims is a decoded JSON object: what an upstream says.
type claims map[string]any

func (c claims) text(name string) string {
	s, _ := c[name].(string)
	return s
}

// subject returns a claim fit to be half of an identity's key. A replacement character is not: it stands for bytes that were lost, and two
// different subjects could come out the same.
func (c claims) subject(name string) (string, bool) {
	s := c.text(name)
	odd := func(r rune) bool { return r < ' ' || r == '\u007f' || r == '\ufffd' }
	return s, s != "" && len(s) <= maxSubject && !strings.ContainsFunc(s, odd)
}

// time returns a NumericDate (RFC 7519 §2) between 1970 and 9999.
func (c claims) time(name string) (time.Time, bool) {
	n, ok := c[name].(json.Number)
	if !ok {
		return time.Time{}, false
	}
	seconds, err := n.Float64()
	if err != nil || seconds < 0 || seconds > 253402300799 {
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0).UTC(), true
}

func (c claims) authTime() time.Time {
	t, _ := c.time("auth_time")
	return t
}

// amr returns the methods by which the person authenticated (RFC 8176), as far as they are words.
func (c claims) amr() []string {
	list, _ := c["amr"].([]any)
	var out []string
	for _, v := range list {
		if word := providers.Line(v); word != "" && len(out) < 16 && !slices.Contains(out, word) {
			out = append(out, word)
		}
	}
	return out
}
