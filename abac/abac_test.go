package abac_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/abac"
	"example.com/broker/internal/fault"
)

// compiled compiles a set of the default schema unless another one is given.
func compiled(t testing.TB, s abac.Set) *abac.Engine {
	t.Helper()
	s.App = "test"
	if s.Schema == "" {
		s.Schema = abac.Defaults()[abac.Broker].Schema
	}
	e, err := abac.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func brokers(t testing.TB) *abac.Engine {
	t.Helper()
	e, err := abac.Compile(abac.Defaults()[abac.Broker])
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func user(id string, roles ...string) abac.Entity {
	u := abac.Entity{UID: abac.UID{Type: "User", ID: id}}
	for _, r := range roles {
		u.Parents = append(u.Parents, abac.UID{Type: "Role", ID: r})
	}
	return u
}

func article(author string, published bool) abac.Entity {
	return abac.Entity{UID: abac.UID{Type: "Article", ID: "1"}, Attrs: map[string]any{"author": abac.UID{Type: "User", ID: author}, "published": published}}
}

// The rules of the guide: the author or an admin may edit; an admin deletes any, the author only an unpublished one.
func TestTheRulesOfArticles(t *testing.T) {
	e := brokers(t)
	for _, row := range []struct {
		subject  abac.Entity
		action   string
		resource abac.Entity
		allow    bool
		deciding []string
	}{
		{user("ann", "editor"), "read", article("bob", true), true, []string{"article-read"}},
		{user("ann", "editor"), "edit", article("ann", true), true, []string{"article-edit-author"}},
		{user("ann", "editor"), "edit", article("bob", false), false, nil},
		{user("ann", "admin"), "edit", article("bob", true), true, []string{"article-edit-admin"}},
		{user("ann", "admin"), "edit", article("ann", true), true, []string{"article-edit-admin", "article-edit-author"}},
		{user("ann", "editor"), "delete", article("ann", false), true, []string{"article-delete-author"}},
		{user("ann", "editor"), "delete", article("ann", true), false, nil},
		{user("ann", "editor"), "delete", article("bob", false), false, nil},
		{user("ann", "admin"), "delete", article("bob", true), true, []string{"article-delete-admin"}},
	} {
		d := e.Decide(abac.Request{Subject: row.subject, Action: abac.ActionNamed(row.action), Resource: row.resource})
		want := abac.Decision{Allow: row.allow, Deciding: append([]string{}, row.deciding...)}
		if diff := cmp.Diff(want, d); diff != "" {
			t.Errorf("%v %s %v (-want +got):\n%s", row.subject, row.action, row.resource, diff)
		}
	}
}

// Policies that speak of everything speak of what the schema knows, and of nothing else.
func TestWhatTheSchemaDoesNotKnowIsANo(t *testing.T) {
	const schema = `entity User; entity Doc; entity Door enum ["front"];
		action "read" appliesTo { principal: User, resource: Doc }; action "open" appliesTo { principal: User, resource: Door }; action "group";`
	for name, policy := range map[string]string{
		"one action": `permit (principal, action == Action::"read", resource); permit (principal, action == Action::"open", resource);`,
		"everything": `permit (principal, action, resource);`,
	} {
		e := compiled(t, abac.Set{Schema: schema, Policies: []abac.Policy{{ID: "p", Text: policy}}})
		for _, row := range []struct {
			subject, action, resource string // the types, and the name
			why                       string
		}{
			{"User", "read", "Doc", ""},
			{"User", "open", "Door", ""},
			{"Spaceship", "read", "Doc", "the schema knows no type Spaceship"},
			{"User", "read", "X", "the schema knows no type X"},
			{"user", "read", "Doc", "the schema knows no type user"},
			{"User\n", "read", "Doc", `the schema knows no type "User\n"`},
			{"User", "fly", "Doc", "the schema knows no action fly"},
			{"User", "Read", "Doc", "the schema knows no action Read"},
			{"Doc", "read", "User", "read does not apply to a principal of type Doc"},
			{"User", "read", "User", "read does not apply to a resource of type User"},
			{"User", "open", "Doc", "open does not apply to a resource of type Doc"},
			{"User", "group", "Doc", "group applies to nothing"},
			{"Action", "read", "Doc", "the schema knows no type Action"},
			{"", "read", "Doc", `the schema knows no type ""`},
		} {
			d := e.Decide(abac.Request{
				Subject: abac.Entity{UID: abac.UID{Type: row.subject, ID: "front"}}, Action: abac.ActionNamed(row.action),
				Resource: abac.Entity{UID: abac.UID{Type: row.resource, ID: "front"}},
			})
			if d.Allow != (row.why == "") || d.Inapplicable != row.why {
				t.Errorf("%s: %q %q %q: %+v, want %q", name, row.subject, row.action, row.resource, d, row.why)
			}
		}
		d := e.Decide(abac.Request{
			Subject: abac.Entity{UID: abac.UID{Type: "User", ID: "1"}}, Action: abac.ActionNamed("open"), Resource: abac.Entity{UID: abac.UID{Type: "Door", ID: "back"}},
		})
		if d.Allow || d.Inapplicable != "the schema knows no Door back" {
			t.Errorf("%s: a member that the enumeration lacks: %+v", name, d)
		}
	}
	e, err := abac.Compile(abac.Set{App: "bare", Policies: []abac.Policy{{ID: "p", Text: `permit (principal, action, resource);`}}})
	if err != nil {
		t.Fatal(err)
	}
	if d := e.Decide(abac.Request{Subject: user("ann"), Action: abac.ActionNamed("edit"), Resource: article("ann", true)}); d.Allow {
		t.Errorf("without a schema: %+v", d)
	}
}

// K07: whatever is missing or goes wrong is a no.
func TestWhatGoesWrongIsANo(t *testing.T) {
	e := brokers(t)
	ask := func(subject, resource abac.Entity) abac.Decision {
		return e.Decide(abac.Request{Subject: subject, Action: abac.ActionNamed("delete"), Resource: resource})
	}
	ann := user("ann", "editor")
	bare := abac.Entity{UID: abac.UID{Type: "Article", ID: "1"}}
	with := func(attrs map[string]any) abac.Entity { return abac.Entity{UID: bare.UID, Attrs: attrs} }
	self := abac.UID{Type: "User", ID: "ann"}
	deep := any("x")
	for range abac.MaxNesting + 2 {
		deep = []any{deep}
	}
	for name, d := range map[string]abac.Decision{
		"no attributes":                    ask(ann, bare),
		"an attribute is missing":          ask(ann, with(map[string]any{"author": self})),
		"an attribute is null":             ask(ann, with(map[string]any{"author": self, "published": nil})),
		"an attribute is of another type":  ask(ann, with(map[string]any{"author": self, "published": "no"})),
		"an attribute cannot be held":      ask(ann, with(map[string]any{"author": self, "published": json.Number("1e400")})),
		"an admin, and a policy that errs": ask(user("ann", "admin"), with(map[string]any{"author": self})),
		"a value that nests too deep":      ask(ann, with(map[string]any{"author": self, "published": deep})),
		"too many values":                  ask(ann, with(map[string]any{"author": self, "published": make([]any, abac.MaxValues+1)})),
		"an id that is too long":           ask(user(strings.Repeat("a", abac.MaxID+1), "admin"), article("ann", false)),
	} {
		if d.Allow || len(d.Errors) == 0 {
			t.Errorf("%s: %+v, want a no with a reason", name, d)
		}
	}
	// The type of an author who is no reference is compared like any other: it is not equal.
	if d := ask(ann, with(map[string]any{"author": "ann", "published": false})); d.Allow {
		t.Errorf("an author who is a text: %+v", d)
	}
}

func TestAnErringForbidDoesNotOpenTheDoor(t *testing.T) {
	e := compiled(t, abac.Set{Policies: []abac.Policy{
		{ID: "all", Text: `permit (principal, action, resource);`},
		{ID: "not-published", Text: `forbid (principal, action == Action::"delete", resource is Article) when { resource.published };`},
	}})
	ask := func(resource abac.Entity) abac.Decision {
		return e.Decide(abac.Request{Subject: user("ann"), Action: abac.ActionNamed("delete"), Resource: resource})
	}
	for _, row := range []struct {
		rule     string
		resource abac.Entity
		allow    bool
		deciding string
		errors   int
	}{
		{"the forbid applies", article("ann", true), false, "not-published", 0},
		{"the forbid does not apply", article("ann", false), true, "all", 0},
		{"the forbid errs", abac.Entity{UID: abac.UID{Type: "Article", ID: "1"}}, false, "", 1},
	} {
		d := ask(row.resource)
		if d.Allow != row.allow || strings.Join(d.Deciding, " ") != row.deciding || len(d.Errors) != row.errors {
			t.Errorf("%s: %+v", row.rule, d)
		}
	}
}

func TestARequestOverridesWhatIsStoredMemberByMember(t *testing.T) {
	e := compiled(t, abac.Set{
		Policies: abac.Defaults()[abac.Broker].Policies,
		Entities: `[{"uid":{"type":"Article","id":"1"},"parents":[],"attrs":{"author":{"__entity":{"type":"User","id":"ann"}},"published":true}}]`,
	})
	ask := func(attrs map[string]any) bool {
		return e.Decide(abac.Request{
			Subject: user("ann"), Action: abac.ActionNamed("delete"), Resource: abac.Entity{UID: abac.UID{Type: "Article", ID: "1"}, Attrs: attrs},
		}).Allow
	}
	if ask(nil) || !ask(map[string]any{"published": false}) || ask(map[string]any{"published": true}) {
		t.Error("published must be what the request says, and the author what is stored")
	}
	if got := e.IDs("Article"); len(got) != 1 || got[0] != "1" || !e.Has(abac.UID{Type: "Article", ID: "1"}) || e.Has(abac.UID{Type: "Article", ID: "2"}) {
		t.Errorf("stored articles: %v", got)
	}
}

// null, and what Cedar cannot hold, is missing also where something is stored.
func TestARequestTakesAStoredAttributeAway(t *testing.T) {
	e := compiled(t, abac.Set{
		Schema:   `entity User; entity Doc { lock?: String, size?: Long }; action "read" appliesTo { principal: User, resource: Doc };`,
		Policies: []abac.Policy{{ID: "p", Text: `permit (principal, action, resource) unless { resource has lock || resource has size };`}},
		Entities: `[{"uid":{"type":"Doc","id":"1"},"parents":[],"attrs":{"lock":"x","size":1}}]`,
	})
	for _, row := range []struct {
		rule  string
		attrs map[string]any
		allow bool
	}{
		{"nothing is said", nil, false},
		{"null for one", map[string]any{"lock": nil}, false},
		{"null for both", map[string]any{"lock": nil, "size": nil}, true},
		{"a number that cannot be held", map[string]any{"lock": nil, "size": json.Number("1e30")}, true},
		{"null for another", map[string]any{"other": nil}, false},
	} {
		d := e.Decide(abac.Request{Subject: user("ann"), Action: abac.ActionNamed("read"), Resource: abac.Entity{UID: abac.UID{Type: "Doc", ID: "1"}, Attrs: row.attrs}})
		if d.Allow != row.allow || len(d.Errors) > 0 {
			t.Errorf("%s: %+v", row.rule, d)
		}
	}
	if d := e.Decide(abac.Request{Subject: user("ann"), Action: abac.ActionNamed("read"), Resource: abac.Entity{UID: abac.UID{Type: "Doc", ID: "1"}}}); d.Allow {
		t.Error("a request changed what is stored")
	}
}

// JSON has one kind of number: the schema says which of Cedar's it is.
func TestNumbersAreWhatTheSchemaSays(t *testing.T) {
	e := compiled(t, abac.Set{
		Schema: `entity User; entity Doc { size?: Long, price?: decimal, sizes?: Set<Long>, part?: { size: Long } };
			action "read" appliesTo { principal: User, resource: Doc, context: { size?: Long, price?: decimal } };`,
		Policies: []abac.Policy{{ID: "p", Text: `permit (principal, action, resource) when {
			(resource has size && resource.size == 2) || (resource has price && resource.price == decimal("2.0")) ||
			(resource has sizes && resource.sizes.containsAll([2, 3])) || (resource has part && resource.part.size == 2) ||
			(context has size && context.size == 2) || (context has price && context.price == decimal("2.5")) };`}},
	})
	ask := func(attrs, context map[string]any) bool {
		return e.Decide(abac.Request{
			Subject: user("ann"), Action: abac.ActionNamed("read"), Resource: abac.Entity{UID: abac.UID{Type: "Doc", ID: "1"}, Attrs: attrs}, Context: context,
		}).Allow
	}
	for text, two := range map[json.Number]bool{"2": true, "2.0": true, "2.00000": true, "0.2e1": true, "200e-2": true, "2.5": false, "-2.0": false, "0.0": false, "2e1": false, "1e400": false} {
		for name, got := range map[string]bool{
			"a Long": ask(map[string]any{"size": text}, nil), "a decimal": ask(map[string]any{"price": text}, nil), "a Long in a record": ask(map[string]any{"part": map[string]any{"size": text}}, nil),
			"Longs in a set": ask(map[string]any{"sizes": []any{json.Number("3.0"), text}}, nil), "a Long in the context": ask(nil, map[string]any{"size": text}),
		} {
			if got != two {
				t.Errorf("%s as %s: %v", text, name, got)
			}
		}
		if got := ask(nil, map[string]any{"price": text}); got != (text == "2.5") {
			t.Errorf("%s as a decimal in the context: %v", text, got)
		}
	}
	if !ask(map[string]any{"size": 2.0}, nil) || !ask(map[string]any{"price": 2.0}, nil) || ask(map[string]any{"size": 2.5}, nil) {
		t.Error("a float64 is a number like any other")
	}
	for text, want := range map[json.Number]bool{"1.0": true, "0.0001": true, "0.00001": false, "9223372036854775807": true, "9223372036854775808": false, "1e999999": false} {
		if abac.Holds(text) != want {
			t.Errorf("Holds(%s) = %v", text, !want)
		}
	}
}

// A number that policies could not be given is not taken for one that is missing where somebody can be told.
func TestNumbersThatCannotBeHeldAreNamed(t *testing.T) {
	for text, says := range map[json.Number]string{
		"1.0": "", "-2.5": "", "1e30": "no number that Cedar has", "1.23456": "no number that Cedar has", "9223372036854775808": "no number that Cedar has",
	} {
		_, err := abac.Attributes(map[string]any{"n": []any{text}})
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%s in a context: %v", text, err)
		}
	}
	for text, says := range map[string]string{"1": "", "1.0": "1.0 must be written as 1 here", "-0": "must be written as 0", "1e2": "must be written as 100", "1.5": "decimal", "1e30": "64 bits"} {
		_, err := abac.Compile(abac.Set{App: "test", Schema: `entity Doc { n: Long };`, Entities: `[{"uid":{"type":"Doc","id":"1"},"attrs":{"n":` + text + `},"parents":[]}]`})
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%s as stored: %v", text, err)
		}
	}
}

