package main

import (
	"bytes"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"example.com/broker/abac"
	"example.com/broker/config"
)

const interop = "../../access/authzen/testdata/interop/"

// applied stores the policies of the examples, as the operator does.
func (w *world) applied(apps ...string) *world {
	w.Helper()
	for _, app := range apps {
		dir, err := filepath.Abs("../../examples/authzen/" + app)
		if err != nil {
			w.Fatal(err)
		}
		w.applyDir(dir, app)
	}
	return w
}

// appliedText stores an application that is given as texts by the names of their files.
func (w *world) appliedText(app string, files map[string]string) *world {
	w.Helper()
	dir := w.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			w.Fatal(err)
		}
	}
	w.applyDir(dir, app)
	return w
}

func (w *world) applyDir(dir, app string) {
	w.Helper()
	if s, ok := w.operator.(*server); ok {
		s.cli(w, "", nil, "policy", "apply", dir, "--app", app)
		return
	}
	set, err := abac.Read(os.DirFS(dir), ".", app)
	if err != nil {
		w.Fatal(err)
	}
	if _, err := applyPolicies(w.Context(), w.program, set); err != nil {
		w.Fatal(err)
	}
}

// pep is a program that asks for decisions.
type pep struct {
	*world
	base          string
	authorization string
}

// pep asks the decision point of an application, "" for the issuer's own, with an API key.
func (w *world) pep(app string) pep {
	w.Helper()
	key := w.writer("pep", "admin").ask(http.MethodPost, "/api-keys", map[string]any{"name": "pep", "scopes": []string{"decisions:read"}})
	if key.StatusCode != http.StatusCreated {
		w.Fatalf("no API key: %d %s", key.StatusCode, key.raw)
	}
	p := pep{w, "", "Bearer " + key.str("key")}
	return p.of(app)
}

func (p pep) of(app string) pep {
	p.base = ""
	if app != "" {
		p.base = "/pdp/" + app
	}
	return p
}

func (p pep) ask(path, body string, header ...string) reply {
	p.Helper()
	all := append([]string{"Authorization", p.authorization}, header...)
	return p.call(http.MethodPost, p.base+"/access/v1/"+path, "application/json", body, all...)
}

// results are what a search found, ids or names, sorted.
func (r reply) results(t testing.TB) []string {
	t.Helper()
	list, ok := r.json["results"].([]any)
	if r.StatusCode != http.StatusOK || !ok {
		t.Errorf("%s answered %d %s, want results", r.Request.URL.Path, r.StatusCode, r.raw)
	}
	out := []string{}
	for _, one := range list {
		m := one.(map[string]any)
		for _, name := range []string{"id", "name"} {
			if v, ok := m[name].(string); ok {
				out = append(out, v)
			}
		}
	}
	slices.Sort(out)
	return out
}

// The published decision tables of the two interop applications, word for word.
func TestTheInteropApplications(t *testing.T) {
	onEveryBroker(t, func(t *testing.T, w *world) {
		w.applied("todo", "search")
		p := w.pep("todo")
		for _, version := range []string{"01", "02"} {
			var table struct {
				Evaluation []struct {
					Request  json.RawMessage
					Expected bool
				}
				Evaluations []struct {
					Request  json.RawMessage
					Expected json.RawMessage
				}
			}
			read(t, "todo/decisions-1_0-"+version+".json", &table)
			for _, row := range table.Evaluation {
				if r := p.ask("evaluation", string(row.Request)); r.StatusCode != http.StatusOK || r.json["decision"] != row.Expected {
					t.Errorf("%s: %d %s, want %v", row.Request, r.StatusCode, r.raw, row.Expected)
				}
			}
			for _, row := range table.Evaluations {
				same(t, p.ask("evaluations", string(row.Request)), string(row.Request), `{"evaluations":`+string(row.Expected)+`}`)
			}
			if len(table.Evaluation) != 40 {
				t.Errorf("version %s has %d rows", version, len(table.Evaluation))
			}
		}
		p = p.of("search")
		for what, rows := range map[string]int{"subject": 60, "resource": 18, "action": 120} {
			var table struct {
				Evaluation []struct {
					Request  json.RawMessage
					Expected struct {
						Results []struct{ Type, ID, Name string }
					}
				}
			}
			read(t, "search/"+what+".json", &table)
			if len(table.Evaluation) != rows {
				t.Errorf("%s has %d rows, want %d", what, len(table.Evaluation), rows)
			}
			for _, row := range table.Evaluation {
				want := []string{}
				for _, one := range row.Expected.Results {
					want = append(want, one.ID+one.Name)
				}
				slices.Sort(want)
				if got := p.ask("search/"+what, string(row.Request)).results(t); !slices.Equal(got, want) {
					t.Errorf("%s %s: %v, want %v", what, row.Request, got, want)
				}
			}
		}
	})
}

