package users

import (
	"context"
	"slices"
	"strings"
	"time"

	"example.com/broker/internal/fault"
	"example.com/broker/rbac"
)

// countedAdmin reports whether u counts as an admin where the last one is guarded: by hand and without an end. Mapped and expiring ones
// can vanish by themselves.
func countedAdmin(u User) bool {
	return slices.ContainsFunc(u.Grants, func(g rbac.Grant) bool { return isManual(g, rbac.Admin) && g.Until.IsZero() })
}

func isManual(g rbac.Grant, role string) bool { return g.Role == role && g.Source == rbac.Manual }

func (o Options) knownRole(role string) bool { return slices.Contains(o.roleNames(), role) }

func (o Options) roleNames() []string {
	if o.Roles == nil {
		return rbac.Known()
	}
	return o.Roles.Names()
}

func (s *Service) checkRole(role string) error {
	if !s.opts.knownRole(role) {
		return fault.New(fault.Invalid, "role_unknown", "There is no role %.100q. Expected one of: %s.", role, strings.Join(s.opts.roleNames(), ", "))
	}
	return nil
}

// GrantRole gives a role by hand, without an end, and raises Ver. One given already is success, one with an end loses it. An admin is
// entered in the list of admins before the row.
//
// fault.Invalid "role_unknown"; fault.NotFound "user_unknown"; fault.Conflict "user_disabled".
func (s *Service) GrantRole(ctx context.Context, userID, role string) (User, error) {
	return s.GrantRoleUntil(ctx, userID, role, time.Time{})
}

// GrantRoleUntil is GrantRole with an end, UTC milliseconds; the zero time is none. A grant that was there before has the new end
// afterwards. An admin with an end does not count as one, so that the last admin cannot be given any: fault.Conflict "last_admin".
// fault.Invalid "until_past" for an end that does not lie ahead; else as GrantRole.
func (s *Service) GrantRoleUntil(ctx context.Context, userID, role string, until time.Time) (User, error) {
	if err := s.checkRole(role); err != nil {
		return User{}, err
	}
	if !until.IsZero() {
		until = until.UTC().Truncate(time.Millisecond)
		if !until.After(s.now()) {
			return User{}, fault.New(fault.Invalid, "until_past", "The end of the grant, %s, does not lie ahead.", until.Format(time.RFC3339))
		}
	}
	return s.grant(ctx, userID, role, until)
}

func (s *Service) grant(ctx context.Context, userID, role string, until time.Time, details ...string) (User, error) {
	joined := false
	u, err := s.change(ctx, userID, func(ctx context.Context, u *User) (write, error) {
		if u.Status != Active {
			return write{}, fault.New(fault.Conflict, "user_disabled", "The user is disabled. Enable them first.")
		}
		if slices.ContainsFunc(u.Grants, func(g rbac.Grant) bool { return isManual(g, role) && g.Until.Equal(until) }) {
			return write{skip: true}, nil
		}
		switch {
		case role == rbac.Admin && until.IsZero():
			if err := s.opts.Admins.JoinAdmins(ctx, userID); err != nil {
				return write{}, err
			}
			joined = true
		case role == rbac.Admin && countedAdmin(*u):
			if err := s.leaveAdmins(ctx, userID); err != nil {
				return write{}, err
			}
		}
		u.Grants = append(slices.DeleteFunc(u.Grants, func(g rbac.Grant) bool { return isManual(g, role) }),
			rbac.Grant{Role: role, Source: rbac.Manual, Since: s.now(), Until: until})
		return write{raise: raiseVersion}, nil
	})
	if joined && fault.Is(err, fault.Conflict) {
		_ = s.opts.Admins.LeaveAdmins(ctx, userID) // disabled meanwhile: must not count
	}
	if !until.IsZero() {
		details = append(details, "until", until.Format(time.RFC3339))
	}
	s.record(ctx, "user.role_grant", "", userID, err, append(details, "role", role)...)
	return u, err
}

