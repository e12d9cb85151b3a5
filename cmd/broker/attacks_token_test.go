package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	mathbig "math/big"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"example.com/broker/keys"
	"example.com/broker/verify"
)

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func unb64(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// header reads a JWT's header without checking it.
func header(t testing.TB, raw string) map[string]any {
	t.Helper()
	var out map[string]any
	first, _, _ := strings.Cut(raw, ".")
	if err := json.Unmarshal(unb64(t, first), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func asJSON(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// refusedEverywhere demands that a token opens no route.
func (w *world) refusedEverywhere(what, token string) {
	w.Helper()
	for _, path := range []string{"/me", "/userinfo"} {
		r := w.get(path, "Authorization", "Bearer "+token)
		if r.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(r.Header.Get("WWW-Authenticate"), "Bearer ") {
			w.Errorf("%s: %s answered %d with %q: %s", what, path, r.StatusCode, r.Header.Get("WWW-Authenticate"), r.raw)
		}
	}
	if r := w.post("/introspect", url.Values{"token": {token}}, "Authorization", basicHeader("service", serviceSecret)); r.raw != `{"active":false}` {
		w.Errorf("%s: introspection answered %d %s", what, r.StatusCode, r.raw)
	}
	if r := w.post("/logout", url.Values{}, "Authorization", "Bearer "+token); r.StatusCode != http.StatusUnauthorized {
		w.Errorf("%s: /logout answered %d %s", what, r.StatusCode, r.raw)
	}
}

// publicKeys are the keys of the JWKS by kid.
func (w *world) publicKeys() map[string]map[string]any {
	w.Helper()
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal([]byte(w.get("/jwks").raw), &set); err != nil {
		w.Fatal(err)
	}
	out := map[string]map[string]any{}
	for _, k := range set.Keys {
		out[k["kid"].(string)] = k
	}
	return out
}

// signer signs anything with the broker's own key.
func (w *world) signer(alg string) (kid string, key crypto.Signer) {
	w.Helper()
	kid, key, err := w.ring.Signer(alg)
	if err != nil {
		w.Fatal(err)
	}
	return kid, key
}

// mint signs claims, as raw JSON, with the broker's own ES256 key.
func (w *world) mint(typ, payload string) string {
	w.Helper()
	kid, key := w.signer(keys.ES256)
	text := b64(asJSON(w, map[string]any{"alg": keys.ES256, "typ": typ, "kid": kid})) + "." + b64([]byte(payload))
	sig, err := jwt.GetSigningMethod(keys.ES256).Sign(text, key)
	if err != nil {
		w.Fatal(err)
	}
	return text + "." + b64(sig)
}

// claimsWith is the payload of a good token with members replaced: raw JSON by name, "" takes one away.
func claimsWith(t testing.TB, good string, edit map[string]string) string {
	t.Helper()
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal(unb64(t, strings.Split(good, ".")[1]), &members); err != nil {
		t.Fatal(err)
	}
	for name, raw := range edit {
		if members[name] = json.RawMessage(raw); raw == "" {
			delete(members, name)
		}
	}
	var parts []string
	for name, raw := range members {
		parts = append(parts, fmt.Sprintf("%q:%s", name, raw))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func attacksOnTokens() []attack {
	return []attack{
		{ID: "F01", Kind: "T", Rule: "an unsigned token opens nothing, however none is spelt", Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			w.alive("the genuine token", s.access())
			parts := strings.Split(s.access(), ".")
			for _, alg := range []any{"none", "None", "nOnE", "NONE", "", nil, []string{"none"}, []string{"ES256"}, 0, "es256", "ES256 ", "ES512", "HS256"} {
				for _, sig := range []string{"", parts[2]} {
					h := header(t, s.access())
					h["alg"] = alg
					w.refusedEverywhere(fmt.Sprintf("alg %v", alg), b64(asJSON(t, h))+"."+parts[1]+"."+sig)
				}
			}
			h := header(t, s.access())
			delete(h, "alg")
			w.refusedEverywhere("no alg", b64(asJSON(t, h))+"."+parts[1]+".")
			w.refusedEverywhere("no signature", parts[0]+"."+parts[1]+".")
			w.refusedEverywhere("no third part", parts[0]+"."+parts[1])
			w.refusedEverywhere("a fourth part", s.access()+".x")
			w.refusedEverywhere("a changed payload", parts[0]+"."+b64([]byte(claimsWith(t, s.access(), map[string]string{"roles": `["admin"]`})))+"."+parts[2])
			w.refusedEverywhere("padding", parts[0]+"=."+parts[1]+"."+parts[2])
			w.refusedEverywhere("another last character", sameBits(s.access()))
			w.refusedEverywhere("a signature of zeros (CVE-2022-21449)", parts[0]+"."+parts[1]+"."+b64(make([]byte, 64)))
			w.refusedEverywhere("a signature in DER", parts[0]+"."+parts[1]+"."+b64([]byte{0x30, 6, 2, 1, 1, 2, 1, 1}))
		}},
		{ID: "F02", Kind: "T", Rule: "a key verifies its own algorithm alone", Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			payload := strings.Split(s.access(), ".")[1]
			for kid, jwk := range w.publicKeys() {
				for what, key := range publicForms(t, jwk) {
					for _, alg := range []string{"HS256", "HS384", "HS512"} {
						text := b64(asJSON(t, map[string]any{"alg": alg, "typ": "at+jwt", "kid": kid})) + "." + payload
						m := hmac.New(map[string]crypto.Hash{"HS256": crypto.SHA256, "HS384": crypto.SHA384, "HS512": crypto.SHA512}[alg].New, key)
						m.Write([]byte(text))
						w.refusedEverywhere(alg+" keyed with "+what, text+"."+b64(m.Sum(nil)))
					}
				}
				for _, alg := range []string{"RS256", "ES256", "EdDSA", "PS256", "RS512", "ES384"} {
					if alg == jwk["alg"] {
						continue
					}
					parts := strings.Split(s.access(), ".")
					w.refusedEverywhere(kid+" under "+alg, b64(asJSON(t, map[string]any{"alg": alg, "typ": "at+jwt", "kid": kid}))+"."+payload+"."+parts[2])
				}
			}
			for _, kid := range []any{"unknown", "", nil, 7, "../../etc/passwd", "' OR 1=1", strings.Repeat("k", 5000)} {
				h := header(t, s.access())
				h["kid"] = kid
				w.refusedEverywhere(fmt.Sprintf("kid %.20v", kid), b64(asJSON(t, h))+"."+payload+"."+strings.Split(s.access(), ".")[2])
			}
		}},
		{ID: "F02", Kind: "T", Rule: "the published keys are public, and nothing else", Run: func(t *testing.T, w *world) {
			for kid, jwk := range w.publicKeys() {
				for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k", "oth", "x5u", "jku"} {
					if _, ok := jwk[private]; ok {
						t.Errorf("key %s publishes %q", kid, private)
					}
				}
				if jwk["use"] != "sig" || jwk["alg"] == nil {
					t.Errorf("key %s says %v", kid, jwk)
				}
			}
		}},
		{ID: "F04", Kind: "T", Rule: "a token does not bring its own key, and an unknown crit is refused", Here: needsKey, Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			fetched := 0
			trap := serveTest(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { fetched++ }))
			mine, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			jwk := map[string]any{"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "mine", "x": b64(mine.X.FillBytes(make([]byte, 32))), "y": b64(mine.Y.FillBytes(make([]byte, 32)))} //nolint:staticcheck // a JWK holds the coordinates
			payload := strings.Split(s.access(), ".")[1]
			for name, value := range map[string]any{"jwk": jwk, "jku": trap + "/jwks", "x5u": trap + "/cert", "x5c": []string{b64([]byte("cert"))}, "x5t": "x"} {
				for _, kid := range []any{"mine", header(t, s.access())["kid"]} {
					text := b64(asJSON(t, map[string]any{"alg": "ES256", "typ": "at+jwt", "kid": kid, name: value})) + "." + payload
					sig, err := jwt.SigningMethodES256.Sign(text, mine)
					if err != nil {
						t.Fatal(err)
					}
					w.refusedEverywhere(name, text+"."+b64(sig))
				}
			}
			// Signed by our own key, so that only the header is wrong.
			kid, key := w.signer(keys.ES256)
			for what, extra := range map[string]map[string]any{
				"crit unknown": {"crit": []string{"exp2"}, "exp2": 1}, "crit empty": {"crit": []string{}}, "b64 false": {"crit": []string{"b64"}, "b64": false}, "zip": {"zip": "DEF"},
				"crit no list": {"crit": "x"},
			} {
				h := map[string]any{"alg": "ES256", "typ": "at+jwt", "kid": kid}
				maps.Copy(h, extra)
				text := b64(asJSON(t, h)) + "." + payload
				sig, err := jwt.SigningMethodES256.Sign(text, key)
				if err != nil {
					t.Fatal(err)
				}
				w.refusedEverywhere(what, text+"."+b64(sig))
			}
			if fetched > 0 {
				t.Errorf("%d keys were fetched from where a token said", fetched)
			}
		}},
		{ID: "F05", Kind: "T", Rule: "no other JWT of ours, or of the upstream, is an access token", Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			w.refusedEverywhere("an ID token", s.tokens.str("id_token"))
			w.refusedAt("a refresh token", s.refresh())
			var upstream string
			w.google.SetFault("/token", func(rw http.ResponseWriter, r *http.Request) {
				rec := &recorder{header: http.Header{}}
				w.google.Genuine(rec, r)
				var answer map[string]any
				if json.Unmarshal(rec.body, &answer) == nil {
					upstream, _ = answer["id_token"].(string)
				}
				maps.Copy(rw.Header(), rec.header)
				rw.WriteHeader(rec.status)
				_, _ = rw.Write(rec.body)
			})
			who, _ := w.somebody()
			a := w.app("spa", "")
			a.code(w.browser().signInBy(a, "google", who))
			if upstream == "" {
				t.Fatal("no ID token of the upstream was seen")
			}
			w.refusedEverywhere("the upstream's ID token", upstream)
		}},
		{ID: "F05", Kind: "T", Rule: "a JWT that we signed for something else is no access token", Here: needsKey, Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			same := claimsWith(t, s.access(), nil)
			w.alive("the same claims as an access token", w.mint("at+jwt", same))
			for _, typ := range []string{"JWT", "logout+jwt", "", "jwt", "secevent+jwt", "client-authentication+jwt", "application/jwt", "at+jwt+x", "dpop+jwt"} {
				w.refusedEverywhere("typ "+typ, w.mint(typ, same))
			}
			if r := w.userinfo(w.mint("application/AT+JWT", same)); r.StatusCode != http.StatusOK {
				t.Logf("the long spelling of at+jwt is refused, which RFC 9068 allows: %d", r.StatusCode)
			}
		}},
		{ID: "F06", Kind: "T", Rule: "a token must be meant for whom it is shown to", Here: needsKey, Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			for what, aud := range map[string]string{
				"missing": "", "another": `"https://evil.example"`, "a number": "1", "mixed": `[1,"` + w.issuer + `"]`, "empty list": "[]", "empty": `""`, "null": "null",
				"an object": `{"` + w.issuer + `":1}`, "with a slash": `"` + w.issuer + `/"`, "another case": `"` + strings.ToUpper(w.issuer) + `"`, "the client": `"spa"`,
			} {
				w.refusedEverywhere("aud "+what, w.mint("at+jwt", claimsWith(t, s.access(), map[string]string{"aud": aud})))
			}
			for what, iss := range map[string]string{"missing": "", "another": `"https://evil.example"`, "with a slash": `"` + w.issuer + `/"`, "null": "null", "a list": `["` + w.issuer + `"]`} {
				w.refusedEverywhere("iss "+what, w.mint("at+jwt", claimsWith(t, s.access(), map[string]string{"iss": iss})))
			}
			for what, sub := range map[string]string{"missing": "", "empty": `""`, "a number": "1", "long": `"` + strings.Repeat("a", 256) + `"`, "unknown": `"usr_00000000-0000-7000-8000-000000000000"`} {
				w.refusedAt("sub "+what, w.mint("at+jwt", claimsWith(t, s.access(), map[string]string{"sub": sub})))
			}
			// An API's token opens nothing of the broker but userinfo.
			api := w.signIn("spa", "", "resource", ordersAPI, "scope", "openid orders:read")
			w.alive("an API's token at userinfo", api.access())
			w.get("/me", "Authorization", api.bearer()).unauthorized(t)
			if r := w.post("/logout", url.Values{}, "Authorization", api.bearer()); r.StatusCode != http.StatusUnauthorized {
				t.Errorf("/logout took an API's token: %d", r.StatusCode)
			}
			if _, err := verify.New(verify.Config{Issuer: w.issuer, Keys: w.ring}); err == nil {
				t.Error("a verifier without an audience starts")
			}
		}},
		{ID: "F07", Kind: "T", Rule: "times that are missing, past, ahead or no times", Here: needsKey, Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			now := w.clock.now().Unix()
			at := func(d time.Duration) string { return fmt.Sprint(now + int64(d/time.Second)) }
			for what, edit := range map[string]map[string]string{
				"exp missing": {"exp": ""}, "exp past the skew": {"exp": at(-61 * time.Second)}, "exp a string": {"exp": `"` + at(time.Hour) + `"`}, "exp 1e400": {"exp": "1e400"},
				"exp -1": {"exp": "-1"}, "exp 2^63": {"exp": "9223372036854775808"}, "exp null": {"exp": "null"}, "exp 0": {"exp": "0"}, "exp true": {"exp": "true"}, "exp a list": {"exp": "[" + at(time.Hour) + "]"},
				"exp 1e999999": {"exp": "1e999999"}, "nbf ahead": {"nbf": at(62 * time.Second)}, "iat ahead": {"iat": at(62 * time.Second)}, "nbf a string": {"nbf": `"0"`}, "iat 1e400": {"iat": "1e400"},
				"exp twice": {"exp": at(-time.Hour) + `,"exp":` + at(time.Hour)}, "Exp beside exp": {"exp": at(-time.Hour) + `,"Exp":` + at(time.Hour)}, "EXP": {"exp": "", "EXP": at(time.Hour)},
			} {
				w.refusedEverywhere(what, w.mint("at+jwt", claimsWith(t, s.access(), edit)))
			}
			w.alive("a token that expires in a moment", w.mint("at+jwt", claimsWith(t, s.access(), map[string]string{"exp": at(10 * time.Second)})))
		}},
		{ID: "F07", Kind: "T", Rule: "a token is good until it expires and no longer than the skew after", Here: needsClock, Alone: alone, Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			w.clock.advance(14 * time.Minute)
			w.poll()
			w.alive("a token of 14 minutes", s.access())
			w.clock.advance(2 * time.Minute)
			w.poll()
			w.refusedEverywhere("a token of 16 minutes", s.access())
		}},
		{ID: "F10", Kind: "T", Rule: "a token of enormous size or depth costs little", Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			head := strings.Split(s.access(), ".")[0]
			sig := strings.Split(s.access(), ".")[2]
			big := map[string]string{
				"1 MB":            strings.Repeat("a", 1<<20),
				"a million dots":  strings.Repeat(".", 1_000_000),
				"20 KB of dots":   strings.Repeat(".", 20_000),
				"depth of 100000": head + "." + b64([]byte(strings.Repeat("[", 100_000))) + "." + sig,
				"depth of 10000":  head + "." + b64([]byte(`{"x":`+strings.Repeat("[", 9_000)+strings.Repeat("]", 9_000)+"}")) + "." + sig,
				"many claims":     head + "." + b64([]byte("{"+strings.Repeat(`"a":1,`, 2_000)+`"b":1}`)) + "." + sig,
			}
			// By HTTP/1.1: a client of HTTP/2 is told the limit and does not even send such headers.
			one := *w
			tr := w.transport.(*http.Transport).Clone()
			tr.Protocols = new(http.Protocols)
			tr.Protocols.SetHTTP1(true)
			if tr.TLSClientConfig != nil {
				tr.TLSClientConfig.NextProtos = []string{"http/1.1"}
			}
			one.transport = tr
			for what, token := range big {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				r := one.get("/userinfo", "Authorization", "Bearer "+token)
				if r.StatusCode != http.StatusUnauthorized && r.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
					t.Errorf("%s was answered %d", what, r.StatusCode)
				}
				r = w.post("/userinfo", url.Values{"access_token": {token}})
				if r.StatusCode != http.StatusUnauthorized && r.StatusCode != http.StatusRequestEntityTooLarge {
					t.Errorf("%s in the form was answered %d", what, r.StatusCode)
				}
				runtime.ReadMemStats(&after)
				if n := after.TotalAlloc - before.TotalAlloc; w.program != nil && n > 64<<20 {
					t.Errorf("%s allocated %d MB", what, n>>20)
				}
			}
			w.alive("the genuine token", s.access())
		}},
		{ID: "F11", Kind: "T", Rule: "an encrypted token is refused without being decrypted", Run: func(t *testing.T, w *world) {
			began := time.Now()
			for what, h := range map[string]map[string]any{
				"PBES2 with 2^31 rounds": {"alg": "PBES2-HS256+A128KW", "enc": "A128GCM", "p2c": 1 << 31, "p2s": "AAAA"}, "RSA-OAEP": {"alg": "RSA-OAEP", "enc": "A128GCM"},
				"direct": {"alg": "dir", "enc": "A128GCM", "zip": "DEF"},
			} {
				w.refusedEverywhere(what, b64(asJSON(t, h))+".AAAA.AAAA.AAAA.AAAA")
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("refusing took %v", took)
			}
		}},
		{ID: "F13", Kind: "F", Rule: "a retired key verifies until its tokens are dead, a revoked one nothing at once; a new one is published before it signs", Here: needsClock, Alone: alone, Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			old := header(t, s.access())["kid"].(string)
			if _, err := w.ring.Rotate(t.Context()); err != nil {
				t.Fatal(err)
			}
			published := w.publicKeys()
			again := s.app.refresh(s.refresh())
			if got := header(t, again.str("access_token"))["kid"]; got != old {
				t.Errorf("the new key %v signs before verifiers can know it", got)
			}
			if len(published) < 3 {
				t.Errorf("the new key is not published: %v", published)
			}
			w.clock.advance(14 * time.Minute)
			w.poll()
			last := s.app.refresh(again.str("refresh_token")).str("access_token")
			w.clock.advance(2 * time.Minute)
			w.poll()
			turned := w.signIn("spa", "")
			fresh := header(t, turned.access())["kid"].(string)
			if fresh == old || published[fresh] == nil {
				t.Errorf("after the wait %s signs, which was not published before", fresh)
			}
			w.alive("a token of the new key", turned.access())
			if header(t, last)["kid"] != old {
				t.Errorf("the new key signed a minute too early")
			}
			w.alive("a token that the old key signed before it was retired", last)
			if err := w.ring.RevokeKey(t.Context(), fresh); err != nil {
				t.Fatal(err)
			}
			w.refusedEverywhere("a token of a revoked key", turned.access())
			if w.publicKeys()[fresh] != nil {
				t.Error("a revoked key is still published")
			}
		}},
	}
}

