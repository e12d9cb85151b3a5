package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/broker/config"
	"example.com/broker/oauth"
	"example.com/broker/verify"
)

// The rows of the guide, each from end to end as somebody new would walk it: in this process and against the built binary, on both stores.

// everywhere runs a test on a fresh broker of each kind, with the configuration edited.
func everywhere(t *testing.T, test func(t *testing.T, w *world), edit ...func(*config.Config)) {
	t.Helper()
	for _, kind := range storeKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			test(t, newWorld(t, kind, edit...))
		})
		t.Run(kind+" binary", func(t *testing.T) {
			if testing.Short() {
				t.Skip("starts processes")
			}
			t.Parallel()
			test(t, newBinaryWorld(t, kind, edit...))
		})
	}
}

// reconfigured restarts the broker on the same store, wherever it runs.
func (w *world) reconfigured(edit func(*config.Config)) {
	w.Helper()
	if w.program != nil {
		w.restart(edit)
		return
	}
	s := w.operator.(*server)
	s.terminate(w)
	edit(&w.cfg)
	s.file = writeConfig(w, s.dir, w.cfg)
	w.transport.(*http.Transport).CloseIdleConnections()
	s.start(w, w.logs)
}

// holder is a person with one credential in hand.
type holder struct {
	*world
	who    localUser
	header []string
}

// ask sends the credential, and a body as JSON if there is one.
func (h holder) ask(method, path string, body any) reply {
	h.Helper()
	kind, text := "", ""
	if body != nil {
		kind, text = "application/json", string(asJSON(h, body))
	}
	return h.call(method, path, kind, text, append([]string{"Accept", "application/json"}, h.header...)...)
}

// byToken is a person with an access token, bySession one with the cookie of a new session.
func (w *world) byToken(who localUser) holder {
	w.Helper()
	r := w.passwordGrant(who.Username, w.password)
	r.is(w, http.StatusOK, "")
	return holder{w, who, []string{"Authorization", "Bearer " + r.str("access_token")}}
}

func (w *world) bySession(who localUser) holder {
	w.Helper()
	r := w.login(who.Username, w.password)
	r.is(w, http.StatusOK, "")
	return holder{w, who, []string{"Cookie", cookieOf(w, r.Response).String()}}
}

// cookieOf is the session cookie that an answer sets or takes back, as a browser would send it.
func cookieOf(t testing.TB, r *http.Response) *http.Cookie {
	t.Helper()
	for _, c := range r.Cookies() {
		if strings.HasSuffix(c.Name, "broker_session") {
			return &http.Cookie{Name: c.Name, Value: c.Value}
		}
	}
	t.Fatalf("%s %s sets no session cookie: %v", r.Request.Method, r.Request.URL.Path, r.Header)
	return nil
}

// key makes an API key.
func (h holder) key(name string, more ...any) (id, text string) {
	h.Helper()
	body := map[string]any{"name": name}
	for i := 0; i < len(more); i += 2 {
		body[more[i].(string)] = more[i+1]
	}
	r := h.ask(http.MethodPost, "/api-keys", body)
	r.is(h, http.StatusCreated, "")
	if !strings.HasPrefix(r.str("key"), "bk_"+r.str("id")+"_") {
		h.Fatalf("the key is %s", r.raw)
	}
	return r.str("id"), r.str("key")
}

// listed is what the caller's list says about a key.
func (h holder) listed(id string) map[string]any {
	h.Helper()
	r := h.ask(http.MethodGet, "/api-keys", nil)
	r.is(h, http.StatusOK, "")
	for _, k := range list(r.json["keys"]) {
		if k := k.(map[string]any); k["id"] == id {
			return k
		}
	}
	h.Fatalf("the list has no key %s: %s", id, r.raw)
	return nil
}

// instant reads a time of an answer.
func instant(t testing.TB, v any) time.Time {
	t.Helper()
	s, _ := v.(string)
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// data asks what an API key opens.
func (w *world) data(key string) reply {
	w.Helper()
	return w.get("/data", "X-API-Key", key)
}

// noKey demands the answer to a missing or bad API key: 403, never 401, as problem JSON.
func (r reply) noKey(t testing.TB, what string) {
	t.Helper()
	if r.StatusCode != http.StatusForbidden || r.str("code") != "key_invalid" || r.json["status"] != 403.0 || r.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s: %d %s %s, want 403 key_invalid", what, r.StatusCode, r.Header.Get("Content-Type"), r.raw)
	}
}

