package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"example.com/broker/config"
	"example.com/broker/internal/fault"
	"example.com/broker/users"
)

// register makes an account by the form, as anybody can, and returns the browser that is signed in to it.
func (w *world) register(username, address string) *browser {
	w.Helper()
	b := w.browser()
	p := b.submit(b.open("/register"), "register-form", url.Values{"username": {username}, "email": {address}, "password": {w.password}})
	if !strings.HasSuffix(p.at.Path, "/dashboard") || p.StatusCode != http.StatusOK {
		w.Fatalf("registering ended at %s %d %s", p.at, p.StatusCode, p.brief())
	}
	return b
}

// me is what the dashboard says about the browser's person.
func (b *browser) me() reply {
	b.Helper()
	var cookies []string
	for _, c := range b.cookies() {
		cookies = append(cookies, c.Name+"="+c.Value)
	}
	return b.get("/dashboard", "Accept", "application/json", "Cookie", strings.Join(cookies, "; "))
}

// subject signs a person in to the app by a provider and returns the token's claims.
func (w *world) subject(provider, person string) map[string]any {
	w.Helper()
	a := w.app("spa", "")
	r := a.redeem(a.code(w.browser().signInBy(a, provider, person)))
	if r.StatusCode != http.StatusOK {
		w.Fatalf("redeeming answered %d %s", r.StatusCode, r.raw)
	}
	return claims(w, r.str("access_token"))
}

