package dev_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"example.com/broker/dev"
	"example.com/broker/verify"
)

const (
	issuer   = "http://localhost:8080"
	audience = "http://127.0.0.1:8081/api"
)

// demo is the handler, with a key of its own instead of the broker's.
type demo struct {
	http.Handler
	key *ecdsa.PrivateKey
	now time.Time
}

func newDemo(t *testing.T) *demo {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	d := &demo{key: key, now: time.Unix(1_800_000_000, 0)}
	keys, err := verify.NewStaticKeys(map[string]crypto.PublicKey{"k": key.Public()})
	if err != nil {
		t.Fatal(err)
	}
	d.Handler, err = dev.Demo(dev.DemoOptions{
		Issuer: issuer, Audience: audience, Keys: keys, Now: func() time.Time { return d.now }, Providers: []string{"github"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// token signs an access token with claims of alice, changed as told.
func (d *demo) token(t *testing.T, changes map[string]any) string {
	t.Helper()
	claims := map[string]any{
		"iss": issuer, "aud": audience, "sub": "usr_alice", "client_id": dev.SPAClient, "jti": "j1", "iat": d.now.Unix(), "exp": d.now.Unix() + 900,
		"scope": "openid demo:read", "roles": []string{"editor"}, "email": "alice@example.com",
	}
	for name, value := range changes {
		claims[name] = value
	}
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	signed := part(map[string]string{"alg": "ES256", "typ": "at+jwt", "kid": "k"}) + "." + part(claims)
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, d.key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	var signature [64]byte
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature[:])
}

func (d *demo) do(t *testing.T, method, path, token, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "http://127.0.0.1:8081"+path, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w
}

func TestDemoAPI(t *testing.T) {
	d := newDemo(t)
	tests := []struct {
		name, method, path string
		changes            map[string]any // nil: no token
		body               string
		status             int
		says               string
	}{
		{"a token of this API says hello", "GET", "/api/hello", map[string]any{}, "", 200, `"message":"Hello, alice@example.com."`},
		{"the answer names the subject", "GET", "/api/hello", map[string]any{}, "", 200, `"sub":"usr_alice"`},
		{"a person without an address is greeted too", "GET", "/api/hello", map[string]any{"email": ""}, "", 200, `Hello, usr_alice.`},
		{"a person without roles has an empty list", "GET", "/api/hello", map[string]any{"roles": []string{}}, "", 200, `"roles":[]`},
		{"no token", "GET", "/api/hello", nil, "", 401, ""},
		{"a token of another API", "GET", "/api/hello", map[string]any{"aud": "https://orders.example"}, "", 401, "https://orders.example"},
		{"a token for the broker itself", "GET", "/api/hello", map[string]any{"aud": issuer}, "", 401, issuer},
		{"a token of another issuer", "GET", "/api/hello", map[string]any{"iss": "http://localhost:1"}, "", 401, "http://localhost:1"},
		{"a token that is over", "GET", "/api/hello", map[string]any{"exp": 1_799_999_000}, "", 401, "expired"},
		{"a token without scopes says hello too", "GET", "/api/hello", map[string]any{"scope": ""}, "", 200, `"scopes":[]`},
		{"an editor writes", "POST", "/api/notes", map[string]any{}, `{"text":"a note"}`, 201, `"author":"usr_alice"`},
		{"an admin writes", "POST", "/api/notes", map[string]any{"roles": []string{"admin"}}, `{"text":"a note"}`, 201, `"text":"a note"`},
		{"a viewer may not", "POST", "/api/notes", map[string]any{"roles": []string{"viewer"}}, `{"text":"a note"}`, 403, "editor"},
		{"nobody may without a token", "POST", "/api/notes", nil, `{"text":"a note"}`, 401, ""},
		{"a note that is no JSON", "POST", "/api/notes", map[string]any{}, "a note", 400, "JSON"},
		{"an empty note", "POST", "/api/notes", map[string]any{}, `{"text":" "}`, 400, "empty"},
		{"a note beyond the limit", "POST", "/api/notes", map[string]any{}, `{"text":"` + strings.Repeat("a", 4096) + `"}`, 400, "4096"},
		{"an address that is none", "GET", "/api/else", map[string]any{}, "", 404, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			token := ""
			if test.changes != nil {
				token = d.token(t, test.changes)
			}
			w := d.do(t, test.method, test.path, token, test.body)
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.says) {
				t.Errorf("%d %s, want %d with %q", w.Code, w.Body, test.status, test.says)
			}
			if w.Code == 401 && w.Header().Get("WWW-Authenticate") == "" {
				t.Error("no WWW-Authenticate")
			}
		})
	}
}

func TestDemoPages(t *testing.T) {
	d := newDemo(t)
	for path, media := range map[string]string{
		"/": "text/html", "/callback?code=x&state=y": "text/html", "/app.js": "text/javascript", "/oidc.js": "text/javascript", "/style.css": "text/css",
		"/icon.svg": "image/svg+xml", "/config.json": "application/json",
	} {
		w := d.do(t, http.MethodGet, path, "", "")
		if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), media) {
			t.Errorf("%s: %d %s, want 200 %s", path, w.Code, w.Header().Get("Content-Type"), media)
		}
		policy := w.Header().Get("Content-Security-Policy")
		for _, rule := range []string{"default-src 'none'", "script-src 'self';", "connect-src 'self' " + issuer + ";", "form-action 'none'", "base-uri 'none'", "frame-ancestors 'none'"} {
			if !strings.Contains(policy, rule) {
				t.Errorf("%s: the policy %q lacks %s", path, policy, rule)
			}
		}
		for header, want := range map[string]string{"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"} {
			if got := w.Header().Get(header); got != want {
				t.Errorf("%s: %s is %q, want %q", path, header, got, want)
			}
		}
	}
	for _, path := range []string{"/else", "/index.html", "/demo/index.html", "/demo.go"} {
		if w := d.do(t, http.MethodGet, path, "", ""); w.Code != 404 {
			t.Errorf("%s: %d, want 404", path, w.Code)
		}
	}
}

// What the browser suite and curious people look for.
func TestDemoElements(t *testing.T) {
	page := newDemo(t).do(t, http.MethodGet, "/", "", "").Body.String()
	for _, id := range []string{
		"signin", "signin-github", "signin-google", "claims-id", "claims-access", "user-name", "user-roles", "call-api", "api-result", "refresh", "signout", "status",
	} {
		if n := strings.Count(page, `id="`+id+`"`); n != 1 {
			t.Errorf("%d elements have the id %s, want 1", n, id)
		}
	}
	for _, inline := range []string{"<style", "style=", "onclick", "javascript:", "http://", "https://"} {
		if strings.Contains(strings.ReplaceAll(page, "http://www.w3.org/2000/svg", ""), inline) {
			t.Errorf("the page holds %s", inline)
		}
	}
}

func TestDemoSettings(t *testing.T) {
	var got map[string]any
	if err := json.Unmarshal(newDemo(t).do(t, http.MethodGet, "/config.json", "", "").Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got["issuer"] != issuer || got["client_id"] != "demo-spa" || got["resource"] != audience || got["scope"] != "openid profile email roles demo:read" {
		t.Errorf("settings %v", got)
	}
	if providers, _ := got["providers"].([]any); len(providers) != 1 || providers[0] != "github" {
		t.Errorf("buttons for %v, want github", got["providers"])
	}
}