// exchange turns an API key into an access token (RFC 8693).
func (w *world) exchange(key string, more ...string) reply {
	w.Helper()
	form := url.Values{"grant_type": {oauth.GrantTokenExchange}, "subject_token": {key}, "subject_token_type": {oauth.TokenTypeAPIKey}}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return w.post("/token", form)
}

func queryKeys(c *config.Config) { c.APIKeys.Query = true }

func TestRow1APIKeys(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		alice, bob := w.person("alice"), w.person("bob", "editor")
		session, token := w.bySession(alice), w.byToken(alice)
		other, admin := w.byToken(bob), w.byToken(w.person("root", "admin"))

		t.Log("its owner makes a key, by session or by token; it is shown once")
		id, key := session.key("nightly export")
		_, second := token.key("of the token", "scopes", []string{"data:read", "orders:read"})
		if all := session.ask(http.MethodGet, "/api-keys", nil); len(list(all.json["keys"])) != 2 || strings.Contains(all.raw, key) || strings.Contains(all.raw, second) || strings.Contains(all.raw, `"key"`) || strings.Contains(all.raw, "hash") {
			t.Errorf("the list says %s", all.raw)
		}
		k := token.listed(id)
		if k["name"] != "nightly export" || k["state"] != "active" || k["prefix"] != "bk_"+id || k["owner_id"] != alice.ID || k["last_used"] != nil || len(list(k["scopes"])) != 1 || list(k["scopes"])[0] != "data:read" {
			t.Errorf("the key is listed as %v", k)
		}
		if life := instant(t, k["expires_at"]).Sub(instant(t, k["created_at"])); life < 90*24*time.Hour-time.Second || life > 90*24*time.Hour {
			t.Errorf("a key lives for %v, want 90 days", life)
		}

		t.Log("its scopes stay within the rights of its owner")
		session.ask(http.MethodPost, "/api-keys", map[string]any{"name": "x", "scopes": []string{"articles:write"}}).is(t, http.StatusForbidden, "role_missing")
		session.ask(http.MethodPost, "/api-keys", map[string]any{"name": "x", "scopes": []string{"everything"}}).is(t, http.StatusBadRequest, "scope_invalid")
		_, narrow := session.key("for nothing", "scopes", []string{})
		w.data(narrow).is(t, http.StatusForbidden, "scope_missing")
		_, bobs := other.key("of bob")
		w.data(bobs).is(t, http.StatusOK, "")
		admin.ask(http.MethodDelete, "/admin/api/users/"+bob.ID+"/roles/editor", nil).is(t, http.StatusOK, "")
		if r := w.data(bobs); r.StatusCode != http.StatusForbidden {
			t.Errorf("a key whose owner lost the right answers %d %s", r.StatusCode, r.raw)
		}
		admin.ask(http.MethodPut, "/admin/api/users/"+bob.ID+"/roles/editor", nil).is(t, http.StatusOK, "")
		w.data(bobs).is(t, http.StatusOK, "")
		other = w.byToken(bob)

		t.Log("it opens /data in X-API-Key or api_key, and the header wins")
		r := w.data(key)
		r.is(t, http.StatusOK, "")
		if owner, _ := r.json["owner"].(map[string]any); owner["sub"] != alice.ID {
			t.Errorf("/data says %s", r.raw)
		}
		query := "/data?api_key=" + url.QueryEscape(key)
		w.get(query).is(t, http.StatusOK, "")
		w.get(query, "X-API-Key", "bk_bad").noKey(t, "a bad header beside a good parameter")
		w.get(query, "X-API-Key", "").noKey(t, "an empty header beside a good parameter")
		w.get("/data?api_key=bk_bad", "X-API-Key", key).is(t, http.StatusOK, "")
		if token.listed(id)["last_used"] == nil {
			t.Error("the list does not say that the key was used")
		}

		t.Log("missing or bad: 403")
		w.get("/data").noKey(t, "none")
		w.get("/data", "Authorization", "Bearer "+key).noKey(t, "a key in another header")
		wrong := key[:len(key)-10] + strings.Repeat("A", 10)
		for what, bad := range map[string]string{"half of it": key[:40], "another end": wrong, "its prefix": "bk_" + id, "nonsense": "bk_x", "two in one": key + "," + key} {
			w.data(bad).noKey(t, what)
		}

		t.Log("it expires")
		short, soon := session.key("for a second", "expires_in", 1)
		eventually(t, "an expired key is refused", func() bool { return w.data(soon).StatusCode != http.StatusOK })
		w.data(soon).noKey(t, "an expired key")
		if got := session.listed(short)["state"]; got != "expired" {
			t.Errorf("an expired key is listed as %v", got)
		}

		t.Log("it is revoked by its owner, or by an admin, and by nobody else")
		for _, missing := range []string{id, "nobodys-key"} {
			other.ask(http.MethodDelete, "/api-keys/"+missing, nil).is(t, http.StatusNotFound, "key_unknown")
		}
		other.ask(http.MethodGet, "/api-keys?owner_id="+alice.ID, nil).is(t, http.StatusForbidden, "role_missing")
		w.data(key).is(t, http.StatusOK, "")
		session.ask(http.MethodDelete, "/api-keys/"+id, nil).is(t, http.StatusNoContent, "")
		w.data(key).noKey(t, "a revoked key")
		w.get(query).noKey(t, "a revoked key in the address")
		if got := session.listed(id)["state"]; got != "revoked" {
			t.Errorf("a revoked key is listed as %v", got)
		}
		third, anyones := session.key("for an admin")
		if all := admin.ask(http.MethodGet, "/api-keys?owner_id="+alice.ID, nil); !strings.Contains(all.raw, third) {
			t.Errorf("an admin sees %s", all.raw)
		}
		admin.ask(http.MethodDelete, "/api-keys/"+third, nil).is(t, http.StatusNoContent, "")
		w.data(anyones).noKey(t, "a key that an admin revoked")

		rowOneExchanges(t, w, token)

		t.Log("it ends with its owner")
		w.data(second).is(t, http.StatusOK, "")
		w.operator.disable(w, alice.ID)
		eventually(t, "the key of a disabled owner is refused", func() bool { return w.data(second).StatusCode != http.StatusOK })
		w.data(second).noKey(t, "the key of a disabled owner")
		w.exchange(second).fails(t, http.StatusBadRequest, "invalid_grant")

		t.Log("the form in the address can be switched off")
		_, last := other.key("after a restart")
		w.reconfigured(func(c *config.Config) { c.APIKeys.Query = false })
		w.data(last).is(t, http.StatusOK, "")
		w.get("/data?api_key="+url.QueryEscape(last)).noKey(t, "a good key in the address, which is off")
	}, queryKeys)
}

