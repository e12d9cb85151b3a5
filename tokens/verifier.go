package tokens

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"example.com/broker/keys"
	"example.com/broker/oauth"
	"example.com/broker/verify"
)

// VerifierOptions configure a Verifier. Issuer, Ring, Revocations and Now are required.
type VerifierOptions struct {
	Issuer      string
	Ring        *keys.Ring
	Revocations *Revocations
	Now         func() time.Time
	// Shape returns the `typ` of the access tokens for an audience other than the issuer, false for one that is no API's; nil where
	// there are no APIs.
	Shape func(audience string) (typ string, ok bool)
	// Allowed holds the access tokens that are good, in allowlist mode: one read a check. nil otherwise.
	Allowed AllowStore
}

// Verifier checks the broker's own access tokens in process, without HTTP. It is safe for concurrent use.
type Verifier struct {
	o        VerifierOptions
	own, any *verify.Verifier
}

// NewVerifier returns an error that says what is missing.
func NewVerifier(o VerifierOptions) (*Verifier, error) {
	if o.Ring == nil || o.Revocations == nil || o.Now == nil {
		return nil, errors.New("refuse to set up the verifier: key ring, revocations and clock are required")
	}
	if o.Shape == nil {
		o.Shape = func(string) (string, bool) { return "", false }
	}
	cfg := verify.Config{Issuer: o.Issuer, Audience: o.Issuer, Keys: o.Ring, Revocations: o.Revocations, Now: o.Now}
	if o.Allowed != nil {
		cfg.Revocations = allowlist{o.Revocations, o.Allowed}
	}
	own, err := verify.New(cfg)
	if err != nil {
		return nil, err
	}
	cfg.Audience, cfg.InsecureSkipAudience, cfg.AllowedTypes = "", true, []string{oauth.TypAccessToken, typJWT}
	all, err := verify.New(cfg)
	if err != nil {
		return nil, err
	}
	return &Verifier{o: o, own: own, any: all}, nil
}

// Own accepts access tokens that are meant for the broker itself. A token that some API receives must not open it. Errors are
// *verify.Error: invalid_token or temporarily_unavailable.
func (v *Verifier) Own(ctx context.Context, raw string) (*verify.Token, error) {
	return v.own.Verify(ctx, raw)
}

// Any accepts live access tokens for the broker or any registered API, for userinfo and introspection. Errors are *verify.Error as
// Own has them.
func (v *Verifier) Any(ctx context.Context, raw string) (*verify.Token, error) {
	t, err := v.any.Verify(ctx, raw)
	if err != nil {
		return nil, err
	}
	if len(t.Claims.Audience) != 1 || t.Claims.ClientID == "" || t.Claims.ID == "" {
		return nil, &verify.Error{Code: verify.CodeInvalidToken, Description: "the token is no access token"}
	}
	typ, err := typOf(raw)
	if err != nil {
		return nil, err
	}
	want, known := oauth.TypAccessToken, true
	if aud := t.Claims.Audience[0]; aud != v.o.Issuer {
		want, known = v.o.Shape(aud)
	}
	// RFC 8725 §3.11: only an API that is registered for plain JWTs is sent any, so nothing else of that type is an access token.
	if !known || typ != want {
		return nil, &verify.Error{Code: verify.CodeInvalidToken, Description: "the token is no access token for an audience of this issuer"}
	}
	return t, nil
}

// Verifier returns the verify.Verifier behind Own, for its middleware.
func (v *Verifier) Verifier() *verify.Verifier { return v.own }

// typOf reads the header of a token that verify has accepted.
func typOf(raw string) (string, error) {
	head, _, _ := strings.Cut(raw, ".")
	var h struct{ Typ string }
	plain, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil || json.Unmarshal(plain, &h) != nil {
		return "", &verify.Error{Code: verify.CodeInvalidToken, Description: "the token cannot be read"}
	}
	return h.Typ, nil
}

// Hint is what an ID token says about the sign-in it was issued for.
type Hint struct {
	Subject   string
	ClientID  string // its audience
	SessionID string // "" where there was no session
}

// Hints reads ID tokens that come back as id_token_hint. It is safe for concurrent use.
type Hints struct {
	issuer string
	ring   *keys.Ring
	parser *jwt.Parser
}

// NewHints reads the ID tokens of one issuer.
func NewHints(issuer string, ring *keys.Ring) *Hints {
	return &Hints{issuer, ring, jwt.NewParser(
		jwt.WithValidMethods(keys.Algorithms()), jwt.WithStrictDecoding(),
		// OpenID Connect RP-Initiated Logout §2, Core §3.1.2.2: a hint is good though it has expired.
		jwt.WithoutClaimsValidation(),
	)}
}

const maxHint = 8 << 10

// Read returns what an ID token of this issuer says, whether expired or not. Any other token is *oauth.Error invalid_request; an error
// of another type is the key store's.
func (h *Hints) Read(ctx context.Context, raw string) (Hint, error) {
	if len(raw) > maxHint {
		return Hint{}, badHint(nil)
	}
	var c idClaims
	var unreachable error
	t, err := h.parser.ParseWithClaims(raw, &c, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		key, err := h.ring.Key(ctx, kid, t.Method.Alg())
		if err != nil && !errors.Is(err, verify.ErrUnknownKey) {
			unreachable = err
		}
		return key, err
	})
	switch {
	case unreachable != nil:
		return Hint{}, fmt.Errorf("read an ID token hint: %w", unreachable)
	case err != nil:
		return Hint{}, badHint(err)
	}
	typ, _ := t.Header["typ"].(string)
	// An access token of a plain JWT type has a client_id; an ID token never does (claims.go).
	if typ != typJWT || c.Issuer != h.issuer || c.Subject == "" || c.Audience == "" || c.ClientID != "" {
		return Hint{}, badHint(nil)
	}
	return Hint{Subject: c.Subject, ClientID: c.Audience, SessionID: c.SessionID}, nil
}

func badHint(cause error) error {
	e := oauth.Errorf(oauth.ErrInvalidRequest, "id_token_hint is not an ID token of this issuer")
	e.Cause = cause
	return e
}
