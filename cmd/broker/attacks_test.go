package main

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/broker/config"
	"example.com/broker/providers/local"
)

// attack is one line of the list of what the broker must survive, as data.
type attack struct {
	// ID and Rule name the line and the safe answer; Kind is T (table), C (race), F (fault) or S (statistics).
	ID, Rule, Kind string
	// Here says why the row runs in this process only, "" where it runs against the built binary too.
	Here string
	// Alone gives the row a world of its own: with another configuration, or because it leaves limits or faults behind.
	Alone []func(*config.Config)
	Run   func(t *testing.T, w *world)
}

// Why a row runs in this process only.
const (
	needsClock  = "moves the clock"
	needsKey    = "signs with the broker's own keys"
	needsStore  = "stands between the broker and its store"
	needsConfig = "runs under another configuration"
	needsTwo    = "runs two brokers on one store"
	needsPeer   = "chooses the address that it comes from"
)

// alone is for rows that want a fresh world and no other configuration.
var alone = []func(*config.Config){func(*config.Config) {}}

func attacks() []attack {
	return slices.Concat(
		attacksOnTheCallback(), attacksOnAuthorize(), attacksOnCodes(), attacksOnTheTokenEndpoint(), attacksOnRefreshTokens(), attacksOnTokens(),
		attacksOnLinking(), attacksOnPasswords(), attacksOnSessions(), attacksOnKeys(), attacksOnTheSurface(), attacksOnTheStore(), attacksOnPolicies(), attacksOnRoles(),
	)
}

func TestAttacks(t *testing.T) {
	for _, kind := range storeKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			runAttacks(t, newWorld(t, kind), func(t *testing.T, edit []func(*config.Config)) *world { return newWorld(t, kind, edit...) })
		})
	}
}

func runAttacks(t *testing.T, shared *world, fresh func(*testing.T, []func(*config.Config)) *world) {
	for _, a := range attacks() {
		if shared.program == nil && a.Here != "" {
			continue // it runs in this process, on both stores, see TestAttacks
		}
		t.Run(a.ID+" "+strings.ReplaceAll(a.Rule, "/", "|"), func(t *testing.T) {
			if a.Alone != nil {
				t.Parallel()
				a.Run(t, fresh(t, a.Alone))
				return
			}
			t.Cleanup(shared.honest)
			a.Run(t, shared.in(t))
		})
	}
}

// honest ends every fault of the upstreams.
func (w *world) honest() {
	w.github.ClearFaults()
	w.google.ClearFaults()
	w.rogue.ClearFaults()
}

func TestEveryAttackHasANameOfItsOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, a := range attacks() {
		switch {
		case a.ID == "" || a.Rule == "" || a.Run == nil || !strings.Contains("T C F S", a.Kind):
			t.Errorf("row %q %q is incomplete", a.ID, a.Rule)
		case seen[a.ID+a.Rule]:
			t.Errorf("row %s %s stands twice", a.ID, a.Rule)
		}
		seen[a.ID+a.Rule] = true
	}
}

// spent counts the requests at the upstreams that a code or a token leaves the broker by.
func (w *world) spent() int {
	return w.github.Calls(local.GitHubTokenPath) + w.github.Calls(local.GitHubUserPath) + w.github.Calls(local.GitHubEmailsPath) +
		w.google.Calls(local.GoogleTokenPath) + w.google.Calls(local.GoogleUserinfoPath) +
		w.rogue.Calls(local.GoogleTokenPath) + w.rogue.Calls(local.GoogleUserinfoPath)
}

// quiet runs an attack that must neither reach an upstream nor open a session.
func (w *world) quiet(attack func()) {
	w.Helper()
	calls, sessions := w.spent(), w.ledger.opened()
	attack()
	if n := w.spent() - calls; n != 0 {
		w.Errorf("%d requests went to the upstreams", n)
	}
	if n := w.ledger.opened() - sessions; n != 0 {
		w.Errorf("%d sessions were opened", n)
	}
}

// errorPage demands an error page of ours: no redirect, no session, a code that is one of want.
func (p page) errorPage(t testing.TB, status int, want ...string) {
	t.Helper()
	if p.StatusCode != status || p.Header.Get("Location") != "" || !strings.HasPrefix(p.Header.Get("Content-Type"), "text/html") {
		t.Errorf("%s %s answered %d to %q, want the error page %d\n%s", p.Request.Method, p.at, p.StatusCode, p.Header.Get("Location"), status, p.brief())
		return
	}
	if p.session() != "" {
		t.Errorf("%s %s answered with a session", p.Request.Method, p.at)
	}
	if got := p.text(t, "error-code"); len(want) > 0 && !slices.Contains(want, got) {
		t.Errorf("%s %s shows the code %s, want one of %v", p.Request.Method, p.at, got, want)
	}
}