func read(t testing.TB, name string, into any) {
	t.Helper()
	raw, err := os.ReadFile(interop + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}

// same demands a 200 with exactly a JSON value.
func same(t testing.TB, r reply, asked, want string) {
	t.Helper()
	var have, wanted any
	if json.Unmarshal([]byte(r.raw), &have) != nil || json.Unmarshal([]byte(want), &wanted) != nil || r.StatusCode != http.StatusOK ||
		r.Header.Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("%s answered %d %s, want %s", asked, r.StatusCode, r.raw, want)
		return
	}
	if diff := cmp.Diff(wanted, have); diff != "" {
		t.Errorf("%s (-want +got):\n%s", asked, diff)
	}
}

const (
	alice  = `"subject":{"type":"user","id":"alice"}`
	bob    = `"subject":{"type":"user","id":"bob"}`
	reads  = `"action":{"name":"read"}`
	writes = `"action":{"name":"write"}`
	first  = `"resource":{"type":"record","id":"record-1"}`
	second = `"resource":{"type":"record","id":"record-2","properties":{"status":"archived"}}`
	yes    = `{"decision":true}`
	no     = `{"decision":false}`
)

// The whole decision API: what is asked, and what is answered. The rows of the certification scenario of AuthZEN are among them.
func TestTheDecisionAPI(t *testing.T) {
	bad := func(text string) string {
		return `{"decision":false,"context":{"error":{"status":400,"message":"` + text + `"}}}`
	}
	rows := []struct {
		rule, path, body string
		status           int
		want             string // of a 200: the whole body
	}{
		{"a permit", "evaluation", `{` + alice + `,` + reads + `,` + first + `}`, 200, yes},
		{"a deny", "evaluation", `{` + bob + `,` + writes + `,` + first + `}`, 200, no},
		{"context is accepted", "evaluation", `{` + alice + `,` + reads + `,` + first + `,"context":{"time":"2025-06-27T18:03-07:00","deep":{"a":[1,2.5,null,true]}}}`, 200, yes},
		{"properties of the resource decide", "evaluation", `{` + alice + `,` + writes + `,` + second + `}`, 200, no},
		{"a stored property decides", "evaluation", `{` + alice + `,` + writes + `,"resource":{"type":"record","id":"record-2"}}`, 200, no},
		{"a property of the request overrides the stored one", "evaluation", `{` + alice + `,` + writes + `,"resource":{"type":"record","id":"record-2","properties":{"status":"active"}}}`, 200, yes},
		{"null takes a stored property away", "evaluation", `{` + alice + `,` + writes + `,"resource":{"type":"record","id":"record-2","properties":{"status":null}}}`, 200, yes},
		{"properties of the subject decide", "evaluation", `{"subject":{"type":"user","id":"bob","properties":{"role":"admin"}},` + writes + `,` + second + `}`, 200, yes},
		{"a role that is overridden is gone", "evaluation", `{"subject":{"type":"user","id":"bob","properties":{"role":"guest"}},` + writes + `,` + second + `}`, 200, no},
		{"properties of the action decide", "evaluation", `{` + alice + `,"action":{"name":"delete","properties":{"soft":true}},` + first + `}`, 200, yes},
		{"the other way", "evaluation", `{` + alice + `,"action":{"name":"delete","properties":{"soft":false}},` + first + `}`, 200, no},
		{"a property of another type is a no", "evaluation", `{` + alice + `,"action":{"name":"delete","properties":{"soft":"yes"}},` + first + `}`, 200, no},
		{"properties nobody knows", "evaluation", `{"subject":{"type":"user","id":"alice","properties":{"department":"Sales","role":"manager"}},"action":{"name":"read","properties":{"method":"GET"}},"resource":{"type":"record","id":"record-1","properties":{"owner":"bob"}}}`, 200, yes},
		{"unknown members are ignored everywhere", "evaluation", `{"subject":{"type":"user","id":"alice","x":1},"action":{"name":"read","y":[]},"resource":{"type":"record","id":"record-1","z":null},"foo":"bar","futureField":{"nested":true}}`, 200, yes},
		{"null members are absent", "evaluation", `{"subject":{"type":"user","id":"alice","properties":null},` + reads + `,` + first + `,"context":null}`, 200, yes},
		{"an unknown subject, action and resource are a no", "evaluation", `{"subject":{"type":"robot","id":"1"},"action":{"name":"fly"},"resource":{"type":"moon","id":"1"}}`, 200, no},

		{"no subject", "evaluation", `{` + reads + `,` + first + `}`, 400, ""},
		{"no action", "evaluation", `{` + alice + `,` + first + `}`, 400, ""},
		{"no resource", "evaluation", `{` + alice + `,` + reads + `}`, 400, ""},
		{"no subject.type", "evaluation", `{"subject":{"id":"alice"},` + reads + `,` + first + `}`, 400, ""},
		{"no subject.id", "evaluation", `{"subject":{"type":"user"},` + reads + `,` + first + `}`, 400, ""},
		{"no action.name", "evaluation", `{` + alice + `,"action":{},` + first + `}`, 400, ""},
		{"no resource.type", "evaluation", `{` + alice + `,` + reads + `,"resource":{"id":"1"}}`, 400, ""},
		{"no resource.id", "evaluation", `{` + alice + `,` + reads + `,"resource":{"type":"record"}}`, 400, ""},
		{"a subject that is a text", "evaluation", `{"subject":"alice",` + reads + `,` + first + `}`, 400, ""},
		{"an id that is a number", "evaluation", `{"subject":{"type":"user","id":1},` + reads + `,` + first + `}`, 400, ""},
		{"a name that is a number", "evaluation", `{` + alice + `,"action":{"name":123},` + first + `}`, 400, ""},
		{"properties that are a list", "evaluation", `{"subject":{"type":"user","id":"alice","properties":[]},` + reads + `,` + first + `}`, 400, ""},
		{"a context that is a text", "evaluation", `{` + alice + `,` + reads + `,` + first + `,"context":"x"}`, 400, ""},
		{"an empty body", "evaluation", ``, 400, ""},
		{"malformed JSON", "evaluation", `{` + alice, 400, ""},
		{"an array", "evaluation", `[]`, 400, ""},
		{"null", "evaluation", `null`, 400, ""},
		{"two values", "evaluation", `{} {}`, 400, ""},
		{"a member twice", "evaluation", `{` + alice + `,` + bob + `,` + reads + `,` + first + `}`, 400, ""},
		{"half of a surrogate pair", "evaluation", `{"subject":{"type":"user","id":"\ud800"},` + reads + `,` + first + `}`, 400, ""},
		{"values that nest without end", "evaluation", `{` + alice + `,` + reads + `,` + first + `,"context":` + strings.Repeat(`{"a":`, 100) + `1` + strings.Repeat(`}`, 100) + `}`, 400, ""},

		{"several, in order, with defaults", "evaluations", `{` + bob + `,` + first + `,"evaluations":[{` + reads + `},{` + writes + `}]}`, 200, `{"evaluations":[` + yes + `,` + no + `]}`},
		{"several without defaults", "evaluations", `{"evaluations":[{` + alice + `,` + reads + `,` + first + `},{` + bob + `,` + writes + `,` + first + `}]}`, 200, `{"evaluations":[` + yes + `,` + no + `]}`},
		{"an item's member takes the place of the default as a whole", "evaluations", `{` + alice + `,` + writes + `,` + second + `,"evaluations":[{},{"resource":{"type":"record","id":"record-1"}},{"resource":{"id":"record-1"}}]}`, 200, `{"evaluations":[` + no + `,` + yes + `,` + bad("resource.type is missing.") + `]}`},
		{"an incomplete item is a no in its place", "evaluations", `{` + alice + `,` + reads + `,"evaluations":[{` + first + `},{},5,{"resource":"x"}]}`, 200, `{"evaluations":[` + yes + `,` + bad("resource is missing.") + `,` + bad("It must be an object.") + `,` + bad("resource must be an object.") + `]}`},
		{"an incomplete default that no item needs", "evaluations", `{` + alice + `,` + reads + `,"resource":{},"context":{},"evaluations":[{` + first + `}]}`, 200, `{"evaluations":[` + yes + `]}`},
		{"no evaluations: the single form", "evaluations", `{` + alice + `,` + reads + `,` + first + `}`, 200, yes},
		{"empty evaluations: the single form", "evaluations", `{` + alice + `,` + reads + `,` + first + `,"evaluations":[]}`, 200, yes},
		{"the single form is incomplete", "evaluations", `{` + alice + `,` + reads + `}`, 400, ""},
		{"all are executed by name", "evaluations", `{` + alice + `,` + reads + `,"options":{"evaluations_semantic":"execute_all","other":1},"evaluations":[{` + first + `},{}]}`, 200, `{"evaluations":[` + yes + `,` + bad("resource is missing.") + `]}`},
		{"the first deny ends it", "evaluations", `{` + bob + `,` + first + `,"options":{"evaluations_semantic":"deny_on_first_deny"},"evaluations":[{` + reads + `},{` + writes + `},{` + reads + `}]}`, 200, `{"evaluations":[` + yes + `,` + no + `]}`},
		{"the first failure ends it", "evaluations", `{` + bob + `,` + first + `,"options":{"evaluations_semantic":"deny_on_first_deny"},"evaluations":[{},{` + reads + `}]}`, 200, `{"evaluations":[` + bad("action is missing.") + `]}`},
		{"the first permit ends it", "evaluations", `{` + bob + `,` + first + `,"options":{"evaluations_semantic":"permit_on_first_permit"},"evaluations":[{` + writes + `},{` + reads + `},{` + reads + `}]}`, 200, `{"evaluations":[` + no + `,` + yes + `]}`},
		{"an unknown semantic", "evaluations", `{` + alice + `,"options":{"evaluations_semantic":"majority"},"evaluations":[{}]}`, 400, ""},
		{"options that are a text", "evaluations", `{` + alice + `,"options":"x","evaluations":[{}]}`, 400, ""},
		{"evaluations that are an object", "evaluations", `{` + alice + `,` + reads + `,` + first + `,"evaluations":{}}`, 400, ""},
		{"a default of a wrong type", "evaluations", `{"subject":"alice","evaluations":[{` + alice + `,` + reads + `,` + first + `}]}`, 400, ""},
		{"too many", "evaluations", `{` + alice + `,"evaluations":[` + strings.Repeat("{},", 1000) + `{}]}`, 400, ""},

		{"subjects", "search/subject", `{"subject":{"type":"user"},` + reads + `,` + first + `}`, 200, `{"results":[{"type":"user","id":"alice"},{"type":"user","id":"bob"}]}`},
		{"the id of what is searched is ignored", "search/subject", `{"subject":{"type":"user","id":"","properties":{"role":"guest"},"x":1},` + reads + `,` + first + `}`, 200, `{"results":[{"type":"user","id":"alice"},{"type":"user","id":"bob"}]}`},
		{"null for what is ignored", "search/subject", `{"subject":{"type":"user","id":null,"properties":null},` + reads + `,` + first + `}`, 200, `{"results":[{"type":"user","id":"alice"},{"type":"user","id":"bob"}]}`},
		{"the id of what is searched is a number", "search/subject", `{"subject":{"type":"user","id":5},` + reads + `,` + first + `}`, 400, ""},
		{"the properties of what is searched are a text", "search/subject", `{"subject":{"type":"user","properties":"x"},` + reads + `,` + first + `}`, 400, ""},
		{"the properties of what is searched are a list", "search/resource", `{` + alice + `,` + reads + `,"resource":{"type":"record","properties":[]}}`, 400, ""},
		{"the properties of the other are a text", "search/resource", `{"subject":{"type":"user","id":"alice","properties":"x"},` + reads + `,"resource":{"type":"record"}}`, 400, ""},
		{"the properties of the action are a text", "search/resource", `{` + alice + `,"action":{"name":"read","properties":"x"},"resource":{"type":"record"}}`, 400, ""},
		{"the properties of the page are a text", "search/subject", `{"subject":{"type":"user"},` + reads + `,` + first + `,"page":{"properties":"x"}}`, 400, ""},
		{"subjects by properties of the resource", "search/subject", `{"subject":{"type":"user"},` + writes + `,` + second + `}`, 200, `{"results":[{"type":"user","id":"bob"}]}`},
		{"resources", "search/resource", `{` + alice + `,` + writes + `,"resource":{"type":"record","id":"nope"},"context":{"a":1}}`, 200, `{"results":[{"type":"record","id":"record-1"}]}`},
		{"resources by properties of the subject", "search/resource", `{"subject":{"type":"user","id":"bob","properties":{"role":"admin"}},` + writes + `,"resource":{"type":"record"}}`, 200, `{"results":[{"type":"record","id":"record-2"}]}`},
		{"actions", "search/action", `{` + alice + `,` + first + `}`, 200, `{"results":[{"name":"read"},{"name":"write"}]}`},
		{"an action that is given is ignored", "search/action", `{` + alice + `,"action":5,` + first + `}`, 200, `{"results":[{"name":"read"},{"name":"write"}]}`},
		{"an unknown subject", "search/action", `{"subject":{"type":"user","id":"nobody"},` + first + `}`, 200, `{"results":[]}`},
		{"an unknown resource", "search/subject", `{"subject":{"type":"user"},` + reads + `,"resource":{"type":"record","id":"none"}}`, 200, `{"results":[]}`},
		{"an unknown type", "search/subject", `{"subject":{"type":"spaceship"},` + reads + `,` + first + `}`, 200, `{"results":[]}`},
		{"an unknown action", "search/resource", `{` + alice + `,"action":{"name":"fly"},"resource":{"type":"record"}}`, 200, `{"results":[]}`},
		{"subjects without an action", "search/subject", `{"subject":{"type":"user"},` + first + `}`, 400, ""},
		{"subjects without a type", "search/subject", `{"subject":{},` + reads + `,` + first + `}`, 400, ""},
		{"subjects of a resource without id", "search/subject", `{"subject":{"type":"user"},` + reads + `,"resource":{"type":"record"}}`, 400, ""},
		{"resources without a subject", "search/resource", `{` + reads + `,"resource":{"type":"record"}}`, 400, ""},
		{"resources of a subject without id", "search/resource", `{"subject":{"type":"user"},` + reads + `,"resource":{"type":"record"}}`, 400, ""},
		{"actions without a resource", "search/action", `{` + alice + `}`, 400, ""},
		{"actions of a subject without id", "search/action", `{"subject":{"type":"user"},` + first + `}`, 400, ""},

		{"the first page", "search/subject", `{"subject":{"type":"user"},` + reads + `,` + first + `,"page":{"limit":5}}`, 200, `{"page":{"next_token":"","count":2},"results":[{"type":"user","id":"alice"},{"type":"user","id":"bob"}]}`},
		{"an empty page", "search/subject", `{"subject":{"type":"spaceship"},` + reads + `,` + first + `,"page":{}}`, 200, `{"page":{"next_token":"","count":0},"results":[]}`},
		{"a limit beyond all bounds", "search/subject", `{"subject":{"type":"user"},` + reads + `,` + first + `,"page":{"limit":1000000000}}`, 200, `{"page":{"next_token":"","count":2},"results":[{"type":"user","id":"alice"},{"type":"user","id":"bob"}]}`},
		{"a limit with a point", "search/subject", `{"subject":{"type":"user"},` + reads + `,` + first + `,"page":{"limit":2.0}}`, 200, `{"page":{"next_token":"","count":2},"results":[{"type":"user","id":"alice"},{"type":"user","id":"bob"}]}`},
		{"a limit that is no number of 31 bits", "search/subject", `{"subject":{"type":"user"},` + reads + `,` + first + `,"page":{"limit":1e30}}`, 400, ""},
		{"a limit that no text can hold", "search/subject", `{"subject":{"type":"user"},` + reads + `,` + first + `,"page":{"limit":1e999999999}}`, 400, ""},
		{"a negative limit", "search/subject", `{"subject":{"type":"user"},` + reads + `,` + first + `,"page":{"limit":-1}}`, 400, ""},
		{"a limit that is no whole number", "search/subject", `{"subject":{"type":"user"},` + reads + `,` + first + `,"page":{"limit":1.5}}`, 400, ""},
		{"a limit that is a text", "search/subject", `{"subject":{"type":"user"},` + reads + `,` + first + `,"page":{"limit":"1"}}`, 400, ""},
		{"a forged token", "search/subject", `{"subject":{"type":"user"},` + reads + `,` + first + `,"page":{"token":"eyJhIjoiYSIsImwiOjEsInMiOiJ4In0"}}`, 400, ""},
		{"a token that is a number", "search/subject", `{"subject":{"type":"user"},` + reads + `,` + first + `,"page":{"token":1}}`, 400, ""},
		{"a page that is a list", "search/subject", `{"subject":{"type":"user"},` + reads + `,` + first + `,"page":[]}`, 400, ""},
	}
	onEveryBroker(t, func(t *testing.T, w *world) {
		p := w.applied("certification").pep("certification")
		for _, row := range rows {
			r := p.ask(row.path, row.body)
			switch {
			case r.StatusCode != row.status:
				t.Errorf("%s: %d %s, want %d", row.rule, r.StatusCode, r.raw, row.status)
			case row.status == http.StatusOK:
				same(t, r, row.rule, row.want)
				if again := p.ask(row.path, row.body); again.raw != r.raw {
					t.Errorf("%s: %s, and then %s", row.rule, r.raw, again.raw)
				}
			case r.str("detail") == "":
				t.Errorf("%s: %s says nothing", row.rule, r.raw)
			case p.ask(row.path, row.body).raw != r.raw:
				t.Errorf("%s: %s, and then another", row.rule, r.raw)
			case strings.Contains(row.rule, "limit") && !strings.Contains(r.str("detail"), "a whole number from 0 to 2147483647"):
				t.Errorf("%s: %s", row.rule, r.raw)
			}
		}
	})
}

