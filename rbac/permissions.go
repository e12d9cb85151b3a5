package rbac

import (
	"slices"
	"strings"
)

// Permission is resource:verb, such as articles:write. In a role, * stands for any resource, any verb or both.
type Permission string

// Verbs of permissions.
const (
	Read  = "read"
	Write = "write"
)

// Defaults are the permission sets of the roles of a new installation.
func Defaults() map[string][]Permission {
	return map[string][]Permission{
		Admin:  {"*:*"},
		Editor: {"*:" + Read, "*:" + Write},
		Viewer: {"*:" + Read},
	}
}

// Valid reports whether p has the form resource:verb, either part being * or a name of lower-case letters, digits, dots, hyphens and
// underscores.
func (p Permission) Valid() bool {
	resource, verb, ok := strings.Cut(string(p), ":")
	return ok && validPart(resource) && validPart(verb)
}

func validPart(s string) bool {
	return s == "*" || (s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_')
	}))
}

// Covers reports whether whoever holds p holds q too; both may have wildcards.
func (p Permission) Covers(q Permission) bool {
	resource, verb, ok := strings.Cut(string(p), ":")
	wantResource, wantVerb, ok2 := strings.Cut(string(q), ":")
	return ok && ok2 && q.Valid() && (resource == "*" || resource == wantResource) && (verb == "*" || verb == wantVerb)
}

// Can reports whether any of the roles, by their sets, allows the permission. An unknown role allows nothing.
func Can(sets map[string][]Permission, roles []string, want Permission) bool {
	return slices.ContainsFunc(roles, func(role string) bool {
		return slices.ContainsFunc(sets[role], func(p Permission) bool { return p.Covers(want) })
	})
}

// RolesFor returns the names of the roles that would do, sorted.
func RolesFor(sets map[string][]Permission, want Permission) []string {
	var out []string
	for role := range sets {
		if Can(sets, []string{role}, want) {
			out = append(out, role)
		}
	}
	slices.Sort(out)
	return out
}