// rowOneExchanges: a key is traded for an access token that an API checks like any other.
func rowOneExchanges(t *testing.T, w *world, owner holder) {
	t.Helper()
	t.Log("it is traded at /token for a token of one API, for at most 15 minutes")
	id, key := owner.key("for the orders", "scopes", []string{"orders:read", "data:read"})
	r := w.exchange(key, "resource", ordersAPI)
	r.is(t, http.StatusOK, "")
	life, _ := r.json["expires_in"].(float64)
	if life < 1 || life > 900 || r.str("issued_token_type") != oauth.TokenTypeAccessToken || !strings.EqualFold(r.str("token_type"), "bearer") || r.str("refresh_token") != "" {
		t.Errorf("the exchange answered %s", r.raw)
	}
	bought := r.str("access_token")
	said := claims(t, bought)
	if said["sub"] != owner.who.ID || said["aud"] != ordersAPI || said["scope"] != "orders:read" || said["exp"].(float64)-said["iat"].(float64) > 900 {
		t.Errorf("the token says %v", said)
	}
	orders, _ := bystanderAPI(t, w, &http.Client{Transport: w.transport}, ordersAPI)
	stock, _ := bystanderAPI(t, w, &http.Client{Transport: w.transport}, stockAPI)
	if here, there := statusAt(t, orders, bought), statusAt(t, stock, bought); here != http.StatusOK || there != http.StatusUnauthorized {
		t.Errorf("its API answers %d, another %d", here, there)
	}
	own := w.exchange(key).str("access_token")
	w.get("/me", "Authorization", "Bearer "+own).is(t, http.StatusOK, "")
	w.exchange(key, "resource", "https://nobody.example.com/").fails(t, http.StatusBadRequest, "invalid_target")
	// The target may be named as RFC 8693 names it, and only one.
	if said := claims(t, w.exchange(key, "audience", ordersAPI).str("access_token")); said["aud"] != ordersAPI {
		t.Errorf("by audience, the token says %v", said)
	}
	if said := claims(t, w.exchange(key, "audience", w.issuer).str("access_token")); said["aud"] != w.issuer {
		t.Errorf("for the issuer, the token says %v", said)
	}
	w.exchange(key, "audience", "https://nobody.example.com/").fails(t, http.StatusBadRequest, "invalid_target")
	w.exchange(key, "audience", stockAPI, "resource", ordersAPI).fails(t, http.StatusBadRequest, "invalid_target")
	w.exchange(key, "resource", ordersAPI, "scope", "orders:write").fails(t, http.StatusBadRequest, "invalid_scope")
	w.exchange("bk_x").fails(t, http.StatusBadRequest, "invalid_grant")

	t.Log("what it was traded for dies with it")
	owner.ask(http.MethodDelete, "/api-keys/"+id, nil).is(t, http.StatusNoContent, "")
	w.get("/me", "Authorization", "Bearer "+own).unauthorized(t)
	w.exchange(key, "resource", ordersAPI).fails(t, http.StatusBadRequest, "invalid_grant")
	t.Logf("the API hears of it after %v", eventually(t, "the API refuses the token", func() bool { return statusAt(t, orders, bought) == http.StatusUnauthorized }))
}

