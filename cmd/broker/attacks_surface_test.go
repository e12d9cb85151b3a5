package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
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
	"example.com/broker/users"
)

// raw sends a request to the broker byte by byte and returns the status line.
func (w *world) raw(request string) string {
	w.Helper()
	u, err := url.Parse(w.issuer)
	if err != nil {
		w.Fatal(err)
	}
	c, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(w.Context(), "tcp", u.Host)
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		return "broken off"
	}
	b := make([]byte, 64)
	n, _ := c.Read(b)
	line, _, _ := strings.Cut(string(b[:n]), "\r\n")
	return line
}

func attacksOnTheSurface() []attack {
	return []attack{
		{ID: "L03", Kind: "T", Rule: "no page can be framed or injected into, and every answer has the headers it needs", Run: func(t *testing.T, w *world) {
			s, third := w.signIn("spa", ""), w.app("third", "")
			pages := map[string]page{
				"sign-in": w.browser().open(third.authorizeURL()), "own sign-in": w.browser().open("/login"), "register": w.browser().open("/register"), "consent": s.open(third.authorizeURL()),
				"dashboard": s.open("/dashboard"), "sign-out": s.open("/end_session"), "error": w.browser().open("/callback/google?state=x"), "not found": w.browser().open("/nothing"),
				"form_post": s.open(s.app.authorizeURL("response_mode", "form_post")), "interstitial": w.browser().open(third.authorizeURL("scope", "x")),
				"method": w.browser().do(http.MethodPost, w.issuer+"/dashboard", url.Values{}), "forbidden": w.browser().do(http.MethodPut, w.issuer+"/login", url.Values{}),
			}
			for what, p := range pages {
				h := p.Header
				csp := h.Get("Content-Security-Policy")
				for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} {
					if !strings.Contains(csp, want) {
						t.Errorf("%s: the CSP %q lacks %s", what, csp, want)
					}
				}
				for _, never := range []string{"unsafe-inline", "unsafe-eval", "http:", "https:", " *", "data:"} {
					if strings.Contains(csp, never) {
						t.Errorf("%s: the CSP %q holds %s", what, csp, never)
					}
				}
				want := map[string]string{"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}
				for name, value := range want {
					if h.Get(name) != value {
						t.Errorf("%s: %s is %q, want %q", what, name, h.Get(name), value)
					}
				}
				for _, name := range []string{"Permissions-Policy", "Cross-Origin-Opener-Policy", "Cross-Origin-Resource-Policy", "X-Request-Id"} {
					if h.Get(name) == "" {
						t.Errorf("%s: no %s", what, name)
					}
				}
				for _, name := range []string{"Server", "X-Powered-By", "Access-Control-Allow-Origin"} {
					if h.Get(name) != "" {
						t.Errorf("%s: %s is %q", what, name, h.Get(name))
					}
				}
				if strings.HasPrefix(w.issuer, "https://") != (h.Get("Strict-Transport-Security") != "") {
					t.Errorf("%s: Strict-Transport-Security is %q", what, h.Get("Strict-Transport-Security"))
				}
				for _, asset := range []string{`src="http`, `src="//`, `<link rel="stylesheet" href="http`, "<style", " onclick=", " style=", "javascript:"} {
					if strings.Contains(p.body, asset) {
						t.Errorf("%s holds %s", what, asset)
					}
				}
			}
			if csp := pages["dashboard"].Header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self'") {
				t.Errorf("a page whose forms stay here lets them go: %s", csp)
			}
		}},
		{ID: "L04", Kind: "T", Rule: "every protocol answer may be stored by nobody", Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			for what, r := range map[string]reply{
				"token": s.tokens, "refused": w.post("/token", nil), "userinfo": w.userinfo(s.access()), "me": w.get("/me", "Authorization", s.bearer()), "401": w.get("/me"),
				"introspect": w.post("/introspect", url.Values{"token": {s.access()}}, "Authorization", basicHeader("service", serviceSecret)),
			} {
				if r.Header.Get("Cache-Control") != "no-store" || r.Header.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(r.Header.Get("Content-Type"), "json") {
					t.Errorf("%s: %v", what, r.Header)
				}
			}
			if s.tokens.Header.Get("Pragma") != "no-cache" {
				t.Error("the token answer lacks Pragma: no-cache (RFC 6749 §5.1)")
			}
		}},
		{ID: "L05", Kind: "T", Rule: "CORS is for registered origins, at the routes that scripts need, never with credentials", Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			const registered, foreign = "https://app.example.com", "https://evil.example"
			preflight := func(path, method, origin string) reply {
				return w.call(http.MethodOptions, path, "", "", "Origin", origin, "Access-Control-Request-Method", method, "Access-Control-Request-Headers", "authorization,content-type")
			}
			for path, method := range map[string]string{"/token": "POST", "/userinfo": "GET", "/revoke": "POST", "/refresh": "POST", "/me": "GET"} {
				r := preflight(path, method, registered)
				if r.StatusCode != http.StatusNoContent || r.Header.Get("Access-Control-Allow-Origin") != registered || !strings.Contains(r.Header.Get("Access-Control-Allow-Methods"), method) || r.Header.Get("Access-Control-Allow-Credentials") != "" {
					t.Errorf("the preflight of %s answered %d %v", path, r.StatusCode, r.Header)
				}
				if !strings.Contains(strings.Join(r.Header.Values("Vary"), ","), "Origin") {
					t.Errorf("the preflight of %s lacks Vary: Origin", path)
				}
				for _, origin := range []string{foreign, "null", "https://app.example.com.evil.example", "https://app.example.com:8443", "http://app.example.com", "https://APP.example.com", registered + "/"} {
					if r := preflight(path, method, origin); r.Header.Get("Access-Control-Allow-Origin") != "" {
						t.Errorf("the preflight of %s lets %s in", path, origin)
					}
				}
			}
			for _, path := range []string{"/authorize", "/login", "/dashboard", "/introspect", "/end_session", "/callback/google", "/register"} {
				for _, origin := range []string{registered, foreign, "null"} {
					for _, r := range []reply{preflight(path, "POST", origin), w.get(path, "Origin", origin)} {
						if got := r.Header.Get("Access-Control-Allow-Origin"); got != "" {
							t.Errorf("%s answers %s with %q", path, origin, got)
						}
					}
				}
			}
			// The answer itself: to the origin of the very client that asks.
			if r := w.get("/userinfo", "Authorization", s.bearer(), "Origin", registered); r.Header.Get("Access-Control-Allow-Origin") != registered {
				t.Errorf("userinfo answers its client's origin with %q", r.Header.Get("Access-Control-Allow-Origin"))
			}
			if r := w.get("/userinfo", "Authorization", s.bearer(), "Origin", foreign); r.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("userinfo answers a foreign origin with %q", r.Header.Get("Access-Control-Allow-Origin"))
			}
			other := w.signIn("web", webSecret)
			if r := w.get("/userinfo", "Authorization", other.bearer(), "Origin", registered); r.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("userinfo lets the origin of one client read about a token of another: %q", r.Header.Get("Access-Control-Allow-Origin"))
			}
			r := w.post("/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {"spa"}, "refresh_token": {s.refresh()}}, "Origin", registered)
			if r.StatusCode != http.StatusOK || r.Header.Get("Access-Control-Allow-Origin") != registered {
				t.Errorf("refreshing from the app's page answered %d with %q", r.StatusCode, r.Header.Get("Access-Control-Allow-Origin"))
			}
			if r := w.post("/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {"spa"}, "refresh_token": {"x"}}, "Origin", registered); r.Header.Get("Access-Control-Allow-Origin") != registered {
				t.Errorf("a page cannot read why its refresh failed: %v", r.Header)
			}
			if r := w.get("/userinfo", "Authorization", "Bearer x", "Origin", registered); r.Header.Get("Access-Control-Allow-Origin") != registered {
				t.Errorf("a page cannot read why its token was refused: %v", r.Header)
			}
			for _, path := range []string{"/jwks", "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"} {
				if r := w.get(path, "Origin", foreign); r.Header.Get("Access-Control-Allow-Origin") != "*" || r.Header.Get("Access-Control-Allow-Credentials") != "" {
					t.Errorf("%s is not for everybody: %v", path, r.Header)
				}
			}
			// Enormous headers of a preflight cost nothing (CVE-2025-47908).
			w.call(http.MethodOptions, "/token", "", "", "Origin", registered, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", strings.Repeat(",", 20000))
		}},
		{ID: "L08", Kind: "T", Rule: "nobody writes lines of their own into the log", Run: func(t *testing.T, w *world) {
			const evil = "\r\n{\"level\":\"INFO\",\"msg\":\"forged\"}\x1b[31m"
			w.passwordGrant("name"+evil, "wrong")
			w.login("name"+evil, "wrong")
			w.post("/token", url.Values{"grant_type": {"x" + evil}, "client_id": {"id" + evil}})
			w.get("/authorize?client_id="+url.QueryEscape("id"+evil)+"&redirect_uri=x", "User-Agent", `agent "} {"msg":"forged"`)
			w.get("/nothing"+url.PathEscape(evil), "Referer", "x")
			w.browser().open("/callback/google?state=x&error=" + url.QueryEscape(evil))
			w.call("EVIL", "/login", "", "")
			for _, line := range strings.Split(strings.TrimSpace(w.logs.String()), "\n") {
				var entry map[string]any
				if err := json.Unmarshal([]byte(line), &entry); err != nil {
					t.Fatalf("a line of the log is no entry: %q", line)
				}
				if entry["msg"] == "forged" || strings.Contains(line, "\x1b") {
					t.Errorf("a forged line: %q", line)
				}
			}
		}},
		{ID: "L08", Kind: "T", Rule: "a token in the address is refused, and never logged", Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			for _, path := range []string{"/userinfo", "/me", "/dashboard"} {
				for _, name := range []string{"access_token", "token", "bearer"} {
					r := w.get(path+"?"+name+"="+url.QueryEscape(s.access()), "Accept", "application/json")
					if r.StatusCode != http.StatusUnauthorized && r.StatusCode != http.StatusBadRequest {
						t.Errorf("%s?%s answered %d", path, name, r.StatusCode)
					}
				}
			}
			r := w.get("/userinfo?access_token="+url.QueryEscape(s.access()), "Authorization", s.bearer())
			if r.StatusCode != http.StatusOK && r.StatusCode != http.StatusBadRequest {
				t.Errorf("beside a good header it answered %d", r.StatusCode)
			}
			// In a form it is fine, but not twice (RFC 6750 §2.2).
			if r := w.post("/userinfo", url.Values{"access_token": {s.access()}}); r.StatusCode != http.StatusOK {
				t.Errorf("in the form it answered %d", r.StatusCode)
			}
			if r := w.post("/userinfo", url.Values{"access_token": {s.access()}}, "Authorization", s.bearer()); r.StatusCode != http.StatusBadRequest {
				t.Errorf("in form and header it answered %d", r.StatusCode)
			}
			if r := w.get("/me", "Authorization", "Bearer"); r.StatusCode != http.StatusBadRequest && r.StatusCode != http.StatusUnauthorized {
				t.Errorf("an empty header answered %d", r.StatusCode)
			}
		}},
		{ID: "N02", Kind: "T", Rule: "a body that is too large is refused before it is read, and JSON is taken strictly", Run: func(t *testing.T, w *world) {
			alice := w.person("alice")
			large := url.Values{"grant_type": {"client_credentials"}, "x": {strings.Repeat("a", 70_000)}}
			for _, path := range []string{"/token", "/introspect", "/revoke", "/userinfo", "/authorize", "/end_session", "/login", "/register"} {
				if r := w.post(path, large); r.StatusCode != http.StatusRequestEntityTooLarge {
					t.Errorf("%s answered %d to 70 KB", path, r.StatusCode)
				}
				// Without a length the limit holds as well.
				body := func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(large.Encode())), nil }
				chunks, _ := body()
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.issuer+path, chunks)
				if err != nil {
					t.Fatal(err)
				}
				req.GetBody = body // the answer before this one may have closed the connection
				req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				resp, err := w.transport.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if resp.StatusCode != http.StatusRequestEntityTooLarge {
					t.Errorf("%s answered %d to 70 KB in chunks", path, resp.StatusCode)
				}
			}
			good := `{"username":"` + alice.Username + `","password":"` + w.password + `"`
			for what, body := range map[string]string{
				"depth of 10000":   good + `,"x":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + "}",
				"many members":     good + strings.Repeat(`,"a":1`, 5_000) + "}",
				"duplicate":        good + `,"username":"` + alice.Username + `"}`,
				"case-folded":      `{"Username":"` + alice.Username + `","PASSWORD":"` + w.password + `"}`,
				"case-folded too":  good + `,"USERNAME":"root"}`,
				"trailing data":    good + `}{"username":"root"}`,
				"an array":         "[" + good + "}]",
				"a number as name": `{"username":1,"password":"x"}`,
				"null":             "null",
				"not UTF-8":        "{\"username\":\"\xff\",\"password\":\"x\"}",
				"cut off":          good,
				"empty":            "",
			} {
				r := w.call(http.MethodPost, "/login", "application/json", body)
				if r.StatusCode != http.StatusBadRequest || sessionOf(r.Response) != "" {
					t.Errorf("%s answered %d %s", what, r.StatusCode, r.raw)
				}
			}
			for what, body := range map[string]string{"duplicate": `{"refresh_token":"a","refresh_token":"b"}`, "case-folded": `{"Refresh_Token":"a"}`} {
				if r := w.call(http.MethodPost, "/refresh", "application/json", body); r.StatusCode != http.StatusBadRequest || r.str("error") == "invalid_grant" {
					t.Errorf("/refresh: %s answered %d %s", what, r.StatusCode, r.raw)
				}
			}
			// Unrecognized members are ignored (RFC 6749 §3.2), whatever they would like to be.
			for what, member := range map[string]string{"roles": `"roles":["admin"]`, "a huge number": `"x":1e999999`, "sub": `"sub":{"id":"root"}`} {
				r := w.call(http.MethodPost, "/login", "application/json", good+","+member+"}")
				if r.StatusCode != http.StatusOK || r.str("sub") != alice.ID {
					t.Errorf("%s answered %d %s", what, r.StatusCode, r.raw)
				}
			}
			w.call(http.MethodPost, "/refresh", "application/json", `{"refresh_token":"a","grant_type":"password","username":"`+alice.Username+`","password":"`+w.password+`"}`).
				fails(t, http.StatusBadRequest, "invalid_grant")
			// A kind of body that is not read is 415, as a page or as JSON.
			for _, kind := range []string{"text/plain", "multipart/form-data; boundary=x", "", "application/jsonx", "application/x-www-form-urlencoded2"} {
				r := w.call(http.MethodPost, "/login", kind, good+"}", "Accept", "application/json")
				if r.StatusCode != http.StatusUnsupportedMediaType || r.str("code") != "media_type" || r.Header.Get("Content-Type") != "application/problem+json" {
					t.Errorf("%q for JSON answered %d %s", kind, r.StatusCode, r.raw)
				}
				r = w.call(http.MethodPost, "/login", kind, good+"}", "Accept", "text/html")
				if r.StatusCode != http.StatusUnsupportedMediaType || !strings.Contains(r.raw, "media_type") || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/html") || sessionOf(r.Response) != "" {
					t.Errorf("%q for a browser answered %d %s", kind, r.StatusCode, r.raw)
				}
			}
		}},
		{ID: "N03", Kind: "T", Rule: "requests that are no HTTP are turned away", Here: "speaks plain text to the port", Run: func(t *testing.T, w *world) {
			host := strings.TrimPrefix(w.issuer, "http://")
			for what, request := range map[string]string{
				"two lengths":         "POST /token HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
				"length and chunks":   "POST /token HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 5\r\nTransfer-Encoding: xchunked\r\n\r\nabcdef",
				"no host":             "GET /login HTTP/1.1\r\n\r\n",
				"two hosts":           "GET /login HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
				"a header of 40 KB":   "GET /login HTTP/1.1\r\nHost: " + host + "\r\nX: " + strings.Repeat("a", 40<<10) + "\r\n\r\n",
				"a line break in one": "GET /login HTTP/1.1\r\nHost: " + host + "\r\nX: a\nSet-Cookie\r\n\r\n",
			} {
				if line := w.raw(request); !strings.Contains(line, " 400") && !strings.Contains(line, " 431") && !strings.Contains(line, " 501") {
					t.Errorf("%s was answered %q", what, line)
				}
			}
		}},
		{ID: "N05", Kind: "C", Rule: "starting sign-ins writes nothing", Here: needsStore, Run: func(t *testing.T, w *world) {
			w.store.spent()
			for range 100 {
				b := w.browser()
				to := b.away(b.open(w.app("spa", "").authorizeURL()), "provider-github")
				_ = to
			}
			if reads, writes := w.store.spent(); len(writes) > 0 || len(reads) > 0 {
				t.Errorf("a hundred starts cost the reads %v and the writes %v", reads, writes)
			}
			// A browser keeps three flows at most, each small.
			b := w.browser()
			p := b.open("/login")
			for range 6 {
				b.away(p, "provider-github")
			}
			flows := 0
			for _, c := range b.cookies() {
				if strings.Contains(c.Name, "broker_flow_") {
					flows++
					if len(c.Value) > 2048 {
						t.Errorf("a flow cookie has %d bytes", len(c.Value))
					}
				}
			}
			if flows > 3 {
				t.Errorf("%d flow cookies", flows)
			}
		}},
	}
}

func attacksOnTheStore() []attack {
	return []attack{
		{ID: "O02", Kind: "C", Rule: "of twenty that create one name, address, id or client, one does", Here: needsStore, Run: func(t *testing.T, w *world) {
			won := func(what string, errs []error) {
				t.Helper()
				n := 0
				for _, err := range errs {
					switch {
					case err == nil:
						n++
					case !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.Unavailable):
						t.Errorf("%s: %v", what, err)
					}
				}
				if n != 1 {
					t.Errorf("%s: %d of %d were created, want 1", what, n, len(errs))
				}
			}
			unique := strconv.FormatInt(w.people.Add(1), 10)
			hash := "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI"
			won("one login name", raceOf(20, func(i int) error {
				_, err := w.users.Create(t.Context(), users.NewUser{Username: "Same" + unique, PasswordHash: hash})
				return err
			}))
			won("one address", raceOf(20, func(i int) error {
				_, err := w.users.Create(t.Context(), users.NewUser{Email: "same" + unique + "@example.net", Claimable: true})
				return err
			}))
			won("one id", raceOf(20, func(i int) error {
				_, err := w.users.Create(t.Context(), users.NewUser{ID: "imported-" + unique, Username: fmt.Sprintf("import%d-%s", i, unique), PasswordHash: hash})
				return err
			}))
			won("one client", raceOf(20, func(i int) error {
				_, _, err := w.clients.Create(t.Context(), clients.Client{ID: "same" + unique, AuthMethod: oauth.AuthNone, GrantTypes: []string{oauth.GrantAuthorizationCode}, RedirectURIs: []string{appRedirect}})
				return err
			}))
		}},
		{ID: "O05", Kind: "F", Rule: "a store that is away is 503 at each step, and nobody comes in", Here: needsStore, Alone: alone, Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "", "scope", "openid offline_access")
			code := s.app.code(s.open(s.app.authorizeURL()))
			b := w.browser()
			back := b.atUpstream(w.app("spa", ""), "github", "octavia")
			unavailable := func(what string, status int, retry string) {
				t.Helper()
				if status != http.StatusServiceUnavailable || retry == "" {
					t.Errorf("%s answered %d with Retry-After %q, want 503", what, status, retry)
				}
			}
			sessions := w.ledger.opened()
			w.store.breakDown(func(call string) bool { return call != "changes.Read" && call != "audit.Append" })
			r := s.app.redeem(code)
			unavailable("redeeming", r.StatusCode, r.Header.Get("Retry-After"))
			r = s.app.refresh(s.refresh())
			unavailable("refreshing", r.StatusCode, r.Header.Get("Retry-After"))
			r = w.passwordGrant(s.who.Username, w.password)
			unavailable("the password grant", r.StatusCode, r.Header.Get("Retry-After"))
			r = w.login(s.who.Username, w.password)
			unavailable("the form", r.StatusCode, r.Header.Get("Retry-After"))
			r = s.me()
			unavailable("the dashboard", r.StatusCode, r.Header.Get("Retry-After"))
			p := b.open(back.String())
			unavailable("the callback", p.StatusCode, p.Header.Get("Retry-After"))
			r = w.post("/revoke", url.Values{"token": {s.access()}, "client_id": {"spa"}})
			unavailable("revoking", r.StatusCode, r.Header.Get("Retry-After"))
			p = s.open(s.app.authorizeURL())
			if p.StatusCode == http.StatusSeeOther {
				if q := s.app.answer(p); q.Has("code") {
					t.Error("a code was given out without a store")
				}
			}
			for _, path := range []string{"/jwks", "/.well-known/openid-configuration"} {
				if r := w.get(path); r.StatusCode != http.StatusOK {
					t.Errorf("%s answers %d", path, r.StatusCode)
				}
			}
			if w.ledger.opened() > sessions {
				t.Error("a session was opened without a store")
			}
			w.store.repair()
			if r := s.app.refresh(s.refresh()); r.StatusCode != http.StatusOK {
				t.Errorf("afterwards refreshing answered %d %s", r.StatusCode, r.raw)
			}
			if r := s.app.redeem(code); r.StatusCode != http.StatusOK {
				t.Errorf("afterwards redeeming answered %d %s", r.StatusCode, r.raw)
			}
		}},
		{ID: "O05", Kind: "F", Rule: "each single failure on the way of a sign-in ends in an error and no session, and the way is clear again after it", Here: needsStore, Alone: alone, Run: func(t *testing.T, w *world) {
			for _, call := range []string{
				"once.Mark", "users.Holder", "users.Get", "users.Create", "sessions.Insert", "grants.Insert", "grants.Redeem", "sessions.Get",
			} {
				who, _ := w.somebody()
				a, b := w.app("spa", ""), w.browser()
				back := b.atUpstream(a, "github", who)
				w.store.breakDown(func(c string) bool { return c == call })
				p := b.open(back.String())
				tokens := ""
				if to, err := p.Location(); err == nil && to.Query().Has("code") {
					tokens = a.redeem(to.Query().Get("code")).str("access_token")
				}
				w.store.repair()
				if tokens != "" && call != "sessions.Get" {
					t.Errorf("%s failed, and tokens were given out", call)
				}
				if p.StatusCode >= 500 && p.StatusCode != http.StatusServiceUnavailable {
					t.Errorf("%s failed: %d %s", call, p.StatusCode, p.brief())
				}
				a = w.app("spa", "")
				if r := a.redeem(a.code(w.browser().signInBy(a, "github", who))); r.StatusCode != http.StatusOK {
					t.Errorf("after %s failed once, the person gets %d %s", call, r.StatusCode, r.raw)
				}
			}
		}},
		{ID: "O05", Kind: "F", Rule: "what was revoked is asked, or the answer is 503; never an old no", Here: needsClock, Alone: alone, Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			w.store.breakDown(func(call string) bool { return call == "changes.Read" })
			w.clock.advance(11 * time.Second)
			for what, r := range map[string]reply{
				"userinfo": w.userinfo(s.access()), "me": w.get("/me", "Authorization", s.bearer()), "refresh": s.app.refresh(s.refresh()), "dashboard": s.me(),
				"introspect": w.post("/introspect", url.Values{"token": {s.access()}}, "Authorization", basicHeader("service", serviceSecret)),
			} {
				if r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" {
					t.Errorf("%s answered %d with Retry-After %q, want 503: %s", what, r.StatusCode, r.Header.Get("Retry-After"), r.raw)
				}
			}
			if r := w.get("/jwks"); r.StatusCode != http.StatusOK {
				t.Errorf("the JWKS answers %d", r.StatusCode)
			}
			w.store.repair()
			w.poll()
			w.alive("afterwards the token", s.access())
		}},
		{ID: "O06", Kind: "F", Rule: "a revocation whose row could not be written holds, and is completed by asking again", Here: needsStore, Alone: alone, Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			w.store.breakDown(func(call string) bool {
				return call == "grants.Kill" || call == "sessions.Delete" || call == "users.Replace"
			})
			r := w.post("/revoke", url.Values{"token": {s.refresh()}, "client_id": {"spa"}})
			if r.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("revoking answered %d", r.StatusCode)
			}
			w.dead("the access token of a family half killed", s.access())
			w.store.repair()
			s.app.refresh(s.refresh()).fails(t, http.StatusBadRequest, "invalid_grant")
			if r := w.post("/revoke", url.Values{"token": {s.refresh()}, "client_id": {"spa"}}); r.StatusCode != http.StatusOK {
				t.Errorf("revoking again answered %d", r.StatusCode)
			}
			s = w.signIn("spa", "")
			old := *s.sessionCookie()
			w.store.breakDown(func(call string) bool { return call == "sessions.Delete" })
			s.do(http.MethodPost, w.issuer+"/logout", url.Values{})
			w.store.repair()
			if r := w.holding(old.Name, old.Value).me(); r.StatusCode != http.StatusUnauthorized {
				t.Errorf("a session half ended answers %d", r.StatusCode)
			}
			w.dead("its token", s.access())
		}},
		{ID: "O09", Kind: "F", Rule: "a clock that jumps revives nothing", Here: needsClock, Alone: alone, Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "", "scope", "openid offline_access")
			revoked := s.app.redeem(s.app.code(s.open(s.app.authorizeURL())))
			w.post("/revoke", url.Values{"token": {revoked.str("access_token")}, "client_id": {"spa"}})
			code := s.app.code(s.open(s.app.authorizeURL()))
			for _, jump := range []time.Duration{time.Hour, -time.Hour, -time.Hour, 90 * time.Second} {
				w.clock.advance(jump)
				w.poll()
				w.dead("a revoked token", revoked.str("access_token"))
				if jump > 0 {
					s.app.redeem(code).fails(t, http.StatusBadRequest, "invalid_grant")
				}
			}
			s.app.redeem(code).fails(t, http.StatusBadRequest, "invalid_grant")
		}},
		{ID: "O09", Kind: "F", Rule: "replicas ninety seconds apart share codes, tokens and revocations", Here: needsTwo, Alone: alone, Run: func(t *testing.T, w *world) {
			behind := &clock{}
			behind.advance(-90 * time.Second)
			real := w.clock
			w.clock = behind
			second := w.replica()
			w.clock = real
			if w.kind == "sqlite" {
				return
			}
			a, code, _ := w.coded("spa", "")
			b := *a
			b.world = second
			r := b.redeem(code)
			if r.StatusCode != http.StatusOK {
				t.Fatalf("a code of the other replica got %d %s", r.StatusCode, r.raw)
			}
			if again := a.refresh(r.str("refresh_token")); again.StatusCode != http.StatusOK {
				t.Errorf("a token of the replica behind got %d %s", again.StatusCode, again.raw)
			}
			a.redeem(code).fails(t, http.StatusBadRequest, "invalid_grant")
		}},
		{ID: "O10", Kind: "T", Rule: "what is unsafe does not start, and every reason is told at once", Here: needsConfig, Run: func(t *testing.T, w *world) {
			safe := func() config.Config {
				c := w.cfg
				c.Issuer = "https://broker.example.com"
				return c
			}
			if config.Failed(config.Validate(safe(), false)) {
				t.Logf("the world's configuration, served: %v", config.Validate(safe(), false))
			}
			for what, edit := range map[string]func(*config.Config){
				"no issuer": func(c *config.Config) { c.Issuer = "" }, "http issuer": func(c *config.Config) { c.Issuer = "http://broker.example.com" },
				"issuer with a query": func(c *config.Config) { c.Issuer += "?x" }, "issuer with a fragment": func(c *config.Config) { c.Issuer += "#x" }, "issuer with a user": func(c *config.Config) { c.Issuer = "https://u@broker.example.com" },
				"no encryption key": func(c *config.Config) { c.Keys.Encryption = nil }, "short encryption key": func(c *config.Config) { c.Keys.Encryption = []string{"c2hvcnQ="} },
				"everybody is a proxy": func(c *config.Config) { c.TrustedProxies = []string{"0.0.0.0/0"} }, "everybody is a proxy by IPv6": func(c *config.Config) { c.TrustedProxies = []string{"::/0"} },
				"an API without audience": func(c *config.Config) { c.APIs = map[string]config.API{"x": {}} }, "an audience that is the issuer": func(c *config.Config) { c.APIs = map[string]config.API{"x": {Audience: c.Issuer}} },
				"two APIs of one audience": func(c *config.Config) {
					c.APIs = map[string]config.API{"x": {Audience: ordersAPI}, "y": {Audience: ordersAPI}}
				},
				"a short client secret": func(c *config.Config) {
					c.Clients = map[string]config.Client{"x": {Secret: "short", RedirectURIs: []string{appRedirect}}}
				},
				"a reuse interval of an hour": func(c *config.Config) { c.Tokens.ReuseInterval = time.Hour }, "a token of no life": func(c *config.Config) { c.Tokens.AccessTTL = 0 },
				"a token of a year": func(c *config.Config) { c.Tokens.AccessTTL = 365 * 24 * time.Hour }, "password of seven": func(c *config.Config) { c.Password.MinLength = 7 },
			} {
				c := safe()
				before := len(config.Validate(c, false))
				edit(&c)
				if got := config.Validate(c, false); !config.Failed(got) || len(got) <= before {
					t.Errorf("%s is accepted", what)
				}
			}
		}},
		{ID: "O10", Kind: "T", Rule: "a client that is in file and store, or another encryption key, stops the start", Here: needsConfig, Alone: alone, Run: func(t *testing.T, w *world) {
			if _, _, err := w.clients.Create(t.Context(), clients.Client{ID: "stored", AuthMethod: oauth.AuthNone, GrantTypes: []string{oauth.GrantAuthorizationCode}, RedirectURIs: []string{appRedirect}}); err != nil {
				t.Fatal(err)
			}
			w.stop()
			start := func(edit func(*config.Config)) error {
				cfg := w.cfg
				edit(&cfg)
				p, err := newProgram(context.WithoutCancel(t.Context()), cfg, options{log: slog.New(slog.NewJSONHandler(&bytes.Buffer{}, nil)), now: w.clock.now, dev: true})
				if err == nil {
					_ = p.stores.Close()
				}
				return err
			}
			if err := start(func(c *config.Config) {
				c.Clients = map[string]config.Client{"stored": {RedirectURIs: []string{appRedirect}}}
				c.Password.DefaultClient = ""
			}); err == nil || !strings.Contains(err.Error(), "stored") {
				t.Errorf("a client that is in both starts: %v", err)
			}
			if err := start(func(c *config.Config) { c.Keys.Encryption = []string{"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="} }); err == nil {
				t.Error("another encryption key starts, and would sign by keys it cannot open")
			}
			if err := start(func(*config.Config) {}); err != nil {
				t.Errorf("the same configuration does not start again: %v", err)
			}
		}},
		{ID: "O11", Kind: "T", Rule: "a store keeps hashes and sealed values only", Here: needsStore, Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			g, err := w.stores.Grants.GetGrant(t.Context(), claims(t, s.access())["gid"].(string))
			if err != nil {
				t.Fatal(err)
			}
			x, err := w.stores.Sessions.GetSession(t.Context(), claims(t, s.access())["sid"].(string))
			if err != nil {
				t.Fatal(err)
			}
			stored := fmt.Sprintf("%+v %+v", g, x)
			parts := strings.Split(s.refresh(), ".")
			for what, secret := range map[string]string{"the anchor": parts[1], "the refresh secret": parts[2], "the session secret": s.sessionCookie().Value[37:]} {
				if strings.Contains(stored, secret) {
					t.Errorf("%s is stored in the clear", what)
				}
			}
		}},
	}
}
