package web_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"example.com/broker/internal/fault"
	"example.com/broker/web"
)

func sharedRoutes() []web.Route {
	return []web.Route{
		{Method: "POST", Path: "/token", Lane: web.Protocol, CORS: web.ClientCORS, Handle: ok},
		{Method: "POST", Path: "/restricted", Lane: web.Protocol, CORS: web.ClientCORS, Handle: func(c *gin.Context) error {
			web.RestrictOrigin(c, []string{"https://other.example"})
			return ok(c)
		}},
		{Method: "POST", Path: "/mine", Lane: web.Protocol, CORS: web.ClientCORS, Handle: func(c *gin.Context) error {
			web.RestrictOrigin(c, []string{appOrigin})
			return ok(c)
		}},
		{Method: "POST", Path: "/fails", Lane: web.Protocol, CORS: web.ClientCORS, Handle: failing(fault.New(fault.Limited, "rate_limited", "x"))},
		{Method: "GET", Path: "/jwks", Lane: web.Protocol, CORS: web.AnyCORS, Handle: ok},
		{Method: "GET", Path: "/me", Lane: web.API, CORS: web.ClientCORS, Guard: web.Guard{Name: "never", Check: failing(fault.New(fault.Unauthenticated, "x", "x"))}, Handle: ok},
		{Method: "DELETE", Path: "/me", Lane: web.API, CORS: web.ClientCORS, Handle: ok},
		{Method: "PUT", Path: "/me", Lane: web.API, Handle: ok},
		{Method: "POST", Path: "/introspect", Lane: web.Protocol, Handle: ok},
		{Method: "POST", Path: "/logout", Lane: web.Browser, CORS: web.ClientCORS, Handle: ok},
		{Method: "GET", Path: "/dashboard", Lane: web.Browser, Handle: ok},
		{Method: "GET", Path: "/authorize", Lane: web.Entry, Handle: ok},
	}
}

// L05.
func TestWhoMayReadAnAnswer(t *testing.T) {
	s := serve(t, "https://b.example", sharedRoutes())
	for _, row := range []struct {
		rule, method, path, origin string
		headers                    []header
		want                       string // Access-Control-Allow-Origin
		varies                     bool
	}{
		{"a client's origin", "POST", "/token", appOrigin, nil, appOrigin, true},
		{"a stranger", "POST", "/token", "https://evil.example", nil, "", true},
		{"no origin: the cache must still know", "POST", "/token", "", nil, "", true},
		{"an opaque origin", "POST", "/token", "null", nil, "", true},
		{"another case", "POST", "/token", "https://APP.example", nil, "", true},
		{"another scheme", "POST", "/token", "http://app.example", nil, "", true},
		{"a subdomain", "POST", "/token", "https://x.app.example", nil, "", true},
		{"an error is read like an answer", "POST", "/fails", appOrigin, nil, appOrigin, true},
		{"the origin of another client than the one that asks", "POST", "/restricted", appOrigin, nil, "", true},
		{"the origin of the client that asks", "POST", "/mine", appOrigin, nil, appOrigin, true},
		{"a public document", "GET", "/jwks", "https://any.example", nil, "*", true},
		{"a refusal of a guard is read like an answer", "GET", "/me", appOrigin, nil, appOrigin, true},
		{"another method of the path, not shared", "PUT", "/me", appOrigin, nil, "", false},
		{"an endpoint for servers", "POST", "/introspect", appOrigin, nil, "", false},
		{"a page", "GET", "/dashboard", appOrigin, nil, "", false},
		{"an arrival", "GET", "/authorize", appOrigin, nil, "", false},
		{"a browser's sign-out, shown to a cookie", "POST", "/logout", appOrigin, []header{{"Sec-Fetch-Site", "same-origin"}}, "", false},
		{"a sign-out with a token", "POST", "/logout", appOrigin, []header{{"Authorization", "Bearer x"}}, appOrigin, true},
		{"nothing there", "GET", "/none", appOrigin, nil, "", false},
	} {
		t.Run(row.rule, func(t *testing.T) {
			h := row.headers
			if row.origin != "" {
				h = append(slices.Clone(h), header{"Origin", row.origin})
			}
			a := s.ask(t, row.method, row.path, "", h...)
			if got := a.header.Get("Access-Control-Allow-Origin"); got != row.want {
				t.Errorf("Access-Control-Allow-Origin %q, want %q", got, row.want)
			}
			if got := slices.Contains(a.header.Values("Vary"), "Origin"); got != row.varies {
				t.Errorf("Vary: Origin is there: %v, want %v", got, row.varies)
			}
			if row.want == "" && a.header.Get("Access-Control-Expose-Headers") != "" {
				t.Error("headers are exposed to nobody")
			}
			if _, has := a.header["Access-Control-Allow-Credentials"]; has {
				t.Error("credentials are allowed")
			}
		})
	}
}

