package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSignInWithGitHubEndsInATokenThatAnAPITrusts(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		a := w.app("spa", "")
		b := w.browser()
		code := a.code(b.signInBy(a, "github", "octavia", "resource", ordersAPI, "scope", "openid email roles orders:read"))
		r := a.redeem(code)
		if r.StatusCode != http.StatusOK {
			t.Fatalf("redeeming the code answered %d %s", r.StatusCode, r.raw)
		}
		access := claims(t, r.str("access_token"))
		if access["aud"] != ordersAPI || access["client_id"] != "spa" || access["iss"] != w.issuer || !strings.HasPrefix(access["sub"].(string), "usr_") {
			t.Errorf("the access token says %v", access)
		}
		if diff := cmp.Diff([]any{"viewer"}, access["roles"]); diff != "" {
			t.Errorf("roles of a new person (-want +got):\n%s", diff)
		}
		id := claims(t, r.str("id_token"))
		if id["aud"] != "spa" || id["nonce"] != "n-"+a.state || id["sub"] != access["sub"] {
			t.Errorf("the ID token says %v", id)
		}
		if r.str("token_type") != "bearer" || r.json["expires_in"] != 900.0 || r.str("refresh_token") == "" || r.str("scope") != "openid email roles orders:read" {
			t.Errorf("the token endpoint said %s", r.raw)
		}

		again := a.refresh(r.str("refresh_token"))
		if again.StatusCode != http.StatusOK || again.str("id_token") != "" || again.str("refresh_token") == r.str("refresh_token") {
			t.Errorf("refreshing answered %d %s", again.StatusCode, again.raw)
		}
		if again := claims(t, again.str("access_token")); again["aud"] != ordersAPI || again["sub"] != access["sub"] {
			t.Errorf("the refreshed token says %v", again)
		}
	})
}

func TestTheSamePersonAtGitHubIsTheSameUser(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		subject := func(person string) any {
			a := w.app("spa", "")
			return claims(t, a.redeem(a.code(w.browser().signInBy(a, "github", person))).str("access_token"))["sub"]
		}
		if first, second := subject("robin-before"), subject("robin-after"); first != second {
			t.Errorf("a renamed person became %v, want %v: the login is no identity", second, first)
		}
		if a, b := subject("octavia"), subject("ada"); a == b {
			t.Errorf("two people are one user %v", a)
		}
	})
}

func TestSignInByPasswordOnThePage(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		alice := w.person("alice", "editor")
		a, b := w.app("spa", ""), w.browser()
		wrong := b.submit(b.open(a.authorizeURL()), "signin-form", url.Values{"username": {alice.Username}, "password": {"not the password"}})
		if wrong.StatusCode != http.StatusUnauthorized || !wrong.has("error-summary") || strings.Contains(wrong.body, "not the password") {
			t.Fatalf("a wrong password answered %d:\n%s", wrong.StatusCode, wrong.brief())
		}
		if form, _ := wrong.form(t, "signin-form"); form.Get("username") != alice.Username {
			t.Errorf("the name did not survive: %v", form)
		}
		right := b.submit(wrong, "signin-form", url.Values{"password": {w.password}})
		r := a.redeem(a.code(right))
		if got := claims(t, r.str("access_token")); got["sub"] != alice.ID || got["email"] != alice.Email || !cmp.Equal(got["roles"], []any{"editor"}) {
			t.Errorf("the token says %v", got)
		}
	})
}

func TestASessionAnswersTheNextAppSilently(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		alice := w.person("alice")
		b := w.browser()
		first := w.app("spa", "")
		first.code(b.signInByPassword(first, alice.Username))
		second := w.app("web", webSecret)
		second.code(b.open(second.authorizeURL()))
		second.code(b.open(second.authorizeURL("prompt", "none")))
	})
}