// session is the session cookie an answer sets, "" for none.
func (p page) session() string { return sessionOf(p.Response) }

func sessionOf(r *http.Response) string {
	for _, c := range r.Cookies() {
		if strings.HasSuffix(c.Name, "broker_session") && c.MaxAge >= 0 {
			return c.Value
		}
	}
	return ""
}

// refused demands that the app be told an error by redirect: 303, error, state, iss, and no code.
func (a *app) refused(p page, code string) {
	a.Helper()
	q := a.answer(p)
	if p.StatusCode != http.StatusSeeOther || q.Get("error") != code || q.Get("state") != a.state || q.Get("iss") != a.issuer || q.Has("code") {
		a.Errorf("%s answered %d and told the app %v, want error %s with its state and iss", p.at, p.StatusCode, q, code)
	}
	for _, r := range q.Get("error_description") {
		if r < 0x20 || r > 0x7e || r == '"' || r == '\\' {
			a.Errorf("error_description %q holds %q, which RFC 6749 does not allow", q.Get("error_description"), r)
		}
	}
}

// fails demands an OAuth error in JSON, and no token.
func (r reply) fails(t testing.TB, status int, code string) {
	t.Helper()
	if r.StatusCode != status || r.str("error") != code || r.str("access_token") != "" || r.str("refresh_token") != "" {
		t.Errorf("%s %s answered %d %s, want %d %s", r.Request.Method, r.Request.URL.Path, r.StatusCode, r.raw, status, code)
	}
	if sessionOf(r.Response) != "" {
		t.Errorf("%s %s answered with a session", r.Request.Method, r.Request.URL.Path)
	}
}

// unauthorized demands a 401 that names the token as the reason (RFC 6750 §3.1).
func (r reply) unauthorized(t testing.TB) {
	t.Helper()
	challenge := r.Header.Get("WWW-Authenticate")
	if r.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(challenge, "Bearer ") || !strings.Contains(challenge, `error="invalid_token"`) {
		t.Errorf("%s %s answered %d with %q, want 401 invalid_token: %s", r.Request.Method, r.Request.URL.Path, r.StatusCode, challenge, r.raw)
	}
}

// signedIn is a person, the browser they are signed in by, and what the app got.
type signedIn struct {
	*browser
	app    *app
	who    localUser
	tokens reply
}

// signIn creates a user and signs them in to the app; extra as in authorizeURL.
func (w *world) signIn(client, clientSecret string, extra ...string) signedIn {
	w.Helper()
	s := signedIn{browser: w.browser(), app: w.app(client, clientSecret), who: w.person("alice")}
	s.tokens = s.app.redeem(s.app.code(s.signInByPassword(s.app, s.who.Username, extra...)))
	if s.tokens.StatusCode != http.StatusOK {
		w.Fatalf("the code was answered %d %s", s.tokens.StatusCode, s.tokens.raw)
	}
	return s
}

func (s signedIn) access() string  { return s.tokens.str("access_token") }
func (s signedIn) bearer() string  { return "Bearer " + s.access() }
func (s signedIn) refresh() string { return s.tokens.str("refresh_token") }

// userinfo asks userinfo with a token.
func (w *world) userinfo(token string) reply {
	w.Helper()
	return w.get("/userinfo", "Authorization", "Bearer "+token)
}

// alive and dead demand that a token opens userinfo, or does not.
func (w *world) alive(what, token string) {
	w.Helper()
	if r := w.userinfo(token); r.StatusCode != http.StatusOK {
		w.Errorf("%s is refused: %d %s", what, r.StatusCode, r.raw)
	}
}

func (w *world) dead(what, token string) {
	w.Helper()
	if r := w.userinfo(token); r.StatusCode != http.StatusUnauthorized {
		w.Errorf("%s still opens userinfo: %d %s", what, r.StatusCode, r.raw)
	}
}

// with returns an address with its query edited.
func with(u *url.URL, pairs ...string) *url.URL {
	c := *u
	q := c.Query()
	for i := 0; i < len(pairs); i += 2 {
		if q.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
			q.Del(pairs[i])
		}
	}
	c.RawQuery = q.Encode()
	return &c
}

// disable disables a user who has an access token, and waits until the broker has heard of it: at once where it was done in this process,
// within two seconds where another did it.
func (w *world) disable(who localUser, token string) {
	w.Helper()
	w.operator.disable(w, who.ID)
	for limit := time.Now().Add(2 * time.Second); w.program == nil && time.Now().Before(limit) && w.userinfo(token).StatusCode == http.StatusOK; {
		time.Sleep(20 * time.Millisecond)
	}
	w.dead("a token of a disabled user", token)
}
