package users

import (
	"context"

	"example.com/broker/internal/fault"
)

// Delete removes an account for good. An admin leaves the list of admins first, which the last one cannot. Then the account is disabled
// and everything it holds ends; then its claims are dropped, so that none is left that names nobody; then the row goes. Each step is safe
// to stop at, and a repetition completes it.
//
// fault.Conflict "last_admin"; fault.NotFound "user_unknown"; fault.Unavailable "user_busy".
func (s *Service) Delete(ctx context.Context, userID string) error {
	err := s.delete(ctx, userID)
	s.record(ctx, "user.delete", "", userID, err)
	return err
}

func (s *Service) delete(ctx context.Context, userID string) error {
	_, err := s.shut(ctx, userID)
	if err != nil {
		return err
	}
	// The version that the caller has seen was held against the first step.
	ctx = context.WithoutCancel(ctx)
	_, err = persist(context.WithValue(ctx, versionKey{}, nil), func(ctx context.Context) (User, error) {
		u, err := s.store.Get(ctx, userID)
		if fault.Is(err, fault.NotFound) {
			return User{}, nil
		}
		if err != nil {
			return User{}, err
		}
		if u.Status == Active {
			return User{}, fault.New(fault.Conflict, "user_changed", "The user was enabled meanwhile.")
		}
		if u, err = s.replace(ctx, u, func(_ context.Context, u *User) (write, error) {
			drop := []Claim{}
			for _, l := range u.Identities {
				drop = append(drop, identityClaim(l.Identity).Claim)
			}
			if u.Username != "" {
				drop = append(drop, usernameClaim(u.Username).Claim)
			}
			if u.Email != "" {
				drop = append(drop, addressClaim(u.Email).Claim)
			}
			return write{drop: drop}, nil
		}); err == nil {
			err = s.store.Delete(ctx, userID, u.V)
		}
		if fault.Is(err, fault.NotFound) {
			return User{}, nil
		}
		if fault.CodeOf(err) == "user_changed" {
			err = errAgain
		}
		return User{}, err
	})
	return err
}
