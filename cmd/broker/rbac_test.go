package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/broker/config"
	"example.com/broker/oauth"
	"example.com/broker/providers/local"
	"example.com/broker/rbac"
	"example.com/broker/web"
)

// attacksOnRoles are those on who may do what, and on the API of those who run the broker.
func attacksOnRoles() []attack {
	return []attack{
		{ID: "K01", Kind: "T", Rule: "every route of the router refuses whoever may not", Here: needsClock, Alone: alone, Run: everyRouteRefusesWhoMayNot},
		{ID: "K06", Kind: "T", Rule: "no inheritance, no unknown role, no reserved claim is saved", Alone: alone, Run: rulesAreTriedAndSaved},
		{ID: "K10", Kind: "T", Rule: "lists take no forged cursor and show no secret", Alone: alone, Run: adminListsGiveNothingAway},
	}
}

// Row 10: reports for anyone signed in, articles for editors and admins, users deleted by admins; 403 says which roles would do.
func TestWhatEachRoleMayDo(t *testing.T) {
	onEveryBroker(t, func(t *testing.T, w *world) {
		admin, editor, viewer := w.writer("ada", "admin"), w.writer("eve", "editor"), w.writer("vic", "viewer")
		article := map[string]any{"title": "t", "body": "b"}

		t.Log("nobody in particular is asked who they are")
		for _, route := range [][2]string{{"GET", "/reports"}, {"POST", "/articles"}, {"DELETE", "/users/" + viewer.who.ID}} {
			w.call(route[0], route[1], "", "", "Accept", "application/json").is(t, 401, "")
		}
		t.Log("anyone signed in reads reports")
		for _, who := range []writer{admin, editor, viewer} {
			who.ask("GET", "/reports", nil).is(t, 200, "")
		}
		t.Log("editors and admins write articles, and a viewer is told so")
		admin.ask("POST", "/articles", article).is(t, 201, "")
		editor.ask("POST", "/articles", article).is(t, 201, "")
		viewer.ask("POST", "/articles", article).is(t, 403, "role_missing", "admin, editor", "Yours: viewer")

		t.Log("admins delete users, and an editor is told so; 403 comes before 404")
		editor.ask("DELETE", "/users/"+viewer.who.ID, nil).is(t, 403, "role_missing", "admin", "Yours: editor")
		editor.ask("DELETE", "/users/nobody", nil).is(t, 403, "role_missing")
		admin.ask("DELETE", "/users/nobody", nil).is(t, 404, "user_unknown")
		admin.ask("DELETE", "/users/"+viewer.who.ID, nil).is(t, 204, "")
		admin.ask("DELETE", "/users/"+viewer.who.ID, nil).is(t, 404, "user_unknown")

		t.Log("whoever is deleted is out at once, and the name is free")
		viewer.ask("GET", "/reports", nil).is(t, 401, "")
		if r := w.passwordGrant(viewer.who.Username, w.password); r.StatusCode != 400 {
			t.Errorf("the deleted user signs in: %d %s", r.StatusCode, r.raw)
		}
		again := admin.ask("POST", "/admin/api/users", map[string]any{"username": viewer.who.Username, "email": viewer.who.Email, "password": w.password})
		again.is(t, 201, "")
		if again.str("id") == viewer.who.ID {
			t.Error("the id of the deleted user was given again")
		}

		t.Log("the last admin stays")
		admin.ask("DELETE", "/users/"+admin.who.ID, nil).is(t, 409, "last_admin")
		admin.ask("DELETE", "/admin/api/users/"+admin.who.ID+"/roles/admin", nil).is(t, 409, "last_admin")
		admin.ask("POST", "/admin/api/users/"+admin.who.ID+"/disable", nil).is(t, 409, "last_admin")
		admin.ask("GET", "/reports", nil).is(t, 200, "")
	})
}

