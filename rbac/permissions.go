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

// Allows reports whether p, which may have wildcards, covers want, which may not.
func (p Permission) Allows(want Permission) bool {
	resource, verb, ok := strings.Cut(string(p), ":")
	wantResource, wantVerb, ok2 := strings.Cut(string(want), ":")
	if !ok || !ok2 || wantResource == "" || wantVerb == "" || strings.Contains(string(want), "*") {
		return false
	}
	return (resource == "*" || resource == wantResource) && (verb == "*" || verb == wantVerb)
}

// Can reports whether any of the roles, by their sets, allows the permission. An unknown role allows nothing.
func Can(sets map[string][]Permission, roles []string, want Permission) bool {
	return slices.ContainsFunc(roles, func(role string) bool {
		return slices.ContainsFunc(sets[role], func(p Permission) bool { return p.Allows(want) })
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
