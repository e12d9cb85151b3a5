package dev

import (
	"context"
	"fmt"

	"example.com/broker/internal/fault"
	"example.com/broker/internal/secret"
	"example.com/broker/rbac"
	"example.com/broker/users"
)

// people are the users of a new folder. Their addresses are verified by our own word.
var people = []struct{ username, name, role string }{
	{"alice", "Alice Example", rbac.Editor},
	{"bob", "Bob Example", rbac.Viewer},
	{"root", "Root Example", rbac.Admin},
}

// Accounts are the users that a folder has, with their passwords.
func (f *Folder) Accounts() []Account {
	var out []Account
	for _, p := range people {
		out = append(out, Account{Username: p.username, Email: p.username + "@example.com", Password: f.state.Passwords[p.username], Roles: []string{p.role}})
	}
	return out
}

// Settle creates those users who do not exist. One who does is left as they are, whatever became of them, unless an earlier start broke
// off before the role was given.
func (f *Folder) Settle(ctx context.Context, s *users.Service) error {
	for i, a := range f.Accounts() {
		u, err := s.Find(ctx, a.Username)
		switch {
		case fault.Is(err, fault.NotFound):
			_, err = s.Create(ctx, users.NewUser{
				Username: a.Username, Name: people[i].name, Email: a.Email, EmailVerified: true, Password: secret.Value(a.Password), Roles: a.Roles,
			})
		case err == nil && len(u.Grants) == 0 && u.Ver == 1:
			_, err = s.GrantRole(ctx, u.ID, a.Roles[0])
		}
		if err != nil {
			return fmt.Errorf("create the user %s: %w", a.Username, err)
		}
	}
	return nil
}