// Of two admins who remove each other at once, by whatever way, one stays.
func TestTwoAdminsCannotRemoveEachOther(t *testing.T) {
	onEveryBroker(t, func(t *testing.T, w *world) {
		ada, bea := w.writer("ada", "admin"), w.writer("bea", "admin")
		raceOf(8, func(i int) reply {
			who, other := ada, bea
			if i%2 == 1 {
				who, other = bea, ada
			}
			switch i / 2 {
			case 0:
				return who.ask("DELETE", "/users/"+other.who.ID, nil)
			case 1:
				return who.ask("POST", "/admin/api/users/"+other.who.ID+"/disable", nil)
			case 2:
				return who.ask("DELETE", "/admin/api/users/"+other.who.ID+"/roles/admin", nil)
			}
			return who.ask("DELETE", "/admin/api/users/"+who.who.ID+"/roles/admin", nil)
		})
		admins := 0
		for _, who := range []writer{ada, bea} {
			r := w.passwordGrant(who.who.Username, w.password)
			if r.StatusCode == 200 && slices.Contains(rolesOf(t, r), rbac.Admin) {
				admins++
			}
		}
		if admins != 1 {
			t.Errorf("%d admins are left, want 1", admins)
		}
	})
}

func rolesOf(t testing.TB, tokens reply) []string {
	t.Helper()
	if tokens.StatusCode != 200 {
		t.Fatalf("no token: %d %s", tokens.StatusCode, tokens.raw)
	}
	out := []string{}
	list, _ := claims(t, tokens.str("access_token"))["roles"].([]any)
	for _, r := range list {
		out = append(out, r.(string))
	}
	return out
}

// An edited role counts on every replica within two seconds and signs nobody out.
func TestRolesAreEdited(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		second := w.replica()
		admin, jo := w.writer("ada", "admin"), w.writer("jo", "viewer")
		there := writer{second, jo.who, jo.token}
		there.ask("GET", "/articles", nil).is(t, 200, "")

		t.Log("viewers lose the articles")
		list := admin.ask("PUT", "/admin/api/roles/viewer", map[string]any{"permissions": []string{"data:read"}})
		list.is(t, 200, "")
		jo.ask("GET", "/articles", nil).is(t, 403, "role_missing")
		comes(t, 2*time.Second, func() bool { return there.ask("GET", "/articles", nil).StatusCode == 403 })
		there.ask("GET", "/reports", nil).is(t, 200, "")

		t.Log("a role beyond the three is made and given; the same token is told to be renewed, and nobody is signed out")
		admin.ask("PUT", "/admin/api/roles/reviewer", map[string]any{"description": "reads", "permissions": []string{"articles:read"}}).is(t, 200, "")
		comes(t, 2*time.Second, func() bool { return slices.Contains(second.roles.Names(), "reviewer") })
		admin.ask("PUT", "/admin/api/users/"+jo.who.ID+"/roles/reviewer", nil).is(t, 200, "")
		if got := rolesOf(t, w.passwordGrant(jo.who.Username, w.password)); !slices.Equal(got, []string{"reviewer", "viewer"}) {
			t.Errorf("roles %v", got)
		}

		t.Log("what is in use stays, and what every installation has too")
		admin.ask("DELETE", "/admin/api/roles/reviewer", nil).is(t, 409, "role_in_use", jo.who.ID)
		admin.ask("DELETE", "/admin/api/users/"+jo.who.ID+"/roles/reviewer", nil).is(t, 200, "")
		admin.ask("DELETE", "/admin/api/roles/reviewer", nil).is(t, 200, "")
		admin.ask("PUT", "/admin/api/users/"+jo.who.ID+"/roles/reviewer", nil).is(t, 400, "role_unknown")
		admin.ask("PUT", "/admin/api/roles/admin", map[string]any{"permissions": []string{}}).is(t, 403, "role_fixed")
		admin.ask("DELETE", "/admin/api/roles/viewer", nil).is(t, 403, "role_fixed")

		t.Log("of two who edit one version the second is told who was first")
		r := w.call("PUT", "/admin/api/roles/viewer", "application/json", `{"permissions":["*:read"]}`,
			"Authorization", "Bearer "+admin.token, "If-Match", list.Header.Get("ETag"))
		r.is(t, 409, "roles_changed", admin.who.ID)
		r = w.call("POST", "/admin/api/users/"+jo.who.ID+"/disable", "application/json", "",
			"Authorization", "Bearer "+admin.token, "If-Match", `"1"`)
		r.is(t, 409, "user_version")
	})
}

