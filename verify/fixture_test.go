package verify_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"example.com/broker/verify"
)

const (
	issuer   = "https://broker.example/auth"
	audience = "https://orders.example"
)

// epoch is the present of every test that does not move its clock.
var epoch = time.Unix(1_750_000_000, 0).UTC()

func frozen() time.Time { return epoch }

// clock is a present that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: epoch} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// signer signs whatever it is given, well-formed or not.
type signer struct {
	kid     string
	method  jwt.SigningMethod
	private crypto.Signer
}

// ecSigner and edSigner have fixed keys, so that goldens and fuzz seeds stay good.
func ecSigner(kid string, scalar byte) signer {
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), append(make([]byte, 31), scalar))
	if err != nil {
		panic(err)
	}
	return signer{kid: kid, method: jwt.SigningMethodES256, private: private}
}

func edSigner(kid string, seed byte) signer {
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	return signer{kid: kid, method: jwt.SigningMethodEdDSA, private: private}
}

var rsaSigner = sync.OnceValue(func() signer {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return signer{kid: "rsa-1", method: jwt.SigningMethodRS256, private: private}
})

func (s signer) public() crypto.PublicKey { return s.private.Public() }

// compact signs the two texts as they are.
func (s signer) compact(tb testing.TB, head, payload string) string {
	tb.Helper()
	signed := part(head) + "." + part(payload)
	signature, err := s.method.Sign(signed, s.private)
	if err != nil {
		tb.Fatalf("sign: %v", err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// token signs an ordinary token with some members changed.
func (s signer) token(tb testing.TB, head, claims members) string {
	tb.Helper()
	return s.compact(tb, s.header().with(head).text(tb), ordinary().with(claims).text(tb))
}

func (s signer) header() members {
	return members{"alg": s.method.Alg(), "typ": "at+jwt", "kid": s.kid}
}

func part(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// members is a JSON object; a nil value removes a member in with.
type members map[string]any

func (m members) with(changes members) members {
	out := maps.Clone(m)
	for name, value := range changes {
		if value == nil {
			delete(out, name)
			continue
		}
		out[name] = value
	}
	return out
}

func (m members) text(tb testing.TB) string {
	tb.Helper()
	data, err := json.Marshal(m)
	if err != nil {
		tb.Fatalf("marshal: %v", err)
	}
	return string(data)
}

// raw is a JSON value that json.Marshal would not write.
func raw(text string) json.RawMessage { return json.RawMessage(text) }

// ordinary are the claims of a good token at epoch.
func ordinary() members {
	return members{
		"iss": issuer, "sub": "usr_1", "aud": audience, "client_id": "demo-spa", "jti": "jti_1",
		"exp": epoch.Unix() + 900, "iat": epoch.Unix(), "nbf": epoch.Unix() - 30,
		"scope": "openid orders:read", "roles": []string{"editor", "viewer"}, "email": "alice@example.com",
		"sid": "sid_1", "gid": "gid_1", "ver": 7,
	}
}

func staticKeys(tb testing.TB, signers ...signer) *verify.StaticKeys {
	tb.Helper()
	keys := map[string]crypto.PublicKey{}
	for _, s := range signers {
		keys[s.kid] = s.public()
	}
	set, err := verify.NewStaticKeys(keys)
	if err != nil {
		tb.Fatalf("static keys: %v", err)
	}
	return set
}

// newVerifier returns a verifier for audience at epoch, with changes to its configuration.
func newVerifier(tb testing.TB, change func(*verify.Config)) *verify.Verifier {
	tb.Helper()
	cfg := verify.Config{Issuer: issuer, Audience: audience, Now: frozen}
	change(&cfg)
	v, err := verify.New(cfg)
	if err != nil {
		tb.Fatalf("new verifier: %v", err)
	}
	return v
}

// wantRefusal checks that err is a refusal with the code whose description holds text, and that it came alone.
func wantRefusal(tb testing.TB, token *verify.Token, err error, code, text string) {
	tb.Helper()
	if token != nil {
		tb.Errorf("got a token beside the error: %+v", token)
	}
	var e *verify.Error
	if !errors.As(err, &e) {
		tb.Fatalf("got error %v, want a *verify.Error with code %s", err, code)
	}
	if e.Code != code || !strings.Contains(e.Description, text) {
		tb.Errorf("got %q %q, want code %q and a description with %q", e.Code, e.Description, code, text)
	}
}

// keySetFunc is a KeySet made of a function.
type keySetFunc func(ctx context.Context, kid, alg string) (crypto.PublicKey, error)

func (f keySetFunc) Key(ctx context.Context, kid, alg string) (crypto.PublicKey, error) {
	return f(ctx, kid, alg)
}

// revocationsFunc is a Revocations made of a function.
type revocationsFunc func(ctx context.Context, c *verify.Claims) error

func (f revocationsFunc) Check(ctx context.Context, c *verify.Claims) error { return f(ctx, c) }

// jwkOf returns the public JWK of a signer, with some members changed.
func jwkOf(tb testing.TB, s signer, changes members) members {
	tb.Helper()
	m := members{"kid": s.kid, "use": "sig", "alg": s.method.Alg()}
	switch k := s.public().(type) {
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil {
			tb.Fatalf("encode key: %v", err)
		}
		m["kty"], m["crv"] = "EC", "P-256"
		m["x"], m["y"] = b64(point[1:33]), b64(point[33:])
	case *rsa.PublicKey:
		m["kty"], m["n"], m["e"] = "RSA", b64(k.N.Bytes()), b64(big.NewInt(int64(k.E)).Bytes())
	case ed25519.PublicKey:
		m["kty"], m["crv"], m["x"] = "OKP", "Ed25519", b64(k)
	}
	return m.with(changes)
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// jwks returns a key set document.
func jwks(tb testing.TB, keys ...members) string {
	tb.Helper()
	return members{"keys": append([]members{}, keys...)}.text(tb)
}
