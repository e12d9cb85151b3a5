package main

import (
	"strings"
	"testing"
	"time"

	"example.com/broker/config"
)

// An admin reads and replaces the policies as a whole; what is saved decides at once, and what is not good changes nothing.
func TestPoliciesAreEditedByAdmins(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		admin, editor, other := w.writer("ada", "admin"), w.writer("eve", "editor"), w.writer("otto", "editor")
		article := editor.ask("POST", "/articles", map[string]any{"title": "t", "body": "b"})
		edit := map[string]any{"title": "t2", "body": "b", "v": article.json["v"]}
		path := "/articles/" + article.str("id")
		other.ask("PUT", path, edit).is(t, 403, "")

		editor.ask("GET", "/admin/api/policies", nil).is(t, 403, "role_missing")
		if r := admin.ask("GET", "/admin/api/policies", nil); r.StatusCode != 200 || !strings.Contains(r.raw, `"app":"broker"`) {
			t.Fatalf("the list of applications: %d %s", r.StatusCode, r.raw)
		}
		was := admin.ask("GET", "/admin/api/policies/broker", nil)
		was.is(t, 200, "")
		admin.ask("GET", "/admin/api/policies/nowhere", nil).is(t, 404, "application_unknown")

		set := map[string]any{"v": was.json["v"], "schema": was.str("schema"), "policies": []any{map[string]any{"id": "all", "text": "permit (principal, action, resource);"}}}
		editor.ask("PUT", "/admin/api/policies/broker", set).is(t, 403, "role_missing")
		bad := map[string]any{"v": was.json["v"], "schema": was.str("schema"), "policies": []any{map[string]any{"id": "all", "text": "permit (principal"}}}
		if r := admin.ask("PUT", "/admin/api/policies/broker", bad); r.StatusCode != 400 {
			t.Errorf("a policy that does not parse: %d %s", r.StatusCode, r.raw)
		}
		other.ask("PUT", path, edit).is(t, 403, "")
		admin.ask("PUT", "/admin/api/policies/broker", set).is(t, 200, "")
		admin.ask("PUT", "/admin/api/policies/broker", set).is(t, 409, "policies_changed")
		if r := other.ask("PUT", path, edit); r.StatusCode != 200 {
			t.Errorf("the saved policy does not decide: %d %s", r.StatusCode, r.raw)
		}
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		deadline := time.After(10 * time.Second)
		for { // events are written within a second
			r := admin.ask("GET", "/admin/api/audit", nil)
			if strings.Contains(r.raw, "policies.save") {
				return
			}
			select {
			case <-tick.C:
			case <-deadline:
				t.Fatalf("no audit event of the change: %s", r.raw)
			}
		}
	})
}

// A set is taken away by an admin, on every replica; the broker's own goes back to the one it comes with.
func TestPoliciesAreDeleted(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		second := w.replica()
		admin, editor := w.writer("ada", "admin"), w.writer("eve", "editor")
		there := writer{second, admin.who, admin.token}
		was := admin.ask("GET", "/admin/api/policies/broker", nil)
		set := map[string]any{"schema": was.str("schema"), "policies": []any{map[string]any{"id": "all", "text": "permit (principal, action, resource);"}}}
		for _, app := range []string{"shop", "broker"} {
			path := "/admin/api/policies/" + app
			admin.ask("DELETE", path, nil).is(t, 404, "application_unknown")
			admin.ask("PUT", path, set).is(t, 200, "")
			within(t, "the other replica has "+app, func() bool { return there.ask("GET", path, nil).json["v"] == 1.0 })

			editor.ask("DELETE", path, nil).is(t, 403, "role_missing")
			admin.askWith("DELETE", path, nil, map[string]string{"If-Match": `"2"`}).is(t, 409, "policies_changed")
			admin.askWith("DELETE", path, nil, map[string]string{"If-Match": `"0"`}).is(t, 409, "policies_changed")
			admin.askWith("DELETE", path, nil, map[string]string{"If-Match": "x"}).is(t, 400, "version_invalid")
			if r := admin.askWith("DELETE", path, nil, map[string]string{"If-Match": `"1"`}); r.StatusCode != 204 {
				t.Fatalf("delete %s: %d %s", app, r.StatusCode, r.raw)
			}
			admin.ask("DELETE", path, nil).is(t, 404, "application_unknown")
		}
		for _, one := range []writer{admin, there} {
			within(t, "the application is gone and the broker has its own policies", func() bool {
				gone, own := one.ask("GET", "/admin/api/policies/shop", nil), one.ask("GET", "/admin/api/policies/broker", nil)
				return gone.StatusCode == 404 && own.StatusCode == 200 && own.json["v"] == 0.0 && own.str("schema") == was.str("schema")
			})
			if r := one.ask("GET", "/admin/api/policies", nil); strings.Contains(r.raw, "shop") || !strings.Contains(r.raw, `"app":"broker"`) {
				t.Errorf("the list of applications: %s", r.raw)
			}
		}
		set["v"] = 0
		if r := there.ask("PUT", "/admin/api/policies/shop", set); r.StatusCode != 200 || r.json["v"] != 3.0 {
			t.Errorf("stored anew: %d %s", r.StatusCode, r.raw)
		}
		within(t, "the deletion is in the audit log", func() bool {
			r := admin.ask("GET", "/admin/api/audit?limit=200", nil)
			return strings.Contains(r.raw, "policies.remove") && strings.Contains(r.raw, "admin.policies.delete")
		})
	})
}

// Policies of the configuration are not deleted at run time, neither by the admin API nor by command line.
func TestPoliciesOfTheConfigurationStay(t *testing.T) {
	dir := folders(t, map[string]string{"shop/schema.cedarschema": shopSchema})
	w := newWorld(t, "sqlite", func(c *config.Config) { c.Policies.Dir = dir })
	admin := w.writer("ada", "admin")
	admin.ask("DELETE", "/admin/api/policies/shop", nil).is(t, 409, "policies_fixed")
	if _, err := removePolicies(t.Context(), w.program, byID{"shop"}); codeOf(err) != "policies_fixed" {
		t.Errorf("by command line: %v", err)
	}
	admin.ask("GET", "/admin/api/policies/shop", nil).is(t, 200, "")
}
