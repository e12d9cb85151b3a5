package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/bcrypt"

	"example.com/broker/config"
	"example.com/broker/internal/fault"
	"example.com/broker/providers/local"
	"example.com/broker/users"
)

func TestPeople(t *testing.T) { runFlows(t, flowsOfPeople()) }

// linking sets how Google links.
func linking(rule string) []func(*config.Config) {
	return []func(*config.Config){func(c *config.Config) {
		p := c.Providers["google"]
		p.Linking = rule
		c.Providers["google"] = p
	}}
}

func flowsOfPeople() []flow {
	return []flow{
		{Rule: "an app's sign-out: hint, state verbatim, by GET and by POST, and again without a session", Run: func(t *testing.T, w *world) {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				s := w.signIn("spa", "")
				q := url.Values{"id_token_hint": {s.tokens.str("id_token")}, "post_logout_redirect_uri": {appPostLogout}, "state": {"a b&c=d+é"}, "unknown": {"x"}, "ui_locales": {"de"}}
				p := s.do(method, w.issuer+"/end_session?"+q.Encode(), nil)
				if method == http.MethodPost {
					p = s.do(method, w.issuer+"/end_session", q)
					p = s.do(http.MethodGet, mustLocation(t, p), nil)
				}
				to, err := p.Location()
				if err != nil || p.StatusCode != http.StatusSeeOther || to.Query().Get("state") != "a b&c=d+é" || !strings.HasPrefix(to.String(), appPostLogout+"?state=") {
					t.Errorf("%s answered %d to %v", method, p.StatusCode, to)
				}
				if s.sessionCookie() != nil {
					t.Errorf("%s left the cookie", method)
				}
				w.dead("the token of a session the app ended", s.access())
				// Asking once more leads back too: the person is where they wanted to be.
				if to, err := s.open("/end_session?" + q.Encode()).Location(); err != nil || to.Query().Get("state") != "a b&c=d+é" {
					t.Errorf("without a session it led to %v", to)
				}
			}
		}},
		{Rule: "an app's sign-out without a hint asks, and yes leads back", Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			address := "/end_session?" + url.Values{"client_id": {"spa"}, "post_logout_redirect_uri": {appPostLogout}, "state": {"x y"}}.Encode()
			p := s.open(address)
			if !strings.Contains(p.text(t, "app-name"), "Test app") || !strings.Contains(p.body, s.who.Name) {
				t.Errorf("the page says %s", p.brief())
			}
			if p := s.submit(p, "signout-form", url.Values{"answer": {"stay"}}); s.me().StatusCode != http.StatusOK || p.StatusCode != http.StatusOK {
				t.Errorf("staying answered %d, the session %d", p.StatusCode, s.me().StatusCode)
			}
			p = s.submit(s.open(address), "signout-form", url.Values{"answer": {"signout"}})
			if to, err := p.Location(); err != nil || to.String() != appPostLogout+"?state=x+y" || s.me().StatusCode != http.StatusUnauthorized {
				t.Errorf("signing out led to %v", to)
			}
			// Without an address it says so.
			s = w.signIn("spa", "")
			p = s.submit(s.open("/end_session"), "signout-form", url.Values{"answer": {"signout"}})
			if p.StatusCode != http.StatusOK || !p.has("signedout-again") {
				t.Errorf("answered %d %s", p.StatusCode, p.brief())
			}
			if p := w.browser().open("/end_session"); p.StatusCode != http.StatusOK || p.has("signout-form") {
				t.Errorf("nobody signed in is asked: %d %s", p.StatusCode, p.brief())
			}
		}},
		{Rule: "a hint that has expired still names its session", Alone: alone, Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			w.clock.advance(40 * time.Minute)
			w.poll()
			p := s.open("/end_session?" + url.Values{"id_token_hint": {s.tokens.str("id_token")}, "post_logout_redirect_uri": {appPostLogout}}.Encode())
			if to, err := p.Location(); err != nil || to.String() != appPostLogout {
				t.Errorf("answered %d to %v", p.StatusCode, to)
			}
		}},
		{Rule: "POST /login by form and by JSON sets the session cookie that /dashboard needs", Run: func(t *testing.T, w *world) {
			alice := w.person("alice", "editor")
			b := w.browser()
			p := b.do(http.MethodPost, w.issuer+"/login", url.Values{"username": {alice.Username}, "password": {w.password}})
			if p.StatusCode != http.StatusSeeOther || p.session() == "" || !strings.HasSuffix(mustLocation(t, p), "/dashboard") {
				t.Errorf("the form answered %d", p.StatusCode)
			}
			p = b.open("/dashboard")
			if p.StatusCode != http.StatusOK || !strings.Contains(p.text(t, "whoami"), alice.Name) || !strings.Contains(p.body, alice.Email) || !strings.Contains(p.text(t, "roles"), "editor") {
				t.Errorf("the dashboard answered %d %s", p.StatusCode, p.brief())
			}
			r := w.login(alice.Username, w.password)
			if r.StatusCode != http.StatusOK || r.str("sub") != alice.ID || sessionOf(r.Response) == "" {
				t.Errorf("JSON answered %d %s", r.StatusCode, r.raw)
			}
			cookie := r.Cookies()[0]
			for _, c := range r.Cookies() {
				if strings.HasSuffix(c.Name, "broker_session") {
					cookie = c
				}
			}
			d := w.get("/dashboard", "Accept", "application/json", "Cookie", cookie.Name+"="+cookie.Value)
			if d.StatusCode != http.StatusOK || d.str("sub") != alice.ID || !cmp.Equal(d.json["roles"], []any{"editor"}) {
				t.Errorf("the dashboard in JSON answered %d %s", d.StatusCode, d.raw)
			}
			if r := w.get("/dashboard", "Accept", "application/json"); r.StatusCode != http.StatusUnauthorized || r.str("code") != "session_required" {
				t.Errorf("without a session JSON gets %d %s", r.StatusCode, r.raw)
			}
			if p := w.browser().open("/dashboard"); !p.has("signin-form") {
				t.Errorf("without a session a browser gets %d", p.StatusCode)
			}
			out := w.call(http.MethodPost, "/logout", "", "", "Accept", "application/json", "Cookie", cookie.Name+"="+cookie.Value)
			if out.StatusCode != http.StatusNoContent {
				t.Errorf("/logout answered %d %s", out.StatusCode, out.raw)
			}
			if d := w.get("/dashboard", "Accept", "application/json", "Cookie", cookie.Name+"="+cookie.Value); d.StatusCode != http.StatusUnauthorized {
				t.Errorf("after /logout the cookie gets %d", d.StatusCode)
			}
		}},
		{Rule: "POST /logout with a bearer token revokes that token, and leaves the session", Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			other := s.app.refresh(s.refresh())
			r := w.call(http.MethodPost, "/logout", "", "", "Authorization", s.bearer())
			if r.StatusCode != http.StatusNoContent {
				t.Errorf("answered %d %s", r.StatusCode, r.raw)
			}
			w.dead("the token", s.access())
			w.alive("its sibling", other.str("access_token"))
			if r := s.me(); r.StatusCode != http.StatusOK {
				t.Errorf("the session gets %d", r.StatusCode)
			}
		}},
		{Rule: "GET /me answers with the caller, 401 with a challenge otherwise", Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			r := w.get("/me", "Authorization", s.bearer())
			want := map[string]any{
				"sub": s.who.ID, "username": s.who.Username, "name": s.who.Name, "email": s.who.Email, "email_verified": true, "roles": []any{"viewer"},
				"scope": "openid profile email roles", "client_id": "spa",
			}
			if diff := cmp.Diff(want, r.json); r.StatusCode != http.StatusOK || diff != "" {
				t.Errorf("answered %d (-want +got):\n%s", r.StatusCode, diff)
			}
			if r := w.get("/me"); r.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(r.Header.Get("WWW-Authenticate"), "Bearer") || r.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("without a token %d %v", r.StatusCode, r.Header)
			}
			w.get("/me", "Authorization", "Bearer x").unauthorized(t)
			if r := w.get("/me", "Authorization", "Basic eDp5"); r.StatusCode != http.StatusUnauthorized {
				t.Errorf("with Basic %d", r.StatusCode)
			}
			// A cookie is no proof to an API.
			if r := w.get("/me", "Cookie", s.sessionCookie().Name+"="+s.sessionCookie().Value); r.StatusCode != http.StatusUnauthorized {
				t.Errorf("with the cookie %d", r.StatusCode)
			}
		}},
		{Rule: "a role given or taken reaches the next token, and refuses the old ones", Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			w.operator.grant(w, s.who.ID, "editor")
			w.dead("a token with the old roles", s.access())
			r := s.app.refresh(s.refresh())
			if got := claims(t, r.str("access_token"))["roles"]; !cmp.Equal(got, []any{"editor", "viewer"}) {
				t.Errorf("after the grant the roles are %v", got)
			}
			if m := s.me(); !cmp.Equal(m.json["roles"], []any{"editor", "viewer"}) {
				t.Errorf("the session sees %s", m.raw)
			}
		}},
		{Rule: "a user created ahead is claimed by the first sign-in with the verified address", Run: func(t *testing.T, w *world) {
			who, address := w.somebody()
			ahead, err := w.users.Create(t.Context(), users.NewUser{Email: strings.ToUpper(address), EmailVerified: true, Claimable: true, Roles: []string{"editor"}})
			if err != nil {
				t.Fatal(err)
			}
			got := w.subject("github", who)
			if got["sub"] != ahead.ID || !cmp.Equal(got["roles"], []any{"editor"}) {
				t.Errorf("the first sign-in became %v", got)
			}
			// Claimed once: the other provider with the same address has to prove itself.
			if p := w.browser().signInBy(w.app("spa", ""), "google", who); !p.has("prove-github") {
				t.Errorf("the second answered %d %s", p.StatusCode, p.brief())
			}
		}},
		{Rule: "an unverified address claims nothing", Run: func(t *testing.T, w *world) {
			ahead, err := w.users.Create(t.Context(), users.NewUser{Email: "uli@example.com", EmailVerified: true, Claimable: true})
			if err != nil {
				t.Fatal(err)
			}
			if got := w.subject("google", "uli"); got["sub"] == ahead.ID {
				t.Error("an unverified address claimed the account")
			}
		}},
		{Rule: "a user created ahead who cannot be claimed is told whom to ask", Run: func(t *testing.T, w *world) {
			who, address := w.somebody()
			ahead, err := w.users.Create(t.Context(), users.NewUser{Email: address, EmailVerified: true, Claimable: true})
			if err != nil {
				t.Fatal(err)
			}
			ahead.Claimable = false
			if err := w.stores.Users.Replace(t.Context(), ahead, nil, nil, w.now()); err != nil {
				t.Fatal(err)
			}
			p := w.browser().signInBy(w.app("spa", ""), "github", who)
			p.errorPage(t, http.StatusForbidden, "not_claimable")
			if !strings.Contains(p.body, "help@example.com") {
				t.Errorf("the page names nobody to ask: %s", p.brief())
			}
		}},
		{Rule: "somebody registers on the way to an app, and arrives there", Run: func(t *testing.T, w *world) {
			a, b := w.app("spa", ""), w.browser()
			p := b.open(a.authorizeURL())
			p = b.open(p.href(t, "register-link"))
			bad := b.submit(p, "register-form", url.Values{"username": {"Bad Name"}, "email": {"nora@example.net"}, "password": {w.password}})
			if bad.StatusCode != http.StatusBadRequest || !bad.has("error-summary") || strings.Contains(bad.body, w.password) {
				t.Fatalf("a bad name answered %d %s", bad.StatusCode, bad.brief())
			}
			weak := b.submit(bad, "register-form", url.Values{"username": {"nora"}, "password": {"password1234567"}})
			if weak.StatusCode != http.StatusBadRequest || !weak.has("password-error") {
				t.Errorf("a common password answered %d %s", weak.StatusCode, weak.brief())
			}
			r := a.redeem(a.code(b.submit(weak, "register-form", url.Values{"username": {"nora"}, "password": {w.password}})))
			if got := claims(t, r.str("access_token")); got["email"] != "nora@example.net" || got["email_verified"] != false || !cmp.Equal(got["roles"], []any{"viewer"}) {
				t.Errorf("the token says %v", got)
			}
			p = b.submit(b.open("/register"), "register-form", url.Values{"username": {"NORA"}, "email": {"x@example.net"}, "password": {w.password}})
			if p.StatusCode != http.StatusConflict {
				t.Errorf("a taken name answered %d %s", p.StatusCode, p.brief())
			}
		}},
		{Rule: "linking off makes a new account without the address", Alone: linking("off"), Run: func(t *testing.T, w *world) {
			who, address := w.somebody()
			owner := w.subject("github", who)
			got := w.subject("google", who)
			if got["sub"] == owner["sub"] || got["email"] != nil {
				t.Errorf("the second identity of %s became %v", address, got)
			}
		}},
		{Rule: "linking trust links where the upstream owns the address, and asks for proof elsewhere", Alone: linking("trust"), Run: func(t *testing.T, w *world) {
			who, _ := w.somebody()
			owner := w.subject("github", who)
			// Google owns no mailbox at example.com, so it proves nothing about it for good.
			if p := w.browser().signInBy(w.app("spa", ""), "google", who); !p.has("prove-github") {
				t.Errorf("without authority it answered %d %s", p.StatusCode, p.brief())
			}
			w.google.TamperClaims(set("hd", "example.com"))
			if got := w.subject("google", who); got["sub"] != owner["sub"] {
				t.Errorf("with authority it became %v", got["sub"])
			}
			w.honest()
			if got := w.subject("google", who); got["sub"] != owner["sub"] {
				t.Errorf("once linked it opens %v", got["sub"])
			}
		}},
		{Rule: "an identity that another account has is not linked twice", Run: func(t *testing.T, w *world) {
			who, _ := w.somebody()
			first := w.subject("google", who)
			b, a := w.browser(), w.app("spa", "")
			p := b.signInBy(a, "github", who)
			// While the page waits for the proof, the identity finds a home elsewhere: it cannot, since it needs the same proof.
			if again := w.browser().signInBy(w.app("spa", ""), "github", who); !again.has("prove-google") {
				t.Errorf("answered %d %s", again.StatusCode, again.brief())
			}
			p = b.through(p, "prove-google", who)
			a.code(b.submit(p, "link-form", url.Values{"answer": {"connect"}}))
			// The back button: connecting again is success, and nothing is there twice.
			u, err := w.users.Get(t.Context(), first["sub"].(string))
			if err != nil || len(u.Identities) != 2 {
				t.Errorf("the user has %d identities, %v", len(u.Identities), err)
			}
			p = b.submit(p, "link-form", url.Values{"answer": {"connect"}})
			if u, err := w.users.Get(t.Context(), u.ID); err != nil || len(u.Identities) != 2 {
				t.Errorf("after the back button %d identities, %v; the page %d", len(u.Identities), err, p.StatusCode)
			}
		}},
		{Rule: "cancelling a link changes nothing and goes on", Run: func(t *testing.T, w *world) {
			who, _ := w.somebody()
			owner := w.subject("google", who)
			a, b := w.app("spa", ""), w.browser()
			p := b.through(b.signInBy(a, "github", who), "prove-google", who)
			r := a.redeem(a.code(b.submit(p, "link-form", url.Values{"answer": {"cancel"}})))
			if got := claims(t, r.str("access_token"))["sub"]; got != owner["sub"] {
				t.Errorf("the person is %v", got)
			}
			if u, err := w.users.Get(t.Context(), owner["sub"].(string)); err != nil || len(u.Identities) != 1 {
				t.Errorf("the user has %d identities, %v", len(u.Identities), err)
			}
			b = w.browser()
			p = b.signInBy(a, "github", who)
			form, action := p.form(t, "cancel")
			p = b.follow(b.do(http.MethodPost, b.abs(action), form))
			if !p.has("signin-form") {
				t.Errorf("cancelling before the proof led to %d %s", p.StatusCode, p.brief())
			}
		}},
		{Rule: "an account with a password is proved by it", Run: func(t *testing.T, w *world) {
			who, address := w.somebody()
			local, err := w.users.Create(t.Context(), users.NewUser{Username: "local-" + who, Email: address, EmailVerified: true, Password: "correct horse battery staple"})
			if err != nil {
				t.Fatal(err)
			}
			mallory := w.person("mallory")
			a, b := w.app("spa", ""), w.browser()
			p := b.signInBy(a, "github", who)
			wrong := b.submit(p, "username", url.Values{"username": {mallory.Username}, "password": {w.password}})
			if wrong.StatusCode != http.StatusForbidden || wrong.session() != "" || wrong.has("link-form") {
				t.Fatalf("another's password answered %d %s", wrong.StatusCode, wrong.brief())
			}
			p = b.submit(wrong, "username", url.Values{"username": {"local-" + who}, "password": {w.password}})
			r := a.redeem(a.code(b.submit(p, "link-form", url.Values{"answer": {"connect"}})))
			if got := claims(t, r.str("access_token"))["sub"]; got != local.ID {
				t.Errorf("the person is %v, want %s", got, local.ID)
			}
			if got := w.subject("github", who); got["sub"] != local.ID {
				t.Errorf("the linked identity opens %v", got["sub"])
			}
		}},
		{Rule: "the last admin cannot go", Alone: alone, Run: func(t *testing.T, w *world) {
			first := w.person("root", "admin")
			if _, err := w.users.Disable(t.Context(), first.ID); fault.CodeOf(err) != "last_admin" {
				t.Errorf("disabling the last admin: %v", err)
			}
			if _, err := w.users.RevokeRole(t.Context(), first.ID, "admin"); fault.CodeOf(err) != "last_admin" {
				t.Errorf("demoting the last admin: %v", err)
			}
			second := w.person("root", "admin")
			errs := raceOf(2, func(i int) error {
				_, err := w.users.Disable(t.Context(), []string{first.ID, second.ID}[i])
				return err
			})
			if (errs[0] == nil) == (errs[1] == nil) {
				t.Errorf("of the last two admins: %v and %v, want one refusal", errs[0], errs[1])
			}
		}},
		{Rule: "who is named in bootstrap.admins becomes admin at sign-in", Alone: []func(*config.Config){func(c *config.Config) {
			c.Bootstrap.Admins = []string{"github:583231", "wren@example.org"}
			c.Registration.Open = false
		}}, Run: func(t *testing.T, w *world) {
			if got := w.subject("github", "octavia"); !strings.Contains(strings.Join(texts(got["roles"]), " "), "admin") {
				t.Errorf("by subject: %v", got["roles"])
			}
			if got := w.subject("google", "wren"); !strings.Contains(strings.Join(texts(got["roles"]), " "), "admin") {
				t.Errorf("by address: %v", got["roles"])
			}
			w.browser().signInBy(w.app("spa", ""), "google", "gil").errorPage(t, http.StatusForbidden, "registration_closed")
			// The same number at another provider is somebody else.
			w.rogue.TamperClaims(set("sub", "583231"))
			w.rogue.SetFault(local.GoogleUserinfoPath, edited(w.rogue.Genuine, set("sub", "583231")))
			w.browser().signInBy(w.app("spa", ""), "rogue", "gil").errorPage(t, http.StatusForbidden, "registration_closed")
		}},
		{Rule: "an imported hash of another kind signs in, and is replaced", Run: func(t *testing.T, w *world) {
			u, err := w.users.Create(t.Context(), users.NewUser{Username: "imported", PasswordHash: bcryptOf(t, w.password)})
			if err != nil {
				t.Fatal(err)
			}
			if r := w.passwordGrant("imported", w.password); r.StatusCode != http.StatusOK {
				t.Fatalf("answered %d %s", r.StatusCode, r.raw)
			}
			if u, err = w.users.Get(t.Context(), u.ID); err != nil || !strings.HasPrefix(u.Password, "$argon2id$") {
				t.Errorf("the hash is %.12s…, %v", u.Password, err)
			}
			if r := w.passwordGrant("imported", w.password); r.StatusCode != http.StatusOK {
				t.Errorf("afterwards %d %s", r.StatusCode, r.raw)
			}
		}},
	}
}

func bcryptOf(t *testing.T, password string) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}

func texts(v any) []string {
	var out []string
	list, _ := v.([]any)
	for _, e := range list {
		s, _ := e.(string)
		out = append(out, s)
	}
	return out
}
