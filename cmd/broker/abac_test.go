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

	"example.com/broker/abac"
	"example.com/broker/access"
	"example.com/broker/internal/fault"
	"example.com/broker/samples/articles"
)

// onEveryBroker runs a test on a fresh broker over each store, in this process and over the built binary.
func onEveryBroker(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	for _, kind := range storeKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			test(t, newWorld(t, kind))
		})
		t.Run(kind+" binary", func(t *testing.T) {
			t.Parallel()
			test(t, newBinaryWorld(t, kind))
		})
	}
}

// writer is somebody who calls the articles with an access token.
type writer struct {
	*world
	who   localUser
	token string
}

func (w *world) writer(name string, roles ...string) writer {
	w.Helper()
	who := w.person(name, roles...)
	r := w.passwordGrant(who.Username, w.password)
	if r.StatusCode != http.StatusOK {
		w.Fatalf("no token: %d %s", r.StatusCode, r.raw)
	}
	return writer{w, who, r.str("access_token")}
}

func (a writer) ask(method, path string, body any) reply {
	a.Helper()
	return a.askWith(method, path, body, nil)
}

func (a writer) askWith(method, path string, body any, header map[string]string) reply {
	a.Helper()
	kind, text := "", ""
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			a.Fatal(err)
		}
		kind, text = "application/json", string(raw)
	}
	pairs := []string{"Authorization", "Bearer " + a.token, "Accept", "application/json"}
	for name, value := range header {
		pairs = append(pairs, name, value)
	}
	return a.call(method, path, kind, text, pairs...)
}

// writes makes an article and returns its path.
func (a writer) writes(title string, published bool) string {
	a.Helper()
	r := a.ask(http.MethodPost, "/articles", map[string]any{"title": title, "body": "text", "published": published})
	if r.StatusCode != http.StatusCreated || r.str("author") != a.who.ID || r.json["v"] != 1.0 || r.Header.Get("Location") != "/articles/"+r.str("id") {
		a.Fatalf("POST /articles: %d %s", r.StatusCode, r.raw)
	}
	return r.Header.Get("Location")
}

func (r reply) is(t testing.TB, status int, code string, says ...string) {
	t.Helper()
	if r.StatusCode != status || code != "" && r.str("code") != code {
		t.Errorf("%s %s answered %d %s, want %d %s", r.Request.Method, r.Request.URL.Path, r.StatusCode, r.raw, status, code)
	}
	for _, word := range says {
		if !strings.Contains(r.str("detail"), word) {
			t.Errorf("%s %s says %q, want it to name %s", r.Request.Method, r.Request.URL.Path, r.str("detail"), word)
		}
	}
}

