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
