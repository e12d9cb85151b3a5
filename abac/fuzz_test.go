package abac_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"example.com/broker/abac"
)

// FuzzPolicy: a policy that is accepted decides twice the same, allows nothing to whom a forbid applies, and never panics; what is wrong
// with one that is refused has words, and a place within it.
func FuzzPolicy(f *testing.F) {
	for _, p := range abac.Defaults()[abac.Broker].Policies {
		f.Add(p.Text)
	}
	for _, text := range []string{
		`permit (principal, action, resource) when { resource is Article && resource.author like "a*b*c" };`,
		`forbid (principal, action == Action::"edit", resource) unless { principal in Role::"admin" };`,
		`permit (principal == User::"ann", action in [Action::"read", Action::"edit"], resource) when { context has x };`,
		`@id("x") permit (principal, action, resource) when { 9223372036854775807 + 1 > 0 };`,
		`permit (principal, action, resource) when { if true then ip("::1").isLoopback() else decimal("1.0") == decimal("2.0") };`,
		`permit (principal, action, resource) when { ((((((((true)))))))) && !!!!false };`,
	} {
		f.Add(text)
	}
	schema := abac.Defaults()[abac.Broker].Schema
	f.Fuzz(func(t *testing.T, text string) {
		e, err := abac.Compile(abac.Set{App: "fuzz", Schema: schema, Policies: []abac.Policy{{ID: "p", Text: text}}})
		if err != nil {
			within(t, text, err)
			return
		}
		for _, action := range []string{"read", "edit", "delete", "unknown"} {
			r := abac.Request{Subject: user("ann", "editor", "admin"), Action: abac.ActionNamed(action), Resource: article("ann", true)}
			d := e.Decide(r)
			again := e.Decide(r)
			if d.Allow != again.Allow || !slices.Equal(d.Deciding, again.Deciding) {
				t.Fatalf("%+v, then %+v", d, again)
			}
			if d.Allow && (len(d.Errors) > 0 || len(d.Deciding) == 0) {
				t.Fatalf("allowed in spite of errors, or by nobody: %+v", d)
			}
			for _, id := range d.Deciding {
				s, ok := e.Find(id)
				if !ok || (s.Effect == "permit") != d.Allow {
					t.Fatalf("%+v is decided by %+v", d, s)
				}
			}
		}
	})
}

func within(t *testing.T, text string, err error) {
	t.Helper()
	lines := strings.Split(text, "\n")
	flaws, _ := errors.AsType[abac.Flaws](err)
	for _, f := range flaws {
		if f.Text == "" || f.Line > len(lines) || f.Line > 0 && (f.Column < 1 || f.Column > utf8.RuneCountInString(lines[f.Line-1])+1) {
			t.Fatalf("%+v is not within %q", f, text)
		}
	}
}

// FuzzEntities: entities are accepted or what is wrong with them has words, and a place within them.
func FuzzEntities(f *testing.F) {
	const user = `{"uid": {"type": "User", "id": "ann"}, "parents": [], "attrs": {}}`
	for _, text := range []string{"[" + user + "]", "[" + user + ",]", "[{}]", `[{"uid": 1, "attrs": {"é": null}, "parents": [[]]}]`, `[{"uid": {"__entity": 1}}`, "null 1", `[{"a":1,"a":2}]`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := abac.Compile(abac.Set{App: "fuzz", Schema: "entity User { age?: Long };", Entities: text}); err != nil {
			within(t, text, err)
		}
	})
}

// FuzzRequest: whatever a request holds, an article is deleted by its author or an admin alone.
func FuzzRequest(f *testing.F) {
	f.Add("ann", `{"author":"ann","published":false}`, `{"a":[1,2,{"b":null}]}`)
	f.Add("ann", `{"published":1.5,"author":{"__entity":{"type":"User","id":"ann"}}}`, `{}`)
	f.Add("", `{"published":[[[[[[]]]]]]}`, `{"x":1e400,"y":-9223372036854775809}`)
	f.Add("Role::\"admin\"", `null`, `[]`)
	e, err := abac.Compile(abac.Defaults()[abac.Broker])
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, subject, attributes, situation string) {
		var attrs, context map[string]any
		if json.Unmarshal([]byte(attributes), &attrs) != nil || json.Unmarshal([]byte(situation), &context) != nil {
			return
		}
		d := e.Decide(abac.Request{
			Subject: user(subject, "editor"), Action: abac.ActionNamed("delete"), Context: context,
			Resource: abac.Entity{UID: abac.UID{Type: "Article", ID: "1"}, Attrs: attrs},
		})
		// JSON has no references, so nobody is the author by what a request says.
		if d.Allow {
			t.Fatalf("%q may delete %s: %+v", subject, attributes, d)
		}
	})
}
