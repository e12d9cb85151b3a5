package verify_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/verify"
)

// guarded is a route behind the middleware and the given requirements.
func guarded(v *verify.Verifier, requirements ...func(http.Handler) http.Handler) http.Handler {
	var h http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		subject, ok := verify.SubjectFrom(r.Context())
		token, tokenOK := verify.TokenFrom(r.Context())
		if !ok || !tokenOK || token.Claims.ID != "jti_1" {
			http.Error(w, "no token in the context", http.StatusInternalServerError)
			return
		}
		_, _ = w.Write([]byte(subject.ID))
	})
	for _, require := range requirements {
		h = require(h)
	}
	return v.Middleware(h)
}

func get(h http.Handler, target string, authorization ...string) *http.Response {
	r := httptest.NewRequest(http.MethodGet, target, http.NoBody)
	r.Header["Authorization"] = authorization
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

type problem struct {
	Type          string   `json:"type"`
	Title         string   `json:"title"`
	Status        int      `json:"status"`
	Detail        string   `json:"detail"`
	Code          string   `json:"code"`
	RequiredRoles []string `json:"required_roles"`
	RequiredScope string   `json:"required_scope"`
}

func problemOf(t *testing.T, resp *http.Response) problem {
	t.Helper()
	var p problem
	if err := json.NewDecoder(resp.Body).Decode(&p); err != nil {
		t.Fatalf("read the problem: %v", err)
	}
	return p
}

func TestMiddlewareLetsAGoodTokenPass(t *testing.T) {
	s := ecSigner("ec-1", 1)
	h := guarded(newVerifier(t, func(c *verify.Config) { c.Keys = staticKeys(t, s) }))
	token := s.token(t, nil, nil)
	for _, header := range []string{"Bearer " + token, "bearer " + token, "BEARER   " + token} {
		resp := get(h, "/?page=2", header)
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%.8s...: got status %d, want 200", header, resp.StatusCode)
		}
	}
}

