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

// Known are the names of the roles every installation has; admins may add others, see Roles.
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
	// Rule is the id of the mapping rule, Provider that of the provider whose claims it read.
	Rule     string `json:"rule,omitempty" bson:"rule,omitempty"`
	Provider string `json:"provider,omitempty" bson:"provider,omitempty"`
	// Held says why the upstream could not be asked at the last sign-in: the grant was neither confirmed nor lost. "" where it was asked.
	Held string `json:"held,omitempty" bson:"held,omitempty"`
}

func (g Grant) live(now time.Time) bool { return g.Until.IsZero() || now.Before(g.Until) }

// Effective returns the names of the roles in force at now, sorted, without repeats. A role that is no more has no permissions, so that
// to name it gives no rights.
func Effective(grants []Grant, now time.Time) []string {
	out := []string{}
	for _, g := range grants {
		if g.live(now) && !slices.Contains(out, g.Role) {
			out = append(out, g.Role)
		}
	}
	slices.Sort(out)
	return out
}

// Ends returns when the roles in force at now end; one of which a grant has no end is left out.
func Ends(grants []Grant, now time.Time) map[string]time.Time {
	out := map[string]time.Time{}
	for _, g := range grants {
		if g.live(now) && g.Until.After(out[g.Role]) {
			out[g.Role] = g.Until
		}
	}
	for _, g := range grants {
		if g.Until.IsZero() {
			delete(out, g.Role)
		}
	}
	return out
}

// Reason is one grant with what it means now.
type Reason struct {
	Grant
	// State is "active", "expired" or "unknown_role": the role was removed and gives nothing.
	State string `json:"state"`
	// Text says it in a sentence.
	Text string `json:"text"`
}

// Why explains each grant, in order.
func Why(grants []Grant, known func(role string) bool, now time.Time) []Reason {
	out := make([]Reason, 0, len(grants))
	for _, g := range grants {
		r := Reason{Grant: g, State: "active"}
		switch {
		case !g.live(now):
			r.State = "expired"
		case !known(g.Role):
			r.State = "unknown_role"
		}
		switch g.Source {
		case Manual:
			r.Text = "given by hand"
		case Default:
			r.Text = "every new user gets it"
		case Mapping:
			r.Text = "the mapping rule " + g.Rule + " matched what " + g.Provider + " says"
		case Provider:
			r.Text = "named by " + g.Provider
		}
		r.Text += ", since " + g.Since.UTC().Format(time.DateTime)
		if !g.Until.IsZero() {
			r.Text += ", until " + g.Until.UTC().Format(time.DateTime)
		}
		if g.Held != "" {
			r.Text += "; not confirmed at the last sign-in, because " + g.Held
		}
		out = append(out, r)
	}
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
