package abac

import (
	"slices"
	"strconv"
	"strings"
)

// changes says for the audit record what a save changed: ids, never texts.
func changes(before, now Set) map[string]string {
	var changed, removed []string
	for _, p := range now.Policies {
		if p.V == now.V {
			changed = append(changed, p.ID)
		}
	}
	for _, b := range before.Policies {
		if !slices.ContainsFunc(now.Policies, func(p Policy) bool { return p.ID == b.ID }) {
			removed = append(removed, b.ID)
		}
	}
	out := map[string]string{"v": strconv.FormatInt(now.V, 10)}
	for name, list := range map[string][]string{"changed": changed, "removed": removed} {
		if len(list) > 0 {
			text := strings.Join(list, " ")
			out[name] = text[:min(len(text), 500)]
		}
	}
	if before.Schema != now.Schema {
		out["schema"] = "changed"
	}
	if before.Entities != now.Entities {
		out["entities"] = "changed"
	}
	return out
}