func TestMiddlewareAnswers(t *testing.T) {
	s := ecSigner("ec-1", 1)
	good := s.token(t, nil, nil)
	revoked := s.token(t, nil, members{"sid": "revoked"})
	unsure := s.token(t, nil, members{"sid": "unsure"})
	v := newVerifier(t, func(c *verify.Config) {
		c.Keys, c.Realm = staticKeys(t, s), `the "orders" API`
		c.Revocations = revocationsFunc(func(_ context.Context, c *verify.Claims) error {
			switch c.SessionID {
			case "revoked":
				return &verify.Error{Code: verify.CodeInvalidToken, Description: "the token was revoked"}
			case "unsure":
				return &verify.Error{Code: verify.CodeUnavailable, Description: "the revocations are 11 s old", RetryAfter: 1500 * time.Millisecond}
			}
			return nil
		})
	})
	const bare = `Bearer realm="the 'orders' API"`
	other := s.token(t, nil, members{"aud": `"x\`})
	tests := []struct {
		rule          string
		target        string
		authorization []string
		status        int
		code          string
		challenge     string
		retryAfter    string
	}{
		{"no token: a challenge without error (RFC 6750 3.1)", "/", nil, 401, "missing_token", bare, ""},
		{"other scheme", "/", []string{"Basic YTpi"}, 401, "missing_token", bare, ""},
		{"empty header", "/", []string{""}, 401, "missing_token", bare, ""},
		{
			"scheme without token", "/",
			[]string{"Bearer"},
			400, "invalid_request",
			bare + `, error="invalid_request", error_description="the Authorization header is malformed, 'Bearer' and one token are expected"`, "",
		},
		{"scheme and spaces", "/", []string{"Bearer   "}, 400, "invalid_request", "", ""},
		{"two tokens in a header", "/", []string{"Bearer " + good + " " + good}, 400, "invalid_request", "", ""},
		{"two tokens with a comma", "/", []string{"Bearer " + good + ",Bearer"}, 400, "invalid_request", "", ""},
		{
			"two headers", "/",
			[]string{"Bearer " + good, "Bearer " + good},
			400, "invalid_request",
			bare + `, error="invalid_request", error_description="the request has several Authorization headers, one is expected"`, "",
		},
		{"token in the query", "/?access_token=" + good, nil, 400, "invalid_request", "", ""},
		{"token in the query beside the header", "/?a=b&access_token=x", []string{"Bearer " + good}, 400, "invalid_request", "", ""},
		{"token in the query, escaped", "/?access%5Ftoken=x", []string{"Bearer " + good}, 400, "invalid_request", "", ""},
		{
			"bad token", "/",
			[]string{"Bearer a.b"},
			401, "invalid_token",
			bare + `, error="invalid_token", error_description="the token has 2 parts, 3 are expected"`, "",
		},
		{
			"received text cannot leave the quotes", "/",
			[]string{"Bearer " + other},
			401, "invalid_token",
			bare + `, error="invalid_token", error_description="the audience is ''x/', 'https://orders.example' is expected"`, "",
		},
		{
			"revoked token", "/",
			[]string{"Bearer " + revoked},
			401, "invalid_token",
			bare + `, error="invalid_token", error_description="the token was revoked"`, "",
		},
		{"not knowing is no refusal", "/", []string{"Bearer " + unsure}, 503, "temporarily_unavailable", "", "2"},
	}
	h := guarded(v)
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			resp := get(h, tt.target, tt.authorization...)
			if resp.StatusCode != tt.status {
				t.Errorf("got status %d, want %d", resp.StatusCode, tt.status)
			}
			got := resp.Header.Get("WWW-Authenticate")
			if tt.challenge != "" && got != tt.challenge {
				t.Errorf("got challenge\n%s, want\n%s", got, tt.challenge)
			}
			if (got == "") != (tt.status == http.StatusServiceUnavailable) {
				t.Errorf("got challenge %q with status %d", got, tt.status)
			}
			for name, want := range map[string]string{
				"Cache-Control": "no-store", "Content-Type": "application/problem+json", "X-Content-Type-Options": "nosniff",
				"Retry-After": tt.retryAfter,
			} {
				if got := resp.Header.Get(name); got != want {
					t.Errorf("got %s %q, want %q", name, got, want)
				}
			}
			p := problemOf(t, resp)
			if p.Type != "about:blank" || p.Title != http.StatusText(tt.status) || p.Status != tt.status || p.Code != tt.code || p.Detail == "" {
				t.Errorf("got problem %+v, want status %d and code %s", p, tt.status, tt.code)
			}
			if strings.Contains(p.Detail+got, good[len(good)-40:]) {
				t.Errorf("the answer repeats the token: %s %s", p.Detail, got)
			}
		})
	}
}

func TestRequirements(t *testing.T) {
	s := ecSigner("ec-1", 1)
	v := newVerifier(t, func(c *verify.Config) { c.Keys = staticKeys(t, s) })
	const begin = `Bearer realm="https://orders.example", error="insufficient_scope", error_description="`
	tests := []struct {
		rule      string
		require   func(http.Handler) http.Handler
		claims    members
		challenge string // "" means the request passes
		want      problem
	}{
		{"one of the roles", verify.RequireRoles("admin", "viewer"), nil, "", problem{}},
		{
			"none of the roles", verify.RequireRoles("admin", "owner"), nil,
			begin + `the caller has the roles editor, viewer, one of admin, owner is expected"`,
			problem{Detail: "the caller has the roles editor, viewer, one of admin, owner is expected", RequiredRoles: []string{"admin", "owner"}},
		},
		{
			"a role in another case", verify.RequireRoles("Editor"), nil,
			begin + `the caller has the roles editor, viewer, one of Editor is expected"`,
			problem{Detail: "the caller has the roles editor, viewer, one of Editor is expected", RequiredRoles: []string{"Editor"}},
		},
		{
			"no roles at all", verify.RequireRoles("admin"),
			members{"roles": nil},
			begin + `the caller has no role, one of admin is expected"`,
			problem{Detail: "the caller has no role, one of admin is expected", RequiredRoles: []string{"admin"}},
		},
		{"all of the scopes", verify.RequireScope("orders:read", "openid"), nil, "", problem{}},
		{
			"one of two scopes", verify.RequireScope("orders:read", "orders:write"), nil,
			begin + `the token has the scopes openid, orders:read, all of orders:read, orders:write are expected", scope="orders:read orders:write"`,
			problem{Detail: "the token has the scopes openid, orders:read, all of orders:read, orders:write are expected", RequiredScope: "orders:read orders:write"},
		},
		{
			"no scope at all", verify.RequireScope("orders:read"),
			members{"scope": ""},
			begin + `the token has no scope, all of orders:read are expected", scope="orders:read"`,
			problem{Detail: "the token has no scope, all of orders:read are expected", RequiredScope: "orders:read"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			resp := get(guarded(v, tt.require), "/", "Bearer "+s.token(t, nil, tt.claims))
			if tt.challenge == "" {
				if resp.StatusCode != http.StatusOK {
					t.Errorf("got status %d, want 200", resp.StatusCode)
				}
				return
			}
			if resp.StatusCode != http.StatusForbidden {
				t.Errorf("got status %d, want 403", resp.StatusCode)
			}
			if got := resp.Header.Get("WWW-Authenticate"); got != tt.challenge {
				t.Errorf("got challenge\n%s, want\n%s", got, tt.challenge)
			}
			tt.want.Type, tt.want.Title, tt.want.Status, tt.want.Code = "about:blank", "Forbidden", 403, "insufficient_scope"
			if diff := cmp.Diff(tt.want, problemOf(t, resp)); diff != "" {
				t.Errorf("problem (-want +got):\n%s", diff)
			}
		})
	}
}

func TestARequirementWithoutTheMiddlewareRefusesEverybody(t *testing.T) {
	for _, require := range []func(http.Handler) http.Handler{verify.RequireRoles("admin"), verify.RequireScope("a")} {
		h := require(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the request passed") }))
		if resp := get(h, "/"); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("got status %d, want 401", resp.StatusCode)
		}
	}
}

func TestARequirementOfNothingIsAMistake(t *testing.T) {
	for name, construct := range map[string]func(){
		"RequireRoles": func() { verify.RequireRoles() },
		"RequireScope": func() { verify.RequireScope() },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("got no panic")
				}
			}()
			construct()
		})
	}
}

