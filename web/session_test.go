package web_test

import (
	"context"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/broker/internal/fault"
	"example.com/broker/internal/secret"
	"example.com/broker/sessions"
	"example.com/broker/store/sqlite"
	"example.com/broker/users"
	"example.com/broker/verify"
	"example.com/broker/web"
)

func TestCookieFlags(t *testing.T) {
	set := func(c *gin.Context) error {
		web.SetSessionCookie(c, "sid.key", time.Hour)
		web.SetCookie(c, "broker_flow_x", "sealed", 10*time.Minute)
		web.SetCookie(c, "broker_short", "v", 0)
		web.SetLastUsed(c, "github")
		return ok(c)
	}
	for at, want := range map[string][]string{
		"https://b.example/auth": {
			"__Host-broker_session=sid.key; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax",
			"__Host-broker_flow_x=sealed; Path=/; Max-Age=600; HttpOnly; Secure; SameSite=Lax",
			"__Host-broker_short=v; Path=/; HttpOnly; Secure; SameSite=Lax",
			"__Host-broker_last=github; Path=/; Max-Age=15552000; HttpOnly; Secure; SameSite=Lax",
		},
		"http://localhost:8080": {
			"broker_session=sid.key; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax",
			"broker_flow_x=sealed; Path=/; Max-Age=600; HttpOnly; SameSite=Lax",
			"broker_short=v; Path=/; HttpOnly; SameSite=Lax",
			"broker_last=github; Path=/; Max-Age=15552000; HttpOnly; SameSite=Lax",
		},
	} {
		base := strings.TrimPrefix(strings.TrimPrefix(at, "https://b.example"), "http://localhost:8080")
		s := serve(t, at, []web.Route{
			{Method: "GET", Path: "/set", Lane: web.Browser, Handle: set},
			{Method: "GET", Path: "/drop", Lane: web.Browser, Handle: func(c *gin.Context) error {
				web.DropSessionCookie(c)
				return ok(c)
			}},
		})
		got := s.ask(t, "GET", base+"/set", "").header.Values("Set-Cookie")
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s sets\n%s\nwant\n%s", at, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		dropped := s.ask(t, "GET", base+"/drop", "").header.Get("Set-Cookie")
		if value, _, _ := strings.Cut(want[0], "="); !strings.HasPrefix(dropped, value+"=; Path=/; Max-Age=0; HttpOnly") {
			t.Errorf("%s drops the session by %q", at, dropped)
		}
	}
}

// TestLastUsedIsForgotten: nothing may tell of a way in that was not used, and an answer needs no cookie to say so.
func TestLastUsedIsForgotten(t *testing.T) {
	s := serve(t, "https://b.example", []web.Route{{Method: "GET", Path: "/", Lane: web.Browser, Handle: func(c *gin.Context) error {
		web.SetLastUsed(c, "")
		return ok(c)
	}}})
	if got := s.ask(t, "GET", "/", "").header.Values("Set-Cookie"); len(got) != 0 {
		t.Errorf("a browser without the cookie gets %q", got)
	}
	for _, sent := range []string{"__Host-broker_last=github", "__Host-broker_last=", "__Host-broker_last=a; __Host-broker_last=b"} {
		got := s.ask(t, "GET", "/", "", header{"Cookie", sent}).header.Values("Set-Cookie")
		if len(got) != 1 || got[0] != "__Host-broker_last=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax" {
			t.Errorf("with %s it gets %q, want the cookie deleted", sent, got)
		}
	}
}

