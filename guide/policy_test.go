package guide

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/broker/abac"
	"example.com/broker/web/pages"
)

func still() time.Time { return time.Unix(0, 0) }

func draftOf(p pages.PolicyPreset) draft {
	return draft{
		Policies: p.Policies, Schema: p.Schema, Entities: p.Entities, Principal: p.Principal, Action: p.Action, Resource: p.Resource,
		Context: p.Context, Tests: p.Tests,
	}
}

func presetNamed(t testing.TB, id string) draft {
	t.Helper()
	for _, p := range presets() {
		if p.ID == id {
			return draftOf(p)
		}
	}
	t.Fatalf("there is no preset %s", id)
	return draft{}
}

func TestThePresetsPassTheirOwnTests(t *testing.T) {
	for _, p := range presets() {
		d := draftOf(p)
		d.Show = showTests
		got := d.evaluate(nil, still)
		if !got.Valid || len(got.Tests) < 3 {
			t.Errorf("%s: %+v", p.ID, got)
		}
		for _, one := range got.Tests {
			if !one.Pass {
				t.Errorf("%s: %s: want %v, got %v: %s", p.ID, one.Name, one.Want, one.Got, one.Why)
			}
		}
		for _, one := range got.Decision.Statements {
			if one.Line == 0 || one.Until < one.Line || one.Description == "" {
				t.Errorf("%s: the statement %s has no place or no description: %+v", p.ID, one.ID, one)
			}
		}
	}
}

func TestWhatIsWrongHasAPlace(t *testing.T) {
	for _, c := range []struct {
		rule, pane   string
		line, column int
		says         string
		edit         func(*draft)
	}{
		{"a word that is none", "policies", 2, 3, "Expected principal, found somebody.", func(d *draft) { d.Policies = "permit (\n  somebody, action, resource);" }},
		{"text that goes on", "policies", 1, 42, "not terminated", func(d *draft) { d.Policies = `permit(principal,action,resource) when { "abc };` }},
		{"an action the schema does not know", "policies", 3, 38, "Unrecognized action", func(d *draft) { d.Policies = "\n\nforbid (principal, action == Action::\"nix\", resource);" }},
		{"an attribute the schema does not know", "policies", 1, 54, "colour", func(d *draft) { d.Policies = "permit (principal, action, resource) when { resource.colour == 1 };" }},
		{"an empty id", "policies", 2, 5, "is no id", func(d *draft) { d.Policies = "\n@id(\"\") permit (principal, action, resource);" }},
		{"an id that is in use", "policies", 2, 5, "in use in line 1", func(d *draft) {
			d.Policies = "@id(\"a\") permit (principal, action, resource);\n@id(\"a\") permit (principal, action, resource);"
		}},
		{"no policy", "policies", 0, 0, "no statement", func(d *draft) { d.Policies = "" }},
		{"a schema that ends early", "schema", 2, 9, "Expected", func(d *draft) { d.Schema = "entity User;\naction x" }},
		{"a type the schema lacks", "schema", 1, 17, "undefined", func(d *draft) { d.Schema = "entity User in [Team];" }},
		{"a comma too many", "entities", 2, 1, "Invalid character", func(d *draft) { d.Entities = "[{\"uid\": {\"type\": \"User\", \"id\": \"a\"}},\n]" }},
		{"JSON that ends early", "entities", 1, 2, "ends early", func(d *draft) { d.Entities = "[" }},
		{"a member twice", "entities", 1, 1, "", func(d *draft) { d.Entities = `[{"uid": {"type": "User", "id": "a"}, "attrs": {"x": 1, "x": 2}}]` }},
		{"an entity without a name", "entities", 0, 0, "Entity 1", func(d *draft) { d.Entities = `[{"attrs": {}}]` }},
		{"an attribute of an entity that the schema does not declare", "entities", 2, 0, "colour", func(d *draft) {
			d.Entities = "[\n  {\"uid\": {\"type\": \"Document\", \"id\": \"a\"}, \"attrs\": {\"colour\": \"red\"}, \"parents\": []}]"
		}},
		{"an entity of an unknown type", "entities", 1, 0, "Robot", func(d *draft) { d.Entities = `[{"uid": {"type": "Robot", "id": "a"}, "attrs": {}, "parents": []}]` }},
		{"an entity twice", "entities", 1, 0, "duplicate", func(d *draft) {
			d.Entities = `[{"uid": {"type": "Role", "id": "a"}, "attrs": {}, "parents": []}, {"uid": {"type": "Role", "id": "a"}, "attrs": {}, "parents": []}]`
		}},
		{"an entity that lacks an attribute", "entities", 1, 0, "author", func(d *draft) {
			d.Schema = "entity User; entity Role; entity Document { author: String }; action \"read\", \"write\", \"delete\" appliesTo { principal: User, resource: Document };"
			d.Policies, d.Entities = "permit (principal, action, resource);", `[{"uid": {"type": "Document", "id": "a"}, "attrs": {}, "parents": []}]`
		}},
		{"an entity without attrs and parents", "entities", 1, 0, "attrs", func(d *draft) { d.Entities = `[{"uid": {"type": "Role", "id": "a"}}]` }},
		{"null", "entities", 0, 0, "null", func(d *draft) { d.Entities = `[{"uid": {"type": "User", "id": "a"}, "attrs": {"x": null}}]` }},
		{"a context that is a list", "context", 1, 0, "must not be", func(d *draft) { d.Context = "[]" }},
		{"a principal without a type", "principal", 0, 0, "Type::", func(d *draft) { d.Principal = "alice" }},
		{"an action without an end", "action", 0, 0, "closing quote", func(d *draft) { d.Action = `Action::"read` }},
		{"a resource without anything", "resource", 0, 0, "Type::", func(d *draft) { d.Resource = "" }},
		{"a test that expects nothing", "tests", 0, 0, "expect", func(d *draft) {
			d.Show, d.Tests = showTests, `[{"principal": "User::a", "action": "Action::read", "resource": "Document::d"}]`
		}},
	} {
		d := presetNamed(t, "rbac")
		c.edit(&d)
		got := d.evaluate(nil, still)
		if got.Valid || got.Decision != nil || len(got.Problems) == 0 {
			t.Errorf("%s: %+v", c.rule, got)
			continue
		}
		first := got.Problems[0]
		if first.Pane != c.pane || first.Line != c.line || c.column > 0 && first.Column != c.column || !strings.Contains(first.Text, c.says) {
			t.Errorf("%s: got %+v, want %s %d:%d %q", c.rule, first, c.pane, c.line, c.column, c.says)
		}
		if strings.Contains(first.Text, "<input>") || strings.HasSuffix(first.Text, "..") {
			t.Errorf("%s: %q is not for people", c.rule, first.Text)
		}
	}
}

