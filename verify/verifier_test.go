package verify_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"example.com/broker/verify"
)

func TestVerifyReadsAGoodToken(t *testing.T) {
	for _, s := range []signer{ecSigner("ec-1", 1), edSigner("ed-1", 1), rsaSigner()} {
		t.Run(s.method.Alg(), func(t *testing.T) {
			v := newVerifier(t, func(c *verify.Config) { c.Keys = staticKeys(t, s) })
			got, err := v.Verify(t.Context(), s.token(t, nil, members{"locale": "de"}))
			if err != nil {
				t.Fatalf("verify: %v", err)
			}
			want := &verify.Token{
				Subject: verify.Subject{
					Kind: verify.KindUser, ID: "usr_1", ClientID: "demo-spa", Audience: audience, Email: "alice@example.com",
					Roles: []string{"editor", "viewer"}, Scopes: []string{"openid", "orders:read"},
				},
				Claims: verify.Claims{
					Issuer: issuer, Subject: "usr_1", Audience: []string{audience}, ClientID: "demo-spa", ID: "jti_1",
					ExpiresAt: epoch.Add(15 * time.Minute), IssuedAt: epoch, NotBefore: epoch.Add(-30 * time.Second),
					Scope: "openid orders:read", Roles: []string{"editor", "viewer"}, Email: "alice@example.com",
					SessionID: "sid_1", GrantID: "gid_1", Version: 7, KeyID: s.kid,
				},
			}
			if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(verify.Claims{})); diff != "" {
				t.Errorf("token (-want +got):\n%s", diff)
			}
			if locale, ok := got.Claims.Member("locale"); !ok || string(locale) != `"de"` {
				t.Errorf("got member locale %s %v, want it as it was written", locale, ok)
			}
			if _, ok := got.Claims.Member("LOCALE"); ok {
				t.Error("a member is found under another case")
			}
		})
	}
}

func TestVerifyAccepts(t *testing.T) {
	s := ecSigner("ec-1", 1)
	v := newVerifier(t, func(c *verify.Config) { c.Keys = staticKeys(t, s) })
	now := epoch.Unix()
	tests := []struct {
		rule         string
		head, claims members
	}{
		{"typ without regard to case", members{"typ": "AT+JWT"}, nil},
		{"typ with application/", members{"typ": "Application/at+jwt"}, nil},
		{"unknown header members are ignored", members{"x": map[string]any{"y": 1}}, nil},
		{"aud as an array with ours", nil, members{"aud": []string{"https://other.example", audience}}},
		{"exp one second within the leeway", nil, members{"exp": now - 29}},
		{"nbf at the leeway", nil, members{"nbf": now + 30}},
		{"iat at the leeway", nil, members{"iat": now + 30}},
		{"fractional exp", nil, members{"exp": raw(fmt.Sprintf("%d.75", now+5))}},
		{"fractional nbf and iat", nil, members{"nbf": raw(fmt.Sprintf("%d.5", now)), "iat": raw(fmt.Sprintf("%d.0", now))}},
		{"last second of 9999", nil, members{"exp": int64(253402300799)}},
		{"sub of 255 characters", nil, members{"sub": strings.Repeat("a", 255)}},
		{"only the required claims", nil, members{
			"client_id": nil, "jti": nil, "iat": nil, "nbf": nil, "scope": nil, "roles": nil, "email": nil, "sid": nil,
			"gid": nil, "ver": nil,
		}},
		{"no roles", nil, members{"roles": []string{}}},
		{"nested claims", nil, members{"address": map[string]any{"a": []any{1.5e3, true, nil, "\u20ac \U0001F600"}}}},
		{"depth 16", nil, members{"deep": raw(strings.Repeat("[", 15) + strings.Repeat("]", 15))}},
		{"white space in the payload", nil, members{"list": raw("[ 1 ,\t2\n]")}},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			if _, err := v.Verify(t.Context(), s.token(t, tt.head, tt.claims)); err != nil {
				t.Errorf("got %v, want a token", err)
			}
		})
	}
}

