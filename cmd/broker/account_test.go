package main

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"example.com/broker/sessions"
)

func TestSigningOutAllOthersEndsThemHoweverManyThereAre(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		alice := w.person("alice")
		oldest, here := w.bySession(alice), w.bySession(alice)
		id := here.ask(http.MethodGet, "/sessions", nil).json["sessions"].([]any)[0].(map[string]any)["id"].(string)
		like, err := w.stores.Sessions.GetSession(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 230 {
			s := like
			s.ID, s.SecretHash = fmt.Sprintf("00000000-0000-7000-8000-%012d", i), "nobody has it"
			if err := w.stores.Sessions.InsertSession(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		if r := here.ask(http.MethodPost, "/sessions/end-others", nil); r.json["ended"] != 231.0 {
			t.Errorf("%s, want 231 ended", r.raw)
		}
		oldest.ask(http.MethodGet, "/dashboard", nil).is(t, http.StatusUnauthorized, "session_required")
		left, err := w.stores.Sessions.SessionsOf(t.Context(), alice.ID, 1000)
		if err != nil || len(left) != 1 || !slices.ContainsFunc(left, func(s sessions.Session) bool { return s.ID == id }) {
			t.Errorf("%d rows are left, %v, want the one that asked", len(left), err)
		}
	})
}

func TestWhatIsWrongWithARequestForAKeyIsNoBadKey(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		alice := w.byToken(w.person("alice"))
		for rule, body := range map[string]map[string]any{
			"no name": {"name": " "}, "no life": {"name": "x", "expires_in": -1}, "a life too long": {"name": "x", "expires_in": 400 * 24 * 3600},
		} {
			if r := alice.ask(http.MethodPost, "/api-keys", body); r.StatusCode != http.StatusBadRequest || r.str("code") != "key_request_invalid" {
				t.Errorf("%s: %d %s", rule, r.StatusCode, r.raw)
			}
		}
		r := alice.ask(http.MethodPost, "/api-keys", map[string]any{"name": "twice", "scopes": []string{"data:read", "articles:read", "data:read"}})
		if got := list(r.json["scopes"]); len(got) != 2 || got[0] != "data:read" || got[1] != "articles:read" {
			t.Errorf("scopes named twice are kept as %v", got)
		}
		w.byToken(w.person("root", "admin")).ask(http.MethodGet, "/api-keys?owner_id=nobody", nil).is(t, http.StatusNotFound, "user_unknown")
	})
}