func TestWhatIsRefusedOnSave(t *testing.T) {
	base := abac.Defaults()[abac.Broker]
	policy := func(text string) abac.Set {
		return abac.Set{App: "test", Schema: base.Schema, Policies: []abac.Policy{{ID: "p", Text: text}}}
	}
	entities := func(text string) abac.Set { return abac.Set{App: "test", Schema: base.Schema, Entities: text} }
	for _, row := range []struct {
		rule string
		set  abac.Set
		code string
		says string
	}{
		{"a syntax error", policy(`permit (principal, action, resource`), "policy_invalid", "policy p"},
		{"no statement", policy(`// nothing`), "policy_invalid", "no statement"},
		{"an unknown type", policy(`permit (principal is Robot, action, resource);`), "policy_invalid", "Robot"},
		{"an unknown action", policy(`permit (principal, action == Action::"publish", resource);`), "policy_invalid", "publish"},
		{"an unknown attribute", policy(`permit (principal, action, resource is Article) when { resource.colour == "red" };`), "policy_invalid", "colour"},
		{"a comparison of types", policy(`permit (principal, action, resource is Article) when { resource.published == "yes" };`), "policy_invalid", "line 1"},
		{"an unknown operator", policy(`permit (principal, action, resource) when { principal ~= resource };`), "policy_invalid", "policy p"},
		{"an unknown function", policy(`permit (principal, action, resource) when { regex("(a+)+$", "a") };`), "policy_invalid", "regex"},
		{"two statements of one id", policy(`@id("x") permit (principal, action, resource); @id("x") forbid (principal, action, resource);`), "policy_invalid", "in use"},
		{"an id that is none", policy(`@id("a b") permit (principal, action, resource);`), "policy_invalid", "no id"},
		{"brackets without end", policy(`permit (principal, action, resource) when { ` + strings.Repeat("(", 5000) + "true" + strings.Repeat(")", 5000) + ` };`), "policy_invalid", "deeper"},
		{"negations without end", policy(`permit (principal, action, resource) when { ` + strings.Repeat("!", 5000) + `true };`), "policy_invalid", "deeper"},
		{"too much text", policy(strings.Repeat(" ", abac.MaxPolicyText) + `permit (principal, action, resource);`), "policies_too_large", "bytes"},
		{"a policy twice", abac.Set{App: "test", Schema: base.Schema, Policies: []abac.Policy{base.Policies[0], base.Policies[0]}}, "policy_invalid", "two policies"},
		{"a name of an application that is none", abac.Set{App: "../x", Schema: base.Schema}, "application_invalid", "no application"},
		{"a schema that is none", abac.Set{App: "test", Schema: "entity"}, "schema_invalid", "schema"},
		{"a schema with an unknown type", abac.Set{App: "test", Schema: "entity A in [B];"}, "schema_invalid", "B"},
		{"entities that are no JSON", entities(`[{]`), "entities_invalid", ""},
		{"an entity of an unknown type", entities(`[{"uid":{"type":"Robot","id":"1"},"attrs":{},"parents":[]}]`), "entities_invalid", "Robot"},
		{"an entity without an attribute", entities(`[{"uid":{"type":"Article","id":"1"},"attrs":{},"parents":[]}]`), "entities_invalid", "Article"},
		{"entities that nest without end", entities(strings.Repeat("[", 5000)), "entities_invalid", "deeper"},
		{"an entity twice", entities(`[{"uid":{"type":"Role","id":"1"},"attrs":{},"parents":[]},{"uid":{"type":"Role","id":"1"},"attrs":{},"parents":[]}]`), "entities_invalid", "duplicate"},
	} {
		_, err := abac.Compile(row.set)
		if err == nil || fault.CodeOf(err) != row.code || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: %v, want %s that says %q", row.rule, err, row.code, row.says)
		}
	}
}