func comes(t *testing.T, d time.Duration, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(d); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("it did not come within %s", d)
			return
		}
	}
}

// What a person is upstream gives them roles here, until they are it no more; what GitHub could not be asked changes nothing.
func TestRolesFollowGitHub(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		admin := w.writer("ada", "admin")
		signIn := func() reply {
			a, b := w.app("spa", ""), w.browser()
			return a.redeem(a.code(b.signInBy(a, "github", "octavia")))
		}
		want := func(tokens reply, roles ...string) {
			t.Helper()
			if got := rolesOf(t, tokens); !slices.Equal(got, roles) {
				t.Errorf("roles %v, want %v", got, roles)
			}
		}
		why := func(id string) string {
			t.Helper()
			raw, _ := json.Marshal(admin.ask("GET", "/admin/api/users/"+id, nil).json["why"])
			return string(raw)
		}

		t.Log("a member of the team is an editor, and one can see why")
		first := signIn()
		id := claims(t, first.str("access_token"))["sub"].(string)
		want(first, "editor", "viewer")
		if got := why(id); !strings.Contains(got, "the mapping rule staff matched what github says") {
			t.Errorf("why: %s", got)
		}

		t.Log("a refusal, a failure and an answer that is none are not an empty answer")
		for name, fault := range map[string]http.HandlerFunc{
			"403": local.Answer(403, "application/json", `{"message":"no"}`), "500": local.Answer(500, "application/json", "{}"), "reset": local.Reset,
		} {
			w.github.SetFault(local.GitHubTeamsPath, fault)
			want(signIn(), "editor", "viewer")
			if got := why(id); !strings.Contains(got, "not confirmed at the last sign-in") {
				t.Errorf("%s: why: %s", name, got)
			}
		}

		t.Log("but not for ever")
		w.clock.advance(25 * time.Hour)
		w.poll()
		want(signIn(), "viewer")
		w.honest()
		admin.token = w.passwordGrant(admin.who.Username, w.password).str("access_token")
		want(signIn(), "editor", "viewer")

		t.Log("whoever leaves the organisation is no editor at the next sign-in, and keeps what has another source")
		w.github.Leave("octavia", "octo-org")
		want(signIn(), "viewer")
		if got := why(id); strings.Contains(got, "editor") {
			t.Errorf("why: %s", got)
		}
	}, func(c *config.Config) {
		c.Roles.Rules = map[string]config.MappingRule{
			"staff": {Provider: "github", Claim: "teams", Values: []string{"octo-org/editors"}, Give: []string{"editor"}, TTL: 24 * time.Hour},
		}
	})
}

// Mapped admins are admins, and do not count as the last one.
func TestAMappedAdminIsNotTheLastOne(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		admin := w.writer("ada", "admin")
		rules := map[string]any{"rules": []map[string]any{{"id": "boss", "provider": "google", "claim": "email", "op": "matches_domain", "values": []string{"example.com"}, "roles": []string{"admin"}}}}
		admin.ask("PUT", "/admin/api/mapping-rules", rules).is(t, 200, "")
		a, b := w.app("spa", ""), w.browser()
		person, _ := w.somebody()
		tokens := a.redeem(a.code(b.signInBy(a, "google", person)))
		if got := rolesOf(t, tokens); !slices.Contains(got, rbac.Admin) {
			t.Fatalf("roles %v", got)
		}
		mapped := writer{w, localUser{}, tokens.str("access_token")}
		mapped.ask("GET", "/admin/api/users", nil).is(t, 200, "")
		mapped.ask("DELETE", "/users/"+admin.who.ID, nil).is(t, 409, "last_admin")
	})
}

