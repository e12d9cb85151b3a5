package tokens

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"example.com/broker/clients"
	"example.com/broker/internal/fault"
	"example.com/broker/internal/secret"
	"example.com/broker/keys"
	"example.com/broker/oauth"
	"example.com/broker/rbac"
	"example.com/broker/users"
)

const (
	// DefaultAccessLife is how long an access token is good.
	DefaultAccessLife = 15 * time.Minute
	// DefaultIDLife is how long an ID token is good. It is proof of a sign-in and no credential: clients read it once.
	DefaultIDLife = 15 * time.Minute

	// backdate lets an API whose clock is behind take a fresh token.
	backdate = 30 * time.Second

	typJWT = "JWT"
)

// IssuerOptions configure an Issuer.
type IssuerOptions struct {
	// URL is the issuer identifier, byte for byte as it stands in discovery. Required, as are Ring and Now.
	URL  string
	Ring *keys.Ring
	Now  func() time.Time
	// AccessLife is the lifetime of access tokens for APIs that set none, IDLife that of ID tokens; 0 means the defaults. Whole seconds.
	AccessLife, IDLife time.Duration
	// Role reports whether there is a role of the name; nil means the ones every installation has.
	Role func(name string) bool
	// Allowed records access tokens, in allowlist mode; nil otherwise.
	Allowed AllowStore
}

// Issuer signs what the broker issues. It keeps no record of it, but for allowlist mode. It is safe for concurrent use.
type Issuer struct{ o IssuerOptions }