func TestStatementsAreNamed(t *testing.T) {
	e := compiled(t, abac.Set{Policies: []abac.Policy{
		{ID: "one", Text: `permit (principal, action, resource);`},
		{ID: "two", Text: "permit (principal, action == Action::\"read\", resource);\nforbid (principal, action == Action::\"edit\", resource is Article);"},
		{ID: "three", Text: `@id("named") @description("who may") permit (principal in Role::"admin", action == Action::"edit", resource);`},
	}})
	want := []abac.Statement{
		{ID: "named", Policy: "three", Description: "who may", Effect: "permit"},
		{ID: "one", Policy: "one", Effect: "permit"},
		{ID: "two.1", Policy: "two", Effect: "permit"},
		{ID: "two.2", Policy: "two", Effect: "forbid"},
	}
	if diff := cmp.Diff(want, e.Statements()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want[:2], e.WouldDo(abac.ActionNamed("edit"), "Article")); diff != "" {
		t.Errorf("what would do: %s", diff)
	}
	if s, ok := e.Find("two.2"); !ok || s.Effect != "forbid" {
		t.Errorf("Find: %v %v", s, ok)
	}
	if !e.Governs("Article") || e.Governs("User") || e.Governs("Report") {
		t.Error("articles are under policies, users and reports are not")
	}
	if got := fmt.Sprint(e.Actions("User", "Article"), e.Actions("Role", "Article")); got != "[delete edit read] []" {
		t.Errorf("actions: %s", got)
	}
}