// rulesAreTriedAndSaved: a dry run tells what would come out, and stores nothing; what makes no sense is refused when it is saved.
func rulesAreTriedAndSaved(t *testing.T, w *world) {
	admin := w.writer("ada", "admin")
	rule := func(edit map[string]any) map[string]any {
		r := map[string]any{"id": "one", "claim": "realm_access.roles", "op": "in", "values": []string{"writers"}, "roles": []string{"editor"}}
		for k, v := range edit {
			r[k] = v
		}
		return r
	}
	r := admin.ask("POST", "/admin/api/mapping-rules/dry-run", map[string]any{
		"provider": "corp", "claims": map[string]any{"realm_access": map[string]any{"roles": []string{"readers", "writers"}}},
		"rules": []any{rule(nil), rule(map[string]any{"id": "two", "claim": "groups"})}, "unasked": map[string]string{"groups": "timeout"},
	})
	r.is(t, 200, "")
	steps, _ := r.json["steps"].([]any)
	if fmt.Sprint(r.json["roles"]) != "[editor]" || len(steps) != 2 || steps[0].(map[string]any)["verdict"] != "matched" || steps[1].(map[string]any)["verdict"] != "unknown" {
		t.Errorf("dry run: %s", r.raw)
	}
	if r := admin.ask("GET", "/admin/api/mapping-rules", nil); r.json["v"] != 0.0 {
		t.Errorf("the dry run stored something: %s", r.raw)
	}
	for name, edit := range map[string]map[string]any{
		"an unknown role": {"roles": []string{"emperor"}}, "no role": {"roles": []string{}}, "an operator nobody knows": {"op": "matches_regex"},
		"no value": {"values": []string{}}, "an id with spaces": {"id": "a b"}, "an endless ttl": {"ttl": 1 << 40}, "an empty path": {"claim": "a..b"},
		"sub": {"claim": "sub"}, "iss": {"claim": "iss"}, "aud": {"claim": "aud"}, "exp": {"claim": "exp"}, "roles": {"claim": "roles"},
		"scope": {"claim": "scope"}, "client_id": {"claim": "client_id"},
	} {
		if r := admin.ask("PUT", "/admin/api/mapping-rules", map[string]any{"rules": []any{rule(edit)}}); r.StatusCode != 400 || r.str("code") != "rule_invalid" {
			t.Errorf("%s: %d %s", name, r.StatusCode, r.raw)
		}
	}
	admin.ask("PUT", "/admin/api/mapping-rules", map[string]any{"rules": []any{rule(nil), rule(nil)}}).is(t, 400, "rule_invalid")
	admin.ask("PUT", "/admin/api/mapping-rules", map[string]any{"rules": []any{rule(nil)}}).is(t, 200, "")
	admin.ask("PUT", "/admin/api/mapping-rules", map[string]any{"v": 7, "rules": []any{}}).is(t, 409, "rules_changed", admin.who.ID)
	// There is no inheritance: a role that names another is no role.
	for _, body := range []any{
		map[string]any{"permissions": []string{"a:b"}, "inherits": []string{"admin"}},
		map[string]any{"permissions": []string{"everything"}},
		map[string]any{"permissions": slices.Repeat([]string{"a:b"}, 10000)},
	} {
		if r := admin.ask("PUT", "/admin/api/roles/odd", body); r.StatusCode != 400 {
			t.Errorf("%.100v: %d %s", body, r.StatusCode, r.raw)
		}
	}
}

