package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"example.com/broker/internal/secret"
)

// sessionCookie is the browser's, nil without one.
func (b *browser) sessionCookie() *http.Cookie {
	for _, c := range b.cookies() {
		if strings.HasSuffix(c.Name, "broker_session") {
			return c
		}
	}
	return nil
}

// holding is a browser with one session cookie of somebody else's making.
func (w *world) holding(name, value string) *browser {
	b := w.browser()
	b.setCookies(&http.Cookie{Name: name, Value: value, Path: "/"})
	return b
}

func attacksOnSessions() []attack {
	return []attack{
		{ID: "I01", Kind: "T", Rule: "a session id that was there before does not survive a sign-in", Run: func(t *testing.T, w *world) {
			alice := w.person("alice")
			a := w.app("spa", "")
			probe := w.signIn("spa", "")
			name := probe.sessionCookie().Name
			for what, planted := range map[string]string{
				"made up": "00000000-0000-7000-8000-000000000000." + secret.New(32).Reveal(), "another's": probe.sessionCookie().Value, "nonsense": "x", "another's with another secret": probe.sessionCookie().Value[:37] + secret.New(32).Reveal(),
			} {
				b := w.holding(name, planted)
				a.code(b.signInByPasswordAgain(a, alice.Username))
				got := b.sessionCookie()
				if got == nil || got.Value == planted || strings.HasPrefix(got.Value, planted[:min(36, len(planted))]) {
					t.Fatalf("%s: the session after signing in is %v", what, got)
				}
				if r := w.holding(name, planted).me(); r.StatusCode != http.StatusUnauthorized && what != "another's" {
					t.Errorf("%s: the planted id answers %d", what, r.StatusCode)
				}
				if r := w.holding(name, planted).me(); r.json["sub"] == alice.ID {
					t.Errorf("%s: the planted id is the victim's session", what)
				}
			}
		}},
		{ID: "I01", Kind: "T", Rule: "proving again who one is gives a new secret, and the old one is dead", Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			old := *s.sessionCookie()
			s.app.code(s.submit(s.open(s.app.authorizeURL("prompt", "login")), "signin-form", url.Values{"username": {s.who.Username}, "password": {w.password}}))
			if s.sessionCookie().Value == old.Value {
				t.Error("the cookie is the same")
			}
			if r := w.holding(old.Name, old.Value).me(); r.StatusCode != http.StatusUnauthorized {
				t.Errorf("the old cookie answers %d", r.StatusCode)
			}
			if r := s.me(); r.StatusCode != http.StatusOK || r.json["sub"] != s.who.ID {
				t.Errorf("the new one answers %d", r.StatusCode)
			}
		}},
		{ID: "I02", Kind: "T", Rule: "the session cookie is HttpOnly, SameSite=Lax, host-only, and on https Secure and __Host-", Run: func(t *testing.T, w *world) {
			alice, a, b := w.person("alice"), w.app("spa", ""), w.browser()
			form, action := b.open(a.authorizeURL()).form(t, "signin-form")
			form.Set("username", alice.Username)
			form.Set("password", w.password)
			p := b.do(http.MethodPost, b.abs(action), form)
			secure := strings.HasPrefix(w.issuer, "https://")
			found := false
			for _, c := range p.Cookies() {
				found = found || strings.HasSuffix(c.Name, "broker_session")
				if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.Secure != secure || strings.HasPrefix(c.Name, "__Host-") != secure {
					t.Errorf("cookie %s", c.Raw)
				}
				if strings.HasSuffix(c.Name, "broker_session") && c.MaxAge != 3600 {
					t.Errorf("the session cookie lasts %d s, want one hour", c.MaxAge)
				}
			}
			if !found {
				t.Fatalf("no session cookie in %v", p.Cookies())
			}
		}},
		{ID: "I03", Kind: "T", Rule: "no form of another site changes anything", Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			third := w.app("third", "")
			form, _ := s.open(third.authorizeURL()).form(t, "consent-form")
			cookies := []string{}
			for _, c := range s.cookies() {
				cookies = append(cookies, c.Name+"="+c.Value)
			}
			u, err := url.Parse(w.issuer)
			if err != nil {
				t.Fatal(err)
			}
			otherPort := u.Scheme + "://" + u.Hostname() + ":1"
			headers := map[string][]string{
				"cross-site":           {"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"},
				"same-site":            {"Sec-Fetch-Site", "same-site", "Origin", "https://sub.example.com"},
				"foreign origin":       {"Origin", "https://evil.example"},
				"origin null":          {"Origin", "null"},
				"another port":         {"Origin", otherPort},
				"the demo app":         {"Origin", "http://127.0.0.1:9"},
				"a sibling host":       {"Origin", u.Scheme + "://evil." + u.Host},
				"a prefix":             {"Origin", w.issuer + ".evil.example"},
				"cross-site by script": {"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors", "Origin", "https://evil.example"},
			}
			for what, h := range headers {
				for _, path := range []string{"/login", "/login/continue", "/login/link", "/register", "/authorize/consent", "/authorize/cancel", "/logout", "/end_session/confirm", "/sessions/" + s.sessionID() + "/end", "/sessions/end-others", "/api-keys", "/api-keys/x/revoke"} {
					for _, kind := range []string{"application/x-www-form-urlencoded", "text/plain", "application/json", "multipart/form-data; boundary=x"} {
						body := url.Values{"tx": {form.Get("tx")}, "answer": {"allow"}, "username": {s.who.Username}, "password": {w.password}}.Encode()
						if kind == "application/json" || kind == "text/plain" {
							body = `{"username":"` + s.who.Username + `","password":"` + w.password + `"}`
						}
						r := w.call(http.MethodPost, path, kind, body, append([]string{"Cookie", strings.Join(cookies, "; "), "Accept", "text/html"}, h...)...)
						if r.StatusCode != http.StatusForbidden || sessionOf(r.Response) != "" || r.Header.Get("Location") != "" {
							t.Errorf("%s %s %s answered %d", what, path, kind, r.StatusCode)
						}
						for _, c := range r.Cookies() {
							if strings.HasSuffix(c.Name, "broker_session") {
								t.Errorf("%s %s touched the session cookie", what, path)
							}
						}
					}
				}
			}
			if r := s.me(); r.StatusCode != http.StatusOK {
				t.Errorf("after all that the session answers %d", r.StatusCode)
			}
			third.refused(s.open(third.authorizeURL("prompt", "none")), "consent_required")
			// What is no browser passes.
			if r := w.login(s.who.Username, w.password); r.StatusCode != http.StatusOK {
				t.Errorf("a client that is no browser got %d", r.StatusCode)
			}
		}},
		{ID: "I04", Kind: "T", Rule: "a GET changes nothing", Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			for _, path := range []string{"/logout", "/login/continue", "/authorize/consent", "/authorize/cancel", "/end_session/confirm", "/revoke", "/token", "/refresh", "/introspect", "/approve"} {
				p := s.do(http.MethodGet, w.issuer+path+"?answer=signout&token="+url.QueryEscape(s.access()), nil)
				if p.StatusCode != http.StatusMethodNotAllowed && p.StatusCode != http.StatusNotFound {
					t.Errorf("GET %s answered %d", path, p.StatusCode)
				}
			}
			s.open("/end_session")
			s.open("/end_session?client_id=spa&post_logout_redirect_uri=" + url.QueryEscape(appPostLogout))
			if r := s.me(); r.StatusCode != http.StatusOK {
				t.Errorf("the session answers %d", r.StatusCode)
			}
			w.alive("the token", s.access())
		}},
		{ID: "I05", Kind: "T", Rule: "an app's sign-out redirects to registered addresses only, and nobody is signed out by a link", Run: func(t *testing.T, w *world) {
			s, other := w.signIn("spa", ""), w.signIn("web", webSecret)
			hint := s.tokens.str("id_token")
			parts := strings.Split(hint, ".")
			ask := func(b *browser, pairs ...string) page {
				q := url.Values{}
				for i := 0; i < len(pairs); i += 2 {
					q.Set(pairs[i], pairs[i+1])
				}
				return b.open("/end_session?" + q.Encode())
			}
			for _, b := range []*browser{s.browser, w.browser()} {
				for _, to := range []string{appPostLogout + "?x=1", appPostLogout + "/", appPostLogout + "#f", "https://evil.example/", appRedirect, "javascript:alert(1)", "//evil.example", "https://web.example.com/bye", strings.ToUpper(appPostLogout)} {
					ask(b, "id_token_hint", hint, "post_logout_redirect_uri", to).errorPage(t, http.StatusBadRequest, "logout_invalid")
					ask(b, "client_id", "spa", "post_logout_redirect_uri", to).errorPage(t, http.StatusBadRequest, "logout_invalid")
				}
				for _, forged := range []string{
					"eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0." + parts[1] + ".", parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])), s.access(), "x", s.refresh(),
				} {
					ask(b, "id_token_hint", forged, "post_logout_redirect_uri", appPostLogout).errorPage(t, http.StatusBadRequest, "logout_invalid")
				}
				ask(b, "post_logout_redirect_uri", appPostLogout).errorPage(t, http.StatusBadRequest, "logout_invalid")
				ask(b, "id_token_hint", hint, "client_id", "web", "post_logout_redirect_uri", appPostLogout).errorPage(t, http.StatusBadRequest, "logout_invalid")
				ask(b, "client_id", "nobody", "post_logout_redirect_uri", appPostLogout).errorPage(t, http.StatusBadRequest, "logout_invalid")
				ask(b, "client_id", "off").errorPage(t, http.StatusBadRequest, "logout_invalid")
				ask(b, "id_token_hint", hint, "post_logout_redirect_uri", appPostLogout, "state", strings.Repeat("s", 4097)).errorPage(t, http.StatusBadRequest, "logout_invalid")
			}
			// Somebody else's hint, or none, asks first; after the answer the address still counts.
			for _, pairs := range [][]string{{}, {"client_id", "spa", "post_logout_redirect_uri", appPostLogout}, {"id_token_hint", other.tokens.str("id_token")}} {
				p := ask(s.browser, pairs...)
				if !p.has("signout-form") {
					t.Errorf("%v was answered %d %s", pairs, p.StatusCode, p.brief())
				}
			}
			if r := s.me(); r.StatusCode != http.StatusOK {
				t.Errorf("the session answers %d", r.StatusCode)
			}
			// The question is bound to its browser.
			form, _ := ask(s.browser, "client_id", "spa", "post_logout_redirect_uri", appPostLogout).form(t, "signout-form")
			form.Set("answer", "signout")
			other.do(http.MethodPost, w.issuer+"/end_session/confirm", form).errorPage(t, http.StatusBadRequest, "logout_invalid")
			if r := other.me(); r.StatusCode != http.StatusOK {
				t.Errorf("the other session answers %d", r.StatusCode)
			}
		}},
		{ID: "I06", Kind: "T", Rule: "signing out ends session, online grant and tokens at once", Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			offline := s.app.redeem(s.app.code(s.open(s.app.authorizeURL("scope", "openid offline_access"))))
			old := *s.sessionCookie()
			p := s.do(http.MethodPost, w.issuer+"/logout", url.Values{})
			if p.StatusCode != http.StatusOK || s.sessionCookie() != nil {
				t.Errorf("signing out answered %d, the cookie is %v", p.StatusCode, s.sessionCookie())
			}
			if r := w.holding(old.Name, old.Value).me(); r.StatusCode != http.StatusUnauthorized {
				t.Errorf("the old cookie answers %d", r.StatusCode)
			}
			w.dead("the access token of an ended session", s.access())
			s.app.refresh(s.refresh()).fails(t, http.StatusBadRequest, "invalid_grant")
			// What was granted for the person's absence lives on.
			w.alive("the token of an offline grant", offline.str("access_token"))
			if r := s.app.refresh(offline.str("refresh_token")); r.StatusCode != http.StatusOK {
				t.Errorf("an offline grant answers %d %s", r.StatusCode, r.raw)
			}
		}},
		{ID: "I06", Kind: "T", Rule: "disabling a user ends everything of theirs, through every door", Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "", "scope", "openid email offline_access")
			online := s.app.redeem(s.app.code(s.open(s.app.authorizeURL())))
			code := s.app.code(s.open(s.app.authorizeURL()))
			direct := w.passwordGrant(s.who.Username, w.password)
			w.disable(s.who, s.access())
			for what, token := range map[string]string{"an online token": online.str("access_token"), "a token by password": direct.str("access_token")} {
				w.dead(what, token)
			}
			for _, token := range []string{s.refresh(), online.str("refresh_token")} {
				s.app.refresh(token).fails(t, http.StatusBadRequest, "invalid_grant")
			}
			w.post("/refresh", nil).fails(t, http.StatusUnsupportedMediaType, "invalid_request")
			s.app.redeem(code).fails(t, http.StatusBadRequest, "invalid_grant")
			if r := s.me(); r.StatusCode != http.StatusUnauthorized && r.StatusCode != http.StatusForbidden {
				t.Errorf("the session answers %d", r.StatusCode)
			}
			if p := s.open(s.app.authorizeURL()); !p.has("signin-form") {
				t.Errorf("the session goes on to the app: %d", p.StatusCode)
			}
			if r := w.post("/introspect", url.Values{"token": {s.access()}}, "Authorization", basicHeader("service", serviceSecret)); r.raw != `{"active":false}` {
				t.Errorf("introspection says %s", r.raw)
			}
			w.passwordGrant(s.who.Username, w.password).fails(t, http.StatusBadRequest, "invalid_grant")
			if r := w.login(s.who.Username, w.password); r.StatusCode != http.StatusForbidden || r.str("code") != "account_disabled" {
				t.Errorf("the right password answers %d %s", r.StatusCode, r.raw)
			}
			w.operator.enable(w, s.who.ID)
			w.dead("a token from before", s.access())
			s.app.refresh(s.refresh()).fails(t, http.StatusBadRequest, "invalid_grant")
		}},
		{ID: "I06", Kind: "T", Rule: "a disabled federated user is refused at the callback", Run: func(t *testing.T, w *world) {
			who, _ := w.somebody()
			a := w.app("spa", "")
			r := a.redeem(a.code(w.browser().signInBy(a, "github", who)))
			id := claims(t, r.str("access_token"))["sub"].(string)
			w.disable(localUser{ID: id}, r.str("access_token"))
			b := w.browser()
			b.signInBy(w.app("spa", ""), "github", who).errorPage(t, http.StatusForbidden, "account_disabled")
			// The other provider with the same address opens no side door.
			p := w.browser().signInBy(w.app("spa", ""), "google", who)
			if p.Header.Get("Location") != "" && strings.Contains(p.Header.Get("Location"), "code=") {
				t.Errorf("another provider let a disabled user in: %d %s", p.StatusCode, p.Header.Get("Location"))
			}
		}},
		{ID: "I06", Kind: "T", Rule: "a new password ends sessions, grants and tokens", Here: needsStore, Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "", "scope", "openid offline_access")
			if _, err := w.users.SetPassword(t.Context(), s.who.ID, "another horse battery staple"); err != nil {
				t.Fatal(err)
			}
			w.ledger.keep("another horse battery staple")
			w.dead("the token from before", s.access())
			s.app.refresh(s.refresh()).fails(t, http.StatusBadRequest, "invalid_grant")
			if r := s.me(); r.StatusCode != http.StatusUnauthorized {
				t.Errorf("the session answers %d", r.StatusCode)
			}
			w.passwordGrant(s.who.Username, w.password).fails(t, http.StatusBadRequest, "invalid_grant")
		}},
		{ID: "I06", Kind: "T", Rule: "what ends at one replica ends at the other within two seconds", Here: needsTwo, Alone: alone, Run: func(t *testing.T, w *world) {
			second := w.replica()
			s := w.signIn("spa", "", "scope", "openid offline_access")
			second.alive("the token at the other replica", s.access())
			b := s.at(second)
			if r := b.me(); r.StatusCode != http.StatusOK {
				t.Fatalf("the session at the other replica answers %d", r.StatusCode)
			}
			w.operator.disable(w, s.who.ID)
			limit := time.Now().Add(2 * time.Second)
			for second.userinfo(s.access()).StatusCode == http.StatusOK || b.me().StatusCode == http.StatusOK {
				if time.Now().After(limit) {
					t.Fatal("two seconds later the other replica still lets a disabled user in")
				}
				time.Sleep(20 * time.Millisecond)
			}
		}},
		{ID: "I07", Kind: "T", Rule: "a session ends idle and at its absolute end though its row is there", Here: needsClock, Alone: alone, Run: func(t *testing.T, w *world) {
			idle, busy := w.signIn("spa", ""), w.signIn("spa", "")
			stale := *busy.sessionCookie()
			for range 13 {
				w.clock.advance(56 * time.Minute)
				w.poll()
				busy.me()
			}
			if r := busy.me(); r.StatusCode != http.StatusUnauthorized {
				t.Errorf("after 12 hours a session in use answers %d", r.StatusCode)
			}
			if r := idle.me(); r.StatusCode != http.StatusUnauthorized {
				t.Errorf("an idle session answers %d", r.StatusCode)
			}
			w.clock.advance(-11 * time.Hour)
			w.poll()
			for what, b := range map[string]*browser{"a session that ended": w.holding(stale.Name, stale.Value), "one that idled": idle.browser} {
				if r := b.me(); r.StatusCode != http.StatusUnauthorized {
					t.Errorf("a clock that is set back revives %s: %d", what, r.StatusCode)
				}
			}
			third := w.signIn("spa", "")
			w.clock.advance(61 * time.Minute)
			w.poll()
			if r := third.me(); r.StatusCode != http.StatusUnauthorized {
				t.Errorf("after an hour and a minute a session answers %d", r.StatusCode)
			}
			if p := third.open(third.app.authorizeURL()); !p.has("signin-form") {
				t.Errorf("an ended session goes on to the app: %d", p.StatusCode)
			}
		}},
		{ID: "I09", Kind: "T", Rule: "two session cookies are none", Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			c := s.sessionCookie()
			r := w.get("/dashboard", "Accept", "application/json", "Cookie", c.Name+"="+c.Value+"; "+c.Name+"=x")
			if r.StatusCode != http.StatusUnauthorized {
				t.Errorf("answered %d", r.StatusCode)
			}
		}},
	}
}

// signInByPasswordAgain signs in whether or not somebody else is signed in.
func (b *browser) signInByPasswordAgain(a *app, name string) page {
	b.Helper()
	return b.submit(b.open(a.authorizeURL("prompt", "login")), "signin-form", url.Values{"username": {name}, "password": {b.password}})
}
