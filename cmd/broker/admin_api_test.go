package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/broker/abac"
)

// bodiesOfAdmins are good bodies of operations that demand members.
func bodiesOfAdmins() map[string]map[string]any {
	rule := map[string]any{"id": "one", "claim": "groups", "op": "in", "values": []string{"writers"}, "roles": []string{"editor"}}
	client := map[string]any{"client_id": "till", "token_endpoint_auth_method": "client_secret_basic", "grant_types": []string{"client_credentials"}}
	return map[string]map[string]any{
		"adminSetPassword":  {"password": "an entirely new phrase"},
		"adminPutPolicies":  {"schema": "", "policies": []any{map[string]any{"id": "all", "text": "permit (principal, action, resource);"}}},
		"adminPutRole":      {"permissions": []string{"articles:read"}},
		"adminPutRules":     {"rules": []any{rule}},
		"adminDryRun":       {"claims": map[string]any{}},
		"adminCreateClient": client,
		"adminPutClient":    client,
		"adminCreateAPI":    {"id": "bills", "audience": "https://bills.example.com"},
		"adminPutAPI":       {"audience": "https://bills.example.com"},
	}
}

// What openapi.yaml calls required is required: a body without it, or with null in its place, is refused and changes nothing.
func TestAMemberThatIsMissingEmptiesNothing(t *testing.T) {
	d, err := description()
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, "sqlite")
	admin, jo := w.writer("ada", "admin"), w.person("jo")
	good := bodiesOfAdmins()
	admin.ask("POST", "/admin/api/clients", good["adminCreateClient"]).is(t, 201, "")
	admin.ask("POST", "/admin/api/apis", good["adminCreateAPI"]).is(t, 201, "")
	admin.ask("PUT", "/admin/api/mapping-rules", good["adminPutRules"]).is(t, 200, "")
	paths := []string{"/admin/api/roles", "/admin/api/mapping-rules", "/admin/api/policies/broker", "/admin/api/clients/till", "/admin/api/apis/bills", "/admin/api/users/" + jo.ID}
	read := func() (out []string) {
		for _, path := range paths {
			out = append(out, admin.ask("GET", path, nil).raw)
		}
		return out
	}
	before := read()
	asked := 0
	for _, o := range d.operations {
		where, schema := d.at(o.pointer + "/requestBody/content/application~1json/schema")
		if !strings.HasPrefix(o.path, "/admin/api/") || where == "" {
			continue
		}
		if ref, ok := schema["$ref"].(string); ok {
			_, schema = d.at(strings.TrimPrefix(ref, "#"))
		}
		_, operation := d.at(o.pointer)
		body := good[operation["operationId"].(string)]
		path := strings.NewReplacer("{name}", "viewer", "{app}", "broker", "/clients/{id}", "/clients/till", "/apis/{id}", "/apis/bills", "{id}", jo.ID).Replace(o.path)
		required, _ := schema["required"].([]any)
		for _, name := range required {
			asked++
			for _, edit := range []func(map[string]any, string){func(b map[string]any, n string) { delete(b, n) }, func(b map[string]any, n string) { b[n] = nil }} {
				less := maps.Clone(body)
				if less[name.(string)] == nil {
					t.Fatalf("%s demands %s: give bodiesOfAdmins one", operation["operationId"], name)
				}
				edit(less, name.(string))
				admin.ask(o.method, path, less).is(t, 400, "request_invalid", name.(string))
			}
		}
	}
	if after := read(); !slices.Equal(before, after) || asked < 10 {
		t.Errorf("%d members were left out, and there is\n%s\nbefore\n%s", asked, strings.Join(after, "\n"), strings.Join(before, "\n"))
	}
	admin.ask("PUT", "/admin/api/mapping-rules", map[string]any{"rules": []any{map[string]any{}}}).is(t, 400, "rule_invalid", `The rule "" cannot be saved`)
}