// TestVerifyRefuses is group F of the attacks: every token but those of the first rows is signed by the right key, so that
// nothing but the rule in question can refuse it.
func TestVerifyRefuses(t *testing.T) {
	var outbound atomic.Int32
	lure := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { outbound.Add(1) }))
	defer lure.Close()

	s, rs := ecSigner("ec-1", 1), rsaSigner()
	stranger := ecSigner("ec-1", 9)
	good := s.token(t, nil, nil)
	unsigned := good[:strings.LastIndexByte(good, '.')+1]
	head, claims := s.header().text(t), ordinary().text(t)
	now := epoch.Unix()
	with := func(text string) string { return strings.TrimSuffix(claims, "}") + "," + text + "}" }
	as := func(changes members) string { return s.token(t, changes, nil) }
	say := func(changes members) string { return s.token(t, nil, changes) }
	payload := func(text string) string { return s.compact(t, head, text) }

	tests := []struct {
		rule, token, want string
	}{
		// F01, F02: the algorithm.
		{"F01 alg none", part(`{"alg":"none","typ":"at+jwt","kid":"ec-1"}`) + "." + part(claims) + ".", "algorithm is 'none'"},
		{"F01 alg nOnE", as(members{"alg": "nOnE"}), "algorithm is 'nOnE'"},
		{"F01 alg empty", as(members{"alg": ""}), "algorithm is ''"},
		{"F01 alg missing", as(members{"alg": nil}), "algorithm is ''"},
		{"F01 alg array", as(members{"alg": []string{"ES256"}}), "'alg' is not a string"},
		{"F01 alg null", as(members{"alg": raw("null")}), "'alg' is not a string"},
		{"F01 alg in lower case", as(members{"alg": "es256"}), "algorithm is 'es256'"},
		{"F01 empty signature", unsigned, "signature was not made"},
		{"F01 signature of a stranger", stranger.token(t, nil, nil), "signature was not made by the key 'ec-1'"},
		{"F01 signature of other claims", unsigned[:strings.IndexByte(unsigned, '.')] + "." + part(with(`"a":1`)) +
			good[strings.LastIndexByte(good, '.'):], "signature was not made"},
		{"F01 signature in DER", derSignature(t, s, unsigned), "signature was not made"},
		{"F01 signature longer than any key's", unsigned + strings.Repeat("A", 1400), "signature has 1400 characters"},
		{"F02 HS256 with our public key in DER", hmacToken(t, s, pkix(t, s)), "algorithm is 'HS256'"},
		{"F02 HS256 with our public key in PEM", hmacToken(t, s, pemOf(pkix(t, s))), "algorithm is 'HS256'"},
		{"F02 HS256 with our modulus", hmacToken(t, rs, rs.public().(*rsa.PublicKey).N.Bytes()), "algorithm is 'HS256'"},
		{"F02 kid of an EC key under RS256", as(members{"alg": "RS256"}), "no key 'ec-1' for RS256"},
		{"F02 kid of an EC key under EdDSA", as(members{"alg": "EdDSA"}), "no key 'ec-1' for EdDSA"},
		{"F02 kid of an RSA key under ES256", rs.token(t, members{"alg": "ES256"}, nil), "no key 'rsa-1' for ES256"},
		{"F02 alg of our family that we do not use", rs.token(t, members{"alg": "PS256"}, nil), "algorithm is 'PS256'"},
		{"unknown kid", as(members{"kid": "ec-2"}), "no key 'ec-2'"},
		{"kid missing", as(members{"kid": nil}), "names its key in 0 bytes"},
		{"kid of 256 bytes", as(members{"kid": strings.Repeat("k", 256)}), "names its key in 256 bytes"},
		{"kid number", as(members{"kid": 1}), "'kid' is not a string"},

		// F04: headers that point elsewhere or change the rules.
		{"F04 jwk of the sender", stranger.token(t, members{"jwk": jwkOf(t, stranger, nil)}, nil), "signature was not made"},
		{"F04 jku of the sender", stranger.token(t, members{"jku": lure.URL}, nil), "signature was not made"},
		{"F04 x5u of the sender", stranger.token(t, members{"x5u": lure.URL}, nil), "signature was not made"},
		{"F04 x5c of the sender", stranger.token(t, members{"x5c": []string{"MIIB"}}, nil), "signature was not made"},
		{"F04 crit unknown", as(members{"crit": []string{"x"}, "x": 1}), "'crit' is not supported"},
		{"F04 crit empty", as(members{"crit": []string{}}), "'crit' is not supported"},
		{"F04 b64 false", as(members{"b64": false}), "'b64' is not supported"},
		{"F04 b64 true", as(members{"b64": true}), "'b64' is not supported"},
		{"F04 zip", as(members{"zip": "DEF"}), "'zip' belongs to encrypted tokens"},
		{"F04 enc", as(members{"enc": "A256GCM"}), "'enc' belongs to encrypted tokens"},

		// F05: tokens for another purpose.
		{"F05 typ JWT", as(members{"typ": "JWT"}), "type is 'JWT', at+jwt is expected"},
		{"F05 typ missing", as(members{"typ": nil}), "type is ''"},
		{"F05 typ empty", as(members{"typ": ""}), "type is ''"},
		{"F05 typ application/ alone", as(members{"typ": "application/"}), "type is 'application/'"},
		{"F05 typ logout+jwt", as(members{"typ": "logout+jwt"}), "type is 'logout+jwt'"},
		{"F05 typ array", as(members{"typ": []string{"at+jwt"}}), "'typ' is not a string"},
		{
			"F05 token of another issuer", say(members{"iss": "https://accounts.google.com"}),
			"issuer is 'https://accounts.google.com', 'https://broker.example/auth' is expected",
		},
		{"F05 issuer with a slash more", say(members{"iss": issuer + "/"}), "issuer is"},
		{"F05 issuer in another case", say(members{"iss": strings.ToUpper(issuer)}), "issuer is"},
		{"F05 issuer missing", say(members{"iss": nil}), "issuer is ''"},
		{"F05 issuer array", say(members{"iss": []string{issuer}}), "'iss' is not a string"},

		// F06: the audience.
		{"F06 aud missing", say(members{"aud": nil}), "names no audience"},
		{
			"F06 aud of another API", say(members{"aud": "https://other.example"}),
			"audience is 'https://other.example', 'https://orders.example' is expected",
		},
		{"F06 aud longer than ours", say(members{"aud": audience + ".evil.example"}), "audience is"},
		{"F06 aud number", say(members{"aud": 7}), "'aud' is neither"},
		{"F06 aud null", say(members{"aud": raw("null")}), "'aud' is neither"},
		{"F06 aud object", say(members{"aud": members{audience: 1}}), "'aud' is neither"},
		{"F06 aud array with a number beside ours", say(members{"aud": []any{1, audience}}), "'aud' is neither"},
		{"F06 aud array with ours beside null", say(members{"aud": []any{audience, raw("null")}}), "'aud' is neither"},
		{"F06 aud empty array", say(members{"aud": []string{}}), "names no audience"},
		{"F06 aud empty string", say(members{"aud": ""}), "audience is ''"},

		// F07: the times.
		{"F07 exp missing", say(members{"exp": nil}), "never expires"},
		{"F07 exp at the leeway", say(members{"exp": now - 30}), "expired at 2025-06-15T15:06:10Z, it is 2025-06-15T15:06:40Z"},
		{"F07 exp past the leeway", say(members{"exp": now - 31}), "expired at"},
		{"F07 exp zero", say(members{"exp": 0}), "expired at 1970"},
		{"F07 fractional exp rounds down", say(members{"exp": raw(fmt.Sprintf("%d.999", now-30))}), "expired at"},
		{"F07 exp string", say(members{"exp": fmt.Sprint(now + 900)}), "'exp' is not a number"},
		{"F07 exp null", say(members{"exp": raw("null")}), "'exp' is not a number"},
		{"F07 exp 1e400", say(members{"exp": raw("1e400")}), "'exp' is not a number"},
		{"F07 exp with exponent", say(members{"exp": raw("2e9")}), "'exp' is not a number"},
		{"F07 exp fraction with exponent", say(members{"exp": raw("2.5e9")}), "'exp' is not a number"},
		{"F07 exp -1", say(members{"exp": -1}), "'exp' is not a number"},
		{"F07 exp 2^63", say(members{"exp": raw("9223372036854775808")}), "'exp' is not a number"},
		{"F07 exp 2^64 + 900, which would wrap", say(members{"exp": raw("18446744073709552516")}), "'exp' is not a number"},
		{"F07 exp after the year 9999", say(members{"exp": int64(253402300800)}), "'exp' is not a number"},
		{"F07 nbf ahead of the leeway", say(members{"nbf": now + 31}), "not good before"},
		{"F07 fractional nbf rounds up", say(members{"nbf": raw(fmt.Sprintf("%d.001", now+30))}), "not good before"},
		{"F07 nbf string", say(members{"nbf": "0"}), "'nbf' is not a number"},
		{"F07 iat ahead of the leeway", say(members{"iat": now + 31}), "issued in the future"},
		{"F07 fractional iat rounds up", say(members{"iat": raw(fmt.Sprintf("%d.5", now+30))}), "issued in the future"},
		{"F07 iat true", say(members{"iat": true}), "'iat' is not a number"},

		// F10: sizes.
		{"F10 1 MB token", strings.Repeat("a", 1<<20), "has 1048576 bytes, at most 16384"},
		{"F10 10^4 dots", strings.Repeat(".", 10_000), "has 10001 parts"},
		{"F10 depth 17", say(members{"deep": raw(strings.Repeat("[", 16) + strings.Repeat("]", 16))}), "nests deeper than 16"},
		{"F10 depth 17 of objects", payload(with(`"d":` + strings.Repeat(`{"a":`, 16) + "1" + strings.Repeat("}", 16))), "nests deeper than 16"},
		{"F10 257 members", payload(with(manyMembers(300))), "more than 256 members"},
		{
			"F10 257 members in nested objects", payload(with(`"a":[` + strings.TrimSuffix(strings.Repeat(`{"a":1,"b":2},`, 130), ",") + `]`)),
			"more than 256 members",
		},

		// F11: encryption.
		{"F11 five parts", part(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483648}`) + ".a.b.c.d", "is encrypted (5 parts)"},
		{"two parts", "a.b", "has 2 parts"},
		{"four parts", "a.b.c.d", "has 4 parts"},
		{"nothing", "", "has 1 parts"},

		// The encoding has one spelling.
		{"padding", strings.Replace(good, ".", "=.", 1), "outside base64url"},
		{"standard base64", strings.Replace(good, ".", "+.", 1), "outside base64url"},
		{"line break in a part", good[:10] + "\n" + good[10:], "outside base64url"},
		{"space after", good + " ", "outside base64url"},
		{"header of impossible length", "aaaaa" + unsigned[strings.IndexByte(unsigned, '.'):] + "aa", "header is not base64url"},
		{"trailing bits in the payload", part(head) + ".e31." + "aa", "payload is not base64url"},
		{"trailing bits in the signature", lastBit(good), "signature"},

		// JSON has one reading.
		{"duplicate claim", payload(with(`"sub":"usr_2"`)), "'sub' appears twice"},
		{"duplicate claim, escaped", payload(with(`"\u0073ub":"usr_2"`)), "'sub' appears twice"},
		{"duplicate in a nested object", payload(with(`"a":[{"b":1,"b":2}]`)), "'b' appears twice"},
		{"duplicate in the header", s.compact(t, strings.TrimSuffix(head, "}")+`,"alg":"none"}`, claims), "'alg' appears twice"},
		{"claim in another case", payload(with(`"EXP":9999999999`)), "'EXP' is a misspelt 'exp'"},
		{"claim in another case alone", say(members{"roles": nil, "Roles": []string{"admin"}}), "'Roles' is a misspelt 'roles'"},
		{"claim with a long s", payload(with(`"role\u017f":["admin"]`)), "is a misspelt 'roles'"},
		{"claim with a literal long s", payload(with(`"role` + "\u017f" + `":["admin"]`)), "is a misspelt 'roles'"},
		{"header in another case", as(members{"Kid": "x"}), "'Kid' is a misspelt 'kid'"},
		{"crit in another case", as(members{"CRIT": []string{}}), "'CRIT' is a misspelt 'crit'"},
		{"trailing object", payload(claims + "{}"), "more follows the object"},
		{"trailing comma", payload(strings.TrimSuffix(claims, "}") + ",}"), "a string is missing"},
		{"trailing comma in an array", payload(with(`"a":[1,]`)), "a value is missing"},
		{"array without comma", payload(with(`"a":[1 2]`)), "comma or closing bracket"},
		{"object without comma", payload(with(`"a":1 "b":2`)), "comma or closing brace"},
		{"object without colon", payload(with(`"a" 1`)), "colon is missing"},
		{"payload is an array", payload("[" + claims + "]"), "not a JSON object"},
		{"payload is null", payload("null"), "not a JSON object"},
		{"payload is empty", payload(""), "not a JSON object"},
		{"payload ends early", payload(`{"iss":"x`), "does not end"},
		{"byte order mark", payload("\ufeff" + claims), "not a JSON object"},
		{"invalid UTF-8", payload(with("\"a\":\"\xff\"")), "not UTF-8"},
		{"half a surrogate pair", payload(with(`"a":"\ud800"`)), "bad escape"},
		{"surrogate pair with a wrong half", payload(with(`"a":"\ud800\u0041"`)), "bad escape"},
		{"low surrogate alone", payload(with(`"a":"\udc00"`)), "bad escape"},
		{"unknown escape", payload(with(`"a":"\x41"`)), "bad escape"},
		{"short escape", payload(with(`"a":"\u00`)), "bad escape"},
		{"escape with a sign", payload(with(`"a":"\u+041"`)), "bad escape"},
		{"control character", payload(with("\"a\":\"\n\"")), "control character"},
		{"leading zero", payload(with(`"a":01`)), "comma or closing brace"},
		{"plus sign", payload(with(`"a":+1`)), "value is missing"},
		{"number ends at the point", payload(with(`"a":1.`)), "number is incomplete"},
		{"number ends at the exponent", payload(with(`"a":1e+`)), "number is incomplete"},
		{"NaN", payload(with(`"a":NaN`)), "value is missing"},
		{"True", payload(with(`"a":True`)), "value is missing"},
		{"comment", payload(with(`"a":1/**/`)), "comma or closing brace"},

		// The claims have their types.
		{"sub missing", say(members{"sub": nil}), "subject has 0 bytes"},
		{"sub empty", say(members{"sub": ""}), "subject has 0 bytes"},
		{"sub number", say(members{"sub": 1}), "'sub' is not a string"},
		{"sub null", say(members{"sub": raw("null")}), "'sub' is not a string"},
		{"sub of 256 bytes", say(members{"sub": strings.Repeat("a", 256)}), "subject has 256 bytes"},
		{"sub with a line break", say(members{"sub": "usr\n1"}), "printable ASCII"},
		{"sub beyond ASCII", say(members{"sub": "usr_\u00e9"}), "printable ASCII"},
		{"roles string", say(members{"roles": "admin"}), "'roles' is not an array of names"},
		{"roles with a number", say(members{"roles": []any{"admin", 1}}), "'roles' is not an array of names"},
		{"roles with an empty name", say(members{"roles": []any{""}}), "'roles' is not an array of names"},
		{"roles object", say(members{"roles": members{"admin": true}}), "'roles' is not an array of names"},
		{"scope array", say(members{"scope": []string{"a"}}), "'scope' is not a string"},
		{"scope with a quote", say(members{"scope": `a"b`}), "'scope' holds characters"},
		{"email array", say(members{"email": []string{"a@b"}}), "'email' is not a string"},
		{"client_id number", say(members{"client_id": 1}), "'client_id' is not a string"},
		{"jti number", say(members{"jti": 1}), "'jti' is not a string"},
		{"sid number", say(members{"sid": 1}), "'sid' is not a string"},
		{"gid number", say(members{"gid": 1}), "'gid' is not a string"},
		{"ver string", say(members{"ver": "7"}), "'ver' is not a whole number"},
		{"ver fraction", say(members{"ver": 7.5}), "'ver' is not a whole number"},
		{"ver negative", say(members{"ver": -1}), "'ver' is not a whole number"},
		{"ver beyond what JSON keeps exact", say(members{"ver": raw("9007199254740992")}), "'ver' is not a whole number"},
		{"key-bound token without its proof", say(members{"cnf": members{"jkt": "x"}}), "bound to a key"},
	}
	v := newVerifier(t, func(c *verify.Config) { c.Keys = staticKeys(t, s, rs) })
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			token, err := v.Verify(t.Context(), tt.token)
			wantRefusal(t, token, err, verify.CodeInvalidToken, tt.want)
		})
	}
	if n := outbound.Load(); n != 0 {
		t.Errorf("got %d outbound requests, want none", n)
	}
}

