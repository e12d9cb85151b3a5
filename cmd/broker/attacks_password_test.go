package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/config"
	"example.com/broker/internal/secret"
)

// login posts a name and a password as JSON, as a first-party front end does.
func (w *world) login(name, password string, header ...string) reply {
	w.Helper()
	body := string(asJSON(w, map[string]string{"username": name, "password": password}))
	return w.call(http.MethodPost, "/login", "application/json", body, header...)
}

// grant asks for tokens by the password grant.
func (w *world) passwordGrant(name, password string, header ...string) reply {
	w.Helper()
	return w.post("/token", url.Values{"grant_type": {"password"}, "username": {name}, "password": {password}}, header...)
}

// limited demands 429 with Retry-After.
func (r reply) limited(t testing.TB) {
	t.Helper()
	after, err := strconv.Atoi(r.Header.Get("Retry-After"))
	if r.StatusCode != http.StatusTooManyRequests || err != nil || after < 1 || after > 900 {
		t.Errorf("%s answered %d with Retry-After %q, want 429: %s", r.Request.URL.Path, r.StatusCode, r.Header.Get("Retry-After"), r.raw)
	}
}

func attacksOnPasswords() []attack {
	return []attack{
		{ID: "H01", Kind: "S", Rule: "a wrong password, an unknown name, and an account without a password are answered alike", Alone: alone, Run: func(t *testing.T, w *world) {
			alice := w.person("alice")
			who, address := w.somebody()
			w.subject("google", who) // an account without a password
			off := w.person("bob")
			w.operator.disable(w, off.ID)
			names := map[string]string{"known": alice.Username, "known address": alice.Email, "unknown": "nobody-at-all", "unknown address": "nobody@example.net", "federated only": address, "disabled": off.Username}
			vary := regexp.MustCompile(`"request_id":"[^"]*"|name="tx" value="[^"]*"|tx=[^"&]*|value="[^"]*"|<code id="request-id">[^<]*`)
			var first string
			for what, name := range names {
				j := w.login(name, "a wrong password of nobody")
				b := w.browser()
				p := b.submit(b.open("/login"), "signin-form", url.Values{"username": {name}, "password": {"a wrong password of nobody"}})
				g := w.passwordGrant(name, "a wrong password of nobody")
				said := fmt.Sprintf("%d %s\n%d %s\n%d %s", j.StatusCode, vary.ReplaceAllString(j.raw, ""), p.StatusCode, vary.ReplaceAllString(p.body, ""), g.StatusCode, g.raw)
				said += shape(j.Header) + shape(p.Header) + shape(g.Header)
				if first == "" {
					first = said
				}
				if diff := cmp.Diff(first, said); diff != "" {
					t.Errorf("%s is told apart:\n%s", what, diff)
				}
			}
		}},
		{ID: "H03", Kind: "T", Rule: "ten wrong passwords lock the account's door, however its name is spelt", Alone: alone, Run: func(t *testing.T, w *world) {
			alice := w.person("alice")
			spellings := []string{alice.Username, strings.ToUpper(alice.Username), " " + alice.Username, alice.Username + " ", alice.Email, strings.ToUpper(alice.Email)}
			for i := range 10 {
				if r := w.login(spellings[i%len(spellings)], "wrong password number "+strconv.Itoa(i)); r.StatusCode != http.StatusUnauthorized {
					t.Fatalf("attempt %d answered %d %s", i+1, r.StatusCode, r.raw)
				}
			}
			for _, name := range spellings {
				w.login(name, "wrong password once more").limited(t)
				w.login(name, w.password).limited(t)
				w.passwordGrant(name, w.password).limited(t)
			}
			// A forwarded address from anybody does not help.
			w.login(alice.Username, w.password, "X-Forwarded-For", "203.0.113.9").limited(t)
			w.login(alice.Username, w.password, "Forwarded", "for=203.0.113.9").limited(t)
			// The page says so too, and when to come back.
			b := w.browser()
			p := b.submit(b.open("/login"), "signin-form", url.Values{"username": {alice.Username}, "password": {w.password}})
			if p.StatusCode != http.StatusTooManyRequests || p.Header.Get("Retry-After") == "" || p.session() != "" {
				t.Errorf("the page answered %d with Retry-After %q", p.StatusCode, p.Header.Get("Retry-After"))
			}
			// An unknown name is locked alike: being locked tells nothing.
			for range 10 {
				w.login("nobody-at-all", "wrong")
			}
			w.login("NOBODY-at-all ", "wrong").limited(t)
		}},
		{ID: "N05", Kind: "T", Rule: "one address that makes many accounts is stopped before it costs a hash", Alone: alone, Run: func(t *testing.T, w *world) {
			b := w.browser()
			try := func(i int) page {
				t.Helper()
				return b.submit(b.open("/register"), "register-form", url.Values{"username": {"mass-" + strconv.Itoa(i)}, "password": {w.password}})
			}
			w.register("mass-0", "")
			for i := 1; i < 20; i++ {
				if p := try(0); p.StatusCode != http.StatusConflict {
					t.Fatalf("a name that is taken, number %d: %d %s", i, p.StatusCode, p.brief())
				}
			}
			p := try(20)
			after, err := strconv.Atoi(p.Header.Get("Retry-After"))
			if p.StatusCode != http.StatusTooManyRequests || err != nil || after < 1 || after > 3600 || p.session() != "" {
				t.Errorf("answered %d with Retry-After %q: %s", p.StatusCode, p.Header.Get("Retry-After"), p.brief())
			}
			who, _ := w.somebody()
			w.subject("google", who) // other ways to an account are open
		}},
		{ID: "H03", Kind: "T", Rule: "one address that tries many accounts is stopped", Alone: alone, Run: func(t *testing.T, w *world) {
			for i := range 50 {
				if r := w.login("name"+strconv.Itoa(i), "Summer 2026 sunshine"); r.StatusCode != http.StatusUnauthorized {
					t.Fatalf("attempt %d answered %d", i+1, r.StatusCode)
				}
			}
			w.login("name51", "Summer 2026 sunshine").limited(t)
			w.passwordGrant("name52", "Summer 2026 sunshine").limited(t)
			alice := w.person("alice")
			w.login(alice.Username, w.password).limited(t)
		}},
		{ID: "H03", Kind: "T", Rule: "many addresses that try one account are stopped, and hopping within a network is one address", Here: needsConfig, Alone: []func(*config.Config){func(c *config.Config) {
			c.TrustedProxies = []string{"127.0.0.1", "::1"}
		}}, Run: func(t *testing.T, w *world) {
			alice := w.person("alice")
			for i := range 10 {
				if r := w.login(alice.Username, "wrong", "X-Forwarded-For", "203.0.113."+strconv.Itoa(i)); r.StatusCode != http.StatusUnauthorized {
					t.Fatalf("attempt %d answered %d", i+1, r.StatusCode)
				}
			}
			w.login(alice.Username, w.password, "X-Forwarded-For", "203.0.113.200").limited(t)
			for i := range 50 {
				// What is left of the last untrusted hop is hearsay.
				r := w.login("someone"+strconv.Itoa(i), "wrong", "X-Forwarded-For", fmt.Sprintf("198.51.100.%d, 2001:db8:1:2::%x", i, i+1))
				if r.StatusCode != http.StatusUnauthorized {
					t.Fatalf("attempt %d answered %d", i+1, r.StatusCode)
				}
			}
			w.login("someone", "wrong", "X-Forwarded-For", "2001:db8:1:2:ffff::1").limited(t)
			if r := w.login("someone", "wrong", "X-Forwarded-For", "2001:db8:1:3::1"); r.StatusCode != http.StatusUnauthorized {
				t.Errorf("the next network was answered %d", r.StatusCode)
			}
		}},
		{ID: "H03", Kind: "T", Rule: "a stranger does not switch the limit off by a header, nor counts for another", Here: needsPeer, Alone: alone, Run: func(t *testing.T, w *world) {
			try := func(peer string, i int, header string) int {
				body := strings.NewReader(fmt.Sprintf(`{"username":"name%s-%d","password":"Summer 2026 sunshine"}`, peer, i))
				r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/login", body)
				r.RemoteAddr = peer + ":4711"
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set(header, map[string]string{"X-Forwarded-For": fmt.Sprintf("198.51.100.%d", i), "Forwarded": fmt.Sprintf("for=198.51.100.%d", i)}[header])
				answer := httptest.NewRecorder()
				w.edge.ServeHTTP(answer, r)
				return answer.Code
			}
			for _, header := range []string{"X-Forwarded-For", "Forwarded"} {
				for i := range 25 {
					if code := try("203.0.113.7", i, header); code != http.StatusUnauthorized {
						t.Fatalf("attempt %d answered %d", i+1, code)
					}
				}
			}
			for _, header := range []string{"X-Forwarded-For", "Forwarded", "Accept-Language"} {
				if code := try("203.0.113.7", 51, header); code != http.StatusTooManyRequests {
					t.Errorf("the attempt after fifty, with %s, answered %d", header, code)
				}
			}
			// What looks like a proxy of ours that nobody has configured locks nobody out.
			for i := range 60 {
				if code := try("10.0.0.2", i, "X-Forwarded-For"); code != http.StatusUnauthorized {
					t.Fatalf("attempt %d by a proxy answered %d", i+1, code)
				}
			}
		}},
		{ID: "H03", Kind: "T", Rule: "a success never uses the limit up", Alone: alone, Run: func(t *testing.T, w *world) {
			alice := w.person("alice")
			for i := range 15 {
				if r := w.passwordGrant(alice.Username, w.password); r.StatusCode != http.StatusOK {
					t.Fatalf("sign-in %d answered %d %s", i+1, r.StatusCode, r.raw)
				}
			}
		}},
		{ID: "H03", Kind: "T", Rule: "the limit survives a restart and ends with its window", Here: needsClock, Alone: alone, Run: func(t *testing.T, w *world) {
			alice := w.person("alice")
			for range 10 {
				w.login(alice.Username, "wrong")
			}
			w.restart()
			w.login(alice.Username, w.password).limited(t)
			w.clock.advance(15*time.Minute + time.Second)
			w.poll()
			if r := w.login(alice.Username, w.password); r.StatusCode != http.StatusOK {
				t.Errorf("after the window %d %s", r.StatusCode, r.raw)
			}
		}},
		{ID: "H03", Kind: "T", Rule: "a hundred wrong passwords in a row close the door of the password and no other, until an admin opens it", Here: needsClock, Alone: alone, Run: func(t *testing.T, w *world) {
			admin, s := w.writer("ada", "admin"), w.signIn("spa", "")
			second := w.replica()
			spellings := []string{s.who.Username, strings.ToUpper(s.who.Email)}
			for i := range 100 {
				if i > 0 && i%10 == 0 {
					w.clock.advance(15*time.Minute + time.Second)
					w.poll()
					second.poll()
				}
				if i == 50 && w.kind == "sqlite" {
					w.restart()
					second = w
				}
				at := []*world{w, second}[i%2]
				for _, name := range []string{spellings[i/2%2], "nobody-at-all"} {
					if r := at.login(name, "wrong"); r.StatusCode != http.StatusUnauthorized {
						t.Fatalf("attempt %d answered %d %s", i+1, r.StatusCode, r.raw)
					}
				}
			}
			for range 2 {
				for _, at := range []*world{w, second} {
					for _, name := range append(spellings, "Nobody-at-all ") {
						r, g := at.login(name, w.password), at.passwordGrant(name, w.password)
						r.is(t, http.StatusTooManyRequests, "attempts_exhausted", "whoever looks after the accounts")
						g.fails(t, http.StatusTooManyRequests, "attempts_exhausted")
						for _, answer := range []reply{r, g} {
							if after, err := strconv.Atoi(answer.Header.Get("Retry-After")); err != nil || after < 364*24*3600 || after > 365*24*3600 {
								t.Errorf("Retry-After %q", answer.Header.Get("Retry-After"))
							}
						}
					}
				}
				w.clock.advance(15*time.Minute + time.Second)
				w.poll()
				second.poll()
			}
			b := w.browser()
			p := b.submit(b.open("/login"), "signin-form", url.Values{"username": {s.who.Username}, "password": {w.password}})
			if p.StatusCode != http.StatusTooManyRequests || !strings.Contains(p.body, "Ask help@example.com to set a new one") {
				t.Errorf("the page answered %d %s", p.StatusCode, p.brief())
			}
			// H05: no other door is closed.
			if r := s.app.refresh(s.refresh()); r.StatusCode != http.StatusOK {
				t.Errorf("refreshing answered %d %s", r.StatusCode, r.raw)
			}
			who, _ := w.somebody()
			w.subject("google", who)
			admin.token = w.passwordGrant(admin.who.Username, w.password).str("access_token")
			admin.ask(http.MethodPut, "/admin/api/users/"+s.who.ID+"/password", map[string]any{"password": "an entirely new phrase"}).is(t, http.StatusOK, "")
			if r := second.passwordGrant(s.who.Username, "an entirely new phrase"); r.StatusCode != http.StatusOK {
				t.Errorf("with the new password %d %s", r.StatusCode, r.raw)
			}
		}},
		{ID: "H04", Kind: "C", Rule: "two hundred wrong passwords at once are not two hundred guesses", Alone: alone, Run: func(t *testing.T, w *world) {
			alice := w.person("alice")
			guessed := 0
			for _, r := range raceOf(200, func(i int) reply { return w.login(alice.Username, "wrong password number "+strconv.Itoa(i)) }) {
				switch r.StatusCode {
				case http.StatusUnauthorized:
					guessed++
				case http.StatusTooManyRequests, http.StatusServiceUnavailable:
				default:
					t.Errorf("answered %d %s", r.StatusCode, r.raw)
				}
			}
			if guessed > 10 {
				t.Errorf("%d guesses were answered, want at most 10", guessed)
			}
		}},
		{ID: "H04", Kind: "C", Rule: "many who know the password may come at once", Alone: alone, Run: func(t *testing.T, w *world) {
			alice := w.person("alice")
			w.passwordGrant(alice.Username, "wrong").fails(t, http.StatusBadRequest, "invalid_grant")
			for _, r := range raceOf(40, func(int) reply { return w.passwordGrant(alice.Username, w.password) }) {
				if r.StatusCode != http.StatusOK && r.StatusCode != http.StatusServiceUnavailable {
					t.Errorf("answered %d %s", r.StatusCode, r.raw)
				}
			}
		}},
		{ID: "H05", Kind: "T", Rule: "locking somebody's password door locks them out of nothing else", Alone: alone, Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			who, address := w.somebody()
			federated := w.subject("google", who)
			for range 11 {
				w.login(s.who.Username, "wrong")
				w.login(address, "wrong")
			}
			w.login(s.who.Username, w.password).limited(t)
			w.alive("the access token", s.access())
			if r := s.app.refresh(s.refresh()); r.StatusCode != http.StatusOK {
				t.Errorf("refreshing answered %d %s", r.StatusCode, r.raw)
			}
			s.app.code(s.open(s.app.authorizeURL("prompt", "none")))
			if again := w.subject("google", who); again["sub"] != federated["sub"] {
				t.Errorf("the federated person came in as %v", again["sub"])
			}
		}},
		{ID: "H07", Kind: "C", Rule: "three hundred logins at once overflow into 503, and other routes stay awake", Alone: alone, Run: func(t *testing.T, w *world) {
			stop := make(chan struct{})
			slowest := make(chan time.Duration, 1)
			side := &http.Client{Transport: w.transport}
			go func() {
				var worst time.Duration
				for {
					select {
					case <-stop:
						slowest <- worst
						return
					default:
					}
					began := time.Now()
					if resp, err := side.Get(w.issuer + "/jwks"); err == nil {
						_ = resp.Body.Close()
					}
					worst = max(worst, time.Since(began))
				}
			}()
			full := 0
			for _, r := range raceOf(300, func(i int) reply { return w.passwordGrant("name"+strconv.Itoa(i), w.password) }) {
				switch {
				case r.StatusCode == http.StatusBadRequest:
				case r.StatusCode == http.StatusServiceUnavailable && r.Header.Get("Retry-After") != "":
					full++
				case r.StatusCode == http.StatusTooManyRequests: // one address
				default:
					t.Errorf("answered %d %s", r.StatusCode, r.raw)
				}
			}
			close(stop)
			t.Logf("%d of 300 were turned away by the pool, the slowest side request took %v", full, <-slowest)
			a := w.app("spa", "")
			a.code(w.browser().signInBy(a, "github", "octavia")) // other ways in were never crowded
		}},
		{ID: "H08", Kind: "T", Rule: "a password of any size or kind is refused or taken whole", Alone: alone, Run: func(t *testing.T, w *world) {
			alice := w.person("alice")
			for _, password := range []string{strings.Repeat("a", 1025), strings.Repeat("é", 5000), w.password + "\x00", w.password + " ", strings.ToUpper(w.password), w.password[:20]} {
				r := w.passwordGrant(alice.Username, password)
				if r.StatusCode != http.StatusBadRequest {
					t.Errorf("a password of %d bytes answered %d %s", len(password), r.StatusCode, r.raw)
				}
			}
			for _, name := range []string{strings.Repeat("n", 5000), "alice\x00", "<script>", "' OR 1=1 --", `{"$ne":null}`, "usr_" + secret.New(8).Reveal()} {
				if r := w.passwordGrant(name, "x"); r.StatusCode != http.StatusBadRequest {
					t.Errorf("the name %.30q answered %d %s", name, r.StatusCode, r.raw)
				}
			}
		}},
	}
}

// shape is the header of an answer without what differs in each.
func shape(h http.Header) string {
	c := h.Clone()
	for _, name := range []string{"X-Request-Id", "Date", "Content-Length", "Set-Cookie"} {
		c.Del(name)
	}
	return fmt.Sprint(c)
}
