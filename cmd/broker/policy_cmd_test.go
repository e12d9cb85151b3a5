package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/abac"
)

// folders writes files below a new folder and returns it.
func folders(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const shopSchema = "entity user { age: Long };\nentity ware;\naction buy appliesTo { principal: user, resource: ware };\n"

// serve, config validate, policy check and policy apply say the same of what is wrong in a folder, with file, line and column.
func TestWhatIsWrongInAFolderOfPoliciesIsSaidWithItsPlace(t *testing.T) {
	t.Parallel()
	dir := folders(t, map[string]string{
		"rules/shop/" + abac.SchemaFile: shopSchema,
		"rules/shop/long.cedar":         "permit (principal, action, resource)\nwhen {\n  principal.age > 17 &&\n  principal.pubic\n};\n",
		"rules/shop/bad.cedar":          "permit (principal, action, resourc);",
		"rules/till/" + abac.SchemaFile: "entity user in [team];",
		"broker.yaml": "issuer: https://auth.example.com\nkeys:\n  encryption: [" + serveKey + "]\npolicies:\n  dir: rules\n" +
			"store:\n  sqlite:\n    path: broker.db\n",
	})
	want := "rules/shop/bad.cedar:1:28  Expected resource, found resourc.\n" +
		"rules/shop/long.cedar:4:13  Attribute `pubic` on entity type `user` not found.\n" +
		"rules/till/schema.cedarschema:1:17  Entity \"user\": undefined entity type \"team\".\n"
	for _, row := range []struct {
		args []string
		code int
		end  string
	}{
		{[]string{"serve"}, exitUsage, "3 problems, 0 warnings.  Docs: docs/reference/config.md\n"},
		{[]string{"config", "validate"}, exitUsage, "3 problems, 0 warnings.  Docs: docs/reference/config.md\n"},
		{[]string{"policy", "check", "rules"}, exitFailed, "3 problems.  Docs: docs/policies.md\n"},
		{[]string{"policy", "apply", "rules"}, exitFailed, "3 problems.  Docs: docs/policies.md\n"},
	} {
		code, out, talk := broker(t, dir, nil, row.args...)
		if code != row.code || out != "" {
			t.Errorf("%q: exit code %d, want %d, stdout %q", row.args, code, row.code, out)
		}
		if diff := cmp.Diff(want+row.end, talk); diff != "" {
			t.Errorf("%q (-want +got):\n%s", row.args, diff)
		}
	}
	if code, _, talk := broker(t, dir, nil, "policy", "check", "rules/shop"); code != exitFailed || !strings.HasPrefix(talk, "rules/shop/bad.cedar:1:28  ") {
		t.Errorf("one folder: exit code %d, %s", code, talk)
	}
}

// Tests of policies run on a folder without a broker: one line each, with the reason where one fails.
func TestPoliciesAreTestedByCommandLine(t *testing.T) {
	t.Parallel()
	const tests = "tests:\n  - {name: of age, principal: 'user::\"ann\"', action: buy, resource: 'ware::\"beer\"', expect: allow, entities: [{uid: 'user::\"ann\"', attrs: {age: 18}}]}\n" +
		"  - {name: too young, principal: 'user::\"ben\"', action: buy, resource: 'ware::\"beer\"', expect: %s, entities: [{uid: 'user::\"ben\"', attrs: {age: 17}}]}\n"
	dir := folders(t, map[string]string{
		"rules/shop/" + abac.SchemaFile: shopSchema,
		"rules/shop/buy.cedar":          "permit (principal, action, resource) when { principal.age > 17 };",
		"rules/shop/buy.test.yaml":      strings.Replace(tests, "%s", "deny", 1),
		"rules/bad/" + abac.SchemaFile:  "entity user in [team];",
		"rules/bad/bad.test.yaml":       tests,
		"fails.test.yaml":               strings.Replace(tests, "%s", "allow", 1),
		"broken.test.yaml":              "tests:\n  - {name: x}\n",
		"empty/readme.txt":              "",
	})
	for _, row := range []struct {
		rule      string
		args      []string
		code      int
		out, talk string
	}{
		{"a folder", []string{"rules/shop"}, exitDone, "RESULT   FILE                       TEST        WHY\n" +
			"ok       rules/shop/buy.test.yaml   of age      \n" +
			"ok       rules/shop/buy.test.yaml   too young   \n", "all 2 tests passed\n"},
		{"a file, and policies elsewhere", []string{"fails.test.yaml", "--policies", "rules/shop"}, exitFailed, "RESULT   FILE              TEST        WHY\n" +
			"ok       fails.test.yaml   of age      \n" +
			"FAIL     fails.test.yaml   too young   expected allow, got deny: No permit applies, and what nobody permits is denied by default.\n", "broker: 1 of 2 tests failed\n"},
		{
			"a test that cannot be read",
			[]string{"broken.test.yaml", "--policies", "rules/shop"},
			exitUsage, "",
			"broken.test.yaml:2:5  Principal is missing: write Type::\"id\".\nbroken.test.yaml:2:5  Resource is missing: write Type::\"id\".\n" +
				"broken.test.yaml:2:5  Action is missing: write Type::\"id\".\nbroken.test.yaml:2:5  Expect is missing: write allow or deny.\n4 problems.  Docs: docs/policies.md\n",
		},
		{
			"policies that cannot be used",
			[]string{"rules/shop/buy.test.yaml", "--policies", "rules/bad"},
			exitUsage, "",
			"rules/bad/schema.cedarschema:1:17  Entity \"user\": undefined entity type \"team\".\n1 problem.  Docs: docs/policies.md\n",
		},
		{"a folder without tests", []string{"empty"}, exitUsage, "", "broker: empty holds no tests: they are in files that end in .test.yaml\nSee: broker policy test --help\n"},
		{"a file that is not there", []string{"none.test.yaml"}, exitUsage, "", "broker: stat none.test.yaml: no such file or directory\nSee: broker policy test --help\n"},
		{"no policies beside the tests", []string{"fails.test.yaml"}, exitUsage, "", "broker: the policies for fails.test.yaml: .: there is no *.cedar and no schema.cedarschema; name their folder by --policies\n"},
		{"a broker and a folder", []string{"rules/shop", "--policies", ".", "--app", "shop"}, exitUsage, "", "broker: --app is for a running broker, --policies for a folder: give one of them\nSee: broker policy test --help\n"},
		{"nothing", nil, exitUsage, "", "broker: DIR or FILE is missing\nSee: broker policy test --help\n"},
	} {
		code, out, talk := broker(t, dir, nil, append([]string{"policy", "test"}, row.args...)...)
		if code != row.code {
			t.Errorf("%s: exit code %d, want %d", row.rule, code, row.code)
		}
		if diff := cmp.Diff([]string{row.out, row.talk}, []string{out, talk}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.rule, diff)
		}
	}
	_, out, _ := broker(t, dir, nil, "policy", "test", "rules/shop", "-o", "json")
	if !strings.Contains(out, `"file": "rules/shop/buy.test.yaml",`) || !strings.Contains(out, `"app": "shop",`) || !strings.Contains(out, `"pass": true,`) {
		t.Errorf("as JSON: %s", out)
	}
}

// With the name of an application it is the policies in force that are tested.
func TestThePoliciesInForceAreTested(t *testing.T) {
	for _, kind := range storeKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newBinaryWorld(t, kind)
			s := w.operator.(*server)
			dir, err := filepath.Abs("../../examples/authzen/todo")
			if err != nil {
				t.Fatal(err)
			}
			out, err := s.command(t, "policy", "test", dir, "--app", "todo", "--config", s.file).CombinedOutput()
			if err == nil || !strings.Contains(string(out), `There is no application "todo"`) {
				t.Errorf("an application that is not there: %v %s", err, out)
			}
			s.cli(t, "", nil, "policy", "apply", dir)
			var results []caseResult
			s.cli(t, "", &results, "policy", "test", dir, "--app", "todo")
			if len(results) != 40 || !results[0].Pass || results[0].App != "todo" || results[0].File == "" {
				t.Errorf("%+v", results)
			}
			articles, err := filepath.Abs("../../abac/defaults/broker")
			if err != nil {
				t.Fatal(err)
			}
			s.cli(t, "", &results, "policy", "test", articles, "--app", "broker")
		})
	}
}