// What was read can be edited in the version that was read, the first time too.
func TestTheFirstEditMayNameTheVersionThatWasRead(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		admin := w.writer("ada", "admin")
		good := bodiesOfAdmins()
		for _, row := range []struct{ read, method, path, body, code string }{
			{"/roles", "PUT", "/roles/odd", "adminPutRole", "roles_changed"},
			{"/mapping-rules", "PUT", "/mapping-rules", "adminPutRules", "rules_changed"},
			{"/apis", "POST", "/apis", "adminCreateAPI", "apis_changed"},
			{"/policies/broker", "PUT", "/policies/broker", "adminPutPolicies", "policies_changed"},
		} {
			body := maps.Clone(good[row.body])
			was := admin.ask("GET", "/admin/api"+row.read, nil)
			seen := map[string]string{"If-Match": was.Header.Get("ETag")}
			if row.body == "adminPutPolicies" {
				body["schema"] = was.str("schema")
			}
			if seen["If-Match"] != `"0"` || was.json["v"] != 0.0 {
				t.Fatalf("%s: ETag %s of what was never stored: %s", row.read, seen["If-Match"], was.raw)
			}
			if r := admin.askWith(row.method, "/admin/api"+row.path, body, seen); r.StatusCode != 200 && r.StatusCode != 201 {
				t.Errorf("%s: %d %s", row.path, r.StatusCode, r.raw)
			}
			admin.askWith(row.method, "/admin/api"+row.path, body, seen).is(t, 409, row.code, admin.who.ID, "the version is 1, expected 0")
			if _, ok := was.json["v"]; ok && row.method == "PUT" && row.path == row.read {
				body["v"] = 0
				admin.ask(row.method, "/admin/api"+row.path, body).is(t, 409, row.code, admin.who.ID)
			}
		}
		admin.askWith("PUT", "/admin/api/roles/odd", good["adminPutRole"], map[string]string{"If-Match": `"-1"`}).is(t, 400, "version_invalid")
		admin.askWith("POST", "/admin/api/users/"+w.person("jo").ID+"/disable", nil, map[string]string{"If-Match": `"0"`}).is(t, 409, "user_version")
		admin.ask("POST", "/admin/api/clients", good["adminCreateClient"]).is(t, 201, "")
		admin.askWith("DELETE", "/admin/api/clients/till", nil, map[string]string{"If-Match": `"0"`}).is(t, 409, "client_changed")
	})
}

// A set of policies is replaced whatever its version where none is named, can be sent back as it was read, and may be as large as promised.
func TestAPolicySetIsSentBackAndMayBeLarge(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		admin := w.writer("ada", "admin")
		const path = "/admin/api/policies/broker"
		for range 2 {
			was := admin.ask("GET", path, nil)
			admin.ask("PUT", path, was.json).is(t, 200, "")
			delete(was.json, "v")
			admin.ask("PUT", path, was.json).is(t, 200, "")
		}
		was := admin.ask("GET", path, nil)
		if was.json["v"] != 4.0 {
			t.Errorf("after four changes: %s", was.raw)
		}
		was.json["app"] = "todo"
		admin.ask("PUT", path, was.json).is(t, 400, "application_invalid", "another application")
		was.json["app"], was.json["v"] = "broker", 3
		admin.ask("PUT", path, was.json).is(t, 409, "policies_changed", admin.who.ID, "the version is 4, expected 3")

		var entities []any
		for size := 0; size < abac.MaxEntitiesText-20_000; size += 10_000 {
			entities = append(entities, map[string]any{"uid": map[string]any{"type": "User", "id": fmt.Sprintf("%d-%s", size, strings.Repeat("x", 900))}, "attrs": map[string]any{"about": strings.Repeat("x", 9_000)}, "parents": []any{}})
		}
		raw, err := json.Marshal(entities)
		if err != nil {
			t.Fatal(err)
		}
		large := map[string]any{"schema": "entity User = { about: String };", "policies": []any{}, "entities": string(raw)}
		admin.ask("PUT", "/admin/api/policies/large", large).is(t, 200, "")
		large["entities"] = strings.Repeat(" ", 2*abac.MaxSetText)
		admin.ask("PUT", "/admin/api/policies/large", large).is(t, 413, "")
	})
}

// A user is one as whom somebody can sign in, with the roles that were named.
func TestAUserIsMadeWithAWayIn(t *testing.T) {
	w := newWorld(t, "sqlite")
	admin := w.writer("ada", "admin")
	for _, body := range []map[string]any{
		{}, {"username": "x"}, {"username": "x", "roles": []string{"admin"}}, {"email": "x@example.com", "email_verified": true},
	} {
		admin.ask("POST", "/admin/api/users", body).is(t, 400, "no_way_in", "password", "claimable")
	}
	admin.ask("POST", "/admin/api/users", map[string]any{"claimable": true}).is(t, 400, "claimable_invalid")
	for i, row := range []struct {
		roles any
		want  string
	}{{nil, "[viewer]"}, {[]string{}, "[]"}, {[]string{"editor"}, "[editor]"}} {
		r := admin.ask("POST", "/admin/api/users", map[string]any{"email": fmt.Sprintf("new%d@example.com", i), "claimable": true, "roles": row.roles})
		r.is(t, 201, "")
		if got := fmt.Sprint(r.json["roles"]); got != row.want {
			t.Errorf("roles %v: got %s, want %s", row.roles, got, row.want)
		}
	}
	admin.ask("DELETE", "/users/"+admin.who.ID, nil).is(t, 409, "last_admin")
}

