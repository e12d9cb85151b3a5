// Package access is the only place that says yes or no to what a known caller wants to do. Who the caller is was settled before, at the
// edge: 401 is the edge's answer, 403 is this package's.
package access

import (
	"strings"

	"example.com/broker/internal/fault"
	"example.com/broker/rbac"
)

// Actor is a caller whose identity is settled.
type Actor struct {
	UserID string
	Roles  []string // in force now
	// Scopes are those of the credential; those of the form resource:verb limit what the roles allow.
	Scopes []string
	// Whole is set where a credential without any permission among its scopes stands for the whole person: a browser session, or a
	// token of a first-party client. Otherwise such a credential allows nothing.
	Whole bool
}

// Guard decides by the permission sets of the roles and, for resources that policies speak of, by these too. It is safe for concurrent use.
type Guard struct{ o Options }

// NewGuard returns a guard that asks the roles alone. The permission sets are read anew for each question, so that an edited role counts at
// once.
func NewGuard(sets func() map[string][]rbac.Permission) *Guard { return New(Options{Sets: sets}) }

// Missing is the cause of "role_missing" and "scope_missing": what would have done, one of Roles or a scope that reaches Permission.
type Missing struct {
	Roles      []string
	Permission rbac.Permission
}

func (m *Missing) Error() string {
	if len(m.Roles) > 0 {
		return "a role is missing"
	}
	return "a scope is missing"
}

// Check returns nil if the actor's roles, within the scopes of the credential, allow the permission. Otherwise fault.Forbidden: "role"
// where another role would do, naming those that would; "scope" where the credential is too narrow.
func (g *Guard) Check(a Actor, want rbac.Permission) error {
	sets := g.o.Sets()
	if !rbac.Can(sets, a.Roles, want) {
		roles := rbac.RolesFor(sets, want)
		return fault.Wrap(&Missing{Roles: roles, Permission: want}, fault.Forbidden, "role_missing",
			"This needs the permission %s. Any of these roles would do: %s. Yours: %s.", want, orNone(roles), orNone(a.Roles))
	}
	if !a.within(want) {
		return fault.Wrap(&Missing{Permission: want}, fault.Forbidden, "scope_missing", "Your role allows %s, but this credential does not: ask for the scope %s.", want, want)
	}
	return nil
}

// within reports whether the scopes of the credential reach as far as the permission.
func (a Actor) within(want rbac.Permission) bool {
	limited := false
	for _, s := range a.Scopes {
		if p := rbac.Permission(s); p.Valid() {
			limited = true
			if p.Covers(want) {
				return true
			}
		}
	}
	return !limited && a.Whole
}

// MayGive returns fault.Forbidden "scope_missing" for the first permission that the actor could not use themselves, which must not be
// given to a key either, and fault.Invalid "scope_invalid" for a scope that is no permission.
func (g *Guard) MayGive(a Actor, scopes []string) error {
	for _, s := range scopes {
		p := rbac.Permission(s)
		if !p.Valid() {
			return fault.New(fault.Invalid, "scope_invalid", "Scope %.100q is no permission: write resource:verb, such as data:read.", s)
		}
		if err := g.Check(a, p); err != nil {
			return err
		}
	}
	return nil
}

// AnyRole returns fault.Forbidden "role_missing" unless the actor holds one of the roles.
func AnyRole(a Actor, roles ...string) error {
	for _, have := range a.Roles {
		for _, want := range roles {
			if have == want {
				return nil
			}
		}
	}
	return fault.Wrap(&Missing{Roles: roles}, fault.Forbidden, "role_missing", "This needs one of these roles: %s. Yours: %s.", strings.Join(roles, ", "), orNone(a.Roles))
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