func TestTheTransportOfTheDecisionAPI(t *testing.T) {
	onEveryBroker(t, func(t *testing.T, w *world) {
		p := w.applied("certification").pep("certification")
		question := `{` + alice + `,` + reads + `,` + first + `}`
		address := p.base + "/access/v1/evaluation"
		for kind, status := range map[string]int{
			"application/json": 200, "application/json; charset=utf-8": 200, "application/json;charset=UTF-8": 200, "Application/JSON": 200,
			"application/json; charset=latin1": 400, "text/plain": 400, "application/x-www-form-urlencoded": 400, "": 400, "application/authzen+json": 400,
		} {
			if r := p.call(http.MethodPost, address, kind, question, "Authorization", p.authorization); r.StatusCode != status {
				t.Errorf("media type %q: %d %s, want %d", kind, r.StatusCode, r.raw, status)
			}
		}
		for _, id := range []string{"bfe9eb29-ab87-4ca3-be83-a1d5d8305716", "any text; at \"all\", <b>", strings.Repeat("x", 2000)} {
			for what, r := range map[string]reply{
				"an answer": p.ask("evaluation", question, "X-Request-ID", id), "a 400": p.ask("evaluation", `[]`, "X-Request-ID", id),
				"a 401":    p.call(http.MethodPost, address, "application/json", question, "X-Request-ID", id),
				"metadata": p.get("/.well-known/authzen-configuration/pdp/certification", "X-Request-ID", id), "no metadata": p.get("/.well-known/authzen-configuration/pdp/none", "X-Request-ID", id),
				"a 405": p.call(http.MethodGet, address, "", "", "X-Request-ID", id), "a 404": p.of("none").ask("evaluation", question, "X-Request-ID", id),
			} {
				if got := r.Header.Values("X-Request-Id"); len(got) != 1 || got[0] != id {
					t.Errorf("%s to X-Request-ID %.50q has %.50q", what, id, got)
				}
				if r.StatusCode >= http.StatusBadRequest && r.str("request_id") != id {
					t.Errorf("%s to X-Request-ID %.50q says %.300s", what, id, r.raw)
				}
			}
		}
		if r := p.ask("evaluation", question); r.Header.Get("X-Request-Id") == "" {
			t.Error("a request without an id has an answer without one")
		}
		for _, path := range []string{"evaluation", "evaluations", "search/subject", "search/resource", "search/action"} {
			for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodPatch} {
				r := p.call(method, p.base+"/access/v1/"+path, "application/json", question, "Authorization", p.authorization)
				if r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("Allow") != http.MethodPost || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/problem+json") {
					t.Errorf("%s %s: %d %v %s", method, path, r.StatusCode, r.Header, r.raw)
				}
			}
		}
		if r := p.ask("evaluation", `{"context":"`+strings.Repeat("x", 1<<20)+`"}`); r.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("a body beyond 1 MiB: %d", r.StatusCode)
		}
		if r := p.of("none").ask("evaluation", question); r.StatusCode != http.StatusNotFound {
			t.Errorf("an application that is not there: %d %s", r.StatusCode, r.raw)
		}
	})
}

