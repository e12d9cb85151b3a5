package oidc_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"example.com/broker/providers"
	"example.com/broker/providers/local"
	"example.com/broker/providers/oidc"
)

// edited answers as the local Google does, after edit has changed the JSON.
func (g *google) edited(edit func(map[string]any)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		honest := httptest.NewRecorder()
		g.Genuine(honest, r)
		var doc map[string]any
		if err := json.Unmarshal(honest.Body.Bytes(), &doc); err != nil {
			panic(err)
		}
		edit(doc)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(honest.Code)
		_ = json.NewEncoder(w).Encode(doc)
	}
}

// attacks.md A08 and A09.
func TestIDTokenClaims(t *testing.T) {
	type object = map[string]any
	at := newClock().Now().Unix()
	long := strings.Repeat("s", 256)
	for _, row := range []struct {
		rule  string
		claim object // nil takes one out
		want  bool
	}{
		{"nothing changed", object{}, true},

		{"nonce missing", object{"nonce": nil}, false},
		{"nonce wrong", object{"nonce": "another"}, false},
		{"nonce empty", object{"nonce": ""}, false},
		{"nonce no string", object{"nonce": []string{"x"}}, false},
		{"nonce under a name in another case", object{"nonce": nil, "Nonce": "x"}, false},

		{"iss missing", object{"iss": nil}, false},
		{"iss of another provider", object{"iss": "https://accounts.example.com"}, false},
		{"iss with a slash more", object{"iss": "SELF/"}, false},
		{"iss under a name in another case", object{"iss": nil, "ISS": "SELF"}, false},

		{"aud missing", object{"aud": nil}, false},
		{"aud another client", object{"aud": "another"}, false},
		{"aud empty", object{"aud": []string{}}, false},
		{"aud a list of us", object{"aud": []string{clientID}}, true},
		{"aud a list of us, no azp", object{"aud": []string{clientID}, "azp": nil}, true},
		{"aud us and another, azp us", object{"aud": []string{clientID, "another"}}, true},
		{"aud us and another, no azp", object{"aud": []string{clientID, "another"}, "azp": nil}, false},
		{"aud us and another, azp the other", object{"aud": []string{clientID, "another"}, "azp": "another"}, false},
		{"aud a number", object{"aud": 1}, false},
		{"aud us and a number", object{"aud": []any{clientID, 1}}, false},
		{"azp missing, one audience", object{"azp": nil}, true},
		{"azp another client", object{"azp": "another"}, false},
		{"azp empty", object{"azp": ""}, false},
		{"azp no string", object{"azp": []string{clientID}}, false},
		{"azp null", object{"azp": json.RawMessage("null")}, false},

		{"exp missing", object{"exp": nil}, false},
		{"exp null", object{"exp": json.RawMessage("null")}, false},
		{"exp past", object{"exp": at - 1}, false},
		{"exp a string", object{"exp": "9999999999"}, false},
		{"exp beyond all years", object{"exp": json.RawMessage("1e300")}, false},
		{"exp beyond all numbers", object{"exp": json.RawMessage("1e400")}, false},
		{"exp under a name in another case", object{"exp": nil, "Exp": at + 60}, false},
		{"exp with a fraction", object{"exp": float64(at) + 60.5}, true},

		{"iat missing", object{"iat": nil}, false},
		{"iat null", object{"iat": json.RawMessage("null")}, false},
		{"iat a string", object{"iat": "1"}, false},
		{"iat 10 minutes ago", object{"iat": at - 600}, true},
		{"iat more than 10 minutes ago", object{"iat": at - 601}, false},
		{"iat ahead by the skew", object{"iat": at + 60}, true},
		{"iat ahead by more", object{"iat": at + 61}, false},
		{"iat negative", object{"iat": -1}, false},
		{"nbf far ahead", object{"nbf": at + 3600}, false},

		{"sub missing", object{"sub": nil}, false},
		{"sub empty", object{"sub": ""}, false},
		{"sub a number", object{"sub": 42}, false},
		{"sub null", object{"sub": json.RawMessage("null")}, false},
		{"sub of 256 characters", object{"sub": long}, false},
		{"sub of 255 characters", object{"sub": long[1:]}, true},
		{"sub with a control character", object{"sub": "a\nb"}, false},
		{"sub with half a surrogate, which decodes to the mark for lost bytes", object{"sub": json.RawMessage(`"\ud800"`)}, false},
		{"sub under a name in another case", object{"sub": nil, "SUB": "1"}, false},
		{"sub under two names", object{"Sub": "1"}, false},
		{"sub under a name that Unicode folds", object{"\u017fub": "1"}, false},

		{"at_hash missing", object{"at_hash": nil}, true},
		{"at_hash wrong", object{"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, false},
		{"at_hash empty", object{"at_hash": ""}, false},
		{"at_hash no string", object{"at_hash": true}, false},
		{"at_hash null", object{"at_hash": json.RawMessage("null")}, false},
		{"c_hash wrong", object{"c_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, false},
		{"c_hash no string", object{"c_hash": 1}, false},

		{"auth_time a string", object{"auth_time": "now"}, false},
		{"auth_time ahead by more than the skew", object{"auth_time": at + 61}, false},
		{"auth_time past", object{"auth_time": at - 100_000}, true},

		{"nested without end", object{"x": json.RawMessage(strings.Repeat("[", 5000) + strings.Repeat("]", 5000))}, false},
	} {
		t.Run(row.rule, func(t *testing.T) {
			g := startGoogle(t, oidc.New, nil)
			g.TamperClaims(func(c map[string]any) {
				change(c, row.claim)
				for name, value := range c {
					if s, ok := value.(string); ok {
						c[name] = strings.ReplaceAll(s, "SELF", g.url)
					}
				}
			})
			g.SetFault(local.GoogleUserinfoPath, g.edited(func(doc map[string]any) {
				if sub := row.claim["sub"]; sub != nil {
					doc["sub"] = sub
				}
			}))
			_, err := signIn(t, g.provider, "ada")
			if row.want {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantFault(t, err, "upstream_invalid")
			if g.Calls(local.GoogleUserinfoPath) != 0 {
				t.Error("userinfo was called before the ID token was verified")
			}
		})
	}
}

// attacks.md A08: a token of another sign-in, injected into this one.
func TestNonceOfAnotherSignIn(t *testing.T) {
	g := startGoogle(t, oidc.New, nil)
	f := newFlow()
	back := pick(t, g.provider, f, "ada")
	f.Nonce = newFlow().Nonce
	_, err := g.provider.Exchange(t.Context(), f, back)
	wantFault(t, err, "upstream_invalid")

	f = newFlow()
	back = pick(t, g.provider, f, "ada")
	f.Nonce = ""
	g.TamperClaims(func(c map[string]any) { c["nonce"] = "" })
	_, err = g.provider.Exchange(t.Context(), f, back)
	wantFault(t, err, "upstream_invalid")
}

func TestDuplicateClaims(t *testing.T) {
	g := startGoogle(t, oidc.New, nil)
	key := newECKey(t)
	g.resign(t, jose.ES256, key, "k", func(payload []byte) []byte {
		return append([]byte(`{"sub": "victim", `), payload[1:]...)
	})
	_, err := signIn(t, g.provider, "ada")
	wantFault(t, err, "upstream_invalid")
}

// attacks.md A10.
func TestIDTokenSignature(t *testing.T) {
	for _, row := range []struct {
		rule    string
		signing local.Signing
		rotate  bool
		want    bool
	}{
		{"genuine", local.SignGenuine, false, true},
		{"genuine, several keys", local.SignGenuine, true, true},
		{"alg none", local.SignNone, false, false},
		{"HS256 keyed with the client secret", local.SignHS256Secret, false, false},
		{"HS256 keyed with the public key", local.SignHS256PublicKey, false, false},
		{"signed by another key", local.SignOtherKey, false, false},
		{"signature changed", local.SignBroken, false, false},
		{"no kid, one key", local.SignWithoutKid, false, true},
		{"no kid, several keys", local.SignWithoutKid, true, false},
		{"unknown kid", local.SignUnknownKid, false, false},
	} {
		t.Run(row.rule, func(t *testing.T) {
			g := startGoogle(t, oidc.New, nil)
			if row.rotate {
				g.RotateKey(newKey())
			}
			g.SetSigning(row.signing)
			_, err := signIn(t, g.provider, "ada")
			if row.want && err != nil {
				t.Fatal(err)
			}
			if !row.want {
				wantFault(t, err, "upstream_invalid")
			}
		})
	}
}

func newECKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// resign makes the local Google sign by another algorithm and key, publish that key alone, and advertise the algorithm. edit changes the
// payload, nil leaves it.
func (g *google) resign(t testing.TB, alg jose.SignatureAlgorithm, key crypto.Signer, kid string, edit func([]byte) []byte) {
	t.Helper()
	options := (&jose.SignerOptions{}).WithType("JWT")
	if kid != "" {
		options = options.WithHeader("kid", kid)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	g.SetFault(local.GoogleTokenPath, g.edited(func(doc map[string]any) {
		raw, _ := doc["id_token"].(string)
		if raw == "" {
			return
		}
		token, err := jose.ParseSigned(raw, []jose.SignatureAlgorithm{jose.RS256})
		if err != nil {
			panic(err)
		}
		var c map[string]any
		if err := json.Unmarshal(token.UnsafePayloadWithoutVerification(), &c); err != nil {
			panic(err)
		}
		c["at_hash"] = halfHash(alg, doc["access_token"].(string))
		payload, err := json.Marshal(c)
		if err != nil {
			panic(err)
		}
		if edit != nil {
			payload = edit(payload)
		}
		signed, err := signer.Sign(payload)
		if err != nil {
			panic(err)
		}
		doc["id_token"], _ = signed.CompactSerialize()
	}))
	g.publish(t, jose.JSONWebKey{Key: key.Public(), KeyID: kid})
	g.SetFault(local.GoogleDiscoveryPath, g.edited(func(doc map[string]any) {
		doc["id_token_signing_alg_values_supported"] = []string{"RS256", string(alg)}
	}))
}

// publish replaces the key set.
func (g *google) publish(t testing.TB, keys ...any) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"keys": append([]any{}, keys...)})
	if err != nil {
		t.Fatal(err)
	}
	g.SetFault(local.GoogleCertsPath, local.Answer(http.StatusOK, "application/jwk-set+json", string(body)))
}

// halfHash is OpenID Connect Core 1.0 §3.1.3.6.
func halfHash(alg jose.SignatureAlgorithm, value string) string {
	h := crypto.SHA256
	switch {
	case strings.HasSuffix(string(alg), "384"):
		h = crypto.SHA384
	case strings.HasSuffix(string(alg), "512"), alg == jose.EdDSA:
		h = crypto.SHA512
	}
	sum := h.New()
	sum.Write([]byte(value))
	return base64.RawURLEncoding.EncodeToString(sum.Sum(nil)[:sum.Size()/2])
}

func TestIDTokenAlgorithms(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for alg, key := range map[jose.SignatureAlgorithm]crypto.Signer{
		jose.RS256: signingKey(), jose.RS512: signingKey(), jose.PS256: signingKey(), jose.ES256: newECKey(t), jose.EdDSA: ed,
	} {
		t.Run(string(alg), func(t *testing.T) {
			g := startGoogle(t, oidc.New, nil)
			g.resign(t, alg, key, "k", nil)
			if _, err := signIn(t, g.provider, "ada"); err != nil {
				t.Fatal(err)
			}
			// The hash of the code is made like that of the access token.
			for want, add := range map[bool]string{true: "", false: "x"} {
				f := newFlow()
				back := pick(t, g.provider, f, "ada")
				g.resign(t, alg, key, "k", func(payload []byte) []byte {
					return append([]byte(`{"c_hash": "`+halfHash(alg, back.Get("code")+add)+`", `), payload[1:]...)
				})
				if _, err := g.provider.Exchange(t.Context(), f, back); (err == nil) != want {
					t.Errorf("c_hash of the code%s: error %v", add, err)
				}
			}
		})
	}
}

func TestAlgorithmsOfTheDiscoveryDocument(t *testing.T) {
	for _, row := range []struct {
		rule       string
		advertised any
		signed     jose.SignatureAlgorithm
		code       string // "" for success
	}{
		{"one that is advertised", []string{"PS256"}, jose.PS256, ""},
		{"one that is not", []string{"PS256"}, jose.RS256, "upstream_invalid"},
		{"nothing advertised means RS256", nil, jose.RS256, ""},
		{"nothing advertised means RS256 alone", nil, jose.PS256, "upstream_invalid"},
		{"HMAC and none beside it change nothing", []string{"none", "HS256", "RS256"}, jose.RS256, ""},
		{"HMAC and none alone", []string{"none", "HS256"}, jose.RS256, "upstream_invalid"},
	} {
		t.Run(row.rule, func(t *testing.T) {
			g := startGoogle(t, oidc.New, nil)
			g.resign(t, row.signed, signingKey(), "k", nil)
			g.SetFault(local.GoogleDiscoveryPath, g.edited(func(doc map[string]any) {
				delete(doc, "id_token_signing_alg_values_supported")
				if row.advertised != nil {
					doc["id_token_signing_alg_values_supported"] = row.advertised
				}
			}))
			f := newFlow()
			to, err := g.provider.AuthURL(t.Context(), f)
			if err == nil {
				back, pickErr := local.Pick(t.Context(), nil, to, "ada")
				if pickErr != nil {
					t.Fatal(pickErr)
				}
				_, err = g.provider.Exchange(t.Context(), f, back.Query())
			}
			if row.code == "" && err != nil {
				t.Fatal(err)
			}
			if row.code != "" {
				wantFault(t, err, row.code)
			}
		})
	}
}

// attacks.md A10, on the side of the key set.
func TestKeySet(t *testing.T) {
	key, other := newECKey(t), newECKey(t)
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	jwk := func(k any, kid, use, alg string) jose.JSONWebKey {
		return jose.JSONWebKey{Key: k, KeyID: kid, Use: use, Algorithm: alg}
	}
	for _, row := range []struct {
		rule string
		alg  jose.SignatureAlgorithm
		key  crypto.Signer
		kid  string
		set  []any
		want bool
	}{
		{"the key alone", jose.ES256, key, "k", []any{jwk(key.Public(), "k", "sig", "ES256")}, true},
		{"the key without use and algorithm", jose.ES256, key, "k", []any{jwk(key.Public(), "k", "", "")}, true},
		{"among others", jose.ES256, key, "k", []any{jwk(other.Public(), "o", "sig", ""), jwk(key.Public(), "k", "sig", "")}, true},
		{"beside another with the same kid", jose.ES256, key, "k", []any{jwk(other.Public(), "k", "sig", ""), jwk(key.Public(), "k", "sig", "")}, true},
		{"beside one of an unknown kind", jose.ES256, key, "k", []any{map[string]any{"kty": "XX", "kid": "x"}, jwk(key.Public(), "k", "", "")}, true},
		{"beside one on an unknown curve", jose.ES256, key, "k", []any{map[string]any{"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}, jwk(key.Public(), "k", "", "")}, true},
		{"beside something that is no key", jose.ES256, key, "k", []any{"x", 1, nil, jwk(key.Public(), "k", "", "")}, true},
		{"the right key under another kid", jose.ES256, key, "k", []any{jwk(key.Public(), "o", "", "")}, false},
		{"the right key without a kid", jose.ES256, key, "k", []any{jwk(key.Public(), "", "", "")}, false},
		{"no kid, a key for encryption beside it", jose.ES256, key, "", []any{jwk(other.Public(), "o", "enc", ""), jwk(key.Public(), "k", "", "")}, true},
		{"no kid, a symmetric key beside it", jose.ES256, key, "", []any{jwk([]byte("a key of some length for HMAC...."), "o", "sig", ""), jwk(key.Public(), "k", "", "")}, true},
		{"no kid, a private key beside it", jose.ES256, key, "", []any{jwk(other, "o", "sig", ""), jwk(key.Public(), "k", "", "")}, true},
		{"no kid, two keys of different kinds", jose.ES256, key, "", []any{jwk(signingKey().Public(), "o", "sig", ""), jwk(key.Public(), "k", "", "")}, false},
		{"a key for encryption", jose.ES256, key, "k", []any{jwk(key.Public(), "k", "enc", "")}, false},
		{"a key for another algorithm", jose.PS256, signingKey(), "k", []any{jwk(signingKey().Public(), "k", "sig", "RS256")}, false},
		{"a private key, published", jose.ES256, key, "k", []any{jwk(key, "k", "", "")}, false},
		{"an RSA key of 1024 bits", jose.RS256, short, "k", []any{jwk(short.Public(), "k", "", "")}, false},
		{"no keys", jose.ES256, key, "k", nil, false},
	} {
		t.Run(row.rule, func(t *testing.T) {
			g := startGoogle(t, oidc.New, nil)
			g.resign(t, row.alg, row.key, row.kid, nil)
			g.publish(t, row.set...)
			_, err := signIn(t, g.provider, "ada")
			if row.want && err != nil {
				t.Fatal(err)
			}
			if !row.want {
				wantFault(t, err, "upstream_invalid")
			}
		})
	}
}

func TestMaxAge(t *testing.T) {
	at := newClock().Now().Unix()
	for _, row := range []struct {
		rule     string
		maxAge   int
		authTime any // nil for none
		build    factory
		want     bool
	}{
		{"within", 300, at - 300, oidc.New, true},
		{"within, with the skew", 300, at - 360, oidc.New, true},
		{"longer ago", 300, at - 361, oidc.New, false},
		{"0: now", 0, at, oidc.New, true},
		{"0: longer ago", 0, at - 61, oidc.New, false},
		{"not said", 300, nil, oidc.New, false},
		{"a limit beyond all times", math.MaxInt, at - 100_000, oidc.New, true},
		{"Google was not asked", 300, nil, oidc.NewGoogle, true},
	} {
		t.Run(row.rule, func(t *testing.T) {
			g := startGoogle(t, row.build, nil)
			g.TamperClaims(func(c map[string]any) { change(c, map[string]any{"auth_time": row.authTime}) })
			f := newFlow()
			f.MaxAge = &row.maxAge
			got, err := g.provider.Exchange(t.Context(), f, pick(t, g.provider, f, "ada"))
			if !row.want {
				wantFault(t, err, "upstream_invalid")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if seconds, ok := row.authTime.(int64); ok && !got.AuthTime.Equal(time.Unix(seconds, 0)) {
				t.Errorf("AuthTime %v, want %d", got.AuthTime, seconds)
			}
		})
	}
}

func TestAMR(t *testing.T) {
	for _, row := range []struct {
		rule string
		amr  any
		want []string
	}{
		{"a list", []any{"pwd", "otp"}, []string{"pwd", "otp"}},
		{"what is no word is left out", []any{"pwd", 5, "", "a\nb", "pwd"}, []string{"pwd"}},
		{"a string", "pwd", nil},
		{"none", nil, nil},
	} {
		t.Run(row.rule, func(t *testing.T) {
			g := startGoogle(t, oidc.New, nil)
			g.TamperClaims(func(c map[string]any) { change(c, map[string]any{"amr": row.amr}) })
			got, err := signIn(t, g.provider, "ada")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.want, got.AMR); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Userinfo and its sub are bound to the ID token by sub, whatever claim the identity is made of.
func TestSubjectClaimBesideSub(t *testing.T) {
	g := startGoogle(t, oidc.New, func(c *providers.Config) { c.SubjectClaim = "oid" })
	g.TamperClaims(func(c map[string]any) { change(c, map[string]any{"oid": "0d1e", "sub": nil}) })
	_, err := signIn(t, g.provider, "ada")
	wantFault(t, err, "upstream_invalid")
	if g.Calls(local.GoogleUserinfoPath) != 0 {
		t.Error("userinfo was called before the ID token was verified")
	}
}

func TestSubjectClaim(t *testing.T) {
	g := startGoogle(t, oidc.New, func(c *providers.Config) { c.SubjectClaim = "oid" })
	for _, row := range []struct {
		rule string
		oid  any
		want string
	}{
		{"a string", "0d1e", "0d1e"},
		{"missing", nil, ""},
		{"empty", "", ""},
		{"a number", 5, ""},
		{"a list", []string{"0d1e"}, ""},
		{"of 256 characters", strings.Repeat("o", 256), ""},
	} {
		t.Run(row.rule, func(t *testing.T) {
			g.TamperClaims(func(c map[string]any) { change(c, map[string]any{"oid": row.oid}) })
			// It counts in the ID token alone.
			g.SetFault(local.GoogleUserinfoPath, g.edited(func(doc map[string]any) { doc["oid"] = "unsigned" }))
			got, err := signIn(t, g.provider, "ada")
			if row.want == "" {
				wantFault(t, err, "upstream_invalid")
			} else if err != nil || got.Identity.Subject != row.want {
				t.Errorf("subject %q, error %v; want %q", got.Identity.Subject, err, row.want)
			}
		})
	}
}
