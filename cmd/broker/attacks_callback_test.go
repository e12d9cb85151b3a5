package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/broker/config"
	"example.com/broker/internal/secret"
	"example.com/broker/oauth"
	"example.com/broker/providers/local"
)

// atUpstream walks an app's request to a provider and picks a person there: the browser stands before the callback.
func (b *browser) atUpstream(a *app, provider, person string, extra ...string) *url.URL {
	b.Helper()
	return b.pick(b.away(b.open(a.authorizeURL(extra...)), "provider-"+provider), person)
}

// cookies are those the browser would send to the broker.
func (b *browser) cookies() []*http.Cookie {
	b.Helper()
	u, err := url.Parse(b.issuer)
	if err != nil {
		b.Fatal(err)
	}
	return b.http.Jar.Cookies(u)
}

func (b *browser) setCookies(list ...*http.Cookie) {
	b.Helper()
	u, err := url.Parse(b.issuer)
	if err != nil {
		b.Fatal(err)
	}
	b.http.Jar.SetCookies(u, list)
}

// clone is another browser with the same cookies.
func (b *browser) clone() *browser {
	b.Helper()
	c := b.browser()
	c.setCookies(b.cookies()...)
	return c
}

// flowCookieOf is the name of the cookie that belongs to a state.
func (w *world) flowCookieOf(state string) string {
	sum := sha256.Sum256([]byte(state))
	prefix := ""
	if strings.HasPrefix(w.issuer, "https://") {
		prefix = "__Host-"
	}
	return prefix + "broker_flow_" + base64.RawURLEncoding.EncodeToString(sum[:])[:8]
}

// lies demands that an ID token which an edit made worse signs nobody in.
func lies(what string, edit func(claims map[string]any)) func(t *testing.T, w *world) {
	return func(t *testing.T, w *world) {
		w.google.TamperClaims(edit)
		refusesTheIDToken(t, w, what)
	}
}

func signedBadly(what string, how local.Signing) func(t *testing.T, w *world) {
	return func(t *testing.T, w *world) {
		w.google.SetSigning(how)
		refusesTheIDToken(t, w, what)
	}
}

func refusesTheIDToken(t *testing.T, w *world, what string) {
	t.Helper()
	who, _ := w.somebody()
	a, b := w.app("spa", ""), w.browser()
	back := b.atUpstream(a, "google", who)
	asked := w.google.Calls(local.GoogleUserinfoPath)
	p := b.open(back.String())
	p.errorPage(t, http.StatusBadGateway, "upstream_invalid")
	if w.google.Calls(local.GoogleUserinfoPath) != asked {
		t.Errorf("%s: userinfo was asked with a token nobody vouched for", what)
	}
	if w.ledger.opened() > 0 {
		t.Errorf("%s: a session was opened", what)
	}
	// The same person comes in once the upstream is honest again, so the refusal was of the lie.
	w.google.ClearFaults()
	a.code(w.browser().signInBy(a, "google", who))
}

func drop(name string) func(map[string]any) {
	return func(c map[string]any) { delete(c, name) }
}

func set(name string, value any) func(map[string]any) {
	return func(c map[string]any) { c[name] = value }
}