func TestWhoMayAskForDecisions(t *testing.T) {
	onEveryBroker(t, func(t *testing.T, w *world) {
		p := w.applied("certification").pep("certification")
		question := `{` + alice + `,` + reads + `,` + first + `}`
		basic := func(id, key string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+key)) }
		viewer := w.writer("vera", "viewer")
		narrow := viewer.ask(http.MethodPost, "/api-keys", map[string]any{"name": "narrow"}).str("key")
		for _, row := range []struct {
			who, authorization string
			status             int
		}{
			{"an API key", p.authorization, 200},
			{"an API key, scheme in capitals", strings.Replace(p.authorization, "Bearer", "BEARER", 1), 200},
			{"a client", basic("service", serviceSecret), 200},
			{"nobody", "", 401},
			{"an unknown key", "Bearer bk_unknown", 401},
			{"an access token", "Bearer " + viewer.token, 401},
			{"two words", "Bearer a b", 401},
			{"a client with a wrong secret", basic("service", "wrong"), 401},
			{"an unknown client", basic("nobody", serviceSecret), 401},
			{"a public client", basic("cli", ""), 401},
			{"Basic without a colon", "Basic " + base64.StdEncoding.EncodeToString([]byte("service")), 401},
			{"another scheme", "Digest x", 401},
			{"a key without the scope", "Bearer " + narrow, 403},
		} {
			header := []string{"Authorization", row.authorization}
			if row.authorization == "" {
				header = nil
			}
			r := w.call(http.MethodPost, p.base+"/access/v1/evaluation", "application/json", question, header...)
			challenge := r.Header.Get("WWW-Authenticate")
			if r.StatusCode != row.status || row.status == http.StatusUnauthorized != (strings.Contains(challenge, "Bearer realm=") && strings.Contains(challenge, "Basic realm=")) {
				t.Errorf("%s: %d %q %s, want %d", row.who, r.StatusCode, challenge, r.raw, row.status)
			}
		}
		// docs/policies.md: every viewer may, until the role says otherwise.
		own := pep{w, p.base, "Bearer " + viewer.ask(http.MethodPost, "/api-keys", map[string]any{"name": "own", "scopes": []string{"decisions:read"}}).str("key")}
		if r := own.ask("evaluation", question); r.StatusCode != http.StatusOK {
			t.Errorf("a viewer: %d %s", r.StatusCode, r.raw)
		}
		w.writer("boss", "admin").ask(http.MethodPut, "/admin/api/roles/viewer", map[string]any{"permissions": []string{"articles:read", "data:read"}}).is(t, http.StatusOK, "")
		if r := own.ask("evaluation", question); r.StatusCode != http.StatusForbidden {
			t.Errorf("a viewer, narrowed: %d %s", r.StatusCode, r.raw)
		}
		who := w.writer("gone", "admin")
		key := who.ask(http.MethodPost, "/api-keys", map[string]any{"name": "k", "scopes": []string{"decisions:read"}})
		gone := pep{w, p.base, "Bearer " + key.str("key")}
		if r := gone.ask("evaluation", question); r.StatusCode != http.StatusOK {
			t.Errorf("a key: %d %s", r.StatusCode, r.raw)
		}
		w.operator.disable(t, who.who.ID)
		// Where the command line has the store to itself, the broker hears of it within two seconds.
		for limit := time.Now().Add(2 * time.Second); gone.ask("evaluation", question).StatusCode != http.StatusUnauthorized; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(limit) {
				t.Fatal("the key of somebody who is disabled still asks")
			}
		}
	})
}

