package main

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"example.com/broker/sessions"
)

// signedInBrowser is somebody who signed in with the form, on the page that asked for it.
func (w *world) signedInBrowser(who localUser, path string) (*browser, page) {
	w.Helper()
	b := w.browser()
	return b, b.submit(b.open(path), "signin-form", url.Values{"username": {who.Username}, "password": {w.password}})
}

// forms are the actions of the forms inside an element.
func (p page) forms(t testing.TB, id string) []string {
	t.Helper()
	var out []string
	for n := range p.element(t, id).Descendants() {
		if n.Type == html.ElementNode && n.Data == "form" {
			out = append(out, attr(n, "action"))
		}
	}
	return out
}

func TestThePageOfOnesSessions(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		_, _ = w.bySession(bob), w.bySession(alice)
		there, _ := w.signedInBrowser(alice, "/dashboard")
		b, _ := w.signedInBrowser(alice, "/dashboard")
		p := b.open(b.open("/dashboard").href(t, "tab-sessions"))
		if p.StatusCode != http.StatusOK || !strings.HasPrefix(p.Header.Get("Content-Type"), "text/html") {
			t.Fatalf("the page: %d %s", p.StatusCode, p.brief())
		}
		forms := p.forms(t, "sessions")
		if len(forms) != 3 || !strings.HasSuffix(forms[0], "/logout") {
			t.Fatalf("the forms lead to %v, want this session first, to be signed out, and two to be ended", forms)
		}
		if !strings.Contains(p.brief(), "Apps that follow revocations stop at once; others within | 15 minutes") {
			t.Errorf("the page does not tell how long access goes on: %s", p.brief())
		}

		t.Log("one is ended, and the list says so")
		p = b.follow(b.do(http.MethodPost, b.abs(forms[1]), url.Values{}))
		if p.StatusCode != http.StatusOK || len(p.forms(t, "sessions")) != 2 || attr(p.element(t, "notice"), "data-code") != "session_ended" {
			t.Errorf("after ending one: %d %s", p.StatusCode, p.brief())
		}
		if r := there.me(); r.StatusCode != http.StatusUnauthorized {
			t.Errorf("the newest other session answers %d", r.StatusCode)
		}
		b.do(http.MethodPost, b.abs(forms[1]), url.Values{}).errorPage(t, http.StatusNotFound, "session_unknown")
		p = b.submit(b.open("/sessions"), "end-others", nil)
		if len(p.forms(t, "sessions")) != 1 || attr(p.element(t, "notice"), "data-code") != "sessions_ended" || p.has("end-others") {
			t.Errorf("after ending all others: %s", p.brief())
		}

		t.Log("nobody ends the session of somebody else, not by form and not from another site")
		bobs, _ := w.signedInBrowser(bob, "/sessions")
		id := bobs.sessionID()
		b.do(http.MethodPost, w.issuer+"/sessions/"+id+"/end", url.Values{}).errorPage(t, http.StatusNotFound, "session_unknown")
		for _, path := range []string{"/sessions/" + id + "/end", "/sessions/end-others", "/api-keys", "/api-keys/x/revoke"} {
			r := w.call(http.MethodPost, path, "application/x-www-form-urlencoded", "", "Cookie", bobs.sessionCookie().String(), "Accept", "text/html", "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site")
			if r.StatusCode != http.StatusForbidden || !strings.Contains(r.raw, "cross_origin") {
				t.Errorf("%s from another site answers %d", path, r.StatusCode)
			}
		}
		if r := bobs.me(); r.StatusCode != http.StatusOK {
			t.Errorf("the session of somebody else answers %d", r.StatusCode)
		}

		t.Log("ending this one signs out; a form sent after that leads to the sign-in page, and back")
		own := b.sessionID()
		p = b.follow(b.do(http.MethodPost, w.issuer+"/sessions/"+own+"/end", url.Values{}))
		if b.sessionCookie() != nil || !p.has("signin-form") {
			t.Errorf("after ending this one: cookie %v, %s", b.sessionCookie(), p.brief())
		}
		p = b.follow(b.do(http.MethodPost, w.issuer+"/sessions/end-others", url.Values{}))
		p = b.submit(p, "signin-form", url.Values{"username": {alice.Username}, "password": {w.password}})
		if p.at.Path != strings.TrimPrefix(w.issuer, p.at.Scheme+"://"+p.at.Host)+"/sessions" {
			t.Errorf("signing in after an old form ends at %s", p.at)
		}

		t.Log("programs get JSON, by whichever Accept that asks for no page")
		for _, accept := range []string{"application/json", "", "*/*", "text/plain"} {
			for _, path := range []string{"/sessions", "/api-keys"} {
				r := w.get(path, "Cookie", b.sessionCookie().String(), "Accept", accept)
				if r.StatusCode != http.StatusOK || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") || r.json == nil {
					t.Errorf("%s for Accept %q: %d %s", path, accept, r.StatusCode, r.Header.Get("Content-Type"))
				}
				w.get(path, "Accept", "application/json").is(t, http.StatusUnauthorized, "session_required")
			}
		}
		json := holder{w, alice, []string{"Cookie", b.sessionCookie().String()}}
		json.ask(http.MethodPost, "/sessions/"+b.sessionID()+"/end", nil).is(t, http.StatusNoContent, "")
	})
}