func statesOf(r *ruling) map[string]string {
	out := map[string]string{}
	for _, one := range r.Statements {
		out[one.ID] = one.State
	}
	return out
}

func TestEachStatementSaysWhatItHadToDoWithIt(t *testing.T) {
	for _, c := range []struct {
		rule, preset string
		edit         func(*draft)
		allow        bool
		states       map[string]string
		why          string
	}{
		{"a permit decides", "rbac", func(*draft) {}, true, map[string]string{"viewers-read": silent, "editors-write": decides, "admins-all": silent}, "Allowed by editors-write"},
		{"no permit applies", "owner", func(*draft) {}, false, map[string]string{"article-delete-author": silent}, "denied by default"},
		{"a forbid wins", "mfa", func(*draft) {}, false, map[string]string{"second-factor": decides, "editors-transfer": outvoted, "all-see": silent}, "Refused by second-factor"},
		{"a forbid that errs is no open door", "mfa", func(d *draft) { d.Context = "{}" }, false, map[string]string{"second-factor": skipped, "editors-transfer": outvoted}, "second-factor could not be evaluated"},
		{"a missing attribute", "tenants", func(d *draft) { d.Principal = "User::cleo" }, false, map[string]string{"tenants-apart": skipped, "members-work": outvoted}, "tenants-apart could not be evaluated"},
		{"a type the schema does not know", "rbac", func(d *draft) {
			d.Policies, d.Principal = "permit (principal, action, resource);", `Spaceship::"1"`
		}, false, map[string]string{"policies": silent}, "the schema knows no type Spaceship"},
		{"an action that does not apply", "rbac", func(d *draft) {
			d.Policies, d.Resource = "permit (principal, action, resource);", `User::"bob"`
		}, false, map[string]string{"policies": silent}, "write does not apply to a resource of type User"},
		{"statements without ids count", "rbac", func(d *draft) {
			d.Policies = "permit (principal, action, resource); // a ; in a comment\nforbid (principal, action, resource) when { \"a;b\" == \"a;b\" };"
		}, false, map[string]string{"policies.1": outvoted, "policies.2": decides}, "Refused by policies.2"},
	} {
		d := presetNamed(t, c.preset)
		c.edit(&d)
		got := d.evaluate(nil, still)
		if !got.Valid || got.Decision.Allow != c.allow || !strings.Contains(got.Decision.Why, c.why) {
			t.Errorf("%s: %+v", c.rule, got)
			continue
		}
		have := statesOf(got.Decision)
		for id, want := range c.states {
			if have[id] != want {
				t.Errorf("%s: %s %s, want %s", c.rule, id, have[id], want)
			}
		}
	}
}