// The base path or the caller chooses the application; each has its own policies.
func TestWhichApplicationIsAsked(t *testing.T) {
	for _, kind := range storeKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, kind, func(c *config.Config) { c.Policies.Default = "certification" })
			p := w.applied("certification", "search").pep("")
			question := `{` + alice + `,` + reads + `,` + first + `}`
			same(t, p.ask("evaluation", question), "the default", yes)
			same(t, p.of("search").ask("evaluation", question), "another application knows no such record", no)
			set, err := abac.Read(os.DirFS("../../examples/authzen/search"), ".", "service")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := applyPolicies(t.Context(), w.program, set); err != nil {
				t.Fatal(err)
			}
			p.authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte("service:"+serviceSecret))
			same(t, p.ask("evaluation", `{`+alice+`,"action":{"name":"view"},"resource":{"type":"record","id":"101"}}`), "the one named after the client", yes)
		})
	}
	w := newWorld(t, "sqlite")
	if r := w.pep("").ask("evaluation", `{`+alice+`,`+reads+`,`+first+`}`); r.StatusCode != http.StatusNotFound {
		t.Errorf("no application is meant: %d %s", r.StatusCode, r.raw)
	}
}

// Pages of every size follow each other without gap or repeat, and a token is good for its own search only.
func TestSearchesByPage(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		p := w.applied("search").pep("search")
		search := func(who, page string) reply {
			return p.ask("search/resource", `{"subject":{"type":"user","id":"`+who+`"},"action":{"name":"view"},"resource":{"type":"record"},"page":`+page+`}`)
		}
		all := search("bob", `{}`).results(t)
		for limit := 1; limit <= len(all)+1; limit++ {
			var got []string
			r := search("bob", fmt.Sprintf(`{"limit":%d}`, limit))
			for {
				list := r.results(t)
				got = append(got, list...)
				page, _ := r.json["page"].(map[string]any)
				token, _ := page["next_token"].(string)
				if page["count"] != float64(len(list)) || len(list) > limit {
					t.Fatalf("limit %d: %s", limit, r.raw)
				}
				if token == "" {
					break
				}
				r = search("bob", `{"token":"`+token+`"}`)
			}
			if !slices.Equal(got, all) {
				t.Errorf("limit %d: %v, want %v", limit, got, all)
			}
		}
		page := search("bob", `{"limit":2}`).json["page"].(map[string]any)
		token := page["next_token"].(string)
		if again := search("bob", `{"limit":2}`).json["page"].(map[string]any); again["next_token"] != token {
			t.Errorf("the same search is continued by %s, and by %v", token, again["next_token"])
		}
		raw, err := base64.RawURLEncoding.DecodeString(token)
		at := bytes.Index(raw, []byte(`"l":2`))
		if err != nil || at < 0 {
			t.Fatalf("a token holds %q, %v", raw, err)
		}
		forged := bytes.Clone(raw)
		forged[at+4] = '1'
		for rule, r := range map[string]reply{
			"a forged limit":  search("bob", `{"token":"`+base64.RawURLEncoding.EncodeToString(forged)+`"}`),
			"what it holds":   search("bob", `{"token":"`+base64.RawURLEncoding.EncodeToString(raw[bytes.IndexByte(raw, '{'):])+`"}`),
			"another subject": search("alice", `{"token":"`+token+`"}`), "another limit": search("bob", `{"limit":3,"token":"`+token+`"}`),
			"other properties": search("bob", `{"token":"`+token+`","properties":{"sort":"id"}}`), "half a token": search("bob", `{"token":"`+token[:9]+`"}`),
		} {
			if r.StatusCode != http.StatusBadRequest || r.str("code") != "token_invalid" {
				t.Errorf("%s: %d %s", rule, r.StatusCode, r.raw)
			}
		}
		if r := search("bob", `{"limit":2,"token":"`+token+`"}`); len(r.results(t)) != 2 {
			t.Errorf("the same limit again: %s", r.raw)
		}
		if r := search("bob", `{"limit":0}`); len(r.results(t)) != 0 || r.json["page"].(map[string]any)["next_token"] == "" {
			t.Errorf("limit 0: %s", r.raw)
		}
	})
}