func TestAContextWithoutATokenHasNoSubject(t *testing.T) {
	if s, ok := verify.SubjectFrom(t.Context()); ok {
		t.Errorf("got subject %+v", s)
	}
	if _, ok := verify.TokenFrom(verify.WithToken(t.Context(), nil)); ok {
		t.Error("got a token from a context with nil")
	}
	ctx := verify.WithToken(t.Context(), &verify.Token{Subject: verify.Subject{ID: "usr_1"}})
	if s, ok := verify.SubjectFrom(ctx); !ok || s.ID != "usr_1" {
		t.Errorf("got subject %+v %v, want that of the token", s, ok)
	}
}

func TestWriteErrorHidesForeignErrors(t *testing.T) {
	w := httptest.NewRecorder()
	verify.WriteError(w, "api", errors.New("password of the store is hunter2"))
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "hunter2") || w.Header().Get("WWW-Authenticate") != "" {
		t.Errorf("got %d %s, want 500 with a fixed text and no challenge", w.Code, w.Body)
	}
}

func TestDescriptionsAreCutAndCleaned(t *testing.T) {
	s := ecSigner("ec-1", 1)
	v := newVerifier(t, func(c *verify.Config) { c.Keys = staticKeys(t, s) })
	for _, aud := range []string{strings.Repeat("a", 5000), "\r\nSet-Cookie: a=b", "\x1b[31m", "\u00e9\u2028", `"\`} {
		_, err := v.Verify(t.Context(), s.token(t, nil, members{"aud": aud}))
		var e *verify.Error
		if !errors.As(err, &e) {
			t.Fatalf("got %v", err)
		}
		if len(e.Description) > 400 {
			t.Errorf("got a description of %d bytes", len(e.Description))
		}
		if i := strings.IndexFunc(e.Description, func(r rune) bool { return r < 0x20 || r > 0x7e || r == '"' || r == '\\' }); i >= 0 {
			t.Errorf("got %q, with a character that RFC 6749 does not allow at %d", e.Description, i)
		}
	}
}