// A list that cannot be searched, or has no pages, says so.
func TestListsRefuseWhatTheyDoNotLookAt(t *testing.T) {
	w := newWorld(t, "sqlite")
	admin := w.writer("ada", "admin")
	for list, params := range map[string]string{
		"users": "limit cursor q", "clients": "limit cursor", "apis": "limit cursor", "audit": "limit cursor",
		"roles": "", "mapping-rules": "", "policies": "", "policies/broker": "", "users/" + admin.who.ID: "", "clients/spa": "", "apis/orders": "",
	} {
		for _, param := range []string{"limit", "cursor", "q"} {
			query, want := "?"+param+"=", 400
			if slices.Contains(strings.Fields(params), param) {
				want = 200
			}
			if r := admin.ask("GET", "/admin/api/"+list+query, nil); r.StatusCode != want {
				t.Errorf("%s%s answered %d %s, want %d", list, query, r.StatusCode, r.raw, want)
			}
		}
	}
}

// Whoever deletes what a page ends with goes on behind it.
func TestPagesGoOnWhereTheirLastEntryIsDeleted(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		admin := w.writer("ada", "admin")
		for _, id := range []string{"zeta", "eta", "beta", "theta"} { // APIs are stored in the order they were made in
			client := map[string]any{"client_id": id, "token_endpoint_auth_method": "client_secret_basic", "grant_types": []string{"client_credentials"}}
			admin.ask("POST", "/admin/api/clients", client).is(t, 201, "")
			admin.ask("POST", "/admin/api/apis", map[string]any{"id": id, "audience": "urn:example:" + id}).is(t, 201, "")
		}
		for list, member := range map[string]string{"clients": "client_id", "apis": "id"} {
			var seen, all []string
			ids := func(r reply) (out []string) {
				for _, one := range r.json[list].([]any) {
					out = append(out, one.(map[string]any)[member].(string))
				}
				return out
			}
			all = ids(admin.ask("GET", "/admin/api/"+list+"?limit=200", nil))
			for cursor := ""; len(seen) < 100; {
				r := admin.ask("GET", "/admin/api/"+list+"?limit=1&cursor="+url.QueryEscape(cursor), nil)
				r.is(t, 200, "")
				last := ids(r)
				seen = append(seen, last...)
				if slices.Contains([]string{"zeta", "eta", "beta", "theta"}, last[len(last)-1]) {
					admin.ask("DELETE", "/admin/api/"+list+"/"+last[len(last)-1], nil).is(t, 204, "")
				}
				if cursor = r.str("next"); cursor == "" {
					break
				}
			}
			if !slices.Equal(seen, all) {
				t.Errorf("%s: page by page %v, at once %v", list, seen, all)
			}
		}
	})
}

// A role may be given with an end. Until then it is one like any other, and at it, it is gone: without a new sign-in, and for the last admin.
func TestARoleIsGivenUntilATime(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		admin, jo := w.writer("ada", "admin"), w.writer("jo", "viewer")
		article := map[string]any{"title": "t", "body": "b"}
		path := "/admin/api/users/" + jo.who.ID + "/roles/"
		until := w.now().Add(10 * time.Minute).UTC().Truncate(time.Second)
		for name, body := range map[string]any{
			"no time": map[string]any{"until": "tomorrow"}, "a number": map[string]any{"until": 5}, "the past": map[string]any{"until": w.now().Add(-time.Second).Format(time.RFC3339)},
			"another member": map[string]any{"for": "30d"}, "a list": []string{"x"},
		} {
			if r := admin.ask("PUT", path+"editor", body); r.StatusCode != 400 {
				t.Errorf("%s: %d %s", name, r.StatusCode, r.raw)
			}
		}
		w.call("PUT", path+"editor", "text/plain", "until tomorrow", "Authorization", "Bearer "+admin.token, "Accept", "application/json").is(t, 415, "media_type")

		r := admin.ask("PUT", path+"editor", map[string]any{"until": until})
		r.is(t, 200, "")
		if !strings.Contains(r.raw, "given by hand, since") || !strings.Contains(r.raw, ", until "+until.Format(time.DateTime)) {
			t.Errorf("why: %s", r.raw)
		}
		admin.ask("PUT", path+"admin", map[string]any{"until": until}).is(t, 200, "")
		admin.ask("DELETE", "/admin/api/users/"+admin.who.ID+"/roles/admin", nil).is(t, 409, "last_admin")
		admin.ask("PUT", "/admin/api/users/"+admin.who.ID+"/roles/admin", map[string]any{"until": until}).is(t, 409, "last_admin")

		tokens := w.passwordGrant(jo.who.Username, w.password)
		jo.token = tokens.str("access_token")
		jo.ask("POST", "/articles", article).is(t, 201, "")
		jo.ask("GET", "/admin/api/roles", nil).is(t, 200, "")
		w.clock.advance(10 * time.Minute)
		w.poll()
		jo.ask("POST", "/articles", article).is(t, 403, "role_missing", "Yours: viewer")
		jo.ask("GET", "/admin/api/roles", nil).is(t, 403, "role_missing")
		if got := rolesOf(t, w.passwordGrant(jo.who.Username, w.password)); !slices.Equal(got, []string{"viewer"}) {
			t.Errorf("roles %v", got)
		}
	})
}