// An entity whose policy errs is left out of a search, and is a no by itself.
func TestAnEntityWhosePolicyErrsIsLeftOut(t *testing.T) {
	w := newWorld(t, "sqlite")
	set := abac.Set{
		App: "errs", Schema: `entity user; entity doc { size: Long }; action read appliesTo { principal: user, resource: doc };`,
		Policies: []abac.Policy{{ID: "small", Text: `permit (principal, action == Action::"read", resource is doc) when { resource.size * 9223372036854775807 >= 0 };`}},
		Entities: `[{"uid":{"type":"user","id":"u"},"attrs":{},"parents":[]},{"uid":{"type":"doc","id":"a"},"attrs":{"size":1},"parents":[]},{"uid":{"type":"doc","id":"b"},"attrs":{"size":2},"parents":[]},{"uid":{"type":"doc","id":"c"},"attrs":{"size":0},"parents":[]}]`,
	}
	if _, err := w.policies.Save(t.Context(), set, "test"); err != nil {
		t.Fatal(err)
	}
	p := w.pep("errs")
	same(t, p.ask("search/resource", `{"subject":{"type":"user","id":"u"},`+reads+`,"resource":{"type":"doc"}}`), "search", `{"results":[{"type":"doc","id":"a"},{"type":"doc","id":"c"}]}`)
	same(t, p.ask("evaluation", `{"subject":{"type":"user","id":"u"},`+reads+`,"resource":{"type":"doc","id":"b"}}`), "evaluation", no)
}

