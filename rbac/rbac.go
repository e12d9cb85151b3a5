// Package rbac owns roles, the permissions they carry, and grants: which role somebody holds, from where, since and until when.
// Who the users are is left to package users, which embeds grants in a user.
package rbac

import (
	"context"
	"slices"
	"time"
)

// The roles every installation has.
const (
	Admin  = "admin"
	Editor = "editor"
	Viewer = "viewer"
)

// Known are the names a grant may carry.
func Known() []string { return []string{Admin, Editor, Viewer} }

// Source says where a grant came from.
type Source string

// The sources of a grant.
const (
	Manual   Source = "manual"   // an admin, the command line, or configuration gave it
	Default  Source = "default"  // what every new user gets
	Mapping  Source = "mapping"  // a mapping rule over upstream claims
	Provider Source = "provider" // the upstream named the role itself
)

// Grant is one role held by one user.
type Grant struct {
	Role   string    `json:"role" bson:"role"`
	Source Source    `json:"source" bson:"source"`
	Since  time.Time `json:"since" bson:"since"`
	Until  time.Time `json:"until,omitzero" bson:"until,omitempty"` // zero: no end
}

// Effective returns the names of the roles in force at now, sorted, without repeats. Unknown roles give no rights and are left out.
func Effective(grants []Grant, now time.Time) []string {
	out := []string{}
	for _, g := range grants {
		live := g.Until.IsZero() || now.Before(g.Until)
		if live && slices.Contains(Known(), g.Role) && !slices.Contains(out, g.Role) {
			out = append(out, g.Role)
		}
	}
	slices.Sort(out)
	return out
}

// AdminStore keeps the one document that lists the users who hold the role admin by a manual grant without an end.
type AdminStore interface {
	// Admins returns the user ids, in no order.
	Admins(ctx context.Context) ([]string, error)
	// JoinAdmins adds a user; a member already is success.
	JoinAdmins(ctx context.Context, userID string) error
	// LeaveAdmins removes a user in one conditional update that requires another member: fault.Conflict "last_admin" if there is
	// none; a user who is no member is success.
	LeaveAdmins(ctx context.Context, userID string) error
}
