package main

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/config"
	"example.com/broker/providers/local"
)

// flow is something the authorization server does, as a row: it runs on both stores, on a world that many share unless it is alone.
type flow struct {
	Rule  string
	Alone []func(*config.Config)
	Run   func(t *testing.T, w *world)
}

func runFlows(t *testing.T, flows []flow) {
	for _, kind := range storeKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			shared := newWorld(t, kind)
			for _, f := range flows {
				t.Run(strings.ReplaceAll(f.Rule, "/", "|"), func(t *testing.T) {
					if f.Alone != nil {
						t.Parallel()
						f.Run(t, newWorld(t, kind, f.Alone...))
						return
					}
					t.Cleanup(shared.honest)
					f.Run(t, shared.in(t))
				})
			}
		})
	}
}

// again fills in the sign-in page of a trip.
func (s signedIn) again(p page) page {
	s.Helper()
	return s.submit(p, "signin-form", url.Values{"username": {s.who.Username}, "password": {s.password}})
}

// value is what a field of the page holds.
func (p page) value(t testing.TB, id string) string {
	t.Helper()
	return attr(p.element(t, id), "value")
}

func TestAuthorize(t *testing.T) { runFlows(t, flowsOfAuthorize()) }

func flowsOfAuthorize() []flow {
	return []flow{
		{Rule: "prompt=login signs in anew, and auth_time tells", Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			before := claims(t, s.tokens.str("id_token"))["auth_time"].(float64)
			time.Sleep(1100 * time.Millisecond) // auth_time has whole seconds
			p := s.open(s.app.authorizeURL("prompt", "login"))
			if !p.has("signin-form") || p.has("continue-as") {
				t.Fatalf("answered %d %s", p.StatusCode, p.brief())
			}
			r := s.app.redeem(s.app.code(s.again(p)))
			if after := claims(t, r.str("id_token"))["auth_time"].(float64); after <= before {
				t.Errorf("auth_time is %v, was %v", after, before)
			}
		}},
		{Rule: "prompt=login goes through an upstream as well", Run: func(t *testing.T, w *world) {
			who, _ := w.somebody()
			a, b := w.app("spa", ""), w.browser()
			a.code(b.signInBy(a, "google", who))
			to := b.away(b.open(a.authorizeURL("prompt", "login")), "provider-google")
			if got := to.Query().Get("prompt"); got != "select_account" { // Google knows no login
				t.Errorf("Google was asked with prompt=%q", got)
			}
			a.code(b.open(b.pick(to, who).String()))
		}},
		{Rule: "prompt=select_account offers to continue, or another account", Run: func(t *testing.T, w *world) {
			s, other := w.signIn("spa", ""), w.person("bob")
			p := s.open(s.app.authorizeURL("prompt", "select_account"))
			if !p.has("continue-as") || !p.has("use-another") || !strings.Contains(p.body, s.who.Name) {
				t.Fatalf("no chooser: %d %s", p.StatusCode, p.brief())
			}
			r := s.app.redeem(s.app.code(s.submit(p, "continue-as", nil)))
			if got := claims(t, r.str("access_token"))["sub"]; got != s.who.ID {
				t.Errorf("continuing gave %v", got)
			}
			p = s.open(s.app.authorizeURL("prompt", "select_account"))
			p = s.open(p.href(t, "use-another"))
			if !p.has("signin-form") || p.has("continue-as") {
				t.Fatalf("another account: %d %s", p.StatusCode, p.brief())
			}
			r = s.app.redeem(s.app.code(s.submit(p, "signin-form", url.Values{"username": {other.Username}, "password": {w.password}})))
			if got := claims(t, r.str("access_token"))["sub"]; got != other.ID {
				t.Errorf("the other account gave %v", got)
			}
		}},
		{Rule: "prompt=consent is silent for a first-party app", Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			s.app.code(s.open(s.app.authorizeURL("prompt", "consent")))
		}},
		{Rule: "max_age=1 does not loop", Alone: alone, Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "", "max_age", "1")
			w.clock.advance(5 * time.Second)
			p := s.open(s.app.authorizeURL("max_age", "1"))
			if !p.has("signin-form") {
				t.Fatalf("answered %d %s", p.StatusCode, p.brief())
			}
			form, action := p.form(t, "signin-form")
			form.Set("username", s.who.Username)
			form.Set("password", w.password)
			p = s.do(http.MethodPost, s.abs(action), form)
			w.clock.advance(5 * time.Second) // a slow way from the form back to /authorize
			w.poll()
			s.app.code(s.follow(p))
		}},
		{Rule: "max_age=0 asks anew, each time", Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			p := s.open(s.app.authorizeURL("max_age", "0"))
			s.app.code(s.again(p))
			if p := s.open(s.app.authorizeURL("max_age", "0")); !p.has("signin-form") {
				t.Errorf("the second time answered %d", p.StatusCode)
			}
		}},
		{Rule: "max_age reaches an OpenID upstream", Run: func(t *testing.T, w *world) {
			b := w.browser()
			to := b.away(b.open(w.app("spa", "").authorizeURL("max_age", "77", "login_hint", "gil@example.com", "ui_locales", "de en", "display", "popup", "acr_values", "gold silver")), "provider-rogue")
			want := map[string]string{"max_age": "77", "login_hint": "gil@example.com", "ui_locales": "de en", "display": "popup", "acr_values": "gold silver"}
			for name, value := range want {
				if got := to.Query().Get(name); got != value {
					t.Errorf("%s reached the upstream as %q, want %q", name, got, value)
				}
			}
		}},
		{Rule: "login_hint fills in the name", Run: func(t *testing.T, w *world) {
			p := w.browser().open(w.app("spa", "").authorizeURL("login_hint", `ada "the" <b>`))
			if got := p.value(t, "username"); got != `ada "the" <b>` {
				t.Errorf("the field holds %q", got)
			}
		}},
		{Rule: "an id_token_hint of the signed-in person is silent, one of another asks for that person", Run: func(t *testing.T, w *world) {
			s, other := w.signIn("spa", ""), w.signIn("spa", "")
			s.app.code(s.open(s.app.authorizeURL("id_token_hint", s.tokens.str("id_token"))))
			p := s.open(s.app.authorizeURL("id_token_hint", other.tokens.str("id_token")))
			if !p.has("signin-form") {
				t.Fatalf("answered %d %s", p.StatusCode, p.brief())
			}
			s.app.refused(s.again(p), "login_required") // the wrong person signed in
			p = s.open(s.app.authorizeURL("id_token_hint", other.tokens.str("id_token")))
			r := s.app.redeem(s.app.code(s.submit(p, "signin-form", url.Values{"username": {other.who.Username}, "password": {w.password}})))
			if got := claims(t, r.str("access_token"))["sub"]; got != other.who.ID {
				t.Errorf("the right person is %v", got)
			}
		}},
		{Rule: "claims names what ID token and userinfo hold", Run: func(t *testing.T, w *world) {
			const asked = `{"id_token":{"email":{"essential":true},"name":null,"roles":null,"unheard_of":{"essential":true}},"userinfo":{"preferred_username":{"essential":true},"email":null}}`
			s := w.signIn("spa", "", "scope", "openid", "claims", asked)
			id := claims(t, s.tokens.str("id_token"))
			if id["email"] != s.who.Email || id["name"] != s.who.Name || !cmp.Equal(id["roles"], []any{"viewer"}) || id["preferred_username"] != nil || id["unheard_of"] != nil {
				t.Errorf("the ID token says %v", id)
			}
			info := w.userinfo(s.access())
			want := map[string]any{"sub": s.who.ID, "preferred_username": s.who.Username, "email": s.who.Email}
			if diff := cmp.Diff(want, info.json); diff != "" {
				t.Errorf("userinfo (-want +got):\n%s", diff)
			}
			// A refreshed access token still stands for the same request.
			if info := w.userinfo(s.app.refresh(s.refresh()).str("access_token")); info.json["preferred_username"] != s.who.Username {
				t.Errorf("after a refresh userinfo says %s", info.raw)
			}
		}},
		{Rule: "claims with a sub asks for that person, an essential acr cannot be met", Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			s.app.code(s.open(s.app.authorizeURL("prompt", "none", "claims", `{"id_token":{"sub":{"value":"`+s.who.ID+`"}}}`)))
			s.app.refused(s.open(s.app.authorizeURL("prompt", "none", "claims", `{"id_token":{"sub":{"value":"usr_other"}}}`)), "login_required")
			s.app.refused(s.open(s.app.authorizeURL("claims", `{"id_token":{"acr":{"essential":true,"values":["gold"]}}}`)), "unmet_authentication_requirements")
			s.app.code(s.open(s.app.authorizeURL("claims", `{"id_token":{"acr":{"values":["gold"]}}}`)))
		}},
		{Rule: "hints that mean nothing here, and unknown parameters, are ignored", Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			s.app.code(s.open(s.app.authorizeURL(
				"acr_values", "gold silver", "ui_locales", "xx-YY de", "display", "wap", "claims_locales", "fr", "unknown", "1", "foo.bar", "2", "id_token_hint", "", "login_hint", strings.Repeat("l", 1000),
			)))
		}},
		{Rule: "a request without state or nonce is answered without them", Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			p := s.open(s.app.authorizeURL("state", "", "nonce", ""))
			q := s.app.answer(p)
			if q.Has("state") || q.Get("code") == "" || q.Get("iss") != w.issuer {
				t.Errorf("the app got %v", q)
			}
			if id := claims(t, s.app.redeem(q.Get("code")).str("id_token")); id["nonce"] != nil {
				t.Errorf("the ID token says %v", id)
			}
			q = s.app.answer(s.open(s.app.authorizeURL("state", "") + "&state="))
			if !q.Has("state") || q.Get("state") != "" {
				t.Errorf("an empty state came back as %v", q)
			}
		}},
		{Rule: "without openid there is no ID token, and userinfo says so", Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "", "scope", "email")
			if s.tokens.json["id_token"] != nil {
				t.Errorf("the token endpoint said %s", s.tokens.raw)
			}
			r := w.userinfo(s.access())
			if r.StatusCode != http.StatusForbidden || !strings.Contains(r.Header.Get("WWW-Authenticate"), `error="insufficient_scope"`) {
				t.Errorf("userinfo answered %d %q", r.StatusCode, r.Header.Get("WWW-Authenticate"))
			}
		}},
		{Rule: "response_mode=form_post hands code and errors over by a form", Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			p := s.open(s.app.authorizeURL("response_mode", "form_post"))
			form, action := p.form(t, "handoff")
			if p.StatusCode != http.StatusOK || action != appRedirect || form.Get("state") != s.app.state || form.Get("iss") != w.issuer || len(form) != 3 {
				t.Fatalf("the page posts %v to %s", form, action)
			}
			if r := s.app.redeem(form.Get("code")); r.StatusCode != http.StatusOK {
				t.Errorf("the code got %d %s", r.StatusCode, r.raw)
			}
			form, action = w.browser().open(s.app.authorizeURL("response_mode", "form_post", "prompt", "none")).form(t, "handoff")
			if action != appRedirect || form.Get("error") != "login_required" || form.Get("state") != s.app.state || form.Get("iss") != w.issuer {
				t.Errorf("the error page posts %v to %s", form, action)
			}
			if p := s.open(s.app.authorizeURL("response_mode", "query")); p.StatusCode != http.StatusSeeOther {
				t.Errorf("response_mode=query answered %d", p.StatusCode)
			}
		}},
		{Rule: "a hint naming the provider goes straight there, once", Run: func(t *testing.T, w *world) {
			who, _ := w.somebody()
			a, b := w.app("spa", ""), w.browser()
			p := b.open(a.authorizeURL("idp_hint", "github"))
			to, err := p.Location()
			if err != nil || to.Path != local.GitHubAuthorizePath {
				t.Fatalf("answered %d to %v", p.StatusCode, to)
			}
			// Whoever cancels there sees the choice.
			if p := b.open(b.pick(to, "").String()); !p.has("provider-google") || !p.has("notice") {
				t.Errorf("after cancelling %d %s", p.StatusCode, p.brief())
			}
			p = b.open(a.authorizeURL("idp_hint", "github"))
			to, err = p.Location()
			if err != nil {
				t.Fatal(err)
			}
			a.code(b.open(b.pick(to, who).String()))
			for _, unknown := range []string{"nobody", "../dashboard", "password", "GITHUB"} {
				if p := w.browser().open(a.authorizeURL("idp_hint", unknown)); !p.has("provider-github") {
					t.Errorf("idp_hint=%s answered %d", unknown, p.StatusCode)
				}
			}
			a.code(b.open(a.authorizeURL("idp_hint", "github"))) // signed in already
		}},
		{Rule: "POST /authorize is answered by our own GET, so that the session counts", Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			q := mustQuery(t, s.app.authorizeURL())
			r := w.post("/authorize", q, "Origin", "https://app.example.com", "Sec-Fetch-Site", "cross-site")
			to, err := r.Location()
			if err != nil || r.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to.String(), w.issuer+"/authorize?") {
				t.Fatalf("answered %d to %v", r.StatusCode, to)
			}
			s.app.code(s.open(to.String()))
			w.post("/authorize", url.Values{"tx": {"x"}}).errorLike(t, http.StatusBadRequest)
		}},
		{Rule: "consent is asked once, remembered, and grows", Run: func(t *testing.T, w *world) {
			alice, a, b := w.person("alice"), w.app("third", ""), w.browser()
			p := b.signInByPassword(a, alice.Username, "scope", "openid profile")
			if !p.has("consent-form") || !strings.Contains(p.text(t, "app-name"), "Third-party app") || !strings.Contains(p.text(t, "scopes"), "your name") {
				t.Fatalf("%d %s", p.StatusCode, p.brief())
			}
			a.refused(b.submit(p, "consent-form", url.Values{"answer": {"cancel"}}), "access_denied")
			// No is not remembered as yes.
			p = b.open(a.authorizeURL("scope", "openid profile"))
			r := a.redeem(a.code(b.submit(p, "consent-form", url.Values{"answer": {"allow"}})))
			if r.str("scope") != "openid profile" {
				t.Errorf("the grant has %q", r.str("scope"))
			}
			a.code(b.open(a.authorizeURL("scope", "openid profile")))
			a.code(b.open(a.authorizeURL("scope", "openid")))
			p = b.open(a.authorizeURL("scope", "openid email"))
			a.code(b.submit(p, "consent-form", url.Values{"answer": {"allow"}}))
			a.code(b.open(a.authorizeURL("scope", "openid profile email"))) // what was allowed adds up
			// Another browser of the same person knows it too.
			c := w.browser()
			a.code(c.signInByPassword(a, alice.Username, "scope", "openid profile email"))
			// An answer that is none is no answer.
			p = b.open(a.authorizeURL("scope", "openid roles"))
			form, action := p.form(t, "consent-form")
			form.Set("answer", "whatever")
			b.do(http.MethodPost, b.abs(action), form).errorPage(t, http.StatusBadRequest)
		}},
		{Rule: "somebody else can be chosen on the consent page", Run: func(t *testing.T, w *world) {
			alice, bob, a, b := w.person("alice"), w.person("bob"), w.app("third", ""), w.browser()
			p := b.signInByPassword(a, alice.Username)
			p = b.open(p.href(t, "use-another"))
			p = b.submit(p, "signin-form", url.Values{"username": {bob.Username}, "password": {w.password}})
			r := a.redeem(a.code(b.submit(p, "consent-form", url.Values{"answer": {"allow"}})))
			if got := claims(t, r.str("access_token"))["sub"]; got != bob.ID {
				t.Errorf("the token is for %v, want %s", got, bob.ID)
			}
		}},
		{Rule: "two tabs finish one after the other, and the back button harms nobody", Run: func(t *testing.T, w *world) {
			alice, a, b := w.person("alice"), w.app("spa", ""), w.browser()
			first, second := b.open(a.authorizeURL()), b.open(a.authorizeURL())
			fill := url.Values{"username": {alice.Username}, "password": {w.password}}
			a.code(b.submit(first, "signin-form", fill))
			a.code(b.submit(second, "signin-form", fill))
			a.code(b.submit(first, "signin-form", fill)) // back, and once more
		}},
		{Rule: "the scope granted is what was asked, in its order, without repeats", Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "", "scope", "roles openid email openid roles")
			if s.tokens.str("scope") != "roles openid email" {
				t.Errorf("the scope is %q", s.tokens.str("scope"))
			}
		}},
	}
}