// A front end that speaks JSON sends the token and nothing else.
func TestTheRefreshTokenSaysWhoseItIs(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		refresh := func(token string, more ...string) reply {
			body := map[string]string{"refresh_token": token}
			for i := 0; i < len(more); i += 2 {
				body[more[i]] = more[i+1]
			}
			raw, err := json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			return w.call(http.MethodPost, "/refresh", "application/json", string(raw))
		}
		spa := w.signIn("spa", "")
		r := refresh(spa.refresh())
		r.is(t, http.StatusOK, "")
		if c := claims(t, r.str("access_token")); c["client_id"] != "spa" {
			t.Errorf("the token is for %v", c["client_id"])
		}
		refresh(r.str("refresh_token"), "client_id", "third").fails(t, http.StatusBadRequest, "invalid_grant")
		secretive := w.signIn("web", webSecret)
		refresh(secretive.refresh()).fails(t, http.StatusUnauthorized, "invalid_client")
		secretive.app.refresh(secretive.refresh()).is(t, http.StatusOK, "")
		refresh("rt_nothing").fails(t, http.StatusBadRequest, "invalid_grant")
	})
}

func TestAnExchangedTokenLivesNoLongerThanAnyOther(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		_, key := w.byToken(w.person("alice", "admin")).key("any")
		for _, resource := range []string{"", ordersAPI} {
			if r := w.exchange(key, "resource", resource); r.json["expires_in"] != 60.0 {
				t.Errorf("for %q: %s", resource, r.raw)
			}
		}
	}, func(c *config.Config) { c.Tokens.AccessTTL = time.Minute })
}