// Row 11: the author or an admin may edit an article; an admin may delete any, the author only an unpublished one; 401 before 404 before
// 403.
func TestWhoMayDoWhatWithAnArticle(t *testing.T) {
	onEveryBroker(t, func(t *testing.T, w *world) {
		author, other := w.writer("ann", "editor"), w.writer("bob", "editor")
		admin, viewer := w.writer("cleo", "admin"), w.writer("dan", "viewer")
		edit := func(v int, published bool) map[string]any {
			return map[string]any{"title": "edited", "body": "b", "published": published, "v": v}
		}
		draft, published := author.writes("a draft", false), author.writes("published", true)

		for _, path := range []string{draft, "/articles/none"} {
			for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
				if r := w.call(method, path, "", "", "Accept", "application/json"); r.StatusCode != http.StatusUnauthorized || r.Header.Get("WWW-Authenticate") == "" && r.str("code") != "session_required" {
					t.Errorf("%s %s without a credential: %d %s", method, path, r.StatusCode, r.raw)
				}
			}
		}
		for _, one := range []writer{author, other, admin, viewer} {
			one.ask(http.MethodGet, "/articles/none", nil).is(t, http.StatusNotFound, "article_unknown")
			one.ask(http.MethodPut, "/articles/none", edit(1, true)).is(t, http.StatusNotFound, "article_unknown")
			one.ask(http.MethodDelete, "/articles/none", nil).is(t, http.StatusNotFound, "article_unknown")
			one.ask(http.MethodGet, draft, nil).is(t, http.StatusOK, "")
		}

		viewer.ask(http.MethodPost, "/articles", map[string]any{"title": "t", "body": "b"}).is(t, http.StatusForbidden, "role_missing", "editor", "admin")
		viewer.ask(http.MethodPut, draft, edit(1, false)).is(t, http.StatusForbidden, "role_missing", "editor", "admin")
		viewer.ask(http.MethodDelete, draft, nil).is(t, http.StatusForbidden, "role_missing", "editor", "admin")
		other.ask(http.MethodPut, draft, edit(1, false)).is(t, http.StatusForbidden, "policy_denied", "article-edit-author", "article-edit-admin")
		other.ask(http.MethodDelete, draft, nil).is(t, http.StatusForbidden, "policy_denied", "article-delete-author", "article-delete-admin")
		author.ask(http.MethodDelete, published, nil).is(t, http.StatusForbidden, "policy_denied", "article-delete-author", "not published")

		author.ask(http.MethodPut, draft, edit(1, false)).is(t, http.StatusOK, "")
		author.ask(http.MethodPut, draft, edit(1, false)).is(t, http.StatusConflict, "article_changed")
		admin.ask(http.MethodPut, draft, edit(2, false)).is(t, http.StatusOK, "")
		author.ask(http.MethodPut, draft, map[string]any{"body": "b", "v": 3}).is(t, http.StatusBadRequest, "article_invalid", "title")
		if r := author.ask(http.MethodGet, draft, nil); r.json["v"] != 3.0 || r.str("title") != "edited" || r.str("author") != author.who.ID {
			t.Errorf("after two edits: %s", r.raw)
		}

		author.ask(http.MethodDelete, draft, nil).is(t, http.StatusNoContent, "")
		admin.ask(http.MethodDelete, published, nil).is(t, http.StatusNoContent, "")
		author.ask(http.MethodDelete, draft, nil).is(t, http.StatusNotFound, "article_unknown")

		first := author.writes("one", true)
		author.writes("two", true)
		page := viewer.ask(http.MethodGet, "/articles?limit=1", nil)
		if list, _ := page.json["articles"].([]any); len(list) != 1 || page.str("next") == "" || strings.Contains(page.str("next"), strings.TrimPrefix(first, "/articles/")) {
			t.Errorf("the first page: %s", page.raw)
		}
		page = viewer.ask(http.MethodGet, "/articles?limit=5&after="+url.QueryEscape(page.str("next")), nil)
		if list, _ := page.json["articles"].([]any); len(list) != 1 || page.str("next") != "" {
			t.Errorf("the last page: %s", page.raw)
		}
		viewer.ask(http.MethodGet, "/articles?limit=1000000000", nil).is(t, http.StatusBadRequest, "limit_invalid")
	})
}

func TestASessionWritesArticlesTooAndNoOtherSiteByIt(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		who := w.signIn("web", webSecret)
		w.operator.grant(t, who.who.ID, "editor")
		at, err := url.Parse(w.issuer)
		if err != nil {
			t.Fatal(err)
		}
		var cookies []string
		for _, c := range who.http.Jar.Cookies(at) {
			cookies = append(cookies, c.Name+"="+c.Value)
		}
		post := func(header ...string) reply {
			return w.call(http.MethodPost, "/articles", "application/json", `{"title":"t","body":"b"}`,
				append([]string{"Cookie", strings.Join(cookies, "; "), "Accept", "application/json"}, header...)...)
		}
		post("Sec-Fetch-Site", "same-origin", "Origin", w.issuer).is(t, http.StatusCreated, "")
		post("Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example").is(t, http.StatusForbidden, "cross_origin")
	})
}

// A scope limits what the roles and policies allow; it widens nothing.
func TestAScopeLimitsWhatAWriterMayDo(t *testing.T) {
	w := newWorld(t, "sqlite")
	g := w.access
	a := articles.Article{ID: "1", Author: "ann"}
	entity := abac.Entity{UID: abac.UID{Type: "Article", ID: a.ID}, Attrs: map[string]any{"author": abac.UID{Type: "User", ID: a.Author}, "published": false}}
	edit := access.Action{Name: "edit", Permission: "articles:write"}
	for _, row := range []struct {
		rule  string
		actor access.Actor
		code  string
	}{
		{"the author", access.Actor{UserID: "ann", Roles: []string{"editor"}, Whole: true}, ""},
		{"the author with the scope", access.Actor{UserID: "ann", Roles: []string{"editor"}, Scopes: []string{"articles:write"}}, ""},
		{"the author with another scope", access.Actor{UserID: "ann", Roles: []string{"editor"}, Scopes: []string{"articles:read"}}, "scope_missing"},
		{"somebody else with the scope", access.Actor{UserID: "bob", Roles: []string{"editor"}, Scopes: []string{"articles:write"}}, "policy_denied"},
		{"an author who is no editor any more", access.Actor{UserID: "ann", Roles: []string{"viewer"}, Whole: true}, "role_missing"},
		{"an admin", access.Actor{UserID: "cleo", Roles: []string{"admin"}, Whole: true}, ""},
		{"an unknown role", access.Actor{UserID: "ann", Roles: []string{"owner"}, Whole: true}, "role_missing"},
		{"nobody", access.Actor{}, "role_missing"},
	} {
		err := g.CheckEntity(t.Context(), row.actor, edit, entity)
		if code := codeOf(err); code != row.code {
			t.Errorf("%s: %v, want %q", row.rule, err, row.code)
		}
	}
	if err := g.CheckOn(t.Context(), access.Actor{}, edit, access.Resource{Type: "Article", ID: "none"}); !fault.Is(err, fault.NotFound) {
		t.Errorf("an article that is not there: %v", err)
	}
	if err := g.CheckOn(t.Context(), access.Actor{Roles: []string{"viewer"}, Whole: true}, access.Action{Name: "read", Permission: "reports:read"}, access.Resource{Type: "Report", ID: "1"}); err != nil {
		t.Errorf("a type without policies is for the roles alone: %v", err)
	}
}