func attacksOnTheCallback() []attack {
	rows := []attack{
		{ID: "A01", Kind: "T", Rule: "a callback whose state nobody gave out is refused before the code leaves us", Run: func(t *testing.T, w *world) {
			a, b := w.app("spa", ""), w.browser()
			back := b.atUpstream(a, "google", "gil")
			state := back.Query().Get("state")
			w.quiet(func() {
				for what, forged := range map[string]string{
					"missing": "", "unknown": secret.New(16).Reveal(), "cut": state[:len(state)-1], "longer": state + "A", "forged": strings.Repeat("A", 22),
					"another case": strings.ToUpper(state), "huge": strings.Repeat("x", 8000), "NUL": state + "\x00",
				} {
					p := b.do(http.MethodGet, with(back, "state", forged).String(), nil)
					p.errorPage(t, http.StatusBadRequest, "callback_invalid", "tx_browser_mismatch")
					if t.Failed() {
						t.Fatalf("the state was %s", what)
					}
				}
				p := w.browser().do(http.MethodGet, w.issuer+"/callback/google?code=x", nil)
				p.errorPage(t, http.StatusBadRequest)
			})
			a.code(b.open(back.String()))
		}},
		{ID: "A01", Kind: "T", Rule: "a state older than its time is refused", Here: needsClock, Alone: alone, Run: func(t *testing.T, w *world) {
			a, b := w.app("spa", ""), w.browser()
			back := b.atUpstream(a, "google", "gil")
			w.clock.advance(10*time.Minute + time.Second)
			w.poll()
			kept := b.clone() // a browser that does not drop the cookie
			w.quiet(func() {
				b.do(http.MethodGet, back.String(), nil).errorPage(t, http.StatusBadRequest, "tx_expired", "tx_browser_mismatch")
				kept.do(http.MethodGet, back.String(), nil).errorPage(t, http.StatusBadRequest, "tx_expired")
			})
		}},
		{ID: "A02", Kind: "T", Rule: "a state works only in the browser that began", Run: func(t *testing.T, w *world) {
			a, b, other := w.app("spa", ""), w.browser(), w.browser()
			back := b.atUpstream(a, "google", "gil")
			// The other browser has a flow of its own, whose cookie it shows under the name that belongs to the stolen state.
			mine := other.atUpstream(w.app("spa", ""), "google", "gil")
			for _, c := range other.cookies() {
				if c.Name == w.flowCookieOf(mine.Query().Get("state")) {
					other.setCookies(&http.Cookie{Name: w.flowCookieOf(back.Query().Get("state")), Value: c.Value, Path: "/"})
				}
			}
			w.quiet(func() {
				w.browser().do(http.MethodGet, back.String(), nil).errorPage(t, http.StatusBadRequest, "tx_browser_mismatch")
				other.do(http.MethodGet, back.String(), nil).errorPage(t, http.StatusBadRequest, "callback_invalid")
			})
			a.code(b.open(back.String()))
		}},
		{ID: "A02", Kind: "T", Rule: "a trip works only in the browser that began it", Run: func(t *testing.T, w *world) {
			a, b, other := w.app("spa", ""), w.browser(), w.browser()
			other.open("/login")
			p := b.open(a.authorizeURL())
			form, _ := p.form(t, "signin-form")
			w.quiet(func() {
				for _, path := range []string{"/login", "/login/google", "/authorize", "/login/link", "/register"} {
					other.do(http.MethodGet, w.issuer+path+"?tx="+url.QueryEscape(form.Get("tx")), nil).errorPage(t, http.StatusBadRequest, "tx_browser_mismatch")
				}
			})
		}},
		{ID: "A03", Kind: "C", Rule: "an answer of the upstream is used once, also by fifty at once", Run: func(t *testing.T, w *world) {
			who, _ := w.somebody()
			a, b := w.app("spa", ""), w.browser()
			back := b.atUpstream(a, "google", who)
			calls := w.google.Calls(local.GoogleTokenPath)
			var won, refused int
			for _, p := range w.race(50, func(int) page { return b.clone().do(http.MethodGet, back.String(), nil) }) {
				switch {
				case p.StatusCode == http.StatusSeeOther && p.session() != "":
					won++
				case p.StatusCode == http.StatusBadRequest && p.session() == "":
					refused++
				default:
					t.Errorf("the callback answered %d %s", p.StatusCode, p.brief())
				}
			}
			if won != 1 || refused != 49 || w.google.Calls(local.GoogleTokenPath)-calls != 1 {
				t.Errorf("%d sessions, %d refusals, %d exchanges; want 1, 49, 1", won, refused, w.google.Calls(local.GoogleTokenPath)-calls)
			}
			w.quiet(func() {
				b.clone().do(http.MethodGet, back.String(), nil).errorPage(t, http.StatusBadRequest, "flow_replayed")
			})
		}},
		{ID: "A03", Kind: "F", Rule: "a flow is spent before the exchange, so that a failed one cannot be tried again", Run: func(t *testing.T, w *world) {
			a, b := w.app("spa", ""), w.browser()
			back := b.atUpstream(a, "google", "gil")
			kept := b.clone()
			w.google.SetFault(local.GoogleTokenPath, local.Reset)
			b.do(http.MethodGet, back.String(), nil).errorPage(t, http.StatusBadGateway, "upstream_unavailable")
			w.google.ClearFaults()
			w.quiet(func() {
				kept.do(http.MethodGet, back.String(), nil).errorPage(t, http.StatusBadRequest, "flow_replayed")
			})
		}},
		{ID: "A04", Kind: "T", Rule: "a state made for one provider is refused at the callback of another", Run: func(t *testing.T, w *world) {
			a, b := w.app("spa", ""), w.browser()
			back := b.atUpstream(a, "google", "gil")
			w.quiet(func() {
				for _, other := range []string{"github", "rogue", "workspace", "GOOGLE", "nobody"} {
					u := *back
					u.Path = "/callback/" + other
					p := b.do(http.MethodGet, u.String(), nil)
					p.errorPage(t, http.StatusBadRequest, "callback_invalid")
				}
			})
			a.code(b.open(back.String()))
		}},
		{ID: "A05", Kind: "T", Rule: "an answer that names another issuer, or none though the upstream promises it, keeps its code", Run: func(t *testing.T, w *world) {
			for what, iss := range map[string]string{"another": "https://evil.example", "none": "", "the rogue's": w.cfg.Providers["rogue"].Issuer, "with a slash": w.cfg.Providers["google"].Issuer + "/"} {
				a, b := w.app("spa", ""), w.browser()
				back := b.atUpstream(a, "google", "gil")
				w.quiet(func() {
					b.do(http.MethodGet, with(back, "iss", iss).String(), nil).errorPage(t, http.StatusBadRequest, "callback_invalid")
				})
				if t.Failed() {
					t.Fatalf("iss was %s", what)
				}
			}
			// Two of them leave it open which one is meant.
			b := w.browser()
			back := b.atUpstream(w.app("spa", ""), "google", "gil")
			w.quiet(func() {
				b.do(http.MethodGet, back.String()+"&iss=https%3A%2F%2Fevil.example", nil).errorPage(t, http.StatusBadRequest)
			})
		}},
		{ID: "A06", Kind: "T", Rule: "a rogue provider that bounces the browser to an honest one gets no code", Run: func(t *testing.T, w *world) {
			a, b := w.app("spa", ""), w.browser()
			toRogue := b.away(b.open(a.authorizeURL()), "provider-rogue")
			// The rogue sends the browser to Google with the broker's client id there, and the state of its own flow.
			q := url.Values{
				"client_id": {"goog-client"}, "redirect_uri": {w.issuer + "/callback/google"}, "response_type": {"code"}, "scope": {"openid email"},
				"state": {toRogue.Query().Get("state")}, "nonce": {toRogue.Query().Get("nonce")},
				"code_challenge": {toRogue.Query().Get("code_challenge")}, "code_challenge_method": {"S256"},
			}
			honest, err := url.Parse(w.cfg.Providers["google"].Issuer + local.GoogleAuthorizePath + "?" + q.Encode())
			if err != nil {
				t.Fatal(err)
			}
			back := b.pick(honest, "gil")
			w.quiet(func() {
				b.do(http.MethodGet, back.String(), nil).errorPage(t, http.StatusBadRequest, "callback_invalid")
				u := *back
				u.Path = "/callback/rogue"
				b.do(http.MethodGet, u.String(), nil).errorPage(t, http.StatusBadRequest, "callback_invalid")
			})
		}},
		{ID: "A08", Kind: "T", Rule: "an ID token without the nonce of this flow signs nobody in", Run: lies("no nonce", drop("nonce"))},
		{ID: "A08", Kind: "T", Rule: "an ID token with a made-up nonce signs nobody in", Run: lies("wrong nonce", set("nonce", "AAAAAAAAAAAAAAAAAAAAAA"))},
		{ID: "A08", Kind: "T", Rule: "an ID token with the nonce of another flow signs nobody in", Run: func(t *testing.T, w *world) {
			b := w.browser()
			other := b.away(b.open(w.app("spa", "").authorizeURL()), "provider-google").Query().Get("nonce")
			lies("reused nonce", set("nonce", other))(t, w)
		}},
		{ID: "A12", Kind: "T", Rule: "every trip to an upstream has its own state, nonce and S256 challenge, and callers add nothing", Run: func(t *testing.T, w *world) {
			seen := map[string]bool{}
			for range 3 {
				for _, provider := range []string{"google", "github"} {
					b := w.browser()
					p := b.open(w.app("spa", "").authorizeURL())
					inject := "&state=evil&nonce=evil&scope=evil&redirect_uri=https%3A%2F%2Fevil.example&code_challenge=evil&code_challenge_method=plain&response_type=token&hd=evil&prompt=evil"
					out := b.do(http.MethodGet, b.abs(p.href(t, "provider-"+provider))+inject, nil)
					to, err := out.Location()
					if err != nil {
						t.Fatalf("%d %s", out.StatusCode, out.brief())
					}
					q := to.Query()
					for name, values := range q {
						if len(values) != 1 || strings.Contains(values[0], "evil") {
							t.Errorf("%s of the request to %s is %v", name, provider, values)
						}
					}
					if q.Get("code_challenge_method") != "S256" || !oauth.ValidChallenge(q.Get("code_challenge")) || q.Get("response_type") != "code" || q.Get("redirect_uri") != w.issuer+"/callback/"+provider {
						t.Errorf("the request to %s is %v", provider, q)
					}
					for _, name := range []string{"state", "nonce", "code_challenge"} {
						v := q.Get(name)
						if v == "" && name == "nonce" && provider == "github" {
							continue
						}
						if len(v) < 22 || seen[v] {
							t.Errorf("%s %q of the request to %s is short or was used before", name, v, provider)
						}
						seen[v] = true
					}
				}
			}
		}},
		{ID: "A12", Kind: "T", Rule: "the verifier that redeems the upstream's code has 43 characters or more and fits the challenge", Run: func(t *testing.T, w *world) {
			var sent url.Values
			w.google.SetFault(local.GoogleTokenPath, func(rw http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				sent, _ = url.ParseQuery(string(body))
				http.Error(rw, "no", http.StatusInternalServerError)
			})
			b := w.browser()
			to := b.away(b.open(w.app("spa", "").authorizeURL()), "provider-google")
			b.open(b.pick(to, "gil").String())
			v := sent.Get("code_verifier")
			if !oauth.ValidVerifier(v) || oauth.Challenge(v) != to.Query().Get("code_challenge") {
				t.Errorf("the verifier has %d characters and does not fit the challenge %s", len(v), to.Query().Get("code_challenge"))
			}
		}},
		{ID: "A14", Kind: "F", Rule: "an upstream that answers nonsense is a 502 page, and no redirect is followed", Alone: alone, Run: upstreamAnswersNonsense},
		{ID: "A14", Kind: "F", Rule: "an upstream that hangs costs ten seconds and a 502 page", Alone: alone, Run: func(t *testing.T, w *world) {
			w.google.SetFault(local.GoogleTokenPath, local.Hang)
			b := w.browser()
			back := b.atUpstream(w.app("spa", ""), "google", "gil")
			began := time.Now()
			b.do(http.MethodGet, back.String(), nil).errorPage(t, http.StatusBadGateway, "upstream_unavailable")
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("the page came after %v", took)
			}
		}},
		{ID: "A15", Kind: "T", Rule: "a provider that is switched off during the trip is refused at the callback", Here: needsConfig, Alone: alone, Run: func(t *testing.T, w *world) {
			for what, edit := range map[string]func(*config.Config){
				"disabled": func(c *config.Config) { p := c.Providers["google"]; p.Disabled = true; c.Providers["google"] = p },
				"deleted":  func(c *config.Config) { delete(c.Providers, "google"); delete(c.Clients, "googleonly") },
			} {
				before := w.cfg.Providers["google"]
				b := w.browser()
				back := b.atUpstream(w.app("spa", ""), "google", "gil")
				w.restart(edit)
				w.quiet(func() {
					b.do(http.MethodGet, back.String(), nil).errorPage(t, http.StatusForbidden, "provider_disabled")
				})
				if t.Failed() {
					t.Fatal(what)
				}
				w.restart(func(c *config.Config) { c.Providers["google"] = before })
			}
		}},
		{ID: "A15", Kind: "T", Rule: "a provider that the app does not take any more is refused at the callback", Here: needsConfig, Alone: alone, Run: func(t *testing.T, w *world) {
			b := w.browser()
			back := b.atUpstream(w.app("spa", ""), "google", "gil")
			w.restart(func(c *config.Config) { k := c.Clients["spa"]; k.Providers = []string{"github"}; c.Clients["spa"] = k })
			w.quiet(func() {
				b.do(http.MethodGet, back.String(), nil).errorPage(t, http.StatusForbidden, "provider_disabled")
			})
		}},
		{ID: "A15", Kind: "T", Rule: "a provider that the app does not take is not begun, and a session by it does not count", Run: func(t *testing.T, w *world) {
			a, b := w.app("googleonly", ""), w.browser()
			p := b.open(a.authorizeURL())
			if p.has("provider-github") || p.has("signin-form") || !p.has("provider-google") {
				t.Errorf("the page offers other ways than Google:\n%s", p.brief())
			}
			google := p.href(t, "provider-google")
			w.quiet(func() {
				b.do(http.MethodGet, b.abs(strings.Replace(google, "/login/google", "/login/github", 1)), nil).errorPage(t, http.StatusForbidden, "provider_disabled")
			})
			tx, err := url.Parse(google)
			if err != nil {
				t.Fatal(err)
			}
			alice := w.person("alice")
			p = b.do(http.MethodPost, w.issuer+"/login", url.Values{"tx": {tx.Query().Get("tx")}, "username": {alice.Username}, "password": {w.password}})
			if p.StatusCode != http.StatusForbidden || p.session() != "" {
				t.Errorf("the password form answered %d for an app that takes Google only", p.StatusCode)
			}
			// A session by another way is no answer to this app.
			spa := w.app("spa", "")
			spa.code(b.signInByPassword(spa, alice.Username))
			if p := b.open(a.authorizeURL()); !p.has("provider-google") {
				t.Errorf("a session by password went through to the app: %d", p.StatusCode)
			}
		}},
	}
	for what, edit := range map[string]func(map[string]any){
		"iss of another":                         set("iss", "https://evil.example"),
		"iss absent":                             drop("iss"),
		"iss with a slash":                       func(c map[string]any) { c["iss"] = c["iss"].(string) + "/" },
		"aud of another client":                  set("aud", "somebody-else"),
		"aud absent":                             drop("aud"),
		"aud empty":                              set("aud", []string{}),
		"aud with a second member":               func(c map[string]any) { c["aud"] = []string{"goog-client", "somebody-else"}; delete(c, "azp") },
		"aud with two members and a foreign azp": func(c map[string]any) { c["aud"] = []string{"goog-client", "x"}; c["azp"] = "x" },
		"azp of another client":                  set("azp", "somebody-else"),
		"exp absent":                             drop("exp"),
		"exp past":                               set("exp", time.Now().Add(-time.Hour).Unix()),
		"exp a string":                           set("exp", "4102444800"),
		"iat absent":                             drop("iat"),
		"iat far past":                           set("iat", time.Now().Add(-48*time.Hour).Unix()),
		"iat ahead":                              set("iat", time.Now().Add(time.Hour).Unix()),
		"sub absent":                             drop("sub"),
		"sub empty":                              set("sub", ""),
		"sub a number":                           set("sub", 7),
		"sub of 256 bytes":                       set("sub", strings.Repeat("a", 256)),
		"at_hash of another token":               set("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"),
	} {
		rows = append(rows, attack{ID: "A09", Kind: "T", Rule: "an ID token with " + what + " signs nobody in", Run: lies(what, edit)})
	}
	for what, how := range map[string]local.Signing{
		"alg none": local.SignNone, "HS256 keyed with the client secret": local.SignHS256Secret, "HS256 keyed with the public key": local.SignHS256PublicKey,
		"the signature of another key": local.SignOtherKey, "a broken signature": local.SignBroken, "the name of an unknown key": local.SignUnknownKid,
	} {
		rows = append(rows, attack{ID: "A10", Kind: "T", Rule: "an ID token with " + what + " signs nobody in", Run: signedBadly(what, how)})
	}
	return append(rows, attack{ID: "A10", Kind: "T", Rule: "an ID token that names no key signs nobody in where there are several", Alone: alone, Run: func(t *testing.T, w *world) {
		second, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		w.google.RotateKey(second)
		signedBadly("no kid", local.SignWithoutKid)(t, w)
	}})
}