func TestOnlyOurOwnCookieIsRead(t *testing.T) {
	read := func(c *gin.Context) error {
		c.String(http.StatusOK, "%s", web.SessionCookie(c).Reveal())
		return nil
	}
	routes := []web.Route{{Method: "GET", Path: "/", Lane: web.Browser, Handle: read}}
	for _, row := range []struct {
		rule, issuer, cookie, want string
	}{
		{"the cookie", "https://b.example", "__Host-broker_session=a.b", "a.b"},
		{"no prefix, as a sibling host could set it", "https://b.example", "broker_session=a.b", ""},
		{"the prefix in another case", "https://b.example", "__host-broker_session=a.b", ""},
		{"two of them: nobody can say which is ours", "https://b.example", "__Host-broker_session=a.b; __Host-broker_session=c.d", ""},
		{"none", "https://b.example", "other=1", ""},
		{"over http without the prefix", "http://localhost", "broker_session=a.b", "a.b"},
		{"over http with the prefix, which no browser stores there", "http://localhost", "__Host-broker_session=a.b", ""},
	} {
		if got := serve(t, row.issuer, routes).ask(t, "GET", "/", "", header{"Cookie", row.cookie}).body; got != row.want {
			t.Errorf("%s: %q, want %q", row.rule, got, row.want)
		}
	}
}

func TestBrowserID(t *testing.T) {
	s := serve(t, "https://b.example", []web.Route{{Method: "GET", Path: "/", Lane: web.Browser, Handle: func(c *gin.Context) error {
		known := web.KnownBrowser(c)
		first, second := web.BrowserID(c), web.BrowserID(c)
		if first != second || first != web.KnownBrowser(c) || (known != "" && known != first) {
			t.Errorf("one request saw the ids %q, %q, %q, %q", known, first, second, web.KnownBrowser(c))
		}
		c.String(http.StatusOK, "%s", first)
		return nil
	}}})
	fresh := s.ask(t, "GET", "/", "")
	set := fresh.header.Values("Set-Cookie")
	if len(set) != 1 || !strings.HasPrefix(set[0], "__Host-broker_browser="+fresh.body+"; Path=/; Max-Age=86400; HttpOnly; Secure; SameSite=Lax") || len(fresh.body) != 22 {
		t.Fatalf("a new browser gets %q for id %q", set, fresh.body)
	}
	again := s.ask(t, "GET", "/", "", header{"Cookie", "__Host-broker_browser=" + fresh.body})
	if again.body != fresh.body || len(again.header.Values("Set-Cookie")) != 0 {
		t.Errorf("a known browser became %q and gets %q", again.body, again.header.Values("Set-Cookie"))
	}
	for rule, cookie := range map[string]string{
		"too short": "abc", "too long": strings.Repeat("a", 23), "no base64url": strings.Repeat("!", 22), "padded": strings.Repeat("a", 20) + "==",
		"sent twice": fresh.body + "; __Host-broker_browser=" + secret.New(16).Reveal(),
	} {
		a := s.ask(t, "GET", "/", "", header{"Cookie", "__Host-broker_browser=" + cookie})
		if a.body == cookie || a.body == fresh.body || len(a.header.Values("Set-Cookie")) != 1 {
			t.Errorf("%s: id %q, cookies %q, want a new one", rule, a.body, a.header.Values("Set-Cookie"))
		}
	}
}

// fence is a change stream that says what the test wants.
type fence struct {
	revoked string
	epoch   int64
	stale   error
}

func (f *fence) SessionRevoked(sid string) bool { return sid == f.revoked }
func (f *fence) UserEpoch(string) int64         { return f.epoch }
func (f *fence) Fresh() error                   { return f.stale }

// guarded is a site with one route for each guard, on a real store.
type guarded struct {
	*site
	now      time.Time
	fence    fence
	sessions *sessions.Manager
	users    map[string]users.User
	tokens   map[string]*verify.Token
}

