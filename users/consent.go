package users

import (
	"context"
	"slices"
	"time"

	"example.com/broker/oauth"
)

// Allow remembers that the user lets an app have the scopes and APIs, beside what they allowed it before; what they allowed before the app
// was registered (since) was meant for another one of its id. fault.NotFound "user_unknown"; fault.Unavailable "user_busy".
func (s *Service) Allow(ctx context.Context, userID string, c Consent, since time.Time) error {
	_, err := s.change(ctx, userID, func(_ context.Context, u *User) (write, error) {
		c := c
		c.At = s.now()
		u.Consents = slices.Clone(u.Consents)
		if i := slices.IndexFunc(u.Consents, func(k Consent) bool { return k.ClientID == c.ClientID }); i >= 0 {
			if !u.Consents[i].At.Before(since) {
				c = merge(u.Consents[i], c)
			}
			u.Consents = slices.Delete(u.Consents, i, i+1)
		}
		u.Consents = append(u.Consents, c)
		return write{}, nil
	})
	s.record(ctx, "user.consent", userID, userID, err, "client_id", c.ClientID, "scope", c.Scope)
	return err
}

func merge(old, more Consent) Consent {
	scopes, err := oauth.ParseScopes(old.Scope)
	added, err2 := oauth.ParseScopes(more.Scope)
	if err == nil && err2 == nil {
		for _, v := range added {
			if !scopes.Has(v) {
				scopes = append(scopes, v)
			}
		}
		more.Scope = scopes.String()
	}
	for _, id := range old.APIs {
		if !slices.Contains(more.APIs, id) {
			more.APIs = append(more.APIs, id)
		}
	}
	return more
}

// MinPassword is the least number of characters of a new password.
func (s *Service) MinPassword() int { return s.opts.Passwords.MinLength }