// race runs n requests at once, all released together.
func (w *world) race(n int, run func(i int) page) []page {
	return raceOf(n, run)
}

func raceOf[T any](n int, run func(i int) T) []T {
	out := make([]T, n)
	gate := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-gate
			out[i] = run(i)
		})
	}
	close(gate)
	wg.Wait()
	return out
}

// poll reads the change stream at once: after the clock has been moved, what is known must not count as stale.
func (w *world) poll() {
	w.Helper()
	if err := w.follow.Poll(w.Context()); err != nil {
		w.Fatal(err)
	}
}

func upstreamAnswersNonsense(t *testing.T, w *world) {
	var stolen int
	trap := serveTest(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen++ }))
	bad := map[string]http.HandlerFunc{
		"an error with status 200": local.Answer(200, "application/json", `{"error":"bad_verification_code","error_description":"no"}`),
		"a form":                   local.Answer(200, "application/x-www-form-urlencoded", "access_token=x&token_type=bearer&id_token=y"),
		"HTML":                     local.Answer(200, "text/html", "<h1>Down for maintenance</h1>"),
		"nothing":                  local.Answer(200, "application/json", ""),
		"an empty object":          local.Answer(200, "application/json", "{}"),
		"500":                      local.Answer(500, "application/json", `{"error":"server_error"}`),
		"a token of another type":  local.Answer(200, "application/json", `{"access_token":"x","token_type":"mac","id_token":"a.b.c"}`),
		"a redirect":               local.Redirect(trap),
		"10 MB":                    local.Flood(10 << 20),
		"a gzip bomb":              local.GzipBomb(100 << 20),
		"a reset":                  local.Reset,
	}
	for name, answer := range bad {
		for _, at := range []struct{ provider, path string }{
			{"google", local.GoogleTokenPath},
			{"google", local.GoogleUserinfoPath},
			{"github", local.GitHubTokenPath},
			{"github", local.GitHubUserPath},
			{"github", local.GitHubEmailsPath},
		} {
			who, _ := w.somebody()
			a, b := w.app("spa", ""), w.browser()
			back := b.atUpstream(a, at.provider, who)
			w.google.SetFault(at.path, answer)
			w.github.SetFault(at.path, answer)
			p := b.do(http.MethodGet, back.String(), nil)
			w.honest()
			p.errorPage(t, http.StatusBadGateway, "upstream_unavailable", "upstream_invalid")
			if !p.has("error-action") {
				t.Errorf("%s at %s: the page offers no next step", name, at.path)
			}
			if t.Failed() {
				t.Fatalf("%s at %s", name, at.path)
			}
		}
	}
	if stolen > 0 || w.ledger.opened() > 0 {
		t.Errorf("%d requests followed a redirect, %d sessions were opened", stolen, w.ledger.opened())
	}
}
