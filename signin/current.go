package signin

import (
	"context"

	"example.com/broker/internal/fault"
	"example.com/broker/internal/secret"
	"example.com/broker/sessions"
	"example.com/broker/users"
)

// Current returns the live session a cookie names and its active user; nil, nil where nobody is signed in. Errors are of the store.
func Current(ctx context.Context, m *sessions.Manager, u *users.Service, cookie secret.Value) (*sessions.Session, *users.User, error) {
	if cookie == "" {
		return nil, nil, nil
	}
	s, err := m.Load(ctx, cookie)
	if fault.Is(err, fault.Unauthenticated) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	who, err := u.Facts(ctx, s.UserID)
	if fault.Is(err, fault.NotFound) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	// The user's own counter is the second fence: it holds where the entry in the change stream has been forgotten.
	if who.Status != users.Active || s.Ver < who.Epoch {
		return nil, nil, nil
	}
	return &s, &who, nil
}
