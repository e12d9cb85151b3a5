package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"example.com/broker/signin"
)

// TestASignInLeadsBackToThePageThatAskedForIt walks every way of signing in from every page that needs it.
func TestASignInLeadsBackToThePageThatAskedForIt(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		for _, path := range []string{"/dashboard", "/sessions", "/api-keys", "/tools/policy"} {
			at := func(way string, p page) {
				t.Helper()
				if p.StatusCode != http.StatusOK || p.at.String() != w.issuer+path {
					t.Errorf("%s from %s ends at %s with %d: %s", way, path, p.at, p.StatusCode, p.brief())
				}
			}
			alice, b := w.person("alice"), w.browser()
			p := b.open(path)
			if r := b.submit(p, "signin-form", url.Values{"username": {alice.Username}, "password": {"not the password at all"}}); r.StatusCode != http.StatusUnauthorized {
				t.Errorf("a wrong password answers %d", r.StatusCode)
			} else {
				at("the password, after a wrong one", b.submit(r, "signin-form", url.Values{"username": {alice.Username}, "password": {w.password}}))
			}
			at("the sign-in page of somebody who is signed in", b.open("/login?next="+url.QueryEscape(path)))
			for _, provider := range []string{"github", "google"} {
				person, _ := w.somebody()
				b := w.browser()
				at(provider, b.through(b.open(path), "provider-"+provider, person))
				b = w.browser()
				cancelled := b.through(b.open(path), "provider-"+provider, "")
				at(provider+", after a cancel", b.through(cancelled, "provider-"+provider, person))
			}
			b = w.browser()
			form := b.open(b.open(path).href(t, "register-link"))
			at("a new account", b.submit(form, "register-form", url.Values{
				"username": {"new" + strings.ToLower(strings.ReplaceAll(path[1:], "/", "")) + w.kind}, "email": {""}, "password": {"a password of five words"},
			}))
		}
	})
}

// TestASignInLeadsNowhereElse: whatever the address says, a sign-in without an app ends on a page of ours.
func TestASignInLeadsNowhereElse(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		alice := w.person("alice")
		for _, next := range []string{
			"//evil.example", "///evil.example", `/\evil.example`, `\\evil.example`, `/\/evil.example`, "https://evil.example", "https://evil.example/sessions", "https:evil.example",
			"javascript:alert(1)", "//evil.example/sessions", "/sessions/..//evil.example", "/sessions?x=//evil.example", "%2f%2fevil.example", "/%2f/evil.example",
			"%5c%5cevil.example", "/\tevil.example", "/sessions\r\nLocation: //evil.example", "/logout", "sessions", w.issuer + "/sessions",
		} {
			for spelling, value := range map[string]string{"once": url.QueryEscape(next), "twice": url.QueryEscape(url.QueryEscape(next))} {
				b := w.browser()
				p := b.submit(b.open("/login?next="+value), "signin-form", url.Values{"username": {alice.Username}, "password": {w.password}})
				if p.StatusCode != http.StatusOK || p.at.String() != w.issuer+signin.DefaultBack {
					t.Errorf("next=%q, encoded %s, leads to %s (%d)", next, spelling, p.at, p.StatusCode)
				}
				if p := b.do(http.MethodGet, b.abs("/login?next="+value), nil); !strings.HasSuffix(p.Header.Get("Location"), signin.DefaultBack) {
					t.Errorf("next=%q, encoded %s, leads somebody who is signed in to %s", next, spelling, p.Header.Get("Location"))
				}
			}
		}
		// What an upstream sends along does not count either.
		person, _ := w.somebody()
		b := w.browser()
		back := b.pick(b.away(b.open("/login"), "provider-github"), person)
		q := back.Query()
		q.Set("next", "//evil.example")
		back.RawQuery = q.Encode()
		if p := b.open(back.String()); p.at.String() != w.issuer+signin.DefaultBack {
			t.Errorf("a callback with next leads to %s", p.at)
		}
		if p := w.browser().open("/login?next=/sessions&next=//evil.example"); p.StatusCode != http.StatusBadRequest {
			t.Errorf("next twice answers %d", p.StatusCode)
		}
	})
}
