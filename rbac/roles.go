package rbac

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"example.com/broker/internal/changes"
	"example.com/broker/internal/fault"
)

// Bounds of what admins may define.
const (
	MaxRoles       = 200
	MaxPermissions = 200
)

// Role is a name and the permissions it carries. There is no inheritance: a role is its own set and nothing else.
type Role struct {
	Name        string       `json:"name" bson:"name"`
	Description string       `json:"description,omitempty" bson:"description,omitempty"`
	Permissions []Permission `json:"permissions" bson:"permissions"`
}

// RoleSet is the document of all roles. V 0 means that none was ever stored: the roles are those of Defaults.
type RoleSet struct {
	V int64 `json:"v" bson:"v"`
	// By and At say who wrote this version, and when.
	By    string    `json:"by,omitempty" bson:"by,omitempty"`
	At    time.Time `json:"at,omitzero" bson:"at,omitempty"`
	Roles []Role    `json:"roles" bson:"roles"`
}

// Store keeps the two documents that admins edit, each changed by compare-and-swap.
type Store interface {
	// LoadRoles returns the roles; an empty RoleSet with V 0 if none were stored.
	LoadRoles(ctx context.Context) (RoleSet, error)
	// SwapRoles stores s if the stored V is s.V (0: none stored); it becomes s.V+1. fault.Conflict "roles_changed".
	SwapRoles(ctx context.Context, s RoleSet) error
	// LoadRules returns the mapping rules; an empty RuleSet with V 0 if none were stored.
	LoadRules(ctx context.Context) (RuleSet, error)
	// SwapRules stores s if the stored V is s.V (0: none stored); it becomes s.V+1. fault.Conflict "rules_changed".
	SwapRules(ctx context.Context, s RuleSet) error
}

// Options of Roles and Rules. Store, Announce and Now are required.
type Options struct {
	Store Store
	// Announce appends the version to the change stream, before the row is written.
	Announce func(ctx context.Context, version int64) error
	Now      func() time.Time
}

// Roles are the roles in force. Reads are served from a copy that follows the change stream. It is safe for concurrent use.
type Roles struct {
	o    Options
	copy *changes.Mirror[roleBook]
}

// roleBook is a RoleSet, and what is asked of it at each request.
type roleBook struct {
	set  RoleSet
	sets map[string][]Permission
}

// NewRoles holds the defaults until Load.
func NewRoles(o Options) *Roles {
	load := func(ctx context.Context) (roleBook, error) {
		s, err := o.Store.LoadRoles(ctx)
		return bookOf(s), err
	}
	return &Roles{o, changes.NewMirror(bookOf(RoleSet{}), load, func(b roleBook) int64 { return b.set.V }, o.Now)}
}

// bookOf adds what every installation has: admin is what it is, whatever a document says, and a built-in role that is missing from it has
// its default set.
func bookOf(s RoleSet) roleBook {
	b := roleBook{set: RoleSet{V: s.V, By: s.By, At: s.At}, sets: Defaults()}
	for _, role := range s.Roles {
		if role.Name != Admin {
			b.sets[role.Name] = role.Permissions
		}
	}
	for name, permissions := range b.sets {
		role := Role{Name: name, Permissions: permissions}
		if i := slices.IndexFunc(s.Roles, func(r Role) bool { return r.Name == name && name != Admin }); i >= 0 {
			role = s.Roles[i]
		}
		b.set.Roles = append(b.set.Roles, role)
	}
	slices.SortFunc(b.set.Roles, func(x, y Role) int { return strings.Compare(x.Name, y.Name) })
	return b
}

// Load reads the stored roles.
func (r *Roles) Load(ctx context.Context) error { return r.copy.Refresh(ctx) }

// Heard takes a RolesVersion entry of the change stream.
func (r *Roles) Heard(version int64) { r.copy.Heard(version) }

// Sets returns the permission set of each role. It is shared and must not be altered.
func (r *Roles) Sets() map[string][]Permission { return r.copy.Get().sets }

// Known reports whether there is a role of this name.
func (r *Roles) Known(name string) bool { _, ok := r.Sets()[name]; return ok }

// All returns every role, ordered by name, with the version of the document. It is shared and must not be altered.
func (r *Roles) All() RoleSet { return r.copy.Get().set }

// Names are the names of all roles, sorted.
func (r *Roles) Names() []string {
	var out []string
	for _, role := range r.All().Roles {
		out = append(out, role.Name)
	}
	return out
}

