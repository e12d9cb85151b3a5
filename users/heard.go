package users

import "context"

// lifted is a store whose users are never behind what the change stream has announced about them. A process that dies between the
// entry and the row leaves a counter that no row has; without this, everything issued for the user from then on would be below it, and
// a repeated act would announce the same counter again and end nothing.
type lifted struct {
	Store
	heard func(userID string) int64
}

func (l lifted) Get(ctx context.Context, id string) (User, error) {
	u, err := l.Store.Get(ctx, id)
	if err == nil {
		u.Ver = max(u.Ver, l.heard(id))
	}
	return u, err
}