func newGuarded(t *testing.T) *guarded {
	t.Helper()
	g := &guarded{
		now: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC), users: map[string]users.User{"usr_1": {ID: "usr_1", Status: users.Active, Ver: 3}},
		tokens: map[string]*verify.Token{"good": {Subject: verify.Subject{Kind: verify.KindUser, ID: "usr_1"}}, "robot": {Subject: verify.Subject{Kind: verify.KindClient, ID: "usr_1"}}},
	}
	clock := func() time.Time { return g.now }
	st, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "b.db"), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	g.sessions = sessions.NewManager(sessions.Options{Store: st.Sessions, Fence: &g.fence, Now: clock})
	guards := web.Guards{
		Sessions: g.sessions,
		Verify: func(_ context.Context, raw string) (*verify.Token, error) {
			if tok, known := g.tokens[raw]; known {
				return tok, nil
			}
			return nil, &verify.Error{Code: verify.CodeInvalidToken, Description: "unknown"}
		},
		User: func(_ context.Context, id string) (users.User, error) {
			u, known := g.users[id]
			switch {
			case !known:
				return u, fault.New(fault.NotFound, "user_unknown", "none")
			case u.Status != users.Active:
				return users.User{}, fault.New(fault.Forbidden, "account_disabled", "disabled")
			}
			return u, nil
		},
	}
	who := func(c *gin.Context) error {
		caller := web.CallerOf(c)
		c.String(http.StatusOK, "%s session=%v token=%v", caller.User.ID, caller.Session != nil, caller.Token != nil)
		return nil
	}
	g.site = serve(t, "https://b.example", []web.Route{
		{Method: "GET", Path: "/session", Lane: web.Browser, Guard: guards.Session(), Handle: who},
		{Method: "POST", Path: "/session", Lane: web.Browser, Guard: guards.Session(), Handle: who},
		{Method: "GET", Path: "/bearer", Lane: web.API, Guard: guards.Bearer(), Handle: who},
		{Method: "GET", Path: "/either", Lane: web.Browser, Guard: guards.Either(), Handle: who},
	})
	return g
}

// open signs usr_1 in and returns the cookie header.
func (g *guarded) open(t *testing.T) (sessions.Session, header) {
	t.Helper()
	s, v, err := g.sessions.Open(t.Context(), sessions.Opening{UserID: "usr_1", Ver: 3})
	if err != nil {
		t.Fatal(err)
	}
	return s, header{"Cookie", "__Host-broker_session=" + v.Reveal()}
}