func manyMembers(n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf(`"m%d":0`, i)
	}
	return strings.Join(names, ",")
}

func pkix(t *testing.T, s signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(s.public())
	if err != nil {
		t.Fatalf("marshal key: %v", err)
	}
	return der
}

func pemOf(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// hmacToken signs with what everybody knows of the key as the shared secret.
func hmacToken(t *testing.T, s signer, public []byte) string {
	t.Helper()
	signed := part(s.header().with(members{"alg": "HS256"}).text(t)) + "." + part(ordinary().text(t))
	signature, err := jwt.SigningMethodHS256.Sign(signed, public)
	if err != nil {
		t.Fatalf("sign: %v", err)
	}
	return signed + "." + b64(signature)
}

// derSignature signs in the ASN.1 form, which JOSE does not use.
func derSignature(t *testing.T, s signer, unsigned string) string {
	t.Helper()
	hash := crypto.SHA256.New()
	hash.Write([]byte(strings.TrimSuffix(unsigned, ".")))
	signature, err := s.private.Sign(rand.Reader, hash.Sum(nil), crypto.SHA256)
	if err != nil {
		t.Fatalf("sign: %v", err)
	}
	return unsigned + b64(signature)
}

// lastBit sets a bit that the decoded signature does not have: 64 bytes leave four bits over.
func lastBit(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	i := len(token) - 1
	return token[:i] + string(alphabet[strings.IndexByte(alphabet, token[i])|1])
}

func TestAKeySetCannotLendAKeyToAnotherAlgorithm(t *testing.T) {
	ec, rs, ed := ecSigner("k", 1), rsaSigner(), edSigner("k", 1)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		rule string
		key  crypto.PublicKey
	}{
		{"RSA for ES256", rs.public()},
		{"Ed25519 for ES256", ed.public()},
		{"P-384 for ES256", p384.Public()},
		{"nil pointer", (*ecdsa.PublicKey)(nil)},
		{"nothing", nil},
		{"shared secret", []byte("secret")},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			v := newVerifier(t, func(c *verify.Config) {
				c.Keys = keySetFunc(func(context.Context, string, string) (crypto.PublicKey, error) { return tt.key, nil })
			})
			token, err := v.Verify(t.Context(), ec.token(t, nil, nil))
			wantRefusal(t, token, err, verify.CodeInvalidToken, "the key 'k' is not one for ES256")
		})
	}
}