func TestRow5CookiesAndSessions(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		alice := w.person("alice")
		secure := strings.HasPrefix(w.issuer, "https://")
		asJSON := []string{"Accept", "application/json"}

		t.Log("the dashboard needs a session: JSON is told, a person is sent to the sign-in page")
		w.get("/dashboard", asJSON...).is(t, http.StatusUnauthorized, "session_required")
		b := w.browser()
		p := b.open("/dashboard")
		if !p.has("signin-form") {
			t.Fatalf("without a session: %d %s", p.StatusCode, p.brief())
		}

		t.Log("POST /login takes a form and JSON, and sets a cookie that holds a random id")
		form, action := p.form(t, "signin-form")
		form.Set("username", alice.Username)
		form.Set("password", w.password)
		seen := map[string]bool{}
		posted := b.do(http.MethodPost, b.abs(action), form)
		for what, r := range map[string]*http.Response{"a form": posted.Response, "JSON": w.login(alice.Username, w.password).Response} {
			i := slices.IndexFunc(r.Cookies(), func(c *http.Cookie) bool { return strings.HasSuffix(c.Name, "broker_session") })
			if i < 0 {
				t.Fatalf("%s: no session cookie: %v", what, r.Header)
			}
			c := r.Cookies()[i]
			if !c.HttpOnly || c.Secure != secure || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 3600 {
				t.Errorf("%s: the cookie is %s", what, c.Raw)
			}
			if seen[c.Value] || len(c.Value) < 40 || strings.Contains(c.Value, alice.ID) || strings.Contains(c.Value, alice.Username) {
				t.Errorf("%s: the cookie holds %q", what, c.Value)
			}
			seen[c.Value] = true
		}
		w.login(alice.Username, "not the password at all").is(t, http.StatusUnauthorized, "")
		if r := b.me(); r.StatusCode != http.StatusOK || r.json["sub"] != alice.ID {
			t.Errorf("with a session: %d %s", r.StatusCode, r.raw)
		}
		if p := b.open("/dashboard"); p.StatusCode != http.StatusOK || !strings.Contains(p.body, alice.Name) {
			t.Errorf("the page: %d %s", p.StatusCode, p.brief())
		}

		t.Log("signing in again turns the id, and the old one is dead")
		old := *b.sessionCookie()
		b.submit(b.open("/login?switch=1"), "signin-form", url.Values{"username": {alice.Username}, "password": {w.password}})
		if now := b.sessionCookie(); now == nil || now.Value == old.Value {
			t.Errorf("after another sign-in the cookie is %v", now)
		}
		if r := w.holding(old.Name, old.Value).me(); r.StatusCode != http.StatusUnauthorized {
			t.Errorf("the old id answers %d", r.StatusCode)
		}

		t.Log("one sees one's sessions, ends one, and ends all others")
		bob := w.person("bob")
		here, there, elsewhere, bobs := w.bySession(alice), w.bySession(alice), w.bySession(alice), w.bySession(bob)
		sessions := func(h holder) (current string, others []string) {
			r := h.ask(http.MethodGet, "/sessions", nil)
			r.is(t, http.StatusOK, "")
			for _, s := range list(r.json["sessions"]) {
				if s := s.(map[string]any); s["current"] == true {
					current = s["id"].(string)
				} else {
					others = append(others, s["id"].(string))
				}
			}
			return current, others
		}
		current, others := sessions(here)
		thereID, _ := sessions(there)
		if current == "" || !slices.Contains(others, thereID) || strings.Contains(here.header[1], "="+thereID) {
			t.Errorf("this one is %q, the others %v", current, others)
		}
		bobs.ask(http.MethodDelete, "/sessions/"+thereID, nil).is(t, http.StatusNotFound, "session_unknown")
		here.ask(http.MethodDelete, "/sessions/"+thereID, nil).is(t, http.StatusNoContent, "")
		there.ask(http.MethodGet, "/dashboard", nil).is(t, http.StatusUnauthorized, "session_required")
		elsewhere.ask(http.MethodGet, "/dashboard", nil).is(t, http.StatusOK, "")
		here.ask(http.MethodPost, "/sessions/end-others", nil).is(t, http.StatusOK, "")
		elsewhere.ask(http.MethodGet, "/dashboard", nil).is(t, http.StatusUnauthorized, "session_required")
		here.ask(http.MethodGet, "/dashboard", nil).is(t, http.StatusOK, "")
		bobs.ask(http.MethodGet, "/dashboard", nil).is(t, http.StatusOK, "")
		if r := b.me(); r.StatusCode != http.StatusUnauthorized {
			t.Errorf("the first browser answers %d", r.StatusCode)
		}
		if current, others = sessions(here); current == "" || len(others) > 0 {
			t.Errorf("left are %q and %v", current, others)
		}

		t.Log("POST /logout deletes the session and the cookie")
		r := here.ask(http.MethodPost, "/logout", nil)
		r.is(t, http.StatusNoContent, "")
		if c := cookieOf(t, r.Response); c.Value != "" {
			t.Errorf("signing out leaves the cookie %v", r.Header["Set-Cookie"])
		}
		here.ask(http.MethodGet, "/dashboard", nil).is(t, http.StatusUnauthorized, "session_required")
		b.submit(b.open("/login"), "signin-form", url.Values{"username": {alice.Username}, "password": {w.password}})
		if p := b.do(http.MethodPost, w.issuer+"/logout", url.Values{}); p.StatusCode != http.StatusOK || b.sessionCookie() != nil {
			t.Errorf("a browser that signs out: %d, cookie %v", p.StatusCode, b.sessionCookie())
		}
	})
}