// refusedAt demands that a token opens nobody's account; introspection may know it.
func (w *world) refusedAt(what, token string) {
	w.Helper()
	for _, path := range []string{"/me", "/userinfo"} {
		if r := w.get(path, "Authorization", "Bearer "+token); r.StatusCode != http.StatusUnauthorized {
			w.Errorf("%s: %s answered %d %s", what, path, r.StatusCode, r.raw)
		}
	}
}

// recorder keeps an answer.
type recorder struct {
	header http.Header
	status int
	body   []byte
}

func (r *recorder) Header() http.Header { return r.header }
func (r *recorder) WriteHeader(status int) {
	r.status = status
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	r.body = append(r.body, p...)
	return len(p), nil
}

// sameBits changes the last character of a token where that leaves the decoded bytes alone: a second spelling of the same signature.
func sameBits(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	i := strings.IndexByte(alphabet, token[len(token)-1])
	return token[:len(token)-1] + string(alphabet[i^1])
}

// publicForms are the bytes that a careless verifier might take for an HMAC key.
func publicForms(t testing.TB, jwk map[string]any) map[string][]byte {
	t.Helper()
	out := map[string][]byte{"the JWK": asJSON(t, jwk)}
	var public any
	big := func(name string) []byte { return unb64(t, jwk[name].(string)) }
	switch jwk["kty"] {
	case "EC":
		p, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, big("x")...), big("y")...))
		if err != nil {
			t.Fatal(err)
		}
		public = p
		out["x"] = big("x")
	case "RSA":
		n := new(rsa.PublicKey)
		n.E = 65537
		n.N = new(mathbig.Int).SetBytes(big("n"))
		public = n
		out["the modulus"] = big("n")
	default:
		return out
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	out["DER"], out["the hash of DER"] = der, sum[:]
	out["PEM"] = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	out["PEM without the line break"] = out["PEM"][:len(out["PEM"])-1]
	return out
}