// NewIssuer returns an error that lists everything wrong with the options.
func NewIssuer(o IssuerOptions) (*Issuer, error) {
	o.AccessLife = cmp.Or(o.AccessLife, DefaultAccessLife)
	o.IDLife = cmp.Or(o.IDLife, DefaultIDLife)
	if o.Role == nil {
		o.Role = rbac.BuiltIn
	}
	var faults []error
	if o.URL == "" || o.Ring == nil || o.Now == nil {
		faults = append(faults, errors.New("issuer, key ring and clock are required"))
	}
	for _, life := range []time.Duration{o.AccessLife, o.IDLife} {
		if life < time.Second || life%time.Second != 0 {
			faults = append(faults, fmt.Errorf("a token lifetime is %v, expected whole seconds from 1", life))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("refuse to set up the issuer: %w", err)
	}
	return &Issuer{o}, nil
}

// URL returns the issuer identifier.
func (i *Issuer) URL() string { return i.o.URL }

// AccessRequest is what an access token is to say.
type AccessRequest struct {
	ClientID string
	// User is whom the client acts for; nil where it acts for itself (client_credentials).
	User *users.User
	// Grant is what the token is bought with; nil where there is none.
	Grant *Grant
	// API is whom the token is for; the zero value is the issuer itself.
	API   clients.API
	Scope oauth.Scopes
	// MaxLife shortens the lifetime; 0 leaves it.
	MaxLife time.Duration
	// Names reports whether the token may name a role that the user has; nil where it may name each.
	Names func(role string) bool
}

// Access is a signed access token.
type Access struct {
	Raw       string
	ID        string // jti
	ExpiresAt time.Time
	// Life is what `expires_in` says, in whole seconds.
	Life time.Duration
}

// AccessToken signs an access token (RFC 9068) in the shape that the API registered: ES256, at+jwt and the installation's lifetime
// by default. The roles are those that the user has now, the API lists and the request lets it name. In allowlist mode the token is stored before it is returned:
// one write. Errors are the store's, those of keys.Ring.Signer, and fault.Conflict "subject_ambiguous" for a user whose id is the
// client's: an API could not tell the two apart.
func (i *Issuer) AccessToken(ctx context.Context, r AccessRequest) (Access, error) {
	now := i.o.Now()
	life := cmp.Or(r.API.TTL, i.o.AccessLife)
	if r.MaxLife > 0 {
		life = min(life, r.MaxLife)
	}
	life = life.Truncate(time.Second)
	iat := now.Unix()
	c := accessClaims{
		Issuer: i.o.URL, Subject: r.ClientID, Audience: cmp.Or(r.API.Audience, i.o.URL), ClientID: r.ClientID,
		ID: secret.New(16).Reveal(), IssuedAt: iat, NotBefore: iat - int64(backdate/time.Second), ExpiresAt: iat + int64(life/time.Second),
		Scope: r.Scope.String(), Roles: []string{},
	}
	if u := r.User; u != nil {
		if u.ID == r.ClientID {
			return Access{}, fault.New(fault.Conflict, "subject_ambiguous", "user and client share the id %q", u.ID)
		}
		i.ofUser(&c, u, now, r.API)
		if r.Names != nil {
			c.Roles = slices.DeleteFunc(c.Roles, func(role string) bool { return !r.Names(role) })
		}
	}
	if g := r.Grant; g != nil {
		c.GrantID, c.SessionID = g.ID, g.ID
		// A grant that outlives its session must not have its tokens refused when the session is signed out.
		if g.Online {
			c.SessionID = g.SessionID
		}
	}
	raw, err := i.sign(cmp.Or(r.API.Alg, keys.ES256), cmp.Or(r.API.Typ, oauth.TypAccessToken), c)
	if err != nil {
		return Access{}, fmt.Errorf("sign an access token: %w", err)
	}
	a := Access{Raw: raw, ID: c.ID, ExpiresAt: time.Unix(c.ExpiresAt, 0).UTC(), Life: life}
	if i.o.Allowed != nil {
		// The margin is the leeway of whoever checks.
		if err := i.o.Allowed.AllowToken(ctx, a.ID, a.ExpiresAt.Add(margin)); err != nil {
			return Access{}, fmt.Errorf("allow an access token: %w", err)
		}
	}
	return a, nil
}

func (i *Issuer) ofUser(c *accessClaims, u *users.User, now time.Time, api clients.API) {
	c.Subject, c.Version = u.ID, &u.Ver
	c.Roles = i.roles(*u, now)
	if api.Roles != nil {
		c.Roles = slices.DeleteFunc(c.Roles, func(role string) bool { return !slices.Contains(api.Roles, role) })
	}
	if u.Email != "" {
		c.Email, c.EmailVerified = u.Email, &u.EmailVerified
	}
}

// roles are those in force that there still are: an API must not go by the name of one that was taken away.
func (i *Issuer) roles(u users.User, now time.Time) []string {
	return slices.DeleteFunc(u.Roles(now), func(role string) bool { return !i.o.Role(role) })
}

// IDRequest is what an ID token is to say.
type IDRequest struct {
	Client clients.Client
	User   users.User
	Grant  Grant
	// AccessToken is the one issued beside it, for at_hash; "" for none.
	AccessToken string
}

// IDToken signs an ID token (OpenID Connect Core §2) with the algorithm that the client registered, RS256 if it registered none. Errors
// are those of keys.Ring.Signer.
func (i *Issuer) IDToken(_ context.Context, r IDRequest) (string, error) {
	scopes, err := oauth.ParseScopes(r.Grant.Scope)
	if err != nil {
		return "", fmt.Errorf("sign an ID token: %w", err)
	}
	asked, err := r.Grant.claimsRequest()
	if err != nil {
		return "", fmt.Errorf("sign an ID token: %w", err)
	}
	now := i.o.Now()
	alg := cmp.Or(r.Client.IDTokenAlg, keys.RS256)
	c := idClaims{
		Issuer: i.o.URL, Subject: r.User.ID, Audience: r.Client.ID,
		IssuedAt: now.Unix(), ExpiresAt: now.Unix() + int64(i.o.IDLife/time.Second),
		Nonce: r.Grant.Nonce, AMR: r.Grant.AMR, ACR: r.Grant.ACR, SessionID: r.Grant.SessionID,
		extra: i.inIDToken(r.User, scopes, asked, now),
	}
	if !r.Grant.AuthTime.IsZero() {
		c.AuthTime = r.Grant.AuthTime.Unix()
	}
	if r.AccessToken != "" {
		c.AccessTokenHash = accessTokenHash(alg, r.AccessToken)
	}
	raw, err := i.sign(alg, typJWT, c)
	if err != nil {
		return "", fmt.Errorf("sign an ID token: %w", err)
	}
	return raw, nil
}

// accessTokenHash is the left half of the hash that the algorithm signs (OpenID Connect Core §3.1.3.6).
func accessTokenHash(alg, raw string) string {
	if alg == keys.EdDSA {
		sum := sha512.Sum512([]byte(raw)) // Ed25519 (RFC 8032 §5.1)
		return base64.RawURLEncoding.EncodeToString(sum[:sha512.Size/2])
	}
	sum := sha256.Sum256([]byte(raw))
	return base64.RawURLEncoding.EncodeToString(sum[:sha256.Size/2])
}

func (i *Issuer) sign(alg, typ string, c jwt.Claims) (string, error) {
	kid, signer, err := i.o.Ring.Signer(alg)
	if err != nil {
		return "", err
	}
	t := jwt.NewWithClaims(jwt.GetSigningMethod(alg), c)
	t.Header["typ"], t.Header["kid"] = typ, kid
	return t.SignedString(signer)
}