func attacksOnLinking() []attack {
	rows := []attack{
		{ID: "G01", Kind: "T", Rule: "who registered another's address without proof loses it, and everything, to whoever proves it", Run: func(t *testing.T, w *world) {
			who, address := w.somebody()
			squatter := w.register("squatter-"+who, address)
			a := w.app("spa", "")
			stolen := a.redeem(a.code(squatter.open(a.authorizeURL("scope", "openid email offline_access"))))
			victim := w.subject("google", who)
			if victim["sub"] == claims(t, stolen.str("access_token"))["sub"] {
				t.Fatal("the victim was merged into the account of the squatter")
			}
			if victim["email"] != address || victim["email_verified"] != true {
				t.Errorf("the victim's token says %v", victim)
			}
			w.dead("the squatter's access token", stolen.str("access_token"))
			a.refresh(stolen.str("refresh_token")).fails(t, http.StatusBadRequest, "invalid_grant")
			if r := squatter.me(); r.StatusCode != http.StatusUnauthorized {
				t.Errorf("the squatter's session answers %d %s", r.StatusCode, r.raw)
			}
			p := w.browser().signInByPassword(w.app("spa", ""), "squatter-"+who)
			if p.StatusCode != http.StatusUnauthorized || p.session() != "" {
				t.Errorf("the squatter's password answers %d", p.StatusCode)
			}
			if again := w.subject("google", who); again["sub"] != victim["sub"] {
				t.Errorf("the victim comes back as %v", again["sub"])
			}
		}},
		{ID: "G01", Kind: "T", Rule: "an address that is only noted opens nothing: not by its password, not by linking", Run: func(t *testing.T, w *world) {
			who, address := w.somebody()
			owner := w.subject("google", who)
			squatter := w.register("late-"+who, address)
			if r := squatter.me(); r.json["sub"] == owner["sub"] {
				t.Fatal("registering an address opened its account")
			}
			p := w.browser().signInByPassword(w.app("spa", ""), address)
			if p.StatusCode != http.StatusUnauthorized {
				t.Errorf("signing in by an unproved address answered %d", p.StatusCode)
			}
			if again := w.subject("google", who); again["sub"] != owner["sub"] {
				t.Errorf("the owner comes back as %v", again["sub"])
			}
		}},
		{ID: "G02", Kind: "T", Rule: "an identity that brought the address unproved does not share the account of who proves it", Run: func(t *testing.T, w *world) {
			who, address := w.somebody()
			w.rogue.TamperClaims(func(c map[string]any) { c["email"], c["email_verified"] = address, false })
			w.rogue.SetFault("/userinfo", edited(w.rogue.Genuine, func(c map[string]any) { c["email"], c["email_verified"] = address, false }))
			other, _ := w.somebody()
			squatter := w.subject("rogue", other)
			w.honest()
			if squatter["email_verified"] == true {
				t.Fatalf("an unverified address counts: %v", squatter)
			}
			victim := w.subject("google", who)
			if victim["sub"] == squatter["sub"] || victim["email"] != address {
				t.Errorf("the victim is %v, the squatter %v", victim, squatter)
			}
			// The squatter's identity still opens the squatter's own account, and no more.
			w.rogue.TamperClaims(func(c map[string]any) { c["email"], c["email_verified"] = address, false })
			w.rogue.SetFault("/userinfo", edited(w.rogue.Genuine, func(c map[string]any) { c["email"], c["email_verified"] = address, false }))
			if again := w.subject("rogue", other); again["sub"] == victim["sub"] {
				t.Error("the squatter's identity opens the victim's account")
			}
		}},
		{ID: "G04", Kind: "T", Rule: "the same verified address from another issuer opens nothing without the proof of both sides", Run: func(t *testing.T, w *world) {
			who, _ := w.somebody()
			owner := w.subject("google", who)
			a, b := w.app("spa", ""), w.browser()
			p := b.signInBy(a, "rogue", who)
			if !p.has("prove-google") || p.has("prove-rogue") || b.me().StatusCode != http.StatusUnauthorized {
				t.Fatalf("another issuer's word was answered %d %s", p.StatusCode, p.brief())
			}
			// Confirming without proof is refused, also by hand.
			tx := p.at.Query().Get("tx")
			q := b.do(http.MethodPost, w.issuer+"/login/link", url.Values{"tx": {tx}, "answer": {"connect"}})
			if q = b.follow(q); !q.has("prove-google") {
				t.Errorf("confirming without proof was answered %d %s", q.StatusCode, q.brief())
			}
			// The attacker's own session is no proof either.
			mallory := w.person("mallory")
			spa := w.app("spa", "")
			spa.code(b.signInByPassword(spa, mallory.Username))
			q = b.follow(b.do(http.MethodPost, w.issuer+"/login/link", url.Values{"tx": {tx}, "answer": {"connect"}}))
			if !q.has("prove-google") {
				t.Errorf("another person's session was taken as proof: %d %s", q.StatusCode, q.brief())
			}
			if r := b.me(); r.json["sub"] == owner["sub"] {
				t.Error("the rogue's person is signed in as the owner")
			}
		}},
		{ID: "G07", Kind: "T", Rule: "the hosted domain counts in the ID token only", Run: func(t *testing.T, w *world) {
			a := w.app("spa", "")
			refused := func(what string) {
				t.Helper()
				b := w.browser()
				b.signInBy(a, "workspace", "gil").errorPage(t, http.StatusForbidden, "upstream_not_allowed")
				if t.Failed() {
					t.Fatal(what)
				}
			}
			refused("no hd")
			for _, hd := range []any{"example.com", "EXAMPLE.ORG.evil.example", "", nil, []string{"example.org"}, true, "example.org "} {
				w.google.TamperClaims(set("hd", hd))
				refused("hd wrong")
			}
			w.google.ClearFaults()
			w.google.SetFault("/userinfo", edited(w.google.Genuine, set("hd", "example.org")))
			refused("hd in userinfo only")
			w.google.ClearFaults()
			a.code(w.browser().signInBy(a, "workspace", "wren"))
		}},
		{ID: "G07", Kind: "T", Rule: "a new subject with an old address, as after the sale of a domain, takes nothing over", Run: func(t *testing.T, w *world) {
			who, _ := w.somebody()
			owner := w.subject("google", who)
			next := "19999999" + who[1:]
			w.google.TamperClaims(set("sub", next))
			w.google.SetFault("/userinfo", edited(w.google.Genuine, set("sub", next)))
			b := w.browser()
			p := b.signInBy(w.app("spa", ""), "google", who)
			if !p.has("prove-google") || b.me().StatusCode != http.StatusUnauthorized {
				t.Errorf("a new subject with the address of %v was answered %d %s", owner["sub"], p.StatusCode, p.brief())
			}
		}},
		{ID: "G09", Kind: "C", Rule: "twenty first sign-ins of one person make one user", Run: func(t *testing.T, w *world) {
			who, _ := w.somebody()
			type start struct {
				a    *app
				b    *browser
				back string
			}
			starts := make([]start, 20)
			for i := range starts {
				a, b := w.app("spa", ""), w.browser()
				starts[i] = start{a, b, b.atUpstream(a, "google", who).String()}
			}
			subjects := map[any]int{}
			for i, p := range raceOf(20, func(i int) page { return starts[i].b.open(starts[i].back) }) {
				if p.StatusCode == http.StatusServiceUnavailable && p.Header.Get("Retry-After") != "" {
					continue
				}
				subjects[claims(t, starts[i].a.redeem(starts[i].a.code(p)).str("access_token"))["sub"]]++
			}
			if len(subjects) != 1 {
				t.Errorf("one person became %v", subjects)
			}
		}},
		{ID: "G09", Kind: "C", Rule: "one identity that twenty users link at once is linked by one", Here: needsStore, Run: func(t *testing.T, w *world) {
			ids := make([]string, 20)
			for i := range ids {
				u, err := w.users.Create(t.Context(), users.NewUser{Email: fmt.Sprintf("linker%d-%d@example.net", i, w.people.Add(1)), EmailVerified: true, Claimable: true})
				if err != nil {
					t.Fatal(err)
				}
				ids[i] = u.ID
			}
			identity := users.Identity{Provider: "github", Namespace: "local:github", Subject: fmt.Sprintf("raced-%d", w.people.Add(1))}
			won := 0
			for _, err := range raceOf(20, func(i int) error { _, err := w.users.Link(t.Context(), ids[i], identity); return err }) {
				switch {
				case err == nil:
					won++
				case !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.Unavailable):
					t.Error(err)
				}
			}
			if won != 1 {
				t.Errorf("%d users linked it, want 1", won)
			}
		}},
		{ID: "G11", Kind: "T", Rule: "what an upstream says about roles, ids and status is not believed", Run: func(t *testing.T, w *world) {
			who, _ := w.somebody()
			w.google.TamperClaims(func(c map[string]any) {
				c["roles"], c["groups"], c["id"], c["status"], c["ver"], c["claimable"] = []string{"admin"}, []string{"admin"}, "usr_1", "active", 99, true
			})
			got := w.subject("google", who)
			if roles := got["roles"].([]any); len(roles) != 1 || roles[0] != "viewer" || got["sub"] == "usr_1" {
				t.Errorf("the token says %v", got)
			}
		}},
		{ID: "G11", Kind: "T", Rule: "closed registration lets nobody new in, by any door", Here: needsConfig, Alone: []func(*config.Config){func(c *config.Config) {
			c.Registration.Open, c.Registration.Password = false, false
		}}, Run: func(t *testing.T, w *world) {
			for _, provider := range []string{"google", "github", "rogue"} {
				who, _ := w.somebody()
				b := w.browser()
				b.signInBy(w.app("spa", ""), provider, who).errorPage(t, http.StatusForbidden, "registration_closed")
			}
			b := w.browser()
			b.open("/register").errorPage(t, http.StatusForbidden, "registration_closed")
			b.do(http.MethodPost, w.issuer+"/register", url.Values{"username": {"mallory"}, "email": {"m@example.com"}, "password": {w.password}}).errorPage(t, http.StatusForbidden, "registration_closed")
			if p := b.open(w.app("spa", "").authorizeURL("prompt", "create")); p.has("register-form") || p.has("register-link") {
				t.Error("the page offers to register")
			}
			if w.ledger.opened() > 0 {
				t.Error("a session was opened")
			}
		}},
	}
	for what, value := range map[string]any{"absent": nil, "false": false, `"false"`: "false", `"true"`: "true", `"0"`: "0", "0": 0, "1": 1, "null": "null", "a list": []bool{true}, "an object": map[string]bool{"verified": true}} {
		rows = append(rows, attack{ID: "G03", Kind: "T", Rule: "email_verified " + what + " is unverified and links nothing", Run: func(t *testing.T, w *world) {
			who, address := w.somebody()
			owner := w.subject("google", who)
			w.rogue.TamperClaims(func(c map[string]any) {
				if c["email_verified"] = value; what == "absent" {
					delete(c, "email_verified")
				}
				if what == "null" {
					c["email_verified"] = nil
				}
			})
			// Userinfo must not say otherwise.
			w.rogue.SetFault("/userinfo", edited(w.rogue.Genuine, set("email_verified", value)))
			a, b := w.app("spa", ""), w.browser()
			r := a.redeem(a.code(b.signInBy(a, "rogue", who)))
			got := claims(t, r.str("access_token"))
			if got["sub"] == owner["sub"] || got["email_verified"] == true {
				t.Errorf("the token for %s says %v", address, got)
			}
		}})
	}
	return rows
}

// edited is the honest JSON answer of an upstream, with its members edited.
func edited(genuine http.HandlerFunc, edit func(map[string]any)) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		rec := &recorder{header: http.Header{}}
		genuine(rec, r)
		var members map[string]any
		if err := json.Unmarshal(rec.body, &members); err != nil {
			http.Error(rw, "not JSON", http.StatusInternalServerError)
			return
		}
		edit(members)
		rw.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(rw).Encode(members)
	}
}
