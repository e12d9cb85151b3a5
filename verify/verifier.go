package verify

import (
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	defaultLeeway = 30 * time.Second
	maxLeeway     = time.Minute

	defaultTokenBytes = 16 << 10
	maxTokenBytes     = 1 << 20

	defaultCacheEntries = 8192
	maxCacheAge         = time.Minute
)

// Revocations answers whether a token was taken back before it expires.
type Revocations interface {
	// Check is called for every request, with claims whose signature is proven. It returns nil for a token that is still
	// good, an [*Error] with CodeInvalidToken for one that is not, and anything else where it cannot tell, which is
	// answered with 503. It must neither keep nor change c, and must be safe for concurrent use.
	Check(ctx context.Context, c *Claims) error
}

// Config says which tokens a [Verifier] accepts.
type Config struct {
	// Issuer is the broker's issuer, compared byte for byte. Required.
	Issuer string
	// Audience names this API; a token must be meant for it. Required.
	Audience string
	// InsecureSkipAudience accepts tokens for any audience, with Audience empty. Only the issuer itself has a use for
	// it, at its introspection and userinfo endpoints.
	InsecureSkipAudience bool
	// Keys holds the issuer's public keys. Required.
	Keys KeySet
	// Revocations is asked for every request; nil means that a token is good until it expires.
	Revocations Revocations
	// AllowedTypes are the accepted values of the header typ, without regard to case or a leading "application/"; empty
	// means at+jwt alone. Adding JWT accepts any other token of this issuer that has the audience, ID tokens
	// included: do so only for an API whose tokens the broker issues with that type.
	AllowedTypes []string
	// Leeway forgives clocks that differ; 0 means 30 s, negative none, more than 60 s is refused.
	Leeway time.Duration
	// MaxTokenBytes bounds a token as it is sent; 0 means 16 KiB.
	MaxTokenBytes int
	// CacheEntries bounds how many verified tokens are remembered, for a minute at most, so that their signature need
	// not be checked again; 0 means 8192, negative none. Times, key and revocation are looked at on every request.
	CacheEntries int
	// Realm is shown in challenges; "" means the audience.
	Realm string
	// Now tells the time; nil means time.Now.
	Now func() time.Time
}

// Verifier checks access tokens. It is safe for concurrent use.
type Verifier struct {
	cfg    Config
	types  []string
	parser *jwt.Parser
	cache  *cache
}

// New returns a verifier, or an error that lists everything missing or unsafe in cfg.
func New(cfg Config) (*Verifier, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("refuse to start the token verifier: %w", err)
	}
	cfg.fill()
	v := &Verifier{cfg: cfg, cache: newCache(cfg.CacheEntries)}
	for _, typ := range cfg.AllowedTypes {
		v.types = append(v.types, mediaType(typ))
	}
	v.parser = jwt.NewParser(v.parserOptions()...)
	return v, nil
}

func (c *Config) check() error {
	var faults []error
	need := func(ok bool, what string) {
		if !ok {
			faults = append(faults, errors.New(what))
		}
	}
	need(c.Issuer != "", "Issuer is empty")
	need(c.Keys != nil, "Keys is nil")
	// An empty audience must not come to mean any audience: the tokens of every other API would open this one.
	need(c.Audience != "" || c.InsecureSkipAudience, "Audience is empty")
	need(c.Audience == "" || !c.InsecureSkipAudience, "Audience and InsecureSkipAudience exclude each other")
	need(c.Leeway <= maxLeeway, fmt.Sprintf("Leeway is %v, at most %v is accepted", c.Leeway, maxLeeway))
	need(c.MaxTokenBytes >= 0 && c.MaxTokenBytes <= maxTokenBytes,
		fmt.Sprintf("MaxTokenBytes is %d, 1 to %d are accepted", c.MaxTokenBytes, maxTokenBytes))
	need(!slices.Contains(c.AllowedTypes, ""), "AllowedTypes holds an empty type")
	return errors.Join(faults...)
}