func TestTheMatrix(t *testing.T) {
	d := presetNamed(t, "rbac")
	d.Show = showMatrix
	got := d.evaluate(nil, still).Matrix
	if got == nil || !slices.Equal(got.Actions, []string{"delete", "read", "write"}) {
		t.Fatalf("got %+v", got)
	}
	var lines []string
	for _, one := range got.Rows {
		line := one.Kind + " " + one.Name
		for _, c := range one.Cells {
			line += fmt.Sprint(" ", c.Allow)
		}
		lines = append(lines, line)
	}
	want := []string{
		"role admin true true true", "role editor false true true", "role viewer false true false",
		"person alice false true true", "person bob false true false", "person root true true true",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("got %q, want %q", lines, want)
	}
}

func TestADraftBesideWhatIsInForce(t *testing.T) {
	live, err := abac.Compile(abac.Defaults()[abac.Broker])
	if err != nil {
		t.Fatal(err)
	}
	d := presetNamed(t, "owner")
	d.Show = showLive
	if got := d.evaluate(live, still).Live; !got.Governed || got.Differences != 0 || len(got.Grid.Rows) != 6 {
		t.Errorf("the same policies: %+v", got)
	}
	d.Policies = strings.Replace(d.Policies, " && !resource.published", "", 1)
	got := d.evaluate(live, still).Live
	if got.Differences == 0 {
		t.Errorf("an author may delete what is published, and nothing differs: %+v", got)
	}
	other := presetNamed(t, "rbac")
	other.Show = showLive
	if got := other.evaluate(live, still).Live; got.Governed || got.Type != "Document" {
		t.Errorf("documents are nothing the broker knows: %+v", got)
	}
}

func TestAnEvaluationEnds(t *testing.T) {
	var list []string
	for i := range 100 {
		list = append(list, fmt.Sprintf(`{"uid": {"type": "User", "id": "u%d"}, "attrs": {}, "parents": []}`, i))
	}
	d := presetNamed(t, "rbac")
	d.Show, d.Entities = showMatrix, "["+strings.Join(list, ",")+"]"
	if got := d.evaluate(nil, still); !got.Cut || len(got.Matrix.Rows) != maxRows {
		t.Errorf("100 people: cut %v, %d rows", got.Cut, len(got.Matrix.Rows))
	}
	now := still()
	slow := func() time.Time { now = now.Add(evaluationTime / 4); return now }
	for _, show := range []string{showMatrix, showTests} {
		d := presetNamed(t, "rbac")
		d.Show = show
		d.Tests = cases(slices.Repeat([]string{`{"principal": "User::a", "action": "Action::read", "resource": "Document::d", "expect": "deny"}`}, 20)...)
		if got := d.evaluate(nil, slow); !got.Cut || got.Decision == nil {
			t.Errorf("%s, slowly: %+v", show, got)
		}
	}
}

func TestThePlaygroundIsLimitedPerPerson(t *testing.T) {
	l, now := newPlayground(Deps{}).limits, still()
	for i := range evaluationsAtOnce {
		if wait := l.take("ann", now); wait != 0 {
			t.Fatalf("evaluation %d has to wait %v", i+1, wait)
		}
	}
	if l.take("ann", now) == 0 {
		t.Error("nobody is limited")
	}
	if l.take("ben", now) != 0 {
		t.Error("one person waits for another")
	}
	if l.take("ann", now.Add(time.Second)) != 0 {
		t.Error("ann waits for ever")
	}
	for i := range limitersKept {
		l.take(fmt.Sprint(i), now)
	}
	l.take("cleo", now.Add(time.Hour))
	if len(l.by) > 10 {
		t.Errorf("%d people are remembered", len(l.by))
	}
}

// Whatever is typed, the answer is either problems or a decision, and problems lie within the text.
func FuzzDraft(f *testing.F) {
	for _, p := range presets() {
		f.Add(p.Policies, p.Schema, p.Entities, p.Principal, p.Context)
	}
	f.Add("permit(principal,action,resource) when { \"é\" ", "entity É", "[{\"uid\":1}]", "A::\"\\", "{\"a\":[null]}")
	f.Fuzz(func(t *testing.T, policies, schema, entities, principal, context string) {
		d := presetNamed(t, "rbac")
		d.Policies, d.Schema, d.Entities, d.Principal, d.Context, d.Show = policies, schema, entities, principal, context, showMatrix
		got := d.evaluate(nil, still)
		if got.Valid != (got.Decision != nil) || got.Valid == (len(got.Problems) > 0) {
			t.Fatalf("neither or both: %+v", got)
		}
		for _, p := range got.Problems {
			text := map[string]string{"policies": policies, "schema": schema, "entities": entities, "context": context}[p.Pane]
			if p.Line > 1+strings.Count(text, "\n") || p.Text == "" {
				t.Fatalf("%+v is not within the text", p)
			}
		}
		if _, err := json.Marshal(got); err != nil {
			t.Fatal(err)
		}
	})
}
