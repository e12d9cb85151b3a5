package main

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/audit"
)

// denials are the events of one actor in the store whose targets are routes, oldest first.
func (w *world) denials(actor string) (out []audit.Event) {
	w.Helper()
	for before := ""; ; {
		page, err := w.stores.Audit.ListAudit(w.Context(), before, 200)
		if err != nil {
			w.Fatal(err)
		}
		for _, e := range page {
			if e.Actor == actor && e.Action == "route.use" {
				out = append([]audit.Event{e}, out...)
			}
		}
		if len(page) < 200 {
			return out
		}
		before = page[len(page)-1].ID
	}
}

// What a role or a scope keeps somebody from is in the audit log, whichever route it is, and does not fill it.
func TestDenialsOfRolesAndScopesAreAudited(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		viewer, flooder := w.writer("vic", "viewer"), w.writer("flo", "viewer")
		list, err := w.routes(http.NotFoundHandler())
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]bool{}
		for _, r := range list {
			if strings.Contains(r.Guard.Name, "role admin") {
				path := strings.NewReplacer(":id", "x", ":role", "viewer", ":name", "x", ":app", "x").Replace(r.Path)
				w.call(r.Method, path, "application/json", "{}", "Authorization", "Bearer "+viewer.token).is(t, 403, "role_missing")
				want[r.Method+" "+r.Path] = true
			}
		}
		if len(want) < 20 {
			t.Errorf("%d routes need an admin, want more", len(want))
		}
		eventually(t, "each route that refused is in the audit log", func() bool { return len(w.denials(viewer.who.ID)) >= len(want) })
		got := map[string]bool{}
		for _, e := range w.denials(viewer.who.ID) {
			got[e.Target] = true
			e.ID, e.Chain, e.At, e.After = "", "", time.Time{}, time.Time{}
			whole := audit.Event{Action: "route.use", Actor: viewer.who.ID, Target: e.Target, ClientID: "cli", RequestID: e.RequestID, Outcome: "denied", Detail: map[string]string{
				"code": "role_missing", "roles": "admin", "count": "1",
			}}
			if diff := cmp.Diff(whole, e); diff != "" || e.RequestID == "" {
				t.Errorf("request %q (-want +got):\n%s", e.RequestID, diff)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("routes (-want +got):\n%s", diff)
		}

		t.Log("so is what a handler, or the guard of the decision point, refuses by itself")
		asker := w.writer("ask", "viewer")
		asker.ask("GET", "/api-keys?owner_id="+viewer.who.ID, nil).is(t, 403, "role_missing")
		asker.ask("POST", "/api-keys", map[string]any{"name": "k", "owner_id": viewer.who.ID}).is(t, 403, "owner_foreign")
		made := asker.ask("POST", "/api-keys", map[string]any{"name": "k"})
		made.is(t, 201, "")
		w.call("POST", "/access/v1/evaluation", "application/json", "{}", "Authorization", "Bearer "+made.str("key")).is(t, 403, "scope_missing")
		eventually(t, "all three are in the audit log", func() bool { return len(w.denials(asker.who.ID)) >= 3 })
		said := ""
		for _, e := range w.denials(asker.who.ID) {
			said += e.Target + " " + e.Detail["code"] + " " + e.Detail["api_key"] + "\n"
		}
		if diff := cmp.Diff("GET /api-keys role_missing \nPOST /api-keys owner_foreign \nPOST /access/v1/evaluation scope_missing "+made.str("id")+"\n", said); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}

		wide := w.writer("wes", "viewer")
		wide.ask("POST", "/api-keys", map[string]any{"name": "k", "scopes": []string{"*:*"}}).is(t, 403, "role_missing")
		eventually(t, "a scope that is not theirs to give is in it", func() bool { return len(w.denials(wide.who.ID)) == 1 })

		t.Log("so is what the routes refuse that are pages too")
		narrow := w.person("nat", "viewer")
		_, key := w.byToken(narrow).key("narrow", "scopes", []string{"data:read"})
		for _, path := range []string{"/sessions", "/api-keys"} {
			w.get(path, "Authorization", "Bearer "+w.exchange(key).str("access_token")).is(t, 403, "scope_missing")
		}
		b, _ := w.signedInBrowser(narrow, "/api-keys")
		form := url.Values{"name": {"k"}, "days": {"1"}, "scope:articles:write": {"on"}}
		b.do(http.MethodPost, w.issuer+"/api-keys", form).errorPage(t, http.StatusForbidden, "role_missing")
		eventually(t, "all three are in the audit log", func() bool { return len(w.denials(narrow.ID)) >= 3 })

		t.Log("who goes on and on is counted")
		for range 50 {
			flooder.ask("DELETE", "/users/"+viewer.who.ID, nil).is(t, 403, "role_missing")
		}
		eventually(t, "the first is in the audit log", func() bool { return len(w.denials(flooder.who.ID)) > 0 })
		w.clock.advance(time.Minute)
		eventually(t, "the others are in it", func() bool { return len(w.denials(flooder.who.ID)) > 1 })
		var counts []string
		for _, e := range w.denials(flooder.who.ID) {
			counts = append(counts, e.Target+" "+e.Detail["count"])
		}
		if diff := cmp.Diff([]string{"DELETE /users/:id 1", "DELETE /users/:id 49"}, counts); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}

		for _, e := range append(w.denials(viewer.who.ID), w.denials(flooder.who.ID)...) {
			if text := string(asJSON(t, e)); strings.Contains(text, viewer.token) || strings.Contains(text, flooder.token) || strings.Contains(text, w.password) {
				t.Errorf("a secret stands in %s", text)
			}
		}

		t.Log("the end of the broker loses no count")
		for range 3 {
			flooder.ask("GET", "/admin/api/users", nil).is(t, 403, "role_missing")
		}
		w.restart()
		sum := 0
		for _, e := range w.denials(flooder.who.ID) {
			if e.Target == "GET /admin/api/users" {
				n, err := strconv.Atoi(e.Detail["count"])
				if err != nil {
					t.Error(err)
				}
				sum += n
			}
		}
		if sum != 3 {
			t.Errorf("the events stand for %d denials, want 3", sum)
		}
	})
}
