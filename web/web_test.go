package web_test

import (
	"errors"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"

	"example.com/broker/web"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestNewRefusesASetUpThatNoHandlerCouldMakeSafe(t *testing.T) {
	fine := web.Route{Method: http.MethodGet, Path: "/x", Lane: web.Browser, Handle: ok}
	check := func(*gin.Context) error { return nil }
	for _, row := range []struct {
		rule   string
		routes []web.Route
		change func(*web.Options)
		wrong  string
	}{
		{"a good one", []web.Route{fine}, nil, ""},
		{"a route without a handler", []web.Route{{Method: http.MethodGet, Path: "/x"}}, nil, "no handler"},
		{"a route mounted twice", []web.Route{fine, fine}, nil, "mounted twice"},
		{"a guard without a name", []web.Route{{Method: http.MethodGet, Path: "/x", Guard: web.Guard{Check: check}, Handle: ok}}, nil, "without a name"},
		{"a path without a slash", []web.Route{{Method: http.MethodGet, Path: "x", Handle: ok}}, nil, "begin with a slash"},
		{"a route for HEAD", []web.Route{{Method: http.MethodHead, Path: "/x", Handle: ok}}, nil, "by the edge"},
		{"a route for OPTIONS", []web.Route{{Method: http.MethodOptions, Path: "/x", Handle: ok}}, nil, "by the edge"},
		{"CORS on an arrival", []web.Route{{Method: http.MethodGet, Path: "/x", Lane: web.Entry, CORS: web.ClientCORS, Handle: ok}}, nil, "not for scripts"},
		{"CORS for everybody on a page", []web.Route{{Method: http.MethodGet, Path: "/x", Lane: web.Browser, CORS: web.AnyCORS, Handle: ok}}, nil, "every site"},
		{
			"a session where cookies are not seen",
			[]web.Route{{Method: http.MethodGet, Path: "/x", Lane: web.API, Guard: web.Guard{Name: "session", Check: check}, Handle: ok}},
			nil, "cookies are not seen",
		},
		{"a session by another name where cookies are not seen", []web.Route{{Method: http.MethodPost, Path: "/x", Lane: web.Protocol, Guard: web.By("session|bearer"), Handle: ok}}, nil, "cookies are not seen"},
		{
			"two answers to one preflight",
			[]web.Route{
				{Method: http.MethodGet, Path: "/x", Lane: web.API, CORS: web.AnyCORS, Handle: ok},
				{Method: http.MethodPost, Path: "/x", Lane: web.API, CORS: web.ClientCORS, Handle: ok},
			},
			nil, "differs",
		},
		{"no logger", []web.Route{fine}, func(o *web.Options) { o.Log = nil }, "missing"},
		{"no issuer", []web.Route{fine}, func(o *web.Options) { o.Issuer = nil }, "missing"},
		{"no rule for origins", []web.Route{fine}, func(o *web.Options) { o.AllowedOrigin = nil }, "missing"},
		{"an issuer path with a parameter", []web.Route{fine}, func(o *web.Options) { o.Issuer = issuer(t, "https://b.example/:x") }, "path may have"},
		{"an issuer path with a wildcard", []web.Route{fine}, func(o *web.Options) { o.Issuer = issuer(t, "https://b.example/*x") }, "path may have"},
		{"an issuer path with two spellings", []web.Route{fine}, func(o *web.Options) { o.Issuer = issuer(t, "https://b.example/a%20b") }, "path may have"},
		{"an issuer path with dots alone", []web.Route{fine}, func(o *web.Options) { o.Issuer = issuer(t, "https://b.example/../x") }, "path may have"},
	} {
		t.Run(row.rule, func(t *testing.T) {
			o := options(t, "https://b.example", t.Output())
			if row.change != nil {
				row.change(&o)
			}
			_, err := web.New(o, row.routes)
			if (err == nil) != (row.wrong == "") || (err != nil && !strings.Contains(err.Error(), row.wrong)) {
				t.Errorf("New = %v, want an error with %q", err, row.wrong)
			}
		})
	}
}

func TestTableIsTheWholeSurfaceOnOnePage(t *testing.T) {
	got := strings.Join(web.Table([]web.Route{
		{Method: http.MethodPost, Path: "/token", Lane: web.Protocol, Guard: web.By("client"), Handle: ok},
		{Method: http.MethodGet, Path: "/me", Lane: web.API, Guard: web.Guards{}.Bearer(), Handle: ok},
		{Method: http.MethodGet, Path: "/authorize", Lane: web.Entry, Handle: ok},
		{Method: http.MethodPost, Path: "/authorize", Lane: web.Entry, Handle: ok},
		{Method: http.MethodDelete, Path: "/account/sessions/:id", Lane: web.Browser, Guard: web.Guards{}.Session(), Handle: ok},
		{Method: http.MethodPost, Path: "/logout", Lane: web.Browser, Guard: web.Guards{}.Either(), Handle: ok},
	}), "\n") + "\n"
	golden := filepath.Join("testdata", "table.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAnIssuerWithAPathHasEveryRouteBelowIt(t *testing.T) {
	const wellKnown = "/.well-known/oauth-authorization-server/auth"
	s := serve(t, "https://b.example/auth", []web.Route{
		{Method: http.MethodGet, Path: "/where", Lane: web.Browser, Handle: func(c *gin.Context) error {
			c.String(http.StatusOK, "%s %s %s", web.Issuer(c, "/x"), web.Path(c, "/x"), c.FullPath())
			return nil
		}},
		{Method: http.MethodGet, Path: "/go", Lane: web.Browser, Handle: func(c *gin.Context) error { return web.SeeOther(c, web.Path(c, "/where")) }},
		{Method: http.MethodGet, Path: "/", Lane: web.Browser, Handle: func(c *gin.Context) error { return web.SeeOther(c, web.Path(c, "/where")) }},
		{Method: http.MethodGet, Path: wellKnown, Lane: web.Protocol, CORS: web.AnyCORS, AtRoot: true, Handle: ok},
		{Method: http.MethodGet, Path: "/fails", Lane: web.Browser, Handle: failing(errors.New("x"))},
	})
	if got, want := s.ask(t, "GET", "/auth/where", "", header{"Host", "evil.example"}, header{"X-Forwarded-Host", "evil.example"}).want(t, 200).body, "https://b.example/auth/x /auth/x /auth/where"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := s.ask(t, "GET", "/auth/go", "").want(t, 303).header.Get("Location"); got != "/auth/where" {
		t.Errorf("Location %q", got)
	}
	s.ask(t, "GET", wellKnown, "").want(t, 200)
	s.ask(t, "GET", "/auth"+wellKnown, "").want(t, 404)
	s.ask(t, "GET", "/where", "").want(t, 404)
	for _, root := range []string{"/auth", "/auth/"} { // the issuer as it is written, and with the slash of its page
		if got := s.ask(t, "GET", root, "").want(t, 303).header.Get("Location"); got != "/auth/where" {
			t.Errorf("%s leads to %q", root, got)
		}
	}
	s.ask(t, "GET", "/", "").want(t, 404)
	if page := s.ask(t, "GET", "/auth/fails", "").want(t, 500).body; !strings.Contains(page, `href="/auth/`) || strings.Contains(page, `href="/static`) {
		t.Errorf("the error page leads out of the issuer's path:\n%s", page)
	}
}

func TestParametersOfAPathAreDecodedAfterRouting(t *testing.T) {
	s := serve(t, "https://b.example", []web.Route{
		{Method: http.MethodGet, Path: "/login/:provider", Lane: web.Browser, Handle: func(c *gin.Context) error {
			c.String(http.StatusOK, "%s", c.Param("provider"))
			return nil
		}},
	})
	for path, want := range map[string]string{"/login/goo%67le": "google", "/login/a%2Fb": "a/b", "/login/a%252Fb": "a%2Fb"} {
		if got := s.ask(t, "GET", path, "").want(t, 200).body; got != want {
			t.Errorf("%s: provider %q, want %q", path, got, want)
		}
	}
	for _, path := range []string{"/login/a/b", "/login/google/", "/login", "/LOGIN/google", "//login/google", "/login/../login/google", "/%6cogin/google"} {
		s.ask(t, "GET", path, "").want(t, 404)
	}
}