// The metadata stands between host and path, names itself byte for byte, and is signed by the issuer.
func TestTheMetadataOfDecisionPoints(t *testing.T) {
	for name, path := range map[string]string{"at the root": "", "below a path": "/auth/idp"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "sqlite", func(c *config.Config) { c.Issuer += path })
			w.applied("todo")
			origin := strings.TrimSuffix(w.cfg.Issuer, path)
			for _, app := range []string{"", "/pdp/todo"} {
				at := origin + "/.well-known/authzen-configuration" + path + app
				r := w.fetch(at)
				identifier := w.cfg.Issuer + app
				if r.StatusCode != http.StatusOK || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") || r.str("policy_decision_point") != identifier ||
					r.str("access_evaluation_endpoint") != identifier+"/access/v1/evaluation" || r.str("search_action_endpoint") != identifier+"/access/v1/search/action" {
					t.Fatalf("%s: %d %s", at, r.StatusCode, r.raw)
				}
				if again := w.fetch(at); again.raw != r.raw {
					t.Errorf("%s changes from call to call", at)
				}
				token, err := jwt.Parse(r.str("signed_metadata"), func(token *jwt.Token) (any, error) { return w.rsaKey(token.Header["kid"]), nil }, jwt.WithValidMethods([]string{"RS256"}))
				if err != nil {
					t.Fatal(err)
				}
				said := token.Claims.(jwt.MapClaims)
				if said["iss"] != w.cfg.Issuer || said["signed_metadata"] != nil {
					t.Errorf("signed: %v", said)
				}
				for name, v := range r.json {
					if name != "signed_metadata" && said[name] != v {
						t.Errorf("%s is %v, signed %v", name, v, said[name])
					}
				}
			}
			if r := w.fetch(origin + "/.well-known/authzen-configuration" + path + "/pdp/none"); r.StatusCode != http.StatusNotFound {
				t.Errorf("an application that is not there: %d", r.StatusCode)
			}
		})
	}
}