func TestPreflights(t *testing.T) {
	called := false
	routes := sharedRoutes()
	for i := range routes {
		routes[i].Handle = func(*gin.Context) error {
			called = true
			return nil
		}
	}
	s := serve(t, "https://b.example", routes)
	for _, row := range []struct {
		rule, path, origin, method, headers string
		status                              int
		want                                string
	}{
		{"a client's origin", "/token", appOrigin, "POST", "authorization,content-type", 204, appOrigin},
		{"a stranger", "/token", "https://evil.example", "POST", "content-type", 204, ""},
		{"an opaque origin", "/token", "null", "POST", "", 204, ""},
		{"a method that is not there", "/token", appOrigin, "DELETE", "", 204, ""},
		{"a method of the path that is not shared", "/me", appOrigin, "PUT", "", 204, ""},
		{"a second method of the path that is", "/me", appOrigin, "DELETE", "", 204, appOrigin},
		{"a header nobody needs", "/token", appOrigin, "POST", "x-custom", 204, ""},
		{"an API key", "/me", appOrigin, "GET", "x-api-key", 204, appOrigin},
		{"a public document", "/jwks", "https://any.example", "GET", "", 204, "*"},
		{"a page", "/dashboard", appOrigin, "GET", "", 405, ""},
		{"an endpoint for servers", "/introspect", appOrigin, "POST", "", 405, ""},
		{"nothing there", "/none", appOrigin, "GET", "", 404, ""},
	} {
		t.Run(row.rule, func(t *testing.T) {
			h := []header{{"Origin", row.origin}, {"Access-Control-Request-Method", row.method}}
			if row.headers != "" {
				h = append(h, header{"Access-Control-Request-Headers", row.headers})
			}
			a := s.ask(t, "OPTIONS", row.path, "", h...).want(t, row.status)
			if got := a.header.Get("Access-Control-Allow-Origin"); got != row.want {
				t.Errorf("Access-Control-Allow-Origin %q, want %q", got, row.want)
			}
			if row.want != "" && (a.header.Get("Access-Control-Allow-Methods") != row.method || a.header.Get("Access-Control-Max-Age") != "600") {
				t.Errorf("got %v", a.header)
			}
			if _, has := a.header["Access-Control-Allow-Credentials"]; has {
				t.Error("credentials are allowed")
			}
			if row.status == 204 && !strings.Contains(strings.Join(a.header.Values("Vary"), ","), "Origin") {
				t.Errorf("Vary %v", a.header.Values("Vary"))
			}
			if called {
				t.Error("a preflight reached a handler")
			}
		})
	}
}

func TestOPTIONSWithoutAPreflightNamesTheMethods(t *testing.T) {
	s := serve(t, "https://b.example", sharedRoutes())
	a := s.ask(t, "OPTIONS", "/me", "").want(t, http.StatusNoContent)
	if got := a.header.Get("Allow"); !sameSet(got, "GET, HEAD, DELETE, OPTIONS") {
		t.Errorf("Allow %q", got)
	}
}