func codeOf(err error) string {
	if err == nil {
		return ""
	}
	return fault.CodeOf(err)
}

// A denial is an audit event; K07: what cannot be evaluated is a no that says so.
func TestADenialIsAuditedAndAPolicyThatFailsRefuses(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		author, admin := w.writer("ann", "editor"), w.writer("cleo", "admin")
		path := author.writes("a draft", false)
		other := w.writer("bob", "editor")
		other.ask(http.MethodDelete, path, nil).is(t, http.StatusForbidden, "policy_denied")
		for limit := time.Now().Add(5 * time.Second); !w.audited("article.delete"); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(limit) {
				t.Fatal("the denial is not in the audit record")
			}
		}

		set, _, err := w.policies.Load(t.Context(), abac.Broker)
		if err != nil {
			t.Fatal(err)
		}
		// A sum beyond 64 bits is an error that no schema foresees.
		set.Policies = append(slices.Clone(set.Policies), abac.Policy{ID: "broken", Text: `forbid (principal, action == Action::"edit", resource)
			when { 9223372036854775807 + 1 == 0 };`})
		saved, err := w.policies.Save(t.Context(), set, "test")
		if err != nil || saved.V != 1 || saved.Policies[0].V != 1 {
			t.Fatalf("saved %+v, %v", saved, err)
		}
		admin.ask(http.MethodPut, path, map[string]any{"title": "t", "body": "b", "v": 1}).is(t, http.StatusForbidden, "policy_denied", "broken")
		if _, err := w.policies.Save(t.Context(), set, "test"); fault.CodeOf(err) != "policies_changed" {
			t.Errorf("a save of an old version: %v", err)
		}
	})
}

// A change of policies counts here at once and on every replica within two seconds.
func TestPoliciesAreFollowed(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		second := w.replica()
		author := w.writer("ann", "editor")
		there := writer{second, author.who, author.token}
		path := author.writes("a draft", false)
		there.ask(http.MethodGet, path, nil).is(t, http.StatusOK, "")

		set, fixed, err := w.policies.Load(t.Context(), abac.Broker)
		if err != nil || fixed {
			t.Fatal(err, fixed)
		}
		set.Policies = append(slices.Clone(set.Policies), abac.Policy{ID: "frozen", Text: `@description("nobody edits now") forbid (principal, action == Action::"edit", resource);`})
		if set, err = w.policies.Save(t.Context(), set, "test"); err != nil {
			t.Fatal(err)
		}
		edit := map[string]any{"title": "t", "body": "b", "v": 1}
		author.ask(http.MethodPut, path, edit).is(t, http.StatusForbidden, "policy_denied", "Refused by", "frozen", "nobody edits now")
		began := time.Now()
		for {
			r := there.ask(http.MethodPut, path, map[string]any{"title": "t", "body": "b", "v": -1})
			if r.StatusCode == http.StatusForbidden {
				break
			}
			if time.Since(began) > 2*time.Second {
				t.Fatalf("after %v the other replica still answers %d %s", time.Since(began), r.StatusCode, r.raw)
			}
			time.Sleep(20 * time.Millisecond)
		}
		set.Policies = set.Policies[:len(set.Policies)-1]
		if _, err = second.policies.Save(t.Context(), set, "test"); err != nil {
			t.Fatal(err)
		}
		there.ask(http.MethodPut, path, edit).is(t, http.StatusOK, "")
	})
}

// Of many who edit or delete one version of an article, one does.
func TestManyWhoEditOneVersion(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		author := w.writer("ann", "editor")
		path := author.writes("a draft", false)
		codes := make(chan int, 20)
		for i := range cap(codes) {
			go func() {
				codes <- author.ask(http.MethodPut, path, map[string]any{"title": fmt.Sprint(i), "body": "b", "v": 1}).StatusCode
			}()
		}
		got := map[int]int{}
		for range cap(codes) {
			got[<-codes]++
		}
		if got[http.StatusOK] != 1 || got[http.StatusConflict] != cap(codes)-1 {
			t.Errorf("answers: %v, want one 200 and otherwise 409", got)
		}
	})
}
