package main

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"example.com/broker/abac"
)

// attacksOnPolicies is group K as far as policies and the decision API go; what roles do stands with the roles.
func attacksOnPolicies() []attack {
	return []attack{
		{ID: "K07", Rule: "a missing attribute, one of a wrong type, an unknown action and a request beyond all bounds are a no", Kind: "T", Run: func(t *testing.T, w *world) {
			p := w.applied("certification").pep("certification")
			for what, body := range map[string]string{
				"a wrong type":        `{` + alice + `,"action":{"name":"delete","properties":{"soft":{"x":1}}},` + first + `}`,
				"a missing attribute": `{` + alice + `,"action":{"name":"delete"},` + first + `}`,
				"an unknown action":   `{` + alice + `,"action":{"name":"Read"},` + first + `}`,
				"an id of a megabyte": `{"subject":{"type":"user","id":"` + strings.Repeat("a", 500_000) + `"},` + reads + `,` + first + `}`,
				"an id with quotes":   `{"subject":{"type":"user","id":"alice\" || true"},` + reads + `,` + first + `}`,
				"a type with quotes":  `{"subject":{"type":"user::\"alice\"","id":"x"},` + reads + `,` + first + `}`,
				"another case":        `{"subject":{"type":"user","id":"Alice"},` + reads + `,` + first + `}`,
			} {
				if r := p.ask("evaluation", body); r.StatusCode != http.StatusOK || r.json["decision"] != false {
					t.Errorf("%s: %d %.200s", what, r.StatusCode, r.raw)
				}
			}
		}},
		{ID: "K07", Rule: "a policy that permits everything permits nothing that the schema does not know", Kind: "T", Run: func(t *testing.T, w *world) {
			p := w.appliedText("wide", map[string]string{
				abac.SchemaFile:   `entity User; entity Doc; action "read" appliesTo { principal: User, resource: Doc };`,
				abac.EntitiesFile: `[{"uid":{"type":"User","id":"1"},"attrs":{},"parents":[]},{"uid":{"type":"Doc","id":"1"},"attrs":{},"parents":[]}]`,
				"all.cedar":       `permit (principal, action, resource);`,
			}).pep("wide")
			for _, row := range []struct {
				subject, action, resource string
				allow                     bool
			}{
				{"User", "read", "Doc", true},
				{"Spaceship", "read", "Doc", false},
				{"User", "read", "X", false},
				{"Doc", "read", "User", false},
				{"user", "read", "Doc", false},
				{`User\n`, "read", "Doc", false},
				{"User", "fly", "Doc", false},
				{"User", "READ", "Doc", false},
			} {
				subject, action, resource := `"subject":{"type":"`+row.subject+`","id":"1"}`, `"action":{"name":"`+row.action+`"}`, `"resource":{"type":"`+row.resource+`","id":"1"}`
				question := `{` + subject + `,` + action + `,` + resource + `}`
				same(t, p.ask("evaluation", question), question, fmt.Sprintf(`{"decision":%v}`, row.allow))
				for _, what := range []string{"subject", "resource", "action"} {
					if found := p.ask("search/"+what, question).results(t); len(found) > 0 != (row.allow || what == "action" && row.subject+row.resource == "UserDoc") {
						t.Errorf("search/%s %s: %v", what, question, found)
					}
				}
			}
		}},
		{ID: "K08", Rule: "ids that hold what separates parts of a name are not taken for others", Kind: "T", Run: func(t *testing.T, w *world) {
			p := w.applied("certification").pep("certification")
			same(t, p.ask("evaluation", `{`+alice+`,`+reads+`,`+first+`}`), "the true one", yes)
			for _, pair := range [][2]string{{"user", "alice:read"}, {"user:alice", "read"}, {"us", "eralice"}, {"user", "alice "}, {"user", "alice\\u0000"}} {
				same(t, p.ask("evaluation", `{"subject":{"type":"`+pair[0]+`","id":"`+pair[1]+`"},`+reads+`,`+first+`}`), pair[1], no)
			}
		}},
		{ID: "K10", Rule: "forged cursors and limits beyond all are refused or bounded", Kind: "T", Run: func(t *testing.T, w *world) {
			reader := w.writer("rita", "viewer")
			for _, query := range []string{"limit=1000000000", "limit=-1", "limit=0", "limit=x", "limit=1e3"} {
				reader.ask(http.MethodGet, "/articles?"+query, nil).is(t, http.StatusBadRequest, "limit_invalid")
			}
			for _, query := range []string{"after=%24where", "after=zzz", "after=%00", "after=" + strings.TrimPrefix(w.writer("eve", "editor").writes("t", true), "/articles/")} {
				reader.ask(http.MethodGet, "/articles?"+query, nil).is(t, http.StatusBadRequest, "")
			}
			for _, query := range []string{"sort=%24where", "after=&after=", "limit=1&limit=2", "cursor=", "%zz"} {
				reader.ask(http.MethodGet, "/articles?"+query, nil).is(t, http.StatusBadRequest, "parameter_unknown")
			}
			p := w.applied("certification").pep("certification")
			for _, token := range []string{"x", "$where", base64.RawURLEncoding.EncodeToString([]byte(`{"a":"","l":1000000000,"s":""}`)), strings.Repeat("A", 100_000)} {
				if r := p.ask("search/subject", `{"subject":{"type":"user"},`+reads+`,`+first+`,"page":{"token":"`+token+`"}}`); r.StatusCode != http.StatusBadRequest {
					t.Errorf("token %.40q: %d %.200s", token, r.StatusCode, r.raw)
				}
			}
		}},
	}
}
