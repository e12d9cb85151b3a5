package main

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"example.com/broker/clients"
	"example.com/broker/config"
	"example.com/broker/internal/fault"
	"example.com/broker/oauth"
)

// tells is a row whose request is answered to the app with an error.
func tells(id, rule, code string, pairs ...string) attack {
	return attack{ID: id, Kind: "T", Rule: rule + ": " + code, Run: func(t *testing.T, w *world) {
		a := w.app("spa", "")
		if i := indexOf(pairs, "state"); i >= 0 {
			a.state = pairs[i+1]
		}
		w.quiet(func() { a.refused(w.browser().open(a.authorizeURL(pairs...)), code) })
	}}
}

func indexOf(pairs []string, name string) int {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i] == name {
			return i
		}
	}
	return -1
}

// never is a row whose redirect address is not registered.
func never(id, what, client, address string) attack {
	return attack{ID: id, Kind: "T", Rule: what + ": never a redirect", Run: func(t *testing.T, w *world) {
		a := w.app(client, "")
		w.quiet(func() {
			b := w.browser()
			for _, extra := range [][]string{{}, {"response_type", "token"}, {"prompt", "none"}, {"request_uri", "https://evil.example/r"}, {"response_mode", "form_post"}} {
				p := b.open(a.authorizeURL(append([]string{"redirect_uri", address}, extra...)...))
				p.errorPage(t, http.StatusBadRequest, "redirect_unregistered", "client_unknown", "client_disabled", "request_invalid", "invalid_request")
				if address != "" && strings.Contains(p.body, `href="`+address) {
					t.Errorf("the page links to %s", address)
				}
			}
		})
	}}
}

func allowed(id, what, client, address string) attack {
	return attack{ID: id, Kind: "T", Rule: what + ": accepted", Run: func(t *testing.T, w *world) {
		a := w.app(client, "")
		a.redirect = address
		if p := w.browser().open(a.authorizeURL()); p.StatusCode != http.StatusOK || !p.has("signin-form") {
			t.Errorf("%s answered %d %s", address, p.StatusCode, p.brief())
		}
	}}
}

// leftOut is a row of parameters without values, which count as left out (RFC 6749 §3.1).
func leftOut(id string, names ...string) attack {
	return attack{ID: id, Kind: "T", Rule: strings.Join(names, ", ") + " without a value: as if left out", Run: func(t *testing.T, w *world) {
		if p := w.browser().open(w.app("spa", "").authorizeURL() + "&" + strings.Join(names, "=&") + "="); p.StatusCode != http.StatusOK || !p.has("signin-form") {
			t.Errorf("answered %d %s", p.StatusCode, p.brief())
		}
	}}
}

