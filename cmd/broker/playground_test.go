package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"example.com/broker/config"
)

// player is somebody signed in, by their cookie alone.
type player struct {
	*world
	who    localUser
	cookie string
}

func (w *world) player(name string, roles ...string) player {
	w.Helper()
	who := w.person(name, roles...)
	r := w.post("/login", url.Values{"username": {who.Username}, "password": {w.password}}, "Origin", w.issuer, "Sec-Fetch-Site", "same-origin", "Accept", "text/html")
	if len(r.Cookies()) == 0 {
		w.Fatalf("no session: %d %s", r.StatusCode, r.raw)
	}
	var cookie []string
	for _, c := range r.Cookies() {
		cookie = append(cookie, c.Name+"="+c.Value)
	}
	return player{w, who, strings.Join(cookie, "; ")}
}

// sampleDraft is a draft with what a case does not name.
func sampleDraft(change map[string]any) map[string]any {
	d := map[string]any{
		"policies":  `@id("editors") permit (principal in Role::"editor", action == Action::"write", resource is Document);`,
		"schema":    `entity Role; entity User in [Role]; entity Document; action "read", "write" appliesTo { principal: User, resource: Document, context: { mfa: Bool } };`,
		"entities":  `[{"uid": {"type": "User", "id": "alice"}, "attrs": {}, "parents": [{"type": "Role", "id": "editor"}]}, {"uid": {"type": "Role", "id": "viewer"}, "attrs": {}, "parents": []}]`,
		"principal": `User::"alice"`, "action": `Action::"write"`, "resource": `Document::"handbook"`, "context": `{"mfa": true}`, "tests": "[]", "show": "one",
	}
	for name, v := range change {
		d[name] = v
	}
	return d
}

func (p player) evaluates(change map[string]any, header ...string) reply {
	p.Helper()
	raw, err := json.Marshal(sampleDraft(change))
	if err != nil {
		p.Fatal(err)
	}
	return p.call(http.MethodPost, "/tools/policy/evaluate", "application/json", string(raw),
		append([]string{"Cookie", p.cookie, "Accept", "application/json", "Origin", p.issuer, "Sec-Fetch-Site", "same-origin"}, header...)...)
}

// Row 11: somebody picks a user and an action, and sees the decision and why.
func TestPickAUserAndAnAction(t *testing.T) {
	onEveryBroker(t, func(t *testing.T, w *world) {
		p := w.player("ann", "viewer")
		for _, c := range []struct {
			query string
			allow bool
			says  []string
		}{
			{"user=alice&action=edit&article=own-published", true, []string{"alice (editor) may edit", "article-edit-author"}},
			{"user=alice&action=delete&article=own-draft", true, []string{"article-delete-author"}},
			{"user=alice&action=delete&article=own-published", false, []string{"may not delete", "No permit applies", "article-delete-author", "article-delete-admin"}},
			{"user=alice&action=edit&article=foreign-draft", false, []string{"may not edit", "article-edit-admin"}},
			{"user=bob&action=read&article=foreign-published", true, []string{"article-read"}},
			{"user=bob&action=edit&article=own-draft", false, []string{"article-edit-author", "admin, editor"}},
			{"user=root&action=delete&article=foreign-published", true, []string{"article-delete-admin"}},
			{"user=you&action=edit&article=own-draft", false, []string{"You (viewer) may not edit an article of your own", "articles:write"}},
			{"user=nobody&action=none&article=&show=nothing", true, []string{
				"alice (editor) may read", "user=&#34;nobody", "not known here: this is the answer for alice. Known are alice, bob, root, you.", "action=&#34;none", "show=&#34;nothing",
			}},
		} {
			r := p.get("/tools/policy?"+c.query, "Cookie", p.cookie, "Accept", "application/json")
			if r.StatusCode != http.StatusOK || r.json["allow"] != c.allow {
				t.Errorf("%s: %d %s, want allow %v", c.query, r.StatusCode, r.raw, c.allow)
			}
			shown := p.get("/tools/policy?"+c.query, "Cookie", p.cookie, "Accept", "text/html")
			word := map[bool]string{true: "<strong id=\"answer-word\">ALLOW</strong>", false: "<strong id=\"answer-word\">DENY</strong>"}[c.allow]
			if !strings.Contains(shown.raw, word) {
				t.Errorf("%s: the page does not say %s", c.query, word)
			}
			for _, part := range c.says {
				if !strings.Contains(strings.ReplaceAll(r.raw, `\"`, "&#34;"), part) || !strings.Contains(shown.raw, part) {
					t.Errorf("%s: answer or page lack %q: %s", c.query, part, r.raw)
				}
			}
		}
	})
}

