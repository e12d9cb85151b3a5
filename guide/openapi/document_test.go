package openapi

import (
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestNoMemberIsThereTwice: our own reader takes the last of two, and the page at /docs shows nothing at all.
func TestNoMemberIsThereTwice(t *testing.T) {
	var doc yaml.Node
	if err := yaml.Unmarshal(source, &doc); err != nil {
		t.Fatal(err)
	}
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		seen := map[string]int{}
		for i := 0; n.Kind == yaml.MappingNode && i < len(n.Content); i += 2 {
			k := n.Content[i]
			if before, twice := seen[k.Value]; twice {
				t.Errorf("openapi.yaml:%d: %s stands in line %d already", k.Line, k.Value, before)
			}
			seen[k.Value] = k.Line
		}
		for _, below := range n.Content {
			walk(below)
		}
	}
	walk(&doc)
}