func attacksOnAuthorize() []attack {
	long := func(n int) string { return strings.Repeat("s", n) }
	rows := []attack{
		never("B01", "an unknown client", "nobody", appRedirect),
		never("B01", "a client that is switched off", "off", appRedirect),
		never("B01", "no redirect_uri", "spa", ""),
		never("B01", "an address of nobody", "spa", "https://evil.example/cb"),
		never("B02", "a trailing slash", "spa", "https://app.example.com/cb/"),
		never("B02", "more path", "spa", "https://app.example.com/cb/x"),
		never("B02", "less path", "spa", "https://app.example.com/"),
		never("B02", "a query", "spa", "https://app.example.com/cb?x=1"),
		never("B02", "a fragment", "spa", "https://app.example.com/cb#f"),
		never("B02", "an empty query", "spa", "https://app.example.com/cb?"),
		never("B02", "another case of the host", "spa", "https://APP.example.com/cb"),
		never("B02", "another case of the path", "spa", "https://app.example.com/CB"),
		never("B02", "another case of the scheme", "spa", "HTTPS://app.example.com/cb"),
		never("B02", "the default port", "spa", "https://app.example.com:443/cb"),
		never("B02", "encoded dots", "spa", "https://app.example.com/%2e%2e/cb"),
		never("B02", "dots", "spa", "https://app.example.com/x/../cb"),
		never("B02", "an encoded letter", "spa", "https://app.example.com/c%62"),
		never("B02", "user information", "spa", "https://app.example.com@evil.example/cb"),
		never("B02", "user information before our host", "spa", "https://evil@app.example.com/cb"),
		never("B02", "a backslash", "spa", `https://app.example.com\@evil.example/cb`),
		never("B02", "a subdomain", "spa", "https://sub.app.example.com/cb"),
		never("B02", "a suffix", "spa", "https://app.example.com.evil.example/cb"),
		never("B02", "a prefix", "spa", "https://evilapp.example.com/cb"),
		never("B02", "a look-alike", "spa", "https://аpp.example.com/cb"), // U+0430
		never("B02", "http for https", "spa", "http://app.example.com/cb"),
		never("B02", "white space before", "spa", " https://app.example.com/cb"),
		never("B02", "white space after", "spa", "https://app.example.com/cb "),
		never("B02", "a line break", "spa", "https://app.example.com/cb\r\nSet-Cookie: x=y"),
		never("B02", "NUL", "spa", "https://app.example.com/cb\x00"),
		never("B02", "without a scheme", "spa", "//app.example.com/cb"),
		never("B02", "javascript", "spa", "javascript:alert(1)"),
		never("B03", "loopback with a query", "native", "http://127.0.0.1:1234/cb?x=1"),
		never("B03", "loopback with another path", "native", "http://127.0.0.1:1234/other"),
		never("B03", "loopback written short", "native", "http://127.1:1234/cb"),
		never("B03", "loopback as a number", "native", "http://2130706433/cb"),
		never("B03", "another loopback address", "native", "http://127.0.0.2/cb"),
		never("B03", "the unspecified address", "native", "http://0.0.0.0:1234/cb"),
		never("B03", "https on loopback", "native", "https://127.0.0.1:1234/cb"),
		never("B03", "loopback with a port of six digits", "native", "http://127.0.0.1:123456/cb"),
		never("B03", "loopback with an empty port", "native", "http://127.0.0.1:/cb"),
		never("B03", "loopback as user information", "native", "http://127.0.0.1:80@evil.example/cb"),
		never("B03", "loopback as a prefix", "native", "http://127.0.0.1.evil.example/cb"),
		never("B03", "localhost with another port", "native", "http://localhost:7778/cb"),
		never("B03", "localhost without the port", "native", "http://localhost/cb"),
		never("B03", "localhost for 127.0.0.1", "native", "http://localhost:9/callback"),
		allowed("B03", "127.0.0.1 with any port", "native", "http://127.0.0.1:54321/cb"),
		allowed("B03", "[::1] with any port", "native", "http://[::1]:54321/cb"),
		allowed("B03", "127.0.0.1 without a port", "native", "http://127.0.0.1/cb"),
		allowed("B03", "localhost byte for byte", "native", "http://localhost:7777/cb"),
		allowed("B03", "a scheme of one's own", "native", "com.example.app:/cb"),
		tells("B05", "response_type token", "unsupported_response_type", "response_type", "token"),
		tells("B05", "response_type id_token", "unsupported_response_type", "response_type", "id_token"),
		tells("B05", "response_type code token", "unsupported_response_type", "response_type", "code token"),
		tells("B05", "response_type none", "unsupported_response_type", "response_type", "none"),
		tells("B05", "response_type CODE", "unsupported_response_type", "response_type", "CODE"),
		tells("B05", "no response_type", "invalid_request", "response_type", ""),
		tells("B05", "an unknown response_mode", "invalid_request", "response_mode", "web_message"),
		tells("B05", "response_mode fragment", "invalid_request", "response_mode", "fragment"),
		tells("B07", "no code_challenge", "invalid_request", "code_challenge", ""),
		tells("B07", "no challenge and no method", "invalid_request", "code_challenge", "", "code_challenge_method", ""),
		tells("B07", "no method, which means plain", "invalid_request", "code_challenge_method", ""),
		tells("B07", "method plain", "invalid_request", "code_challenge_method", "plain"),
		tells("B07", "method s256", "invalid_request", "code_challenge_method", "s256"),
		tells("B07", "an unknown method", "invalid_request", "code_challenge_method", "foo"),
		tells("B07", "a challenge of 42 characters", "invalid_request", "code_challenge", long(42)),
		tells("B07", "a challenge of 44 characters", "invalid_request", "code_challenge", long(44)),
		tells("B07", "a challenge of 129 characters", "invalid_request", "code_challenge", long(129)),
		tells("B07", "a challenge that is not base64url", "invalid_request", "code_challenge", long(42)+"+"),
		tells("B07", "a padded challenge", "invalid_request", "code_challenge", long(42)+"="),
		tells("B09", "a quote in scope", "invalid_scope", "scope", `openid "x"`),
		tells("B09", "a backslash in scope", "invalid_scope", "scope", `openid \`),
		tells("B09", "a line break in scope", "invalid_scope", "scope", "openid\nemail"),
		tells("B09", "letters beyond ASCII in scope", "invalid_scope", "scope", "openid pröfile"),
		tells("B09", "an unknown scope", "invalid_scope", "scope", "openid everything"),
		tells("B09", "a scope of an API of others", "invalid_scope", "scope", "openid demo:write"),
		tells("B09", "another case of a scope", "invalid_scope", "scope", "OpenID"),
		tells("B10", "prompt=none without a session", "login_required", "prompt", "none"),
		tells("B10", "prompt=none login", "invalid_request", "prompt", "none login"),
		tells("B10", "an unknown prompt", "invalid_request", "prompt", "sudo"),
		tells("B10", "max_age=-1", "invalid_request", "max_age", "-1"),
		tells("B10", "max_age=abc", "invalid_request", "max_age", "abc"),
		tells("B10", "max_age=1e3", "invalid_request", "max_age", "1e3"),
		tells("B10", "max_age with a sign", "invalid_request", "max_age", "+1"),
		tells("B10", "max_age beyond all bounds", "invalid_request", "max_age", "99999999999999999999"),
		tells("B11", "a request object", "request_not_supported", "request", "eyJhbGciOiJub25lIn0.e30."),
		tells("B11", "an empty request object", "request_not_supported", "request", " "),
		leftOut("B11", "request", "request_uri", "registration", "resource", "max_age", "prompt", "claims", "id_token_hint", "response_mode"),
		tells("B11", "registration", "registration_not_supported", "registration", "{}"),
		tells("B11", "claims that are no JSON", "invalid_request", "claims", "{"),
		tells("B11", "claims with a member twice", "invalid_request", "claims", `{"id_token":{},"id_token":{"roles":null}}`),
		tells("B11", "claims of a great depth", "invalid_request", "claims", `{"id_token":`+strings.Repeat("[", 2000)+"}"),
		tells("B14", "a state of 513 bytes", "invalid_request", "state", long(513)),
		tells("B14", "a nonce of 257 bytes", "invalid_request", "nonce", long(257)),
		tells("B14", "a resource of nobody", "invalid_target", "resource", "https://evil.example/"),
		tells("B14", "a resource with a fragment", "invalid_target", "resource", ordersAPI+"#x"),
		{ID: "B01", Kind: "T", Rule: "client_id or redirect_uri given twice: never a redirect", Run: func(t *testing.T, w *world) {
			a := w.app("spa", "")
			w.quiet(func() {
				for _, more := range []string{"&client_id=spa", "&redirect_uri=" + url.QueryEscape("https://evil.example/cb"), "&redirect_uri=" + url.QueryEscape(appRedirect), "&client_id=%00", ";client_id=third"} {
					w.browser().open(a.authorizeURL()+more).errorPage(t, http.StatusBadRequest)
				}
			})
		}},
		{ID: "B04", Kind: "T", Rule: "an address that is unsafe cannot be registered", Here: needsStore, Run: func(t *testing.T, w *world) {
			for i, address := range []string{
				"", "javascript:alert(1)", "data:text/html,x", "vbscript:x", "https://*.example.com/cb", "https://app.example.com/*", "https://app.example.com/cb#f",
				"https://user@app.example.com/cb", "https://user:pw@app.example.com/cb", "http://app.example.com/cb", "http://10.0.0.1/cb", "app.example.com/cb",
				"https:///cb", "https://app.example.com/c b", `https://app.example.com\cb`, "https://app.example.com/\ncb", "file:///etc/passwd", "myapp:/cb",
				"https://exämple.com/cb", "/cb", "http://0.0.0.0/cb", "http://localhost.evil.example/cb",
			} {
				_, _, err := w.clients.Create(t.Context(), clients.Client{ID: "bad" + strconv.Itoa(i), AuthMethod: oauth.AuthNone, GrantTypes: []string{oauth.GrantAuthorizationCode}, RedirectURIs: []string{address}})
				if !fault.Is(err, fault.Invalid) {
					t.Errorf("%q was registered: %v", address, err)
				}
				_, _, err = w.clients.Create(t.Context(), clients.Client{
					ID: "out" + strconv.Itoa(i), AuthMethod: oauth.AuthNone, GrantTypes: []string{oauth.GrantAuthorizationCode}, RedirectURIs: []string{appRedirect}, PostLogoutRedirectURIs: []string{address},
				})
				if !fault.Is(err, fault.Invalid) {
					t.Errorf("%q was registered for the return after sign-out: %v", address, err)
				}
				cfg := w.cfg
				cfg.Clients = map[string]config.Client{"bad": {RedirectURIs: []string{address}}}
				if !config.Failed(config.Validate(cfg, true)) {
					t.Errorf("the configuration takes %q", address)
				}
			}
		}},
		{ID: "B07", Kind: "T", Rule: "a public client cannot be exempted from PKCE; an exempt client that sends a challenge is held to it", Run: func(t *testing.T, w *world) {
			alice := w.person("alice")
			b, a := w.browser(), w.app("exempt", webSecret)
			code := a.code(b.signInByPassword(a, alice.Username))
			a.redeem(code, "code_verifier", "").fails(t, http.StatusBadRequest, "invalid_grant")
			a.refused(b.open(a.authorizeURL("code_challenge_method", "plain")), "invalid_request")
			a.refused(b.open(a.authorizeURL("code_challenge", "")), "invalid_request")
			// Without one it works, and a verifier out of nowhere is refused (RFC 9700 §4.8).
			code = a.code(b.open(a.authorizeURL("code_challenge", "", "code_challenge_method", "")))
			a.redeem(code).fails(t, http.StatusBadRequest, "invalid_grant")
			code = a.code(b.open(a.authorizeURL("code_challenge", "", "code_challenge_method", "")))
			if r := a.redeem(code, "code_verifier", ""); r.StatusCode != http.StatusOK {
				t.Errorf("the exempt client got %d %s", r.StatusCode, r.raw)
			}
		}},
		{ID: "B09", Kind: "T", Rule: "ten thousand scopes", Run: func(t *testing.T, w *world) {
			a := w.app("spa", "")
			w.quiet(func() {
				a.refused(w.browser().open(a.authorizeURL("scope", "openid"+strings.Repeat(" s1", 2000))), "invalid_scope")
				many := "openid"
				for i := range 101 {
					many += " s" + strconv.Itoa(i)
				}
				a.refused(w.browser().open(a.authorizeURL("scope", many)), "invalid_scope")
				// Longer than any request may be.
				if p := w.browser().open(a.authorizeURL("scope", strings.Repeat("openid ", 1500))); p.StatusCode == http.StatusSeeOther {
					a.refused(p, "invalid_request")
				} else if p.StatusCode < 400 {
					t.Errorf("answered %d", p.StatusCode)
				}
			})
		}},
		{ID: "B10", Kind: "T", Rule: "max_age=0 and prompt=login ask anew whatever session there is", Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			for _, extra := range [][]string{{"prompt", "login"}, {"max_age", "0"}} {
				a := w.app("spa", "")
				if p := s.open(a.authorizeURL(extra...)); !p.has("signin-form") {
					t.Errorf("%v was answered %d %s", extra, p.StatusCode, p.brief())
				}
				a.refused(s.open(a.authorizeURL(append([]string{"prompt", "none"}, extra[:0]...)...)+"&"+url.QueryEscape(extra[0])+"x=1"+"&max_age=0"), "login_required")
			}
		}},
		{ID: "B10", Kind: "T", Rule: "a session older than max_age is asked anew", Here: needsClock, Alone: alone, Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			w.clock.advance(2 * time.Minute)
			w.poll()
			a := w.app("spa", "")
			a.code(s.open(a.authorizeURL("max_age", "300")))
			a.refused(s.open(a.authorizeURL("max_age", "100", "prompt", "none")), "login_required")
			p := s.open(a.authorizeURL("max_age", "100"))
			if !p.has("signin-form") {
				t.Fatalf("answered %d %s", p.StatusCode, p.brief())
			}
			// A session that another tab renewed meanwhile does not count as this trip's.
			a.code(s.submit(p, "signin-form", url.Values{"username": {s.who.Username}, "password": {w.password}}))
		}},
		{ID: "B11", Kind: "T", Rule: "request_uri is refused by its own code and never fetched", Run: func(t *testing.T, w *world) {
			fetched := 0
			trap := serveTest(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { fetched++ }))
			a := w.app("spa", "")
			w.quiet(func() { a.refused(w.browser().open(a.authorizeURL("request_uri", trap)), "request_uri_not_supported") })
			if fetched > 0 {
				t.Error("request_uri was fetched")
			}
		}},
		{ID: "B11", Kind: "T", Rule: "an id_token_hint that is forged proves nothing and opens nothing", Run: func(t *testing.T, w *world) {
			s, other := w.signIn("spa", ""), w.signIn("spa", "")
			good := s.tokens.str("id_token")
			parts := strings.Split(good, ".")
			forged := map[string]string{
				"alg none":        "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0." + parts[1] + ".",
				"broken":          parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])),
				"an access token": s.access(),
				"not a token":     "hint",
				"huge":            strings.Repeat("a", 7000),
			}
			a := w.app("spa", "")
			for what, hint := range forged {
				a.refused(s.open(a.authorizeURL("prompt", "none", "id_token_hint", hint)), "login_required")
				// With pages allowed a hint that says nothing is ignored, nobody is signed in by it.
				if p := w.browser().open(a.authorizeURL("id_token_hint", hint)); !p.has("signin-form") {
					t.Errorf("%s: answered %d", what, p.StatusCode)
				}
			}
			a.code(s.open(a.authorizeURL("prompt", "none", "id_token_hint", good)))
			a.refused(s.open(a.authorizeURL("prompt", "none", "id_token_hint", other.tokens.str("id_token"))), "login_required")
			if p := s.open(a.authorizeURL("id_token_hint", other.tokens.str("id_token"))); !p.has("signin-form") {
				t.Errorf("a hint at somebody else was answered %d %s", p.StatusCode, p.brief())
			}
		}},
		{ID: "B13", Kind: "T", Rule: "consent to one scope is no consent to two, and an app asks for nothing silently", Run: func(t *testing.T, w *world) {
			alice, b := w.person("alice"), w.browser()
			a := w.app("third", "")
			p := b.signInByPassword(a, alice.Username, "scope", "openid")
			if !p.has("consent-form") {
				t.Fatalf("no consent page: %d %s", p.StatusCode, p.brief())
			}
			a.refused(b.open(a.authorizeURL("scope", "openid", "prompt", "none")), "consent_required")
			a.code(b.submit(p, "consent-form", url.Values{"answer": {"allow"}}))
			a.code(b.open(a.authorizeURL("scope", "openid", "prompt", "none")))
			for _, more := range [][]string{{"scope", "openid email"}, {"scope", "openid", "resource", ordersAPI}, {"scope", "openid", "prompt", "consent"}} {
				if p := b.open(a.authorizeURL(more...)); !p.has("consent-form") {
					t.Errorf("%v was answered %d without asking", more, p.StatusCode)
				}
			}
			// Claims asked for by name are no way around (OpenID Connect Core §5.5).
			if p := b.open(a.authorizeURL("scope", "openid", "claims", `{"userinfo":{"email":null},"id_token":{"roles":{"essential":true}}}`)); !p.has("consent-form") {
				t.Errorf("claims by name were answered %d without asking", p.StatusCode)
			}
			// The answer of a page counts for what that page showed.
			p = b.open(a.authorizeURL("scope", "openid email"))
			form, action := p.form(t, "consent-form")
			form.Set("answer", "allow")
			form.Set("scope", "openid email roles offline_access")
			code := a.code(b.follow(b.do(http.MethodPost, b.abs(action), form)))
			if r := a.redeem(code); r.str("scope") != "openid email" {
				t.Errorf("the grant has the scope %q", r.str("scope"))
			}
		}},
		{ID: "B13", Kind: "T", Rule: "an error bounces nobody to an untrusted app unasked", Run: func(t *testing.T, w *world) {
			a := w.app("third", "")
			w.quiet(func() {
				p := w.browser().open(a.authorizeURL("scope", "everything"))
				if p.StatusCode == http.StatusSeeOther || !p.has("return-continue") || !p.has("return-host") {
					t.Fatalf("answered %d to %q: %s", p.StatusCode, p.Header.Get("Location"), p.brief())
				}
				to, err := url.Parse(p.href(t, "return-continue"))
				if err != nil || !strings.HasPrefix(to.String(), a.redirect) || to.Query().Get("error") != "invalid_scope" || to.Query().Get("state") != a.state || to.Query().Get("iss") != w.issuer {
					t.Errorf("the link leads to %v", to)
				}
				// Asking silently is for scripts, which read no pages.
				a.refused(w.browser().open(a.authorizeURL("prompt", "none")), "login_required")
				a.refused(w.browser().open(a.authorizeURL("prompt", "none", "scope", "everything")), "invalid_scope")
			})
		}},
		{ID: "B14", Kind: "T", Rule: "every redirect after a form is a 303, and a state of 400 bytes and a nonce of 200 pass", Run: func(t *testing.T, w *world) {
			alice, a, b := w.person("alice"), w.app("spa", ""), w.browser()
			a.state = long(400)
			nonce := long(200)
			form, action := b.open(a.authorizeURL("nonce", nonce)).form(t, "signin-form")
			form.Set("username", alice.Username)
			form.Set("password", w.password)
			p := b.do(http.MethodPost, b.abs(action), form)
			for p.Header.Get("Location") != "" && strings.HasPrefix(mustLocation(t, p), w.issuer) {
				if p.StatusCode != http.StatusSeeOther {
					t.Errorf("%s answered %d", p.at, p.StatusCode)
				}
				p = b.do(http.MethodGet, mustLocation(t, p), nil)
			}
			r := a.redeem(a.code(p))
			if got := claims(t, r.str("id_token"))["nonce"]; got != nonce {
				t.Errorf("the nonce came back as %v", got)
			}
		}},
		{ID: "B14", Kind: "T", Rule: "a trip to an upstream carries a long state too", Run: func(t *testing.T, w *world) {
			who, _ := w.somebody()
			a, b := w.app("spa", ""), w.browser()
			a.state = long(512)
			a.code(b.signInBy(a, "github", who, "nonce", long(256)))
		}},
	}
	return rows
}

func mustLocation(t *testing.T, p page) string {
	t.Helper()
	to, err := p.Location()
	if err != nil {
		t.Fatalf("%s answered %d without a Location", p.at, p.StatusCode)
	}
	return to.String()
}