// An event says who did what: the admin, and what became of the document, without its values where they could be secret.
func TestAnEventSaysWhoDidWhat(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		admin, jo := w.writer("ada", "admin"), w.person("jo")
		rule := func(id, role string) map[string]any {
			return map[string]any{"id": id, "claim": "groups", "op": "in", "values": []string{"writers"}, "roles": []string{role}}
		}
		user := "/admin/api/users/" + jo.ID
		until := w.now().Add(time.Hour).UTC().Format(time.RFC3339)
		admin.ask("PUT", user+"/roles/editor", map[string]any{"until": until}).is(t, 200, "")
		admin.ask("DELETE", user+"/roles/editor", nil).is(t, 200, "")
		admin.ask("PUT", "/admin/api/roles/viewer", map[string]any{"permissions": []string{"data:read", "articles:read"}}).is(t, 200, "")
		admin.ask("PUT", "/admin/api/mapping-rules", map[string]any{"rules": []any{rule("one", "editor"), rule("two", "editor")}}).is(t, 200, "")
		admin.ask("PUT", "/admin/api/mapping-rules", map[string]any{"rules": []any{rule("two", "viewer"), rule("three", "editor")}}).is(t, 200, "")
		admin.ask("POST", "/admin/api/clients", bodiesOfAdmins()["adminCreateClient"]).is(t, 201, "")
		change := maps.Clone(bodiesOfAdmins()["adminCreateClient"])
		change["name"], change["apis"] = "Till", []string{"orders"}
		admin.ask("PUT", "/admin/api/clients/till", change).is(t, 200, "")
		admin.ask("POST", "/admin/api/apis", bodiesOfAdmins()["adminCreateAPI"]).is(t, 201, "")
		admin.ask("PUT", "/admin/api/apis/bills", map[string]any{"audience": "https://bills.example.com", "ttl": 60}).is(t, 200, "")
		set := admin.ask("GET", "/admin/api/policies/broker", nil)
		admin.ask("PUT", "/admin/api/policies/broker", set.json).is(t, 200, "")
		admin.ask("DELETE", "/admin/api/users/"+admin.who.ID, nil).is(t, 409, "last_admin")

		type detail map[string]any
		want := map[string]detail{
			"admin.user.role_grant":   {"role": "editor", "until": until},
			"user.role_grant":         {"role": "editor", "until": until},
			"admin.user.role_revoke":  {"role": "editor"},
			"user.role_revoke":        {"role": "editor"},
			"admin.role.put":          {"before": "*:read", "after": "data:read articles:read"},
			"admin.mapping_rules.put": {"added": "three", "changed": "two", "removed": "one"},
			"admin.client.put":        {"members": "apis name"},
			"admin.api.put":           {"members": "ttl"},
			"admin.policies.put":      {"v": "1"},
			"admin.user.delete":       {"reason": "last_admin"},
			"user.delete":             {"reason": "last_admin"},
		}
		found := map[string]detail{}
		eventually(t, "the events", func() bool {
			r := admin.ask("GET", "/admin/api/audit?limit=200", nil)
			clear(found)
			for _, e := range slices.Backward(r.json["events"].([]any)) { // the last of each counts
				event := e.(map[string]any)
				action, _ := event["action"].(string)
				if _, ok := want[action]; !ok || action == "user.role_grant" && event["target"] == admin.who.ID {
					continue // the last was before there was an admin
				}
				if event["actor"] != admin.who.ID || event["client_id"] != "cli" || event["request_id"] == "" {
					t.Fatalf("who did it? %v", event)
				}
				found[action], _ = event["detail"].(map[string]any)
			}
			return len(found) == len(want)
		})
		for action, d := range want {
			if fmt.Sprint(found[action]) != fmt.Sprint(d) {
				t.Errorf("%s: got %v, want %v", action, found[action], d)
			}
		}
	})
}

// A number that no program can hold is no claim that a rule could be tried on.
func TestADryRunRefusesNumbersThatNobodyCanHold(t *testing.T) {
	w := newWorld(t, "sqlite")
	admin := w.writer("ada", "admin")
	for _, claims := range []string{`{"level":1e999999}`, `{"deep":[{"level":-1E+401}]}`} {
		body := `{"claims":` + claims + `,"rules":[{"id":"one","claim":"level","op":"equals","values":["1"],"roles":["editor"]}]}`
		w.call(http.MethodPost, "/admin/api/mapping-rules/dry-run", "application/json", body, "Authorization", "Bearer "+admin.token, "Accept", "application/json").is(t, 400, "", "number")
	}
}