// sessionID is the id of the browser's session, which is no secret.
func (b *browser) sessionID() string {
	id, _, _ := strings.Cut(b.sessionCookie().Value, ".")
	return id
}

func TestThePageOfOnesAPIKeys(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		alice := w.person("alice", "editor")
		b, p := w.signedInBrowser(alice, "/api-keys")
		if p.StatusCode != http.StatusOK || !strings.Contains(p.brief(), "Prefer OAuth where people sign in") {
			t.Fatalf("the empty page: %d %s", p.StatusCode, p.brief())
		}
		form, action := p.form(t, "create-form")
		for _, scope := range []string{"data:read", "articles:write", "orders:write"} {
			if !form.Has("scope:" + scope) {
				t.Errorf("an editor is not offered %s: %v", scope, form)
			}
		}
		post := func(fill url.Values) page { return b.do(http.MethodPost, b.abs(action), fill) }

		t.Log("what is wrong stands beside its field, and what was typed survives")
		p = post(url.Values{"name": {" \u202e"}, "days": {"367"}})
		if p.StatusCode != http.StatusBadRequest || !p.has("error-summary") || !p.has("scopes-error") || !p.has("days-error") || p.value(t, "days") != "367" {
			t.Errorf("nothing chosen and too many days: %d %s", p.StatusCode, p.brief())
		}
		p = post(url.Values{"name": {" \u202e"}, "days": {"7"}, "scope:data:read": {"1"}})
		if p.StatusCode != http.StatusBadRequest || !p.has("name-error") || p.has("made") {
			t.Errorf("a bad name: %d %s", p.StatusCode, p.brief())
		}

		t.Log("the key is shown once, with a line that works")
		p = post(url.Values{"name": {"Nightly export"}, "days": {"7"}, "scope:data:read": {"1"}, "scope:users:delete": {"1"}})
		if p.StatusCode != http.StatusCreated {
			t.Fatalf("making a key: %d %s", p.StatusCode, p.brief())
		}
		key := p.text(t, "key")
		w.ledger.keep(key)
		if line := p.text(t, "key-curl"); line != "curl "+w.issuer+`/data -H "X-API-Key: `+key+`"` {
			t.Errorf("the line is %s", line)
		}
		w.get("/data", "X-API-Key", key).is(t, http.StatusOK, "")
		p = b.open(p.href(t, "key-saved"))
		if strings.Contains(p.body, key) || !strings.Contains(p.text(t, "keys"), "Nightly export") {
			t.Errorf("afterwards the page shows %s", p.text(t, "keys"))
		}
		id := key[3:25]
		listed := holder{w, alice, []string{"Cookie", b.sessionCookie().String()}}.listed(id)
		if life := instant(t, listed["expires_at"]).Sub(instant(t, listed["created_at"])); life != 7*24*time.Hour || len(list(listed["scopes"])) != 1 {
			t.Errorf("the key is %v", listed)
		}

		t.Log("somebody else's key is not there; its owner revokes it")
		other, _ := w.signedInBrowser(w.person("bob"), "/api-keys")
		other.do(http.MethodPost, w.issuer+"/api-keys/"+id+"/revoke", url.Values{}).errorPage(t, http.StatusNotFound, "key_unknown")
		forms := p.forms(t, "keys")
		if len(forms) != 1 {
			t.Fatalf("the forms lead to %v", forms)
		}
		p = b.follow(b.do(http.MethodPost, b.abs(forms[0]), url.Values{}))
		if attr(p.element(t, "notice"), "data-code") != "key_revoked" || len(p.forms(t, "keys")) != 0 || !strings.Contains(p.text(t, "ended"), "Nightly export") {
			t.Errorf("after revoking: %s", p.brief())
		}
		w.get("/data", "X-API-Key", key).is(t, http.StatusForbidden, "key_invalid")

		t.Log("a viewer is offered what viewers may do; an admin sees the keys of others and revokes them")
		if form, _ := other.open("/api-keys").form(t, "create-form"); form.Has("scope:articles:write") || !form.Has("scope:articles:read") {
			t.Errorf("a viewer is offered %v", form)
		}
		if p := other.open("/api-keys?owner_id=" + alice.ID); p.StatusCode != http.StatusForbidden {
			t.Errorf("a viewer sees the keys of others: %d", p.StatusCode)
		}
		_, second := w.byToken(alice).key("second")
		admin, _ := w.signedInBrowser(w.person("root", "admin"), "/api-keys")
		p = admin.open("/api-keys?owner_id=" + alice.ID)
		if p.has("create-form") || len(p.forms(t, "keys")) != 1 {
			t.Fatalf("an admin sees %s", p.brief())
		}
		p = admin.follow(admin.do(http.MethodPost, admin.abs(p.forms(t, "keys")[0]), url.Values{"owner_id": {alice.ID}}))
		if p.at.Query().Get("owner_id") != alice.ID || len(p.forms(t, "keys")) != 0 {
			t.Errorf("after revoking it: %s %s", p.at, p.brief())
		}
		w.get("/data", "X-API-Key", second).is(t, http.StatusForbidden, "key_invalid")

		t.Log("JSON is what it was: a form is 415, and revoking by POST is revoking")
		json := w.bySession(alice)
		w.call(http.MethodPost, "/api-keys", "application/x-www-form-urlencoded", "name=x", "Cookie", json.header[1], "Accept", "application/json").is(t, http.StatusUnsupportedMediaType, "media_type")
		third, _ := json.key("third")
		json.ask(http.MethodPost, "/api-keys/"+third+"/revoke", nil).is(t, http.StatusNoContent, "")
	})
}

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