// errorLike demands a status and no redirect, in whatever form.
func (r reply) errorLike(t testing.TB, status int) {
	t.Helper()
	if r.StatusCode != status || r.Header.Get("Location") != "" {
		t.Errorf("%s %s answered %d to %q, want %d", r.Request.Method, r.Request.URL.Path, r.StatusCode, r.Header.Get("Location"), status)
	}
}

func TestIssuerWithAPath(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		who, _ := w.somebody()
		a, b := w.app("spa", ""), w.browser()
		p := b.open(a.authorizeURL())
		if !strings.HasPrefix(p.at.Path, "/auth/realm/login") || strings.Contains(p.body, `href="/static`) || strings.Contains(p.body, `action="/login`) {
			t.Errorf("the page is at %s and leads outside", p.at)
		}
		r := a.redeem(a.code(b.through(p, "provider-github", who)))
		access := claims(t, r.str("access_token"))
		if access["iss"] != w.issuer || access["aud"] != w.issuer {
			t.Errorf("the token says %v", access)
		}
		if r := w.get("/me", "Authorization", "Bearer "+r.str("access_token")); r.StatusCode != http.StatusOK {
			t.Errorf("/me answered %d", r.StatusCode)
		}
		for _, c := range b.cookies() {
			if c.Name == "broker_session" && c.Path != "" && c.Path != "/" {
				t.Errorf("the cookie's path is %s", c.Path)
			}
		}
		if p := b.open(w.issuer + "/"); !strings.HasSuffix(p.at.Path, "/auth/realm/dashboard") || p.StatusCode != http.StatusOK {
			t.Errorf("the home page ended at %s", p.at)
		}
		third := w.app("third", "")
		third.code(b.submit(b.open(third.authorizeURL()), "consent-form", url.Values{"answer": {"allow"}}))
		p = b.open("/end_session?" + url.Values{"client_id": {"spa"}, "post_logout_redirect_uri": {appPostLogout}}.Encode())
		p = b.submit(p, "signout-form", url.Values{"answer": {"signout"}})
		if to, err := p.Location(); err != nil || to.String() != appPostLogout {
			t.Errorf("signing out led to %v", to)
		}
		root := strings.TrimSuffix(w.issuer, "/auth/realm")
		for path, want := range map[string]int{
			"/auth/realm/.well-known/openid-configuration": 200, "/.well-known/oauth-authorization-server/auth/realm": 200, "/auth/realm/jwks": 200,
			"/.well-known/openid-configuration": 404, "/jwks": 404, "/token": 404, "/auth/realm/.well-known/oauth-authorization-server": 404,
		} {
			resp, err := http.Get(root + path)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("%s answered %d, want %d", path, resp.StatusCode, want)
			}
		}
	}, func(c *config.Config) { c.Issuer += "/auth/realm" })
}

