package guide

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/abac"
)

// exportedCases reads a file that the browser test of the playground exported.
func exportedCases(t *testing.T, name string) abac.Cases {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "exported", name+abac.CasesEnding))
	if err != nil {
		t.Fatal(err)
	}
	cases, flaws := abac.ReadCases(string(text))
	if len(flaws) > 0 {
		t.Fatalf("%s: %+v", name, flaws)
	}
	return cases
}

// What the playground exports is read as the tests that stood in it, and passes as they did.
func TestWhatThePlaygroundExportsRuns(t *testing.T) {
	for _, p := range presets() {
		cases := exportedCases(t, p.ID)
		d := draftOf(p)
		d.Show = showTests
		want, flaws := d.tests()
		if len(flaws) > 0 || len(want) != len(cases.List) {
			t.Fatalf("%s: %d tests, want %d, %+v", p.ID, len(cases.List), len(want), flaws)
		}
		for i, one := range cases.List {
			if len(one.Request.Context) == 0 {
				one.Request.Context = map[string]any{}
			}
			if diff := cmp.Diff(want[i].request, one.Request); diff != "" || want[i].name != one.Name || want[i].allow != one.Allow {
				t.Errorf("%s: %s (-typed +exported):\n%s", p.ID, one.Name, diff)
			}
		}
		e, err := abac.Compile(abac.Set{App: "shop", Schema: p.Schema, Policies: []abac.Policy{{ID: "p", Text: p.Policies}}})
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range e.Test(cases) {
			if !one.Pass {
				t.Errorf("%s: %s: want %s, got %s: %s", p.ID, one.Name, one.Want, one.Got, one.Why)
			}
		}
	}
}

// Texts, numbers and nested values come through the file as they were typed.
func TestWhatThePlaygroundExportsIsExact(t *testing.T) {
	got := exportedCases(t, "odd").List
	want := []abac.Case{{Name: "é 漢 🔑 \"quoted\" \\ # : - \u0085\u2028\nnext", Request: abac.Request{
		Subject: abac.Entity{UID: abac.UID{Type: "User", ID: "a b"}}, Action: abac.ActionNamed("transfer"), Resource: abac.Entity{UID: abac.UID{Type: "Account", ID: "main"}},
		Context: map[string]any{
			"mfa": true, "list": []any{"yes", "null", "1", " ", ""}, "inner": map[string]any{"n": json.Number("9007199254740993"), "price": json.Number("1.5")},
		},
	}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