func (c *Config) fill() {
	if len(c.AllowedTypes) == 0 {
		c.AllowedTypes = []string{"at+jwt"}
	}
	switch {
	case c.Leeway == 0:
		c.Leeway = defaultLeeway
	case c.Leeway < 0:
		c.Leeway = 0
	}
	if c.MaxTokenBytes == 0 {
		c.MaxTokenBytes = defaultTokenBytes
	}
	if c.CacheEntries == 0 {
		c.CacheEntries = defaultCacheEntries
	}
	if c.Realm == "" {
		c.Realm = c.Audience
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

func (v *Verifier) parserOptions() []jwt.ParserOption {
	options := []jwt.ParserOption{
		jwt.WithValidMethods(algorithms()), jwt.WithStrictDecoding(), jwt.WithIssuer(v.cfg.Issuer),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(v.cfg.Leeway), jwt.WithTimeFunc(v.cfg.Now),
	}
	if !v.cfg.InsecureSkipAudience {
		options = append(options, jwt.WithAudience(v.cfg.Audience))
	}
	return options
}

// Verify returns what raw, an access token in compact form, says, if all of it holds: form, type, algorithm, issuer,
// audience, times, signature, and that it was not revoked. Every error is an [*Error] with CodeInvalidToken, or with
// CodeUnavailable where keys or revocations cannot be had or ctx ended first; the token is nil then.
func (v *Verifier) Verify(ctx context.Context, raw string) (*Token, error) {
	if len(raw) > v.cfg.MaxTokenBytes {
		return nil, refuse("the token has %d bytes, at most %d are accepted", len(raw), v.cfg.MaxTokenBytes)
	}
	parts, err := splitCompact(raw)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(raw))
	proven, ok := v.remembered(ctx, sum)
	if !ok {
		if proven, err = v.prove(ctx, raw, parts); err != nil {
			return nil, err
		}
		v.cache.put(sum, proven, v.cfg.Now().Add(maxCacheAge))
	}
	if err := v.checkRevoked(ctx, raw, proven.claims); err != nil {
		return nil, err
	}
	return newToken(proven.claims, v.audience(proven.claims)), nil
}

// proof is what a verified signature proves.
type proof struct {
	claims *Claims
	alg    string
	key    crypto.PublicKey
}

// remembered returns a proof from the cache if it holds at this moment too: the times, and that the issuer
// still publishes the key.
func (v *Verifier) remembered(ctx context.Context, sum digest) (proof, bool) {
	now := v.cfg.Now()
	p, ok := v.cache.get(sum, now)
	if !ok || v.checkTimes(p.claims, now) != nil {
		return proof{}, false
	}
	key, err := v.cfg.Keys.Key(ctx, p.claims.KeyID, p.alg)
	if err != nil || !sameKey(key, p.key) {
		return proof{}, false
	}
	return p, true
}

// prove checks everything but revocation. What costs little comes first: a token of another issuer must not make
// this API fetch keys.
func (v *Verifier) prove(ctx context.Context, raw string, parts compact) (proof, error) {
	if err := parts.checkAlphabet(); err != nil {
		return proof{}, err
	}
	h, err := decodeHeader(parts.head)
	if err != nil {
		return proof{}, err
	}
	if err := h.check(v.types); err != nil {
		return proof{}, err
	}
	claims, err := decodeClaims(parts.payload)
	if err != nil {
		return proof{}, err
	}
	claims.KeyID = h.kid
	if err := v.checkClaims(claims); err != nil {
		return proof{}, err
	}
	key, err := keyOf(ctx, v.cfg.Keys, h)
	if err != nil {
		return proof{}, err
	}
	// golang-jwt checks the signature and, once more and by its own code, algorithm, issuer, audience and times.
	_, err = v.parser.ParseWithClaims(raw, &vetted{claims}, func(*jwt.Token) (any, error) { return key, nil })
	if errors.Is(err, jwt.ErrTokenSignatureInvalid) {
		return proof{}, refuse("the signature was not made by the key %s", show(h.kid))
	}
	if errors.Is(err, jwt.ErrTokenMalformed) {
		return proof{}, refuse("the signature is not base64url")
	}
	if err != nil {
		return proof{}, refuse("the token is not valid: %v", err)
	}
	return proof{claims: claims, alg: h.alg, key: key}, nil
}

// keyOf returns the public key that the header names, if it is one for the algorithm the header names.
func keyOf(ctx context.Context, keys KeySet, h header) (crypto.PublicKey, error) {
	key, err := keys.Key(ctx, h.kid, h.alg)
	if errors.Is(err, ErrUnknownKey) {
		return nil, refuse("the issuer has no key %s for %s", show(h.kid), h.alg)
	}
	if err != nil {
		return nil, unavailable("the keys of the issuer cannot be had at the moment", err)
	}
	// RFC 8725 section 2.1: the key decides the algorithm, not the token; checked here for any implementation of KeySet.
	if alg, err := algorithmOf(key); err != nil || alg != h.alg {
		return nil, refuse("the key %s is not one for %s", show(h.kid), h.alg)
	}
	return key, nil
}

// checkClaims checks the claims against the configuration. RFC 9068 section 4, RFC 7519 section 4.1.
func (v *Verifier) checkClaims(c *Claims) error {
	if c.Issuer != v.cfg.Issuer {
		return refuse("the issuer is %s, %s is expected", show(c.Issuer), show(v.cfg.Issuer))
	}
	if len(c.Audience) == 0 {
		return refuse("the token names no audience, %s is expected", show(v.cfg.Audience))
	}
	if !v.cfg.InsecureSkipAudience && !slices.Contains(c.Audience, v.cfg.Audience) {
		return refuse("the audience is %s, %s is expected", show(strings.Join(c.Audience, " ")), show(v.cfg.Audience))
	}
	if !isSubject(c.Subject) {
		return refuse("the subject has %d bytes, 1 to %d printable ASCII characters are expected", len(c.Subject), maxName)
	}
	return v.checkTimes(c, v.cfg.Now())
}

// isSubject reports whether sub is a subject of at most 255 ASCII characters, as OpenID Connect Core section 2 has it.
func isSubject(sub string) bool {
	return sub != "" && len(sub) <= maxName && !strings.ContainsFunc(sub, func(r rune) bool { return r < 0x20 || r > 0x7e })
}

// checkTimes checks exp, nbf and iat with the leeway on the token's side.
func (v *Verifier) checkTimes(c *Claims, now time.Time) error {
	if c.ExpiresAt.IsZero() {
		return refuse("the token never expires, 'exp' is expected")
	}
	if !now.Before(c.ExpiresAt.Add(v.cfg.Leeway)) {
		return refuse("the token expired at %s, it is %s", stamp(c.ExpiresAt), stamp(now))
	}
	ahead := now.Add(v.cfg.Leeway)
	if c.NotBefore.After(ahead) {
		return refuse("the token is not good before %s, it is %s", stamp(c.NotBefore), stamp(now))
	}
	if c.IssuedAt.After(ahead) {
		return refuse("the token was issued in the future, at %s, it is %s", stamp(c.IssuedAt), stamp(now))
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// tokenChecker is a Revocations that must see the token itself.
type tokenChecker interface {
	checkToken(ctx context.Context, raw string) error
}

// checkRevoked asks whether the token was taken back. Only a clear yes is a refusal; not knowing is a 503.
func (v *Verifier) checkRevoked(ctx context.Context, raw string, c *Claims) error {
	if v.cfg.Revocations == nil {
		return nil
	}
	var err error
	if r, ok := v.cfg.Revocations.(tokenChecker); ok {
		err = r.checkToken(ctx, raw)
	} else {
		err = v.cfg.Revocations.Check(ctx, c)
	}
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) && (e.Code == CodeInvalidToken || e.Code == CodeUnavailable) {
		return e
	}
	return unavailable("whether the token was revoked cannot be told at the moment", err)
}

// audience returns the audience under which the token was accepted.
func (v *Verifier) audience(c *Claims) string {
	if v.cfg.InsecureSkipAudience {
		return c.Audience[0]
	}
	return v.cfg.Audience
}

// vetted hands golang-jwt the claims that decodeClaims read, so that no second, looser reading of the payload decides.
type vetted struct{ claims *Claims }

// UnmarshalJSON ignores the payload: it is read already.
func (vetted) UnmarshalJSON([]byte) error { return nil }

// GetExpirationTime implements [jwt.Claims].
func (c vetted) GetExpirationTime() (*jwt.NumericDate, error) { return date(c.claims.ExpiresAt), nil }

// GetIssuedAt implements [jwt.Claims].
func (c vetted) GetIssuedAt() (*jwt.NumericDate, error) { return date(c.claims.IssuedAt), nil }

// GetNotBefore implements [jwt.Claims].
func (c vetted) GetNotBefore() (*jwt.NumericDate, error) { return date(c.claims.NotBefore), nil }

// GetIssuer implements [jwt.Claims].
func (c vetted) GetIssuer() (string, error) { return c.claims.Issuer, nil }

// GetSubject implements [jwt.Claims].
func (c vetted) GetSubject() (string, error) { return c.claims.Subject, nil }

// GetAudience implements [jwt.Claims].
func (c vetted) GetAudience() (jwt.ClaimStrings, error) { return c.claims.Audience, nil }

func date(t time.Time) *jwt.NumericDate {
	if t.IsZero() {
		return nil
	}
	return &jwt.NumericDate{Time: t}
}