func TestATokenOfAnotherIssuerCausesNoKeyLookup(t *testing.T) {
	s := ecSigner("ec-1", 1)
	v := newVerifier(t, func(c *verify.Config) {
		c.Keys = keySetFunc(func(context.Context, string, string) (crypto.PublicKey, error) {
			t.Error("the key set was asked")
			return nil, verify.ErrUnknownKey
		})
	})
	for _, changes := range []members{{"iss": "https://evil.example"}, {"aud": "x"}, {"exp": 1}, {"sub": ""}} {
		token, err := v.Verify(t.Context(), s.token(t, nil, changes))
		wantRefusal(t, token, err, verify.CodeInvalidToken, "")
	}
}

func TestKeysThatCannotBeHadAreA503(t *testing.T) {
	outage := errors.New("connection refused")
	s := ecSigner("ec-1", 1)
	v := newVerifier(t, func(c *verify.Config) {
		c.Keys = keySetFunc(func(context.Context, string, string) (crypto.PublicKey, error) { return nil, outage })
	})
	token, err := v.Verify(t.Context(), s.token(t, nil, nil))
	wantRefusal(t, token, err, verify.CodeUnavailable, "keys of the issuer")
	if !errors.Is(err, outage) {
		t.Errorf("got %v, want it to wrap the cause for the log", err)
	}
	if strings.Contains(err.Error(), outage.Error()) {
		t.Errorf("got %q, want the cause out of the text", err)
	}
}