func TestRow7RefreshTokens(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		alice := w.person("alice")
		byForm := func(token string) reply {
			return w.post("/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}, "client_id": {"cli"}})
		}
		byJSON := func(token string) reply {
			return w.call(http.MethodPost, "/refresh", "application/json", string(asJSON(w, map[string]string{"refresh_token": token})))
		}

		t.Log("an access token lives for 15 minutes and has a refresh token beside it; neither does the other's work")
		first := w.passwordGrant(alice.Username, w.password)
		if first.json["expires_in"] != 900.0 || first.str("refresh_token") == "" || first.str("refresh_token") == first.str("access_token") {
			t.Fatalf("the password bought %s", first.raw)
		}
		w.get("/me", "Authorization", "Bearer "+first.str("refresh_token")).unauthorized(t)
		byForm(first.str("access_token")).fails(t, http.StatusBadRequest, "invalid_grant")
		byJSON(first.str("access_token")).fails(t, http.StatusBadRequest, "invalid_grant")

		t.Log("both doors spend it and give the next, with the same answer")
		second := byJSON(first.str("refresh_token"))
		third := byForm(second.str("refresh_token"))
		for what, r := range map[string]reply{"JSON": second, "form": third} {
			r.is(t, http.StatusOK, "")
			if r.json["expires_in"] != 900.0 || r.str("token_type") != first.str("token_type") || r.str("scope") != first.str("scope") || r.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("by %s: %s", what, r.raw)
			}
			w.get("/me", "Authorization", "Bearer "+r.str("access_token")).is(t, http.StatusOK, "")
		}
		if first.str("refresh_token") == second.str("refresh_token") || second.str("refresh_token") == third.str("refresh_token") {
			t.Error("a refresh token came back unchanged")
		}

		t.Log("whoever lost the answer asks again, by either door, and gets the same successor")
		for what, again := range map[string]reply{"form": byForm(second.str("refresh_token")), "JSON": byJSON(second.str("refresh_token"))} {
			if again.str("refresh_token") != third.str("refresh_token") {
				t.Errorf("again by %s: %d %s", what, again.StatusCode, again.raw)
			}
		}

		t.Log("reuse of a spent one kills the family: every refresh token and every access token of it")
		bystander := w.passwordGrant(alice.Username, w.password)
		byJSON(first.str("refresh_token")).fails(t, http.StatusBadRequest, "invalid_grant")
		byForm(third.str("refresh_token")).fails(t, http.StatusBadRequest, "invalid_grant")
		byJSON(third.str("refresh_token")).fails(t, http.StatusBadRequest, "invalid_grant")
		for _, r := range []reply{first, second, third} {
			w.get("/me", "Authorization", "Bearer "+r.str("access_token")).unauthorized(t)
		}
		w.get("/me", "Authorization", "Bearer "+bystander.str("access_token")).is(t, http.StatusOK, "")

		t.Log("what is not a refresh token is told so by both doors alike")
		for _, bad := range []string{"rt_made.up.one", "x", strings.Repeat("a", 3000)} {
			if f, j := byForm(bad), byJSON(bad); f.StatusCode != http.StatusBadRequest || f.raw != j.raw {
				t.Errorf("%.20s: %d %s, and %d %s", bad, f.StatusCode, f.raw, j.StatusCode, j.raw)
			}
		}
		if w.program == nil {
			return // no clock to move
		}

		t.Log("it is over after a week of rest, and whatever happens after 30 days")
		restless, resting := bystander.str("refresh_token"), w.passwordGrant(alice.Username, w.password).str("refresh_token")
		for range 5 {
			w.clock.advance(6*24*time.Hour - time.Minute)
			w.poll()
			r := byJSON(restless)
			r.is(t, http.StatusOK, "")
			restless = r.str("refresh_token")
		}
		byForm(resting).fails(t, http.StatusBadRequest, "invalid_grant")
		w.clock.advance(10 * time.Minute)
		w.poll()
		byJSON(restless).fails(t, http.StatusBadRequest, "invalid_grant")
	})
}

func TestRow8Revocation(t *testing.T) {
	for mode, edit := range map[string][]func(*config.Config){"blocklist": nil, "allowlist": {allowlist}} {
		t.Run(mode, func(t *testing.T) {
			everywhere(t, func(t *testing.T, w *world) { rowEight(t, w, mode) }, edit...)
		})
	}
}