// RevokeRole takes a role that was given by hand or by default, and raises Ver. One that the user does not have is success. An admin
// leaves the list of admins before the row, which the last one cannot.
//
// fault.Conflict "last_admin", or "role_mapped" if the role comes from a mapping rule or a provider, who would give it again;
// fault.Invalid "role_unknown"; fault.NotFound "user_unknown".
func (s *Service) RevokeRole(ctx context.Context, userID, role string) (User, error) {
	u, err := s.change(ctx, userID, func(ctx context.Context, u *User) (write, error) {
		had := len(u.Grants)
		if role == rbac.Admin && countedAdmin(*u) {
			if err := s.leaveAdmins(ctx, userID); err != nil {
				return write{}, err
			}
		}
		u.Grants = slices.DeleteFunc(u.Grants, func(g rbac.Grant) bool {
			return g.Role == role && (g.Source == rbac.Manual || g.Source == rbac.Default)
		})
		if len(u.Grants) < had {
			return write{raise: raiseVersion}, nil
		}
		if slices.ContainsFunc(u.Grants, func(g rbac.Grant) bool { return g.Role == role }) {
			return write{}, fault.New(fault.Conflict, "role_mapped", "The role %s comes from a mapping rule or a provider. Change it there.", role)
		}
		return write{skip: true}, s.checkRole(role) // a role that is no more can be taken from those who had it
	})
	s.record(ctx, "user.role_revoke", "", userID, err, "role", role)
	return u, err
}

// leaveAdmins gives the refusal a text for people.
func (s *Service) leaveAdmins(ctx context.Context, userID string) error {
	err := s.opts.Admins.LeaveAdmins(ctx, userID)
	if fault.CodeOf(err) == "last_admin" {
		return fault.Wrap(err, fault.Conflict, "last_admin", "This is the last admin. Make somebody else an admin first.")
	}
	return err
}

// Disable closes every door to a user and raises the epoch. A disabled user is success. An admin leaves the list of admins first, which
// the last one cannot: fault.Conflict "last_admin". fault.NotFound "user_unknown".
func (s *Service) Disable(ctx context.Context, userID string) (User, error) {
	u, err := s.shut(ctx, userID)
	s.record(ctx, "user.disable", "", userID, err)
	return u, err
}

// shut is Disable without a record of it.
func (s *Service) shut(ctx context.Context, userID string) (User, error) {
	return s.change(ctx, userID, func(ctx context.Context, u *User) (write, error) {
		if u.Status == Disabled {
			return write{skip: true}, nil
		}
		if countedAdmin(*u) {
			if err := s.leaveAdmins(ctx, userID); err != nil {
				return write{}, err
			}
		}
		u.Status = Disabled
		return write{raise: raiseEpoch}, nil
	})
}

// Enable opens the doors again; sessions and tokens from before stay dead. An active user is success. fault.NotFound "user_unknown".
func (s *Service) Enable(ctx context.Context, userID string) (User, error) {
	u, err := s.change(ctx, userID, func(ctx context.Context, u *User) (write, error) {
		if u.Status == Active {
			return write{skip: true}, nil
		}
		if countedAdmin(*u) {
			if err := s.opts.Admins.JoinAdmins(ctx, userID); err != nil {
				return write{}, err
			}
		}
		u.Status = Active
		return write{}, nil
	})
	s.record(ctx, "user.enable", "", userID, err)
	return u, err
}

// RaiseEpoch is "sign out everywhere": every session and grant opened before is over. fault.NotFound "user_unknown".
func (s *Service) RaiseEpoch(ctx context.Context, userID string) (User, error) {
	u, err := s.change(ctx, userID, func(context.Context, *User) (write, error) { return write{raise: raiseEpoch}, nil })
	s.record(ctx, "user.sign_out_everywhere", "", userID, err)
	return u, err
}