// adminListsGiveNothingAway: what lists may be asked, and what they never show.
func adminListsGiveNothingAway(t *testing.T, w *world) {
	admin := w.writer("ada", "admin")
	for range 5 {
		w.person("one")
	}
	for _, query := range []string{
		"limit=1000000000", "limit=0", "limit=-1", "limit=ten", "cursor=forged", "cursor=" + url.QueryEscape("AAAA"), "sort=$where", "limit=1&limit=2",
		"q=" + strings.Repeat("x", 101), "filter[password]=x", "$where=1",
	} {
		for _, list := range []string{"users", "clients", "audit"} {
			if r := admin.ask("GET", "/admin/api/"+list+"?"+query, nil); r.StatusCode != 400 {
				t.Errorf("%s?%.50s answered %d %.200s", list, query, r.StatusCode, r.raw)
			}
		}
	}
	seen, cursor := map[string]bool{}, ""
	for {
		r := admin.ask("GET", "/admin/api/users?limit=2&cursor="+url.QueryEscape(cursor), nil)
		r.is(t, 200, "")
		for _, u := range r.json["users"].([]any) {
			seen[u.(map[string]any)["id"].(string)] = true
		}
		if cursor = r.str("next"); cursor == "" {
			break
		}
		admin.ask("GET", "/admin/api/clients?cursor="+url.QueryEscape(cursor), nil).is(t, 400, "cursor_invalid")
		admin.ask("GET", "/admin/api/users?q=x&cursor="+url.QueryEscape(cursor), nil).is(t, 400, "cursor_invalid")
	}
	if len(seen) < 6 {
		t.Errorf("%d users on all pages, want 6", len(seen))
	}
	if r := admin.ask("GET", "/admin/api/users?q="+url.QueryEscape(admin.who.Email), nil); len(r.json["users"].([]any)) != 1 {
		t.Errorf("search: %s", r.raw)
	}
	secretive := admin.ask("POST", "/admin/api/clients", map[string]any{
		"client_id": "shop", "token_endpoint_auth_method": "client_secret_basic",
		"grant_types": []string{"client_credentials"},
	})
	secretive.is(t, 201, "")
	for _, path := range []string{"/users", "/users/" + admin.who.ID, "/clients", "/clients/shop", "/apis", "/roles", "/mapping-rules", "/audit"} {
		r := admin.ask("GET", "/admin/api"+path, nil)
		r.is(t, 200, "")
		for _, word := range []string{"$argon2", "secret_hash", "client_secret\"", secretive.str("client_secret"), upstreamKey, webSecret} {
			if strings.Contains(r.raw, word) {
				t.Errorf("%s shows %q: %.300s", path, word, r.raw)
			}
		}
	}
	for _, body := range []string{
		`{"client_id":"bad","token_endpoint_auth_method":"none","grant_types":["authorization_code"],"redirect_uris":["javascript:alert(1)"]}`,
		`{"client_id":"bad","token_endpoint_auth_method":"none","grant_types":["authorization_code"],"redirect_uris":["https://*.example.com/"]}`,
		`{"client_id":"bad","token_endpoint_auth_method":"none","grant_types":["authorization_code"],"redirect_uris":["https://a.example/#f"]}`,
	} {
		w.call("POST", "/admin/api/clients", "application/json", body, "Authorization", "Bearer "+admin.token).is(t, 400, "client_invalid")
	}
	admin.ask("PUT", "/admin/api/clients/spa", map[string]any{"token_endpoint_auth_method": "none", "grant_types": []string{"authorization_code"}}).is(t, 409, "client_readonly")
}