func TestTypeJWTOnlyByExplicitOption(t *testing.T) {
	s := ecSigner("ec-1", 1)
	v := newVerifier(t, func(c *verify.Config) {
		c.Keys, c.AllowedTypes = staticKeys(t, s), []string{"application/AT+JWT", "JWT"}
	})
	for _, typ := range []string{"JWT", "jwt", "at+jwt"} {
		if _, err := v.Verify(t.Context(), s.token(t, members{"typ": typ}, nil)); err != nil {
			t.Errorf("typ %s: got %v, want a token", typ, err)
		}
	}
	token, err := v.Verify(t.Context(), s.token(t, members{"typ": nil}, nil))
	wantRefusal(t, token, err, verify.CodeInvalidToken, "at+jwt or jwt is expected")
}

func TestAnyAudienceOnlyByExplicitOption(t *testing.T) {
	s := ecSigner("ec-1", 1)
	v := newVerifier(t, func(c *verify.Config) {
		c.Keys, c.Audience, c.InsecureSkipAudience = staticKeys(t, s), "", true
	})
	got, err := v.Verify(t.Context(), s.token(t, nil, members{"aud": "https://other.example"}))
	if err != nil {
		t.Fatalf("verify: %v", err)
	}
	if got.Subject.Audience != "https://other.example" {
		t.Errorf("got audience %q, want the token's own", got.Subject.Audience)
	}
	token, err := v.Verify(t.Context(), s.token(t, nil, members{"aud": nil}))
	wantRefusal(t, token, err, verify.CodeInvalidToken, "names no audience")
}