func TestWhatAnAdminEndsEndsAPIKeysForGood(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		admin := w.byToken(w.person("root", "admin"))
		for act, asked := range map[string]struct {
			method, path string
			body         any
		}{
			"sign out everywhere": {http.MethodPost, "sign-out", nil},
			"disable":             {http.MethodPost, "disable", nil},
			"a new password":      {http.MethodPut, "password", map[string]any{"password": "another battery horse staple"}},
		} {
			alice := w.person("alice")
			id, key := w.byToken(alice).key("job")
			w.get("/data", "X-API-Key", key).is(t, http.StatusOK, "")
			if r := admin.ask(asked.method, "/admin/api/users/"+alice.ID+"/"+asked.path, asked.body); r.StatusCode >= 300 {
				t.Fatalf("%s: %d %s", act, r.StatusCode, r.raw)
			}
			w.get("/data", "X-API-Key", key).is(t, http.StatusForbidden, "key_invalid")
			if act == "disable" {
				admin.ask(http.MethodPost, "/admin/api/users/"+alice.ID+"/enable", nil).is(t, http.StatusOK, "")
				w.get("/data", "X-API-Key", key).is(t, http.StatusForbidden, "key_invalid")
			}
			r := admin.ask(http.MethodGet, "/api-keys?owner_id="+alice.ID, nil)
			if all := list(r.json["keys"]); len(all) != 1 || all[0].(map[string]any)["id"] != id || all[0].(map[string]any)["state"] != "revoked" {
				t.Errorf("%s: the list says %s", act, r.raw)
			}
		}
	})
}

func TestTheCommandLineTellsWhatDisablingEnds(t *testing.T) {
	for _, verb := range []string{"disable", "enable"} {
		if code, out, _ := broker(t, t.TempDir(), nil, "user", verb, "--help"); code != 0 || !strings.Contains(out, "API keys") {
			t.Errorf("broker user %s --help ends with %d and says %s", verb, code, out)
		}
	}
}

func TestTheFormForAKeySaysThatThereIsNoRoom(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		alice := w.person("alice")
		json := w.byToken(alice)
		for range 100 {
			json.key("one of many")
		}
		b, p := w.signedInBrowser(alice, "/api-keys")
		p = b.submit(p, "create-form", url.Values{"name": {"one too many"}, "days": {"7"}, "scope:data:read": {"1"}})
		if p.StatusCode != http.StatusConflict || attr(p.element(t, "notice"), "data-code") != "key_limit" || p.value(t, "name") != "one too many" || p.has("made") {
			t.Errorf("the hundred and first: %d %s", p.StatusCode, p.text(t, "notice"))
		}
		if n := len(p.forms(t, "keys")); n != 100 {
			t.Errorf("%d keys are listed, want all 100", n)
		}
	})
}