// The golden files are the documents for an issuer without and with a path; asking for them costs no read of the store.
func TestDiscoveryDocuments(t *testing.T) {
	for name, path := range map[string]string{"": "", "_path": "/auth"} {
		w := newWorld(t, "sqlite", func(c *config.Config) { c.Issuer += path })
		root := strings.TrimSuffix(w.issuer, path)
		w.store.spent()
		for file, address := range map[string]string{
			"openid_configuration" + name: w.issuer + "/.well-known/openid-configuration",
			"authorization_server" + name: root + "/.well-known/oauth-authorization-server" + path,
		} {
			resp, body := document(t, address)
			if resp.Header.Get("Content-Type") != "application/json" || !strings.HasPrefix(resp.Header.Get("Cache-Control"), "public, max-age=") || resp.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s: %v", address, resp.Header)
			}
			golden(t, file+".golden", strings.ReplaceAll(indented(t, body), root, "https://broker.example"))
		}
		for range 3 {
			document(t, w.issuer+"/jwks")
		}
		if reads, writes := w.store.spent(); len(reads)+len(writes) > 0 {
			t.Errorf("the documents cost %v %v", reads, writes)
		}
	}
}

func document(t *testing.T, address string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func TestTheJWKSMayBeCachedAndAskedForAgain(t *testing.T) {
	w := newWorld(t, "sqlite")
	first, body := document(t, w.issuer+"/jwks")
	etag := first.Header.Get("ETag")
	if first.Header.Get("Content-Type") != "application/jwk-set+json" || first.Header.Get("Cache-Control") != "public, max-age=600" || etag == "" {
		t.Errorf("the JWKS comes with %v", first.Header)
	}
	if again, none := document(t, w.issuer+"/jwks", "If-None-Match", etag); again.StatusCode != http.StatusNotModified || none != "" {
		t.Errorf("asking again with its ETag answered %d", again.StatusCode)
	}
	if again, _ := document(t, w.issuer+"/jwks", "If-None-Match", `"x", `+etag); again.StatusCode != http.StatusNotModified {
		t.Errorf("one of several ETags answered %d", again.StatusCode)
	}
	if again, same := document(t, w.issuer+"/jwks", "If-None-Match", `"x"`); again.StatusCode != http.StatusOK || same != body {
		t.Errorf("another ETag answered %d", again.StatusCode)
	}
	if _, err := w.ring.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again, other := document(t, w.issuer+"/jwks", "If-None-Match", etag); again.StatusCode != http.StatusOK || other == body {
		t.Errorf("after a rotation the old ETag answered %d", again.StatusCode)
	}
}