// fetch gets an address of the broker's host, below the issuer's path or not; openapi.yaml knows no issuer with a path.
func (w *world) fetch(address string) reply {
	w.Helper()
	req, err := http.NewRequestWithContext(w.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		w.Fatal(err)
	}
	resp, err := w.transport.RoundTrip(req)
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.Fatal(err)
	}
	out := reply{Response: resp, raw: string(text)}
	_ = json.Unmarshal(text, &out.json) // an answer that is not JSON has no members
	return out
}

func (w *world) rsaKey(kid any) *rsa.PublicKey {
	for id, k := range w.publicKeys() {
		if id != kid {
			continue
		}
		n, err := base64.RawURLEncoding.DecodeString(k["n"].(string))
		if err != nil {
			w.Fatal(err)
		}
		return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537}
	}
	w.Fatalf("no key %v in the JWKS", kid)
	return nil
}

// The operator applies a folder, lists what there is, and is told what does not fit.
func TestPoliciesByCommandLine(t *testing.T) {
	for _, kind := range storeKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newBinaryWorld(t, kind)
			s := w.operator.(*server)
			dir, err := filepath.Abs("../../examples/authzen")
			if err != nil {
				t.Fatal(err)
			}
			var done []policySummary
			s.cli(t, "", &done, "policy", "apply", dir)
			if len(done) != 3 || done[0].App != "certification" || done[0].V != 1 || !done[0].Changed {
				t.Fatalf("applied %+v", done)
			}
			done = nil
			s.cli(t, "", &done, "policy", "apply", filepath.Join(dir, "todo"))
			if len(done) != 1 || done[0].V != 1 || done[0].Changed {
				t.Errorf("the same again: %+v", done)
			}
			s.cli(t, "", &done, "policy", "apply", filepath.Join(dir, "todo"), "--app", "other")
			done = nil
			s.cli(t, "", &done, "policy", "list")
			names := []string{}
			for _, one := range done {
				names = append(names, one.App+" "+one.From)
			}
			if diff := cmp.Diff([]string{"broker built in", "certification store", "other store", "search store", "todo store"}, names); diff != "" {
				t.Error(diff)
			}
			if out, err := s.command(t, "policy", "delete", "other", "--config", s.file).CombinedOutput(); err != nil || string(out) != "the policies of other are gone\n" {
				t.Errorf("delete: %v %s", err, out)
			}
			if out, err := s.command(t, "policy", "delete", "other", "--config", s.file).CombinedOutput(); err == nil || !strings.Contains(string(out), `There is no application "other"`) {
				t.Errorf("deleted twice: %v %s", err, out)
			}
			if out, err := s.command(t, "policy", "delete", "broker", "--config", s.file).CombinedOutput(); err == nil || !strings.Contains(string(out), "those that the broker comes with") {
				t.Errorf("the policies that the broker comes with: %v %s", err, out)
			}
			s.cli(t, "", &done, "policy", "list")
			if len(done) != 4 {
				t.Errorf("after the deletion: %+v", done)
			}
			broken := t.TempDir()
			for name, text := range map[string]string{abac.SchemaFile: "entity user;", "p.cedar": "permit (principal is robot, action, resource);"} {
				if err := os.WriteFile(filepath.Join(broken, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			out, err := s.command(t, "policy", "apply", broken, "--app", "broken", "--config", s.file).CombinedOutput()
			if err == nil || !strings.Contains(string(out), "robot") {
				t.Errorf("what does not fit: %v %s", err, out)
			}
		})
	}
}