func TestCancellingAtTheUpstreamLeadsBackToTheChoice(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		a, b := w.app("spa", ""), w.browser()
		p := b.signInBy(a, "github", "")
		if p.StatusCode != http.StatusOK || !strings.Contains(p.text(t, "notice"), "You cancelled at GitHub") {
			t.Fatalf("after Cancel the browser sees %d:\n%s", p.StatusCode, p.brief())
		}
		a.code(b.through(p, "provider-google", "gil"))
	})
}

func TestTheAppLearnsThatThePersonCancelled(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		a, b := w.app("spa", ""), w.browser()
		p := b.open(a.authorizeURL())
		form, action := p.form(t, "cancel")
		q := a.answer(b.follow(b.do(http.MethodPost, b.abs(action), form)))
		if q.Get("error") != "access_denied" || q.Get("state") != a.state || q.Get("iss") != w.issuer {
			t.Errorf("the app got %v", q)
		}
	})
}

func TestTheSameAddressIsLinkedAfterProofOfBothSides(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		a := w.app("spa", "")
		owner := claims(t, a.redeem(a.code(w.browser().signInBy(a, "google", "ada"))).str("access_token"))["sub"]

		a, b := w.app("spa", ""), w.browser()
		p := b.signInBy(a, "github", "ada")
		if !p.has("prove-google") || p.has("prove-github") {
			t.Fatalf("the page does not ask for the account's own way in:\n%s", p.brief())
		}
		// Somebody else's proof is no proof.
		p = b.through(p, "prove-google", "gil")
		if !p.has("prove-google") || p.has("link-confirm") {
			t.Fatalf("another person's sign-in was taken as proof:\n%s", p.brief())
		}
		p = b.through(p, "prove-google", "ada")
		p = b.submit(p, "link-form", url.Values{"answer": {"connect"}})
		if got := claims(t, a.redeem(a.code(p)).str("access_token"))["sub"]; got != owner {
			t.Errorf("after linking the person is %v, want %v", got, owner)
		}
		a, b = w.app("spa", ""), w.browser()
		if got := claims(t, a.redeem(a.code(b.signInBy(a, "github", "ada"))).str("access_token"))["sub"]; got != owner {
			t.Errorf("the linked identity opens %v, want %v", got, owner)
		}
	})
}

func TestRefusedFormsOfAForeignSite(t *testing.T) {
	w := newWorld(t, "sqlite")
	alice := w.person("alice")
	for _, origin := range []string{"https://evil.example", "null", "http://localhost:1"} {
		r := w.post("/login", url.Values{"username": {alice.Username}, "password": {w.password}}, "Origin", origin, "Sec-Fetch-Site", "cross-site")
		if r.StatusCode != http.StatusForbidden || len(r.Header.Values("Set-Cookie")) > 0 {
			t.Errorf("a form of %s answered %d with cookies %v", origin, r.StatusCode, r.Header.Values("Set-Cookie"))
		}
	}
}

func TestSignOutByTheApp(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		alice := w.person("alice")
		a, b := w.app("spa", ""), w.browser()
		r := a.redeem(a.code(b.signInByPassword(a, alice.Username)))
		p := b.open("/end_session?" + url.Values{
			"id_token_hint": {r.str("id_token")}, "post_logout_redirect_uri": {appPostLogout}, "state": {"a b&c"},
		}.Encode())
		to, err := p.Location()
		if err != nil || to.Query().Get("state") != "a b&c" || !strings.HasPrefix(to.String(), appPostLogout) {
			t.Fatalf("signing out answered %d to %v", p.StatusCode, to)
		}
		if p := b.open(a.authorizeURL()); !p.has("signin-form") {
			t.Errorf("after signing out the app gets %d %s", p.StatusCode, p.brief())
		}
		if got := w.get("/userinfo", "Authorization", "Bearer "+r.str("access_token")); got.StatusCode != http.StatusUnauthorized {
			t.Errorf("a token of the ended session still opens userinfo: %d", got.StatusCode)
		}
		if got := a.refresh(r.str("refresh_token")); got.str("error") != "invalid_grant" {
			t.Errorf("the online grant outlived its session: %s", got.raw)
		}
	})
}
