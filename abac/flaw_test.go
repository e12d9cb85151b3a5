package abac_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/abac"
)

// flawsOf compiles a set and returns what is wrong with it, as file:line:col and text.
func flawsOf(t testing.TB, s abac.Set) []string {
	t.Helper()
	s.App = "shop"
	_, err := abac.Compile(s)
	var out []string
	for _, f := range abac.Findings("policies/shop", err) {
		out = append(out, strings.TrimPrefix(f.Where, "policies/shop/")+" "+f.Text)
	}
	return out
}

// What is wrong is said in words, at the line and the column where it stands.
func TestFlawsHaveTheirPlaceAndWordsForPeople(t *testing.T) {
	schema := abac.Defaults()[abac.Broker].Schema
	policy := func(text string) abac.Set {
		return abac.Set{Schema: schema, Policies: []abac.Policy{{ID: "long", Text: text}}}
	}
	declared := func(text string) abac.Set { return abac.Set{Schema: text} }
	entities := func(text string) abac.Set {
		return abac.Set{Schema: "entity Role; entity User in [Role] { age?: Long, boss?: User, due?: decimal };", Entities: text}
	}
	const user = `{"uid": {"type": "User", "id": "ann"}, "parents": [], "attrs": {}}`
	for _, row := range []struct {
		rule string
		set  abac.Set
		want []string
	}{
		{"a word that is none", policy("permit (\n  principal, action, resourc\n);"), []string{"long.cedar:2:22 Expected resource, found resourc."}},
		{"a text that ends", policy("permit (principal, action,"), []string{"long.cedar:1:27 Expected resource, found the end."}},
		{"a name that is missing", policy("permit (principal is ;"), []string{"long.cedar:1:22 Expected a name, found ;."}},
		{"an effect that is none", policy("allow (principal, action, resource);"), []string{"long.cedar:1:1 Expected permit or forbid, found allow."}},
		{"an expression that is missing", policy("permit (principal, action, resource) when { resource.author == };"), []string{"long.cedar:1:64 Expected an expression, found }."}},
		{"a comma that is missing", policy(`permit (principal, action in [Action::"read" Action::"edit"], resource);`), []string{"long.cedar:1:46 Expected ,, found Action."}},
		{"a number that is too large", policy("permit (principal, action, resource)\nwhen { 99999999999999999999 == 1 };"), []string{"long.cedar:2:8 The number 99999999999999999999 has more than 64 bits."}},
		{
			"an attribute in one of several conditions", policy("permit (principal, action, resource is Article)\nwhen { resource.published }\nwhen {\n  // pubic\n  \"pubic\" == \"x\" ||\n  resource.pubic\n};"),
			[]string{"long.cedar:6:12 Attribute `pubic` on entity type `Article` not found."},
		},
		{"an attribute that has the name of a variable", policy("permit (principal, action, resource is Article)\nwhen { resource.resource };"), []string{"long.cedar:2:17 Attribute `resource` on entity type `Article` not found."}},
		{"a comparison of types", policy("permit (principal, action, resource is Article)\nwhen { true }\nunless { resource.published == \"x\" };"), []string{"long.cedar:3:1 The types Bool and String are not compatible."}},
		{"a type that has no name", policy("permit (principal, action, resource is Article)\nwhen { 1 + true == 2 };"), []string{"long.cedar:2:1 Unexpected type: expected Long but saw Bool."}},
		{
			"three words of a scope", policy("permit (\n  principal in Group::\"x\",\n  action == Action::\"nix\",\n  resource is Robot\n);"),
			[]string{"long.cedar:2:16 Unrecognized entity type `Group`.", "long.cedar:3:21 Unrecognized action `Action::\"nix\"`.", "long.cedar:4:15 Unrecognized entity type `Robot`."},
		},
		{"columns are characters", policy("@description(\"é漢🔑\") permit (principal, action, resource is Robot);"), []string{"long.cedar:1:60 Unrecognized entity type `Robot`."}},
		{"an id that is in use", policy("@id(\"a\") permit (principal, action, resource);\n@id(\"a\") forbid (principal, action, resource);"), []string{"long.cedar:2:5 The id a is in use in line 1."}},
		{"an id that is empty", policy("permit (principal, action, resource);\n@id(\"\") permit (principal, action, resource);"), []string{`long.cedar:2:5 "" is no id: use letters, digits, dots, hyphens and underscores.`}},
		{"an id without a value", policy("@id permit (principal, action, resource);"), []string{`long.cedar:1:2 "" is no id: use letters, digits, dots, hyphens and underscores.`}},

		{"a type that is not declared", declared("entity User;\nentity Team in [Group];"), []string{`schema.cedarschema:2:17 Entity "Team": undefined entity type "Group".`}},
		{"a type within a record", declared("entity User {\n  name: String,\n  team: { lead: Nobody },\n};"), []string{`schema.cedarschema:3:17 Entity "User" shape: attribute "team": attribute "lead": undefined type "Nobody".`}},
		{"an action that is not declared", declared("entity User;\naction read in [all];"), []string{`schema.cedarschema:2:17 Action Action::"read": undefined parent action Action::"all".`}},
		{"a schema that ends", declared("entity User;\naction read"), []string{"schema.cedarschema:2:12 Expected ;, found the end."}},
		{"a declaration that is none", declared("enti User;"), []string{"schema.cedarschema:1:1 Expected declaration (entity, action, or type), found enti."}},

		{"entities that are no list", entities(`{}`), []string{`entities.json:1:1 The entities must be a JSON array, such as [{"uid": {"type": "User", "id": "alice"}, "attrs": {}, "parents": []}].`}},
		{"an entity that is none", entities("[\n  " + user + ",\n  7\n]"), []string{`entities.json:3:3 This is no entity: write {"uid": {"type": "User", "id": "alice"}, "attrs": {}, "parents": []}.`}},
		{"a comma too many", entities("[" + user + ",\n]"), []string{"entities.json:2:1 Invalid character ']' looking for beginning of value."}},
		{"JSON that ends", entities("[\n"), []string{"entities.json:2:1 The JSON ends early."}},
		{"more behind it", entities("[]\n[]"), []string{"entities.json:2:1 More follows the value."}},
		{"an entity without parents", entities(`[{"uid": {"type": "User", "id": "ann"}, "attrs": {}}]`), []string{`entities.json:1:2 The entity has no "parents": write {"uid": {"type": "User", "id": "alice"}, "attrs": {}, "parents": []}.`}},
		{"an entity twice", entities("[" + user + ",\n" + user + "]"), []string{`entities.json:2:1 User::"ann" is a duplicate of the one in line 1.`}},
		{"a member twice", entities(strings.Replace("["+user+"]", `"attrs": {}`, `"attrs": {"age": 1, "age": 2}`, 1)), []string{`entities.json:1:76 The member "age" is given twice.`}},
		{"a value of another type", entities(strings.Replace("["+user+"]", `"attrs": {}`, "\"attrs\": {\n\"age\": \"x\"}", 1)), []string{`entities.json:2:8 User::"ann": attribute "age": expected Long, got String.`}},
		{"a fraction", entities(strings.Replace("["+user+"]", `"attrs": {}`, "\"attrs\": {\n\"age\": 1.5}", 1)), []string{`entities.json:2:8 Attribute age: 1.5 is no whole number within 64 bits; a decimal is written {"__extn": {"fn": "decimal", "arg": "1.5"}}.`}},
		{"null", entities(strings.Replace("["+user+"]", `"attrs": {}`, `"attrs": {"age": null}`, 1)), []string{"entities.json:1:73 Attribute age: null is no value in Cedar: leave the member out."}},
		{"no decimal", entities(strings.Replace("["+user+"]", `"attrs": {}`, `"attrs": {"due": {"__extn": {"fn": "decimal", "arg": "x"}}}`, 1)), []string{`entities.json:1:109 Attribute due: "x" is no value of decimal.`}},
		{"a parent of another type", entities(strings.Replace("["+user+"]", `"parents": []`, `"parents": [{"type": "User", "id": "bob"}]`, 1)), []string{`entities.json:1:52 User::"ann": invalid parent type "User" for entity type "User".`}},

		{
			"everything at once",
			abac.Set{Schema: "entity User in [Team];", Policies: []abac.Policy{{ID: "one", Text: "permit"}, {ID: "two", Text: ""}}, Entities: "["},
			[]string{`schema.cedarschema:1:17 Entity "User": undefined entity type "Team".`, "one.cedar:1:7 Expected (, found the end.", "two.cedar It holds no statement.", "entities.json:1:2 The JSON ends early."},
		},
	} {
		if diff := cmp.Diff(row.want, flawsOf(t, row.set)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.rule, diff)
		}
	}
}

// What is in the store has no file: application, policy, line and column name the place.
func TestAFlawNamesTheApplication(t *testing.T) {
	set := abac.Defaults()[abac.Broker]
	set.App, set.Policies = "shop", []abac.Policy{{ID: "long", Text: "permit (\n  principal is Robot, action, resource);"}}
	_, err := abac.Compile(set)
	flaws, ok := errors.AsType[abac.Flaws](err)
	if !ok || len(flaws) != 1 {
		t.Fatalf("got %v", err)
	}
	if got, want := flaws[0].String(), "shop: policy long, line 2, column 16: Unrecognized entity type `Robot`."; got != want || !strings.Contains(err.Error(), want) {
		t.Errorf("got %q in %q, want %q", got, err, want)
	}
	for range 7 {
		set.Policies[0].Text += set.Policies[0].Text
	}
	_, err = abac.Compile(set)
	if text := err.Error(); len(text) > 2200 || !strings.Contains(text, "more") {
		t.Errorf("%d bytes: %s", len(text), text)
	}
}