func rowEight(t *testing.T, w *world, mode string) {
	t.Helper()
	if got := w.get("/.well-known/oauth-authorization-server").str("revocation_mode"); got != mode {
		t.Fatalf("the metadata says %q", got)
	}
	alice := w.person("alice")
	one, other := w.byToken(alice), w.byToken(alice)
	neighbour, admin := w.byToken(w.person("bob")), w.byToken(w.person("root", "admin"))
	opens := func(what string, h holder) {
		t.Helper()
		if r := h.ask(http.MethodGet, "/me", nil); r.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", what, r.StatusCode, r.raw)
		}
		if r := introspection(w, strings.TrimPrefix(h.header[1], "Bearer "), "service", serviceSecret); r.json["active"] != true {
			t.Errorf("%s: introspection says %s", what, r.raw)
		}
	}
	closed := func(what string, h holder) {
		t.Helper()
		h.ask(http.MethodGet, "/me", nil).unauthorized(t)
		if r := introspection(w, strings.TrimPrefix(h.header[1], "Bearer "), "service", serviceSecret); r.raw != `{"active":false}` {
			t.Errorf("%s: introspection says %s", what, r.raw)
		}
	}
	opens("a token", one)
	opens("another of the same person", other)

	t.Log("POST /logout with a bearer token revokes that token, and no other")
	one.ask(http.MethodPost, "/logout", nil).is(t, http.StatusNoContent, "")
	closed("the token that was signed out", one)
	opens("the other", other)
	one.ask(http.MethodPost, "/logout", nil).unauthorized(t)

	t.Log("so does POST /revoke, for the client that got it")
	revoked := w.byToken(alice)
	if r := w.post("/revoke", url.Values{"token": {strings.TrimPrefix(revoked.header[1], "Bearer ")}, "client_id": {"cli"}}); r.StatusCode != http.StatusOK {
		t.Errorf("revoking answered %d %s", r.StatusCode, r.raw)
	}
	closed("a revoked token", revoked)

	t.Log("everything of a user goes at once: tokens, refresh tokens, sessions, keys")
	family, session := w.passwordGrant(alice.Username, w.password), w.bySession(alice)
	_, key := session.key("of alice")
	admin.ask(http.MethodPost, "/admin/api/users/"+alice.ID+"/sign-out", nil).is(t, http.StatusOK, "")
	closed("a token from before", other)
	w.get("/me", "Authorization", "Bearer "+family.str("access_token")).unauthorized(t)
	w.post("/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {family.str("refresh_token")}, "client_id": {"cli"}}).fails(t, http.StatusBadRequest, "invalid_grant")
	session.ask(http.MethodGet, "/dashboard", nil).is(t, http.StatusUnauthorized, "session_required")
	w.data(key).noKey(t, "a key from before")
	opens("somebody else's token", neighbour)
	opens("a token from after", w.byToken(alice))

	t.Log("a restart forgets none of it")
	w.reconfigured(func(*config.Config) {})
	closed("a token that was signed out before the restart", one)
	closed("one from before everything ended", other)
	opens("somebody else's token", neighbour)
}

func TestRow9TheDecoder(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		t.Log("the page is there, works in the browser alone, and says what each claim means")
		p := w.browser().open("/tools/jwt")
		if p.StatusCode != http.StatusOK || attr(p.element(t, "decoder"), "data-issuer") != w.issuer || !p.has("token") {
			t.Fatalf("%d %s", p.StatusCode, p.brief())
		}
		for _, name := range []string{"sub", "exp", "iat", "nbf", "jti", "roles", "email", "iss", "aud", "client_id", "sid", "scope"} {
			if !strings.Contains(p.body, `data-name="`+name+`"`) {
				t.Errorf("the page does not explain %s", name)
			}
		}
		r := w.get(attr(p.element(t, "decoder"), "data-jwks"))
		var jwks struct{ Keys []map[string]any }
		if err := json.Unmarshal([]byte(r.raw), &jwks); err != nil || len(jwks.Keys) == 0 {
			t.Fatalf("the keys it checks by: %d %s", r.StatusCode, r.raw)
		}

		t.Log("its example verifies by the published keys, at the API it names and at no other; it opens nothing here")
		if address := attr(p.element(t, "decoder"), "data-sample"); w.program != nil {
			example := w.get(address).str("token")
			if err := verifies(t, w, example, claims(t, example)["aud"].(string)); err != nil {
				t.Errorf("the example: %v", err)
			}
			if err := verifies(t, w, example, w.issuer); err == nil {
				t.Error("the example is good for the broker itself")
			}
			w.get("/me", "Authorization", "Bearer "+example).unauthorized(t)
		} else if address != "" {
			t.Errorf("a broker that is no demonstration gives away tokens at %s", address)
		}

		t.Log("the server says whether a token is good, and why not")
		alice := w.byToken(w.person("alice"))
		token := strings.TrimPrefix(alice.header[1], "Bearer ")
		ask := func(token string) reply {
			return w.call(http.MethodPost, attr(p.element(t, "decoder"), "data-verify"), "application/json", string(asJSON(w, map[string]string{"token": token})))
		}
		if err := verifies(t, w, token, w.issuer); err != nil {
			t.Error(err)
		}
		if r := ask(token); r.json["valid"] != true {
			t.Errorf("a good token: %d %s", r.StatusCode, r.raw)
		}
		cut := token[:len(token)-8] + "AAAAAAAA"
		alice.ask(http.MethodPost, "/logout", nil).is(t, http.StatusNoContent, "")
		for what, bad := range map[string]string{"a revoked token": token, "another signature": cut, "nothing": "", "no token": "x.y.z"} {
			if r := ask(bad); r.StatusCode != http.StatusOK || r.json["valid"] != false || r.str("code") != verify.CodeInvalidToken || r.str("description") == "" {
				t.Errorf("%s: %d %s", what, r.StatusCode, r.raw)
			}
		}
	})
}