func TestASubjectThatIsTheClientIsAClient(t *testing.T) {
	s := ecSigner("ec-1", 1)
	v := newVerifier(t, func(c *verify.Config) { c.Keys = staticKeys(t, s) })
	got, err := v.Verify(t.Context(), s.token(t, nil, members{"sub": "demo-service", "client_id": "demo-service"}))
	if err != nil {
		t.Fatalf("verify: %v", err)
	}
	if got.Subject.Kind != verify.KindClient {
		t.Errorf("got kind %q, want %q", got.Subject.Kind, verify.KindClient)
	}
}

func TestLeeway(t *testing.T) {
	s := ecSigner("ec-1", 1)
	tests := []struct {
		rule   string
		leeway time.Duration
		exp    time.Duration // from now
		want   bool
	}{
		{"none: a second left", -1, time.Second, true},
		{"none: expires now", -1, 0, false},
		{"a minute: 59 s past", time.Minute, -59 * time.Second, true},
		{"a minute: 60 s past", time.Minute, -60 * time.Second, false},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			v := newVerifier(t, func(c *verify.Config) { c.Keys, c.Leeway = staticKeys(t, s), tt.leeway })
			_, err := v.Verify(t.Context(), s.token(t, nil, members{"exp": epoch.Add(tt.exp).Unix()}))
			if got := err == nil; got != tt.want {
				t.Errorf("got accepted %v (%v), want %v", got, err, tt.want)
			}
		})
	}
}

