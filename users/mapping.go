package users

import (
	"context"
	"slices"
	"time"

	"example.com/broker/internal/fault"
	"example.com/broker/rbac"
)

// remap puts what the mapping rules give for this identity in the place of what they gave at its sign-in before. Ver is raised only where
// the roles in force are others afterwards, so that a sign-in which confirms what is costs no token. Nobody is signed out by it.
func (s *Service) remap(ctx context.Context, u User, id Identity) (User, error) {
	if s.opts.Rules == nil {
		return u, nil
	}
	said := rbac.Said{Provider: id.Provider, Claims: id.Claims, Unasked: id.Unasked}
	now := s.now()
	mapped := s.opts.Rules.Map(said, now)
	if _, changed := rbac.Renew(u.Grants, said, mapped, now); !changed {
		return u, nil
	}
	var gained, lost []string
	next, err := s.change(ctx, u.ID, func(_ context.Context, u *User) (write, error) {
		if u.Status != Active {
			return write{}, s.errDisabled()
		}
		before := u.Roles(now)
		grants, changed := rbac.Renew(u.Grants, said, mapped, now)
		if !changed {
			return write{skip: true}, nil
		}
		u.Grants = grants
		after := u.Roles(now)
		gained, lost = without(after, before), without(before, after)
		if slices.Equal(before, after) {
			return write{}, nil
		}
		return write{raise: raiseVersion}, nil
	})
	if err != nil {
		return User{}, err
	}
	for _, role := range gained {
		s.record(ctx, "user.role_mapped", "", u.ID, nil, "role", role, "provider", id.Provider)
	}
	for _, role := range lost {
		s.record(ctx, "user.role_unmapped", "", u.ID, nil, "role", role, "provider", id.Provider)
	}
	return next, nil
}

// unmap takes the grants that rules gave by a provider through which the user cannot come any more, and reports whether there were some.
func (s *Service) unmap(u *User, provider string) bool {
	if slices.ContainsFunc(u.Identities, func(l Linked) bool { return l.Provider == provider }) {
		return false
	}
	had := len(u.Grants)
	u.Grants = slices.DeleteFunc(u.Grants, func(g rbac.Grant) bool { return g.Source == rbac.Mapping && g.Provider == provider })
	return len(u.Grants) < had
}

// without returns what is in list and not in other.
func without(list, other []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(other, s) })
}

// Why explains each of a user's grants. fault.NotFound "user_unknown".
func (s *Service) Why(ctx context.Context, userID string) ([]rbac.Reason, error) {
	u, err := s.store.Get(ctx, userID)
	if err != nil {
		return nil, err
	}
	return rbac.Why(u.Grants, s.opts.knownRole, s.now()), nil
}

type versionKey struct{}

// WithVersion makes a change of one user under ctx hold only for the version of the document that the caller has seen: fault.Conflict
// "user_changed" otherwise.
func WithVersion(ctx context.Context, v int64) context.Context {
	return context.WithValue(ctx, versionKey{}, v)
}

// expected holds a user against WithVersion.
func expected(ctx context.Context, u User) error {
	v, ok := ctx.Value(versionKey{}).(int64)
	if !ok || v == u.V {
		return nil
	}
	return fault.New(fault.Conflict, "user_version", "The user was changed at %s: the version is %d, expected %d. Read again, then repeat.",
		u.UpdatedAt.Format(time.RFC3339), u.V, v)
}

// Holds returns the id of somebody who holds a role, "" for nobody. It reads every user: for rare acts of an admin.
func (s *Service) Holds(ctx context.Context, role string) (string, error) {
	after := ""
	for {
		page, err := s.store.List(ctx, after, 500)
		if err != nil || len(page) == 0 {
			return "", err
		}
		for _, u := range page {
			if slices.Contains(u.Roles(s.now()), role) {
				return u.ID, nil
			}
		}
		after = page[len(page)-1].ID
	}
}