// everyRouteRefusesWhoMayNot: every route of the router, asked by everybody who must not get in.
func everyRouteRefusesWhoMayNot(t *testing.T, w *world) {
	list, err := w.routes(http.NotFoundHandler())
	if err != nil {
		t.Fatal(err)
	}
	viewer, editor, disabled, late := w.writer("vic", "viewer"), w.writer("eve", "editor"), w.writer("dis", "admin"), w.writer("late", "admin")
	admin := w.writer("ada", "admin")
	narrow := w.narrow(admin)
	w.operator.disable(t, disabled.who.ID)
	ask := func(r web.Route, header ...string) reply {
		path := strings.NewReplacer(":id", "x", ":role", "viewer", ":name", "x", ":provider", "github", "*file", "x").Replace(r.Path)
		kind, body := "", ""
		if r.Method != http.MethodGet {
			kind, body = "application/json", "{}"
		}
		return w.call(r.Method, path, kind, body, append([]string{"Accept", "application/json"}, header...)...)
	}
	refused := func(r web.Route, who string, got reply, want ...int) {
		t.Helper()
		if !slices.Contains(want, got.StatusCode) {
			t.Errorf("%s %s by %s answered %d, want one of %v: %.200s", r.Method, r.Path, who, got.StatusCode, want, got.raw)
		}
	}
	guarded := 0
	for _, r := range list {
		words := strings.Fields(r.Guard.Name)
		if len(words) == 0 || words[0] == "public" {
			continue
		}
		if words[0] == "apikey" {
			refused(r, "nobody", ask(r), 403)
			refused(r, "a wrong key", ask(r, "X-API-Key", "bk_x.y"), 403)
			continue
		}
		if words[0] != "session|bearer" && words[0] != "bearer" {
			continue // sessions and clients prove themselves otherwise, and have tables of their own
		}
		guarded++
		refused(r, "nobody", ask(r), 401, 303, 204, 200)
		if r.Path != "/logout" {
			refused(r, "nobody", ask(r), 401)
		}
		refused(r, "a token of nobody's", ask(r, "Authorization", "Bearer x.y.z"), 401)
		refused(r, "somebody disabled", ask(r, "Authorization", "Bearer "+disabled.token), 401)
		if !strings.Contains(r.Guard.Name, "role admin") {
			continue
		}
		refused(r, "a viewer", ask(r, "Authorization", "Bearer "+viewer.token), 403)
		refused(r, "an editor", ask(r, "Authorization", "Bearer "+editor.token), 403)
		refused(r, "an admin by a narrow credential", ask(r, "Authorization", "Bearer "+narrow), 403)
	}
	if guarded < 20 {
		t.Errorf("%d guarded routes were asked, want more", guarded)
	}
	w.clock.advance(time.Hour)
	w.poll()
	for _, r := range list {
		if strings.HasPrefix(r.Guard.Name, "session|bearer") || r.Guard.Name == "bearer" {
			refused(r, "an expired token", ask(r, "Authorization", "Bearer "+late.token), 401)
		}
	}
}

// narrow exchanges an API key of the admin's for a token that reaches no further than the key.
func (w *world) narrow(admin writer) string {
	w.Helper()
	key := admin.ask("POST", "/api-keys", map[string]any{"name": "narrow", "scopes": []string{"data:read"}})
	key.is(w, 201, "")
	r := w.post("/token", url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {key.str("key")},
		"subject_token_type": {oauth.TokenTypeAPIKey},
	})
	if r.StatusCode != 200 {
		w.Fatalf("no token for a key: %d %s", r.StatusCode, r.raw)
	}
	return r.str("access_token")
}

// A browser session may look for hours, and change something for ten minutes after the sign-in.
func TestAChangeNeedsARecentSignIn(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		ada, jo := w.person("ada", "admin"), w.person("jo")
		b := w.browser()
		b.submit(b.open("/login"), "signin-form", url.Values{"username": {ada.Username}, "password": {w.password}})
		w.clock.advance(11 * time.Minute)
		w.poll()
		if p := b.do("GET", w.issuer+"/admin/api/users", nil); p.StatusCode != 200 {
			t.Errorf("to look: %d %s", p.StatusCode, p.body)
		}
		p := b.do("POST", w.issuer+"/admin/api/users/"+jo.ID+"/disable", url.Values{})
		if p.StatusCode != 403 || !strings.Contains(p.body, "sign_in_again") {
			t.Errorf("to change: %d %s", p.StatusCode, p.body)
		}
	})
}