func TestGuards(t *testing.T) {
	for _, row := range []struct {
		rule, path string
		change     func(*guarded)
		headers    []header
		cookie     bool
		status     int
		want       string // part of the body
	}{
		{"a session", "/session", nil, nil, true, 200, "usr_1 session=true token=false"},
		{"no cookie", "/session", nil, nil, false, 401, "session_required"},
		{"a made-up cookie", "/session", nil, []header{{"Cookie", "__Host-broker_session=" + strings.Repeat("a", 36) + "." + strings.Repeat("b", 43)}}, false, 401, "session_required"},
		{"a token is no session", "/session", nil, []header{{"Authorization", "Bearer good"}}, false, 401, "session_required"},
		{"the account is gone", "/session", func(g *guarded) { delete(g.users, "usr_1") }, nil, true, 401, "session_required"},
		{"the account is disabled", "/session", func(g *guarded) { g.users["usr_1"] = users.User{ID: "usr_1", Status: users.Disabled} }, nil, true, 403, "account_disabled"},
		{"signed out everywhere, and the stream has forgotten", "/session", func(g *guarded) { g.users["usr_1"] = users.User{ID: "usr_1", Status: users.Active, Ver: 4, Epoch: 4} }, nil, true, 401, "session_required"},
		{"signed out everywhere, as the stream says", "/session", func(g *guarded) { g.fence.epoch = 4 }, nil, true, 401, "session_required"},
		{"nobody can say what was revoked", "/session", func(g *guarded) { g.fence.stale = fault.New(fault.Unavailable, "revocations_stale", "later") }, nil, true, 503, "revocations_stale"},

		{"a token", "/bearer", nil, []header{{"Authorization", "Bearer good"}}, false, 200, "usr_1 session=false token=true"},
		{"no token", "/bearer", nil, nil, false, 401, "missing_token"},
		{"a bad token", "/bearer", nil, []header{{"Authorization", "Bearer bad"}}, false, 401, "invalid_token"},
		{"a session is no token", "/bearer", nil, nil, true, 401, "missing_token"},
		{"two tokens", "/bearer", nil, []header{{"Authorization", "Bearer good"}, {"Authorization", "Bearer good"}}, false, 400, "invalid_request"},
		{"a token in the address", "/bearer?access_token=good", nil, nil, false, 400, "invalid_request"},
		{"a client that acts for itself under a user's id", "/bearer", nil, []header{{"Authorization", "Bearer robot"}}, false, 401, "invalid_token"},
		{"a token of a disabled user", "/bearer", func(g *guarded) { g.users["usr_1"] = users.User{ID: "usr_1", Status: users.Disabled} }, []header{{"Authorization", "Bearer good"}}, false, 401, "invalid_token"},
		{"a token of nobody", "/bearer", func(g *guarded) { delete(g.users, "usr_1") }, []header{{"Authorization", "Bearer good"}}, false, 401, "invalid_token"},

		{"either: a session", "/either", nil, nil, true, 200, "session=true"},
		{"either: a token beside a session counts alone", "/either", nil, []header{{"Authorization", "Bearer good"}}, true, 200, "session=false token=true"},
		{"either: nothing", "/either", nil, nil, false, 401, "session_required"},
		{"either: a bad token beside a session", "/either", nil, []header{{"Authorization", "Bearer bad"}}, true, 401, "invalid_token"},
	} {
		t.Run(row.rule, func(t *testing.T) {
			g := newGuarded(t)
			h := append([]header{{"Accept", "application/json"}}, row.headers...)
			if row.cookie {
				_, c := g.open(t)
				h = append(h, c)
			}
			if row.change != nil {
				row.change(g)
			}
			a := g.ask(t, "GET", row.path, "", h...).want(t, row.status)
			if !strings.Contains(a.body, row.want) {
				t.Errorf("no %q in %s", row.want, a.body)
			}
			if row.status == 401 && row.path != "/session" && !strings.HasPrefix(a.header.Get("WWW-Authenticate"), `Bearer realm="broker"`) {
				t.Errorf("WWW-Authenticate %q", a.header.Get("WWW-Authenticate"))
			}
		})
	}
}

func TestTheCookieSlidesWithTheSession(t *testing.T) {
	g := newGuarded(t)
	s, cookie := g.open(t)
	g.now = g.now.Add(2 * time.Minute)
	if got := g.ask(t, "GET", "/session", "", cookie).want(t, 200).header.Values("Set-Cookie"); len(got) != 0 {
		t.Errorf("two minutes later, where the row does not slide either: %q", got)
	}
	g.now = g.now.Add(38 * time.Minute)
	if got := g.ask(t, "POST", "/session", "", cookie).want(t, 200).header.Values("Set-Cookie"); len(got) != 0 {
		t.Errorf("on the answer to a POST: %q", got)
	}
	g.now = g.now.Add(10 * time.Minute)
	got := g.ask(t, "GET", "/session", "", cookie).want(t, 200).header.Values("Set-Cookie")
	if want := cookie.value + "; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax"; len(got) != 1 || got[0] != want {
		t.Errorf("fifty minutes later: %q, want %q", got, want)
	}
	for g.now.Before(s.Until.Add(-20 * time.Minute)) {
		g.now = g.now.Add(20 * time.Minute)
		got = g.ask(t, "GET", "/session", "", cookie).want(t, 200).header.Values("Set-Cookie")
	}
	left := int(s.Until.Sub(g.now).Seconds())
	if len(got) != 1 || !strings.Contains(got[0], "Max-Age="+strconv.Itoa(left)+";") {
		t.Errorf("%d seconds before the absolute end: %q", left, got)
	}
	g.now = s.Until
	g.ask(t, "GET", "/session", "", cookie, header{"Accept", "application/json"}).want(t, 401)
}