func TestNewRefusesToStart(t *testing.T) {
	keys := staticKeys(t, ecSigner("ec-1", 1))
	good := verify.Config{Issuer: issuer, Audience: audience, Keys: keys}
	tests := []struct {
		rule   string
		change func(*verify.Config)
		want   string
	}{
		{"without audience", func(c *verify.Config) { c.Audience = "" }, "Audience is empty"},
		{"without issuer", func(c *verify.Config) { c.Issuer = "" }, "Issuer is empty"},
		{"without keys", func(c *verify.Config) { c.Keys = nil }, "Keys is nil"},
		{"with an audience and without the check", func(c *verify.Config) { c.InsecureSkipAudience = true }, "exclude each other"},
		{"leeway above a minute", func(c *verify.Config) { c.Leeway = 61 * time.Second }, "Leeway is 1m1s"},
		{"token size negative", func(c *verify.Config) { c.MaxTokenBytes = -1 }, "MaxTokenBytes is -1"},
		{"token size without bound", func(c *verify.Config) { c.MaxTokenBytes = 1<<20 + 1 }, "MaxTokenBytes is 1048577"},
		{"empty type, which would allow tokens without one", func(c *verify.Config) { c.AllowedTypes = []string{""} }, "empty type"},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			cfg := good
			tt.change(&cfg)
			v, err := verify.New(cfg)
			if v != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, %v, want no verifier and an error with %q", v, err, tt.want)
			}
		})
	}
	_, err := verify.New(verify.Config{})
	for _, want := range []string{"refuse to start", "Audience", "Issuer", "Keys"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want every fault at once, %s among them", err, want)
		}
	}
}

func TestNowDefaultsToTheRealTime(t *testing.T) {
	s := ecSigner("ec-1", 1)
	v := newVerifier(t, func(c *verify.Config) { c.Keys, c.Now = staticKeys(t, s), nil })
	now := time.Now().Unix()
	if _, err := v.Verify(t.Context(), s.token(t, nil, members{"iat": now, "nbf": now, "exp": now + 900})); err != nil {
		t.Errorf("got %v, want a token issued now to be good", err)
	}
}