func TestThePlaygroundDecidesByWhatIsTyped(t *testing.T) {
	onEveryBroker(t, func(t *testing.T, w *world) {
		p := w.player("ann")
		decision := func(r reply) map[string]any { d, _ := r.json["decision"].(map[string]any); return d }

		r := p.evaluates(nil)
		if r.StatusCode != http.StatusOK || decision(r)["allow"] != true || decision(r)["why"] != "Allowed by editors." {
			t.Errorf("an editor writes: %d %s", r.StatusCode, r.raw)
		}
		r = p.evaluates(map[string]any{"action": `Action::"read"`})
		if decision(r)["allow"] != false || !strings.Contains(r.raw, "denied by default") {
			t.Errorf("nothing permits it: %s", r.raw)
		}
		erring := map[string]any{
			"policies": `permit (principal, action, resource); @id("mfa") forbid (principal, action, resource) unless { context.mfa };`, "context": "{}",
		}
		r = p.evaluates(erring)
		if decision(r)["allow"] != false || !strings.Contains(r.raw, `"id":"mfa","effect":"forbid","description":"","state":"skipped"`) || !strings.Contains(r.raw, "mfa could not be evaluated") {
			t.Errorf("a forbid that cannot be evaluated opened the door: %s", r.raw)
		}
		r = p.evaluates(map[string]any{"policies": "permit (principal,\n  actoin, resource);"})
		problems, _ := r.json["problems"].([]any)
		if first, ok := problems[0].(map[string]any); r.StatusCode != http.StatusOK || r.json["valid"] != false || !ok || first["pane"] != "policies" || first["line"] != 2.0 || first["column"] != 3.0 {
			t.Errorf("a policy that is none: %d %s", r.StatusCode, r.raw)
		}
		r = p.evaluates(map[string]any{"entities": `[{"uid": {"type": "User", "id": "alice"}, "attrs": {"colour": "red"}, "parents": []}]`})
		problems, _ = r.json["problems"].([]any)
		if r.json["valid"] != false || len(problems) != 1 || problems[0].(map[string]any)["pane"] != "entities" || !strings.Contains(r.raw, "colour") {
			t.Errorf("an attribute that a save refuses: %s", r.raw)
		}
		r = p.evaluates(map[string]any{"show": "matrix"})
		for _, want := range []string{`"actions":["read","write"]`, `{"kind":"role","name":"editor","cells":[{"allow":false`, `{"kind":"role","name":"viewer"`, `{"kind":"person","name":"alice"`} {
			if !strings.Contains(r.raw, want) {
				t.Errorf("the matrix lacks %s: %s", want, r.raw)
			}
		}
		r = p.evaluates(map[string]any{"show": "tests", "tests": `[{"principal": "User::alice", "action": "Action::write", "resource": "Document::x", "expect": "deny"}]`})
		if !strings.Contains(r.raw, `"want":false,"got":true,"pass":false`) {
			t.Errorf("a test that fails: %s", r.raw)
		}
		r = p.evaluates(map[string]any{"show": "live"})
		if live, _ := r.json["live"].(map[string]any); live["governed"] != false {
			t.Errorf("documents are nothing of the broker's: %s", r.raw)
		}
		r = p.evaluates(map[string]any{
			"show": "live", "resource": `Article::"x"`, "action": `Action::"edit"`,
			"policies": "permit (principal, action, resource is Article);",
			"schema":   `entity Role; entity User in [Role]; entity Article { author: User, published: Bool }; action "edit" appliesTo { principal: User, resource: Article };`,
			"entities": `[{"uid": {"type": "User", "id": "bob"}, "attrs": {}, "parents": []}, {"uid": {"type": "Article", "id": "x"}, "attrs": {"author": {"__entity": {"type": "User", "id": "alice"}}, "published": true}, "parents": []}]`,
		})
		if live, _ := r.json["live"].(map[string]any); live["governed"] != true || live["differences"] != 2.0 {
			t.Errorf("bob may edit and delete what is alice's, by the draft alone: %s", r.raw)
		}
	})
}

func TestWhoMayPlay(t *testing.T) {
	onEveryBroker(t, func(t *testing.T, w *world) {
		nobody := player{world: w}
		if r := w.get("/tools/policy", "Accept", "text/html"); r.StatusCode != http.StatusSeeOther || !strings.HasSuffix(r.Header.Get("Location"), "/login?next=%2Ftools%2Fpolicy") {
			t.Errorf("a stranger opens the page: %d %s", r.StatusCode, r.Header.Get("Location"))
		}
		w.get("/tools/policy", "Accept", "application/json").is(t, http.StatusUnauthorized, "session_required")
		nobody.evaluates(nil).is(t, http.StatusUnauthorized, "session_required")

		p := w.player("ann")
		p.evaluates(nil, "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example").is(t, http.StatusForbidden, "cross_origin")
		p.evaluates(map[string]any{"policies": strings.Repeat(" ", 64<<10)}).is(t, http.StatusRequestEntityTooLarge, "too_large")
		p.evaluates(map[string]any{"nonsense": 1}).is(t, http.StatusBadRequest, "request_invalid")
		p.evaluates(map[string]any{"show": "everything"}).is(t, http.StatusBadRequest, "request_invalid", "one, matrix, tests, live")
		p.call(http.MethodPost, "/tools/policy/evaluate", "text/plain", "{}", "Cookie", p.cookie, "Accept", "application/json", "Origin", p.issuer).
			is(t, http.StatusUnsupportedMediaType, "media_type")

		limited := false
		for range 60 {
			if r := p.evaluates(nil); r.StatusCode == http.StatusTooManyRequests {
				limited = true
				r.is(t, http.StatusTooManyRequests, "rate_limited")
				if r.Header.Get("Retry-After") == "" {
					t.Error("a limited request does not say when to come back")
				}
				break
			}
		}
		if !limited {
			t.Error("sixty evaluations at once, and no limit")
		}
		if r := w.player("ben").evaluates(nil); r.StatusCode != http.StatusOK {
			t.Errorf("one person waits for another: %d %s", r.StatusCode, r.raw)
		}
	})
}

func TestThePlaygroundCanBeSwitchedOff(t *testing.T) {
	w := newWorld(t, "sqlite", func(c *config.Config) { c.Tools.Policy = false })
	p := w.player("ann")
	if r := p.get("/tools/policy", "Cookie", p.cookie, "Accept", "text/html"); r.StatusCode != http.StatusNotFound {
		t.Errorf("the page is there: %d", r.StatusCode)
	}
	if r := p.evaluates(nil); r.StatusCode != http.StatusNotFound {
		t.Errorf("it evaluates: %d %s", r.StatusCode, r.raw)
	}
	if page := p.get("/guide"); page.StatusCode == http.StatusOK && strings.Contains(page.raw, "/tools/policy") {
		t.Error("the guide leads to what is not there")
	}
}
