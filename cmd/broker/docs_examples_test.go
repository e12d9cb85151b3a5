package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// snippet is a block of code in the documentation that says which file it is from.
var snippet = regexp.MustCompile("(?ms)^<!-- from (\\S+) -->\n```[a-z]+\n(.*?)^```$")

// TestTheDocsShowTheCodeOfTheExamples keeps a reader from copying what no test has seen run.
func TestTheDocsShowTheCodeOfTheExamples(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "docs", "apis.md"))
	if err != nil {
		t.Fatal(err)
	}
	from := map[string]bool{}
	for _, m := range snippet.FindAllStringSubmatch(string(text), -1) {
		source, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(m[1])))
		if err != nil {
			t.Error(err)
			continue
		}
		if from[filepath.Dir(m[1])] = true; !holds(string(source), m[2]) {
			t.Errorf("%s does not hold this:\n%s", m[1], m[2])
		}
	}
	for _, e := range examples {
		if !from["examples/"+e.folder] {
			t.Errorf("no snippet is from examples/%s", e.folder)
		}
	}
	// Every other block must be one of those that are no code of an API.
	rest := snippet.ReplaceAllString(string(text), "")
	for _, m := range regexp.MustCompile("(?m)^```([a-z]+)$").FindAllStringSubmatch(rest, -1) {
		if m[1] != "yaml" && m[1] != "sh" {
			t.Errorf("a block in %s does not say which example it is from", m[1])
		}
	}
}

// holds reports whether the lines are in source, one after the other and all of them indented alike.
func holds(source, lines string) bool {
	want, have := strings.Split(strings.TrimSuffix(lines, "\n"), "\n"), strings.Split(source, "\n")
	for i := range have {
		indent, ok := strings.CutSuffix(have[i], want[0])
		if !ok || strings.TrimLeft(indent, " \t") != "" || i+len(want) > len(have) {
			continue
		}
		same := true
		for j, line := range want {
			same = same && (have[i+j] == indent+line || line == "" && have[i+j] == "")
		}
		if same {
			return true
		}
	}
	return false
}