// verifies checks a token as an API does that knows nothing but the issuer's address.
func verifies(t *testing.T, w *world, token, audience string) error {
	t.Helper()
	broker, err := verify.Discover(t.Context(), w.issuer, verify.DiscoverOptions{ClientID: "service", ClientSecret: serviceSecret, Client: &http.Client{Transport: w.transport}})
	if err != nil {
		t.Fatal(err)
	}
	v, err := verify.New(verify.Config{Issuer: broker.Name, Audience: audience, Keys: broker.Keys})
	if err != nil {
		t.Fatal(err)
	}
	_, err = v.Verify(t.Context(), token)
	return err
}

func TestRow12TheGuide(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		b := w.browser()
		p := b.open("/guide")
		if p.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", p.StatusCode, p.brief())
		}
		t.Log("it says what authentication and authorization are, and which method fits which need")
		for id, words := range map[string][]string{
			"difference": {"Authentication", "Who are you?", "401", "Authorization", "What may you do?", "403"},
			"methods":    {"API key", "simple integrations", "JWT bearer", "single-page and mobile apps", "OAuth 2", "GitHub", "Cookie", "server draws the pages"},
			"needs":      {"API key", "cookie"},
		} {
			text := p.text(t, id)
			for _, word := range words {
				if !strings.Contains(strings.ToLower(text), strings.ToLower(word)) {
					t.Errorf("#%s does not speak of %q: %s", id, word, text)
				}
			}
		}

		t.Log("its cheat sheet names all twelve, each explained, and each leading to where it can be tried")
		rows := []string{"api-keys", "bearer", "password", "code", "sessions", "claims", "refresh", "revocation", "decoder", "rbac", "abac", "guide"}
		sheet := p.element(t, "sheet")
		var links, leads []string
		for n := range sheet.Descendants() {
			if n.Data != "a" {
				continue
			}
			if href := attr(n, "href"); strings.HasPrefix(attr(n, "aria-label"), "Open: ") || strings.HasPrefix(attr(n, "aria-label"), "Try it: ") {
				leads = append(leads, href)
			} else {
				links = append(links, strings.TrimPrefix(href, "#"))
			}
		}
		if !slices.Equal(links, rows) || len(leads) != len(rows) {
			t.Errorf("the sheet has %v, and leads to %v", links, leads)
		}
		for _, id := range rows {
			if words := p.text(t, id); len(words) < 200 || strings.Contains(words, "Not here yet") {
				t.Errorf("#%s says %q", id, words)
			}
		}

		t.Log("every link on it answers")
		doc := p.find("main")
		seen := map[string]bool{}
		for n := range doc.Descendants() {
			href := attr(n, "href")
			if n.Data != "a" || seen[href] {
				continue
			}
			seen[href] = true
			if id, ok := strings.CutPrefix(href, "#"); ok {
				if !p.has(id) {
					t.Errorf("#%s is nowhere on the page", id)
				}
				continue
			}
			if !strings.HasPrefix(href, "/") && !strings.HasPrefix(href, w.issuer) {
				t.Errorf("%s leads elsewhere", href)
				continue
			}
			if got := b.open(href); got.StatusCode != http.StatusOK {
				t.Errorf("%s answered %d %s", href, got.StatusCode, got.brief())
			}
		}
		if len(seen) < len(rows) {
			t.Errorf("links %v", seen)
		}
	})
}
