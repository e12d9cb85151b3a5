package main

import (
	"strings"
	"testing"
	"time"
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