// ValidName reports whether a role could have the name, whether or not there is one.
func ValidName(name string) bool { return roleName.MatchString(name) }

var roleName = regexp.MustCompile(`^[a-z][a-z0-9._-]{0,63}$`)

// BuiltIn reports whether every installation has the role: it can be edited, unless it is Admin, and never removed.
func BuiltIn(name string) bool { return slices.Contains(Known(), name) }

// Put adds a role, or replaces the one of that name. want is the version that the caller has seen, changes.Unstored for none, 0 for any.
// It returns the permissions from before, none for a new role.
//
// fault.Invalid "role_invalid" lists what is wrong; fault.Forbidden "role_fixed" for Admin; fault.Conflict "roles_changed" if the version is
// another one, naming who wrote it and when.
func (r *Roles) Put(ctx context.Context, role Role, want int64, by string) (before []Permission, after RoleSet, err error) {
	if role.Name == Admin {
		return nil, RoleSet{}, errFixed()
	}
	if err := role.check(); err != nil {
		return nil, RoleSet{}, err
	}
	after, err = r.change(ctx, want, by, func(s *RoleSet) error {
		before = nil
		if i := slices.IndexFunc(s.Roles, func(have Role) bool { return have.Name == role.Name }); i >= 0 {
			before = s.Roles[i].Permissions
			s.Roles[i] = role
			return nil
		}
		if len(s.Roles) >= MaxRoles {
			return fault.New(fault.Invalid, "role_invalid", "There are %d roles already, which is the most there may be.", MaxRoles)
		}
		s.Roles = append(s.Roles, role)
		return nil
	})
	return before, after, err
}

// Remove takes a role away. Whether somebody holds it is for the caller to see; a grant of a role that is gone gives nothing.
//
// fault.NotFound "role_unknown"; fault.Forbidden "role_fixed" for those every installation has; fault.Conflict "roles_changed" as in Put.
func (r *Roles) Remove(ctx context.Context, name string, want int64, by string) (RoleSet, error) {
	if BuiltIn(name) {
		return RoleSet{}, errFixed()
	}
	return r.change(ctx, want, by, func(s *RoleSet) error {
		had := len(s.Roles)
		s.Roles = slices.DeleteFunc(s.Roles, func(have Role) bool { return have.Name == name })
		if len(s.Roles) == had {
			return fault.New(fault.NotFound, "role_unknown", "There is no role %.100q.", name)
		}
		return nil
	})
}

func errFixed() error {
	return fault.New(fault.Forbidden, "role_fixed", "The role admin cannot be edited, and admin, editor and viewer cannot be removed.")
}

// check lists what is wrong with a role.
func (role Role) check() error {
	var problems []string
	if !roleName.MatchString(role.Name) {
		problems = append(problems, "the name must begin with a letter and have 1 to 64 of a-z, 0-9, dot, hyphen and underscore")
	}
	if len(role.Description) > 500 || strings.ContainsFunc(role.Description, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		problems = append(problems, "the description must be one line of at most 500 bytes")
	}
	if len(role.Permissions) > MaxPermissions {
		problems = append(problems, "it has more than 200 permissions")
	}
	for _, p := range role.Permissions[:min(len(role.Permissions), MaxPermissions)] {
		if !p.Valid() {
			problems = append(problems, "a permission is not resource:verb in lower case, such as articles:write")
			break
		}
	}
	if len(problems) > 0 {
		return fault.New(fault.Invalid, "role_invalid", "The role cannot be saved: %s.", strings.Join(problems, "; "))
	}
	return nil
}

// change edits the stored document, which holds every role but admin.
func (r *Roles) change(ctx context.Context, want int64, by string, edit func(*RoleSet) error) (RoleSet, error) {
	s, err := changes.Document[RoleSet]{
		Load: r.o.Store.LoadRoles, Swap: r.o.Store.SwapRoles, Announce: r.o.Announce,
		Stamp: func(s *RoleSet) (*int64, *string, *time.Time) { return &s.V, &s.By, &s.At },
	}.Change(ctx, changes.Edit[RoleSet]{
		Want: want, Code: "roles_changed", What: "The roles were", By: by, At: r.o.Now(),
		Do: func(s *RoleSet) error {
			s.Roles = slices.DeleteFunc(bookOf(*s).set.Roles, func(role Role) bool { return role.Name == Admin })
			return edit(s)
		},
	})
	if err != nil {
		return RoleSet{}, err
	}
	book := bookOf(s)
	r.copy.Adopt(book)
	return book.set, nil
}
