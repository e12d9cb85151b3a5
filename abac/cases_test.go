package abac_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/abac"
)

func TestCasesAreRead(t *testing.T) {
	got, flaws := abac.ReadCases(`
entities:
  - {uid: 'User::"ann"', parents: [{type: Role, id: editor}, 'Role::viewer']}
tests:
  - name: all of it
    principal: User::"ann"
    action: edit
    resource: Article::"1"
    context: {mfa: true, level: 0x10, price: 1.50, at: 2030-01-02, tags: [a, yes], who: {__entity: {type: User, id: bob}}}
    entities:
      - uid: {type: Article, id: "1"}
        attrs: {author: {__entity: {type: User, id: ann}}}
    expect: allow
  - {subject: 'User::bob', action: 'Menu::Action::"open"', resource: {type: Article, id: "2"}, expect: deny}
`)
	if len(flaws) > 0 {
		t.Fatalf("%+v", flaws)
	}
	uid := func(kind, id string) abac.UID { return abac.UID{Type: kind, ID: id} }
	want := abac.Cases{
		Entities: []abac.Entity{{UID: uid("User", "ann"), Parents: []abac.UID{uid("Role", "editor"), uid("Role", "viewer")}}},
		List: []abac.Case{
			{Name: "all of it", Allow: true, Request: abac.Request{
				Subject: abac.Entity{UID: uid("User", "ann")}, Action: abac.ActionNamed("edit"), Resource: abac.Entity{UID: uid("Article", "1")},
				Context: map[string]any{
					"mfa": true, "level": json.Number("16"), "price": json.Number("1.50"), "at": "2030-01-02", "tags": []any{"a", "yes"}, "who": uid("User", "bob"),
				},
			}, Entities: []abac.Entity{{UID: uid("Article", "1"), Attrs: map[string]any{"author": uid("User", "ann")}}}},
			{Name: `User::"bob" open Article::"2"`, Request: abac.Request{
				Subject: abac.Entity{UID: uid("User", "bob")}, Action: abac.Entity{UID: uid("Menu::Action", "open")}, Resource: abac.Entity{UID: uid("Article", "2")},
			}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What is wrong in a file of tests is listed with its place, all of it.
func TestCasesThatCannotBeRead(t *testing.T) {
	const whole = "principal: User::a, action: read, resource: Article::b"
	for _, row := range []struct {
		rule, text string
		want       []string
	}{
		{"nothing", "", []string{":1:1 There are no tests."}},
		{"no YAML", "tests:\n  - [", []string{":2:1 This is no YAML: did not find expected node content."}},
		{"two documents", "tests: []\n---\ntests: []\n", []string{":2:1 There is more than one YAML document."}},
		{"no tests", "tests: []\n", []string{":1:1 There are no tests: write them as a list, tests."}},
		{"a list", "- a\n", []string{":1:1 Expected entities, tests here."}},
		{"a key that is none", "testz: []\n", []string{":1:1 Unknown key \"testz\": expected one of entities, tests."}},
		{"all that is missing", "tests:\n  - name: x\n", []string{":2:5 Principal is missing: write Type::\"id\".", ":2:5 Resource is missing: write Type::\"id\".", ":2:5 Action is missing: write Type::\"id\".", ":2:5 Expect is missing: write allow or deny."}},
		{"an answer that is none", "tests:\n  - {" + whole + ", expect: yes}\n", []string{":2:70 Expect is \"yes\", write allow or deny."}},
		{"two words for one", "tests:\n  - {" + whole + ", subject: User::b, expect: deny}\n", []string{":2:71 Subject is another word for principal: give one of them."}},
		{"a name that is none", "tests:\n  - {" + whole + "x, expect: deny}\n  - {principal: alice, action: read, resource: Article::b, expect: deny}\n", []string{":3:17 Principal: \"alice\" is no name of an entity: write Type::\"id\"."}},
		{"null", "tests:\n  - {" + whole + ", context: {a: }, expect: deny}\n", []string{":2:71 Context: a: null is no value in Cedar: leave the member out."}},
		{"a number beyond 64 bits", "tests:\n  - {" + whole + ", context: {a: 9223372036854775808}, expect: deny}\n", []string{":2:75 9223372036854775808 has more than 64 bits."}},
		{"no number", "tests:\n  - {" + whole + ", context: {a: .inf}, expect: deny}\n", []string{":2:75 .inf is no number here: write it as 1.5."}},
		{"an alias", "tests:\n  - {" + whole + ", context: &c {a: 1}, expect: deny}\n  - {" + whole + ", context: *c, expect: deny}\n", []string{":3:71 Aliases are not read here: write the value again."}},
		{"a member twice", "tests:\n  - {" + whole + ", context: {a: 1, a: 2}, expect: deny}\n", []string{":2:78 \"a\" is given twice, or is no name."}},
		{
			"an entity that is none", "entities:\n  - uid: User\n  - {uid: User::a, tags: {}}\ntests:\n  - {" + whole + ", expect: deny}\n",
			[]string{":2:5 \"User\" is no name of an entity: write Type::\"id\".", ":3:5 \"tags\" is no member of an entity: it has uid, attrs and parents."},
		},
	} {
		_, flaws := abac.ReadCases(row.text)
		var got []string
		for _, f := range flaws {
			got = append(got, f.At("")+" "+f.Text)
		}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.rule, diff)
		}
	}
}

// The policies that come with the program, and the examples, pass the tests beside them.
func TestTheTestsBesidePolicies(t *testing.T) {
	found := 0
	for _, dir := range []string{"defaults/*", "../examples/authzen/*"} {
		files, err := filepath.Glob(dir + "/*" + abac.CasesEnding)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			found++
			set, err := abac.Read(os.DirFS(filepath.Dir(file)), ".", filepath.Base(filepath.Dir(file)))
			if err != nil {
				t.Fatal(err)
			}
			e, err := abac.Compile(set)
			if err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(filepath.Clean(file))
			if err != nil {
				t.Fatal(err)
			}
			cases, flaws := abac.ReadCases(string(text))
			if len(flaws) > 0 {
				t.Errorf("%s: %+v", file, flaws)
			}
			for _, one := range e.Test(cases) {
				if !one.Pass {
					t.Errorf("%s: %s: want %s, got %s: %s", file, one.Name, one.Want, one.Got, one.Why)
				}
			}
		}
	}
	if found != 4 {
		t.Errorf("%d files of tests, want 4", found)
	}
}
