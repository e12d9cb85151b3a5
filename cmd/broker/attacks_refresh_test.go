package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"example.com/broker/config"
)

func attacksOnRefreshTokens() []attack {
	return []attack{
		{ID: "E01", Kind: "T", Rule: "a spent refresh token but the direct predecessor takes the family and its access tokens along", Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			second := s.app.refresh(s.refresh())
			third := s.app.refresh(second.str("refresh_token"))
			w.alive("the newest access token", third.str("access_token"))
			s.app.refresh(s.refresh()).fails(t, http.StatusBadRequest, "invalid_grant")
			for what, token := range map[string]string{"the first access token": s.access(), "the second": second.str("access_token"), "the third": third.str("access_token")} {
				w.dead(what+" of a killed family", token)
			}
			s.app.refresh(third.str("refresh_token")).fails(t, http.StatusBadRequest, "invalid_grant")
		}},
		{ID: "E01", Kind: "T", Rule: "the direct predecessor is answered with the same successor for a while, then it kills", Here: needsClock, Alone: alone, Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			second := s.app.refresh(s.refresh())
			again := s.app.refresh(s.refresh())
			if again.str("refresh_token") != second.str("refresh_token") {
				t.Errorf("a client that lost the answer got %d and another family", again.StatusCode)
			}
			w.clock.advance(31 * time.Second)
			w.poll()
			s.app.refresh(s.refresh()).fails(t, http.StatusBadRequest, "invalid_grant")
			w.dead("the access token of a killed family", second.str("access_token"))
			s.app.refresh(second.str("refresh_token")).fails(t, http.StatusBadRequest, "invalid_grant")
			// And the audit log says so.
			if !w.audited("grant.refresh_reuse") {
				t.Error("no audit event tells of the reuse")
			}
		}},
		{ID: "E01", Kind: "T", Rule: "with an interval of nothing the predecessor kills at once", Here: needsConfig, Alone: []func(*config.Config){func(c *config.Config) { c.Tokens.ReuseInterval = 0 }}, Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			second := s.app.refresh(s.refresh())
			s.app.refresh(s.refresh()).fails(t, http.StatusBadRequest, "invalid_grant")
			s.app.refresh(second.str("refresh_token")).fails(t, http.StatusBadRequest, "invalid_grant")
			w.dead("the access token of a killed family", second.str("access_token"))
		}},
		{ID: "E01", Kind: "T", Rule: "somebody who knows the id of a family cannot kill it", Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			parts := strings.Split(s.refresh(), ".")
			for _, forged := range []string{
				parts[0] + "." + strings.Repeat("A", 22) + "." + strings.Repeat("A", 43), parts[0] + "." + strings.Repeat("A", 22) + "." + parts[2],
				parts[0], parts[0] + "..", s.refresh() + ".", s.refresh()[3:], "rt_" + s.refresh(), strings.ToUpper(s.refresh()), s.refresh() + "A", "rt_" + strings.Repeat("a", 5000),
			} {
				s.app.refresh(forged).fails(t, http.StatusBadRequest, "invalid_grant")
			}
			if r := s.app.refresh(s.refresh()); r.StatusCode != http.StatusOK {
				t.Errorf("the owner got %d %s", r.StatusCode, r.raw)
			}
		}},
		{ID: "E02", Kind: "C", Rule: "fifty refreshes at once give one successor", Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			oneSuccessor(t, s, raceOf(50, func(int) reply { return s.app.refresh(s.refresh()) }))
		}},
		{ID: "E02", Kind: "C", Rule: "fifty refreshes at two replicas give one successor", Here: needsTwo, Alone: alone, Run: func(t *testing.T, w *world) {
			second := w.replica()
			s := w.signIn("spa", "")
			other := *s.app
			other.world = second
			oneSuccessor(t, s, raceOf(50, func(i int) reply { return []*app{s.app, &other}[i%2].refresh(s.refresh()) }))
		}},
		{ID: "E05", Kind: "T", Rule: "a refresh token is for its client, which says who it is", Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			form := func(pairs ...string) url.Values {
				v := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {s.refresh()}}
				for i := 0; i < len(pairs); i += 2 {
					v.Set(pairs[i], pairs[i+1])
				}
				return v
			}
			w.app("third", "").refresh(s.refresh()).fails(t, http.StatusBadRequest, "invalid_grant")
			w.app("web", webSecret).refresh(s.refresh()).fails(t, http.StatusBadRequest, "invalid_grant")
			w.post("/token", form()).fails(t, http.StatusBadRequest, "invalid_request")
			w.post("/token", form("client_id", "web")).fails(t, http.StatusUnauthorized, "invalid_client")
			w.post("/token", form("client_id", "nobody")).fails(t, http.StatusUnauthorized, "invalid_client")
			if r := s.app.refresh(s.refresh()); r.StatusCode != http.StatusOK {
				t.Errorf("after all that the owner got %d %s", r.StatusCode, r.raw)
			}
			confidential := w.signIn("web", webSecret)
			w.post("/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {confidential.refresh()}, "client_id": {"web"}}).fails(t, http.StatusUnauthorized, "invalid_client")
		}},
		{ID: "E06", Kind: "T", Rule: "a refresh may ask for less and never for more, and less now is no less later", Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "", "scope", "openid email profile")
			s.app.refresh(s.refresh(), "scope", "openid email profile roles").fails(t, http.StatusBadRequest, "invalid_scope")
			s.app.refresh(s.refresh(), "scope", "openid offline_access").fails(t, http.StatusBadRequest, "invalid_scope")
			s.app.refresh(s.refresh(), "scope", `openid "`).fails(t, http.StatusBadRequest, "invalid_scope")
			less := s.app.refresh(s.refresh(), "scope", "openid")
			if less.str("scope") != "openid" || claims(t, less.str("access_token"))["scope"] != "openid" {
				t.Fatalf("asked for less and got %d %s", less.StatusCode, less.raw)
			}
			all := s.app.refresh(less.str("refresh_token"))
			if all.str("scope") != "openid email profile" {
				t.Errorf("after asking for less the grant is %q", all.str("scope"))
			}
		}},
		{ID: "E08", Kind: "T", Rule: "a family that rests for a week is over, and no clock revives it", Here: needsClock, Alone: alone, Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "", "scope", "openid offline_access")
			w.clock.advance(7*24*time.Hour + time.Second)
			w.poll()
			s.app.refresh(s.refresh()).fails(t, http.StatusBadRequest, "invalid_grant")
			w.clock.advance(-time.Hour)
			w.poll()
			s.app.refresh(s.refresh()).fails(t, http.StatusBadRequest, "invalid_grant")
		}},
		{ID: "E08", Kind: "T", Rule: "rotation does not pass the absolute end", Here: needsClock, Alone: alone, Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "", "scope", "openid offline_access")
			token := s.refresh()
			for range 5 { // 5 × 6 days = 30
				w.clock.advance(6*24*time.Hour - time.Minute)
				w.poll()
				r := s.app.refresh(token)
				if r.StatusCode != http.StatusOK {
					t.Fatalf("within the thirty days %d %s", r.StatusCode, r.raw)
				}
				token = r.str("refresh_token")
			}
			w.clock.advance(10 * time.Minute)
			w.poll()
			s.app.refresh(token).fails(t, http.StatusBadRequest, "invalid_grant")
			w.clock.advance(-2 * time.Hour)
			w.poll()
			s.app.refresh(token).fails(t, http.StatusBadRequest, "invalid_grant")
		}},
		{ID: "E08", Kind: "T", Rule: "an online grant does not pass the end of its session", Here: needsClock, Alone: alone, Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			token := s.refresh()
			for range 3 {
				w.clock.advance(4*time.Hour - time.Minute)
				w.poll()
				r := s.app.refresh(token)
				if r.StatusCode != http.StatusOK {
					t.Fatalf("within the twelve hours %d %s", r.StatusCode, r.raw)
				}
				token = r.str("refresh_token")
			}
			w.clock.advance(10 * time.Minute)
			w.poll()
			s.app.refresh(token).fails(t, http.StatusBadRequest, "invalid_grant")
		}},
		{ID: "E09", Kind: "T", Rule: "no kind of token does the work of another", Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			for _, path := range []string{"/userinfo", "/me"} {
				for what, token := range map[string]string{"a refresh token": s.refresh(), "an ID token": s.tokens.str("id_token")} {
					r := w.get(path, "Authorization", "Bearer "+token)
					r.unauthorized(t)
					if t.Failed() {
						t.Fatalf("%s at %s", what, path)
					}
				}
			}
			s.app.refresh(s.access()).fails(t, http.StatusBadRequest, "invalid_grant")
			s.app.refresh(s.tokens.str("id_token")).fails(t, http.StatusBadRequest, "invalid_grant")
			r := s.app.refresh(s.refresh())
			if r.StatusCode != http.StatusOK || r.json["id_token"] != nil {
				t.Errorf("a refresh answered %d %s", r.StatusCode, r.raw)
			}
			s.app.redeem(r.str("refresh_token")).fails(t, http.StatusBadRequest, "invalid_grant")
		}},
	}
}

// oneSuccessor demands that a family did not fork: whoever was answered was answered with the same successor, and that one works.
func oneSuccessor(t *testing.T, s signedIn, answers []reply) {
	t.Helper()
	successors := map[string]bool{}
	for _, r := range answers {
		if r.StatusCode != http.StatusOK {
			r.fails(t, http.StatusBadRequest, "invalid_grant")
			continue
		}
		successors[r.str("refresh_token")] = true
	}
	if len(successors) != 1 {
		t.Fatalf("%d successors of one token, want 1", len(successors))
	}
	for token := range successors {
		if r := s.app.refresh(token); r.StatusCode != http.StatusOK {
			t.Errorf("the successor got %d %s", r.StatusCode, r.raw)
		}
	}
}

// audited reports whether the audit log tells of an action; it is written within a second.
func (w *world) audited(action string) bool {
	w.Helper()
	for limit := time.Now().Add(3 * time.Second); time.Now().Before(limit); time.Sleep(50 * time.Millisecond) {
		events, err := w.stores.Audit.ListAudit(w.Context(), "", 1000)
		if err != nil {
			w.Fatal(err)
		}
		for _, e := range events {
			if e.Action == action {
				return true
			}
		}
	}
	return false
}
