package users

import (
	"context"
	"slices"
	"strings"

	"example.com/broker/internal/fault"
)

// LinkRequired says that a proved address belongs to an account which this identity does not open: whoever comes must first sign in
// there in a way that the account has. It is a fault.Conflict "identity_conflict".
type LinkRequired struct {
	UserID string
	// Methods are the ways in the account has that work: provider ids, and MethodPassword. There may be none left, if its providers
	// were switched off; then only an admin can help.
	Methods []string
	// Identity is what to link after that proof.
	Identity Identity
}

func (e *LinkRequired) Error() string { return e.Unwrap().Error() }

// Unwrap gives the *fault.Error.
func (e *LinkRequired) Unwrap() error {
	return fault.New(fault.Conflict, "identity_conflict",
		"This address belongs to an account that signs in with: %s. Sign in that way first; then the new identity can be linked.", strings.Join(e.Methods, ", "))
}

// methods names the ways into an account that work.
func (s *Service) methods(u User) []string {
	var out []string
	for _, l := range u.Identities {
		if s.usable(l) && !slices.Contains(out, l.Provider) {
			out = append(out, l.Provider)
		}
	}
	if u.Password != "" && hasLogin(u) {
		out = append(out, MethodPassword)
	}
	return out
}

func (s *Service) usable(l Linked) bool { return s.opts.Usable == nil || s.opts.Usable(l) }

// Link adds an identity to a user. The caller has seen both proved: a fresh sign-in of the user, and the identity. Linking what is
// linked already is success. An identity that proves the address which the user has put down makes it verified.
//
// fault.Conflict "identity_taken" if another user has the identity, "too_many_identities" past MaxIdentities; fault.Forbidden
// "account_disabled"; fault.NotFound "user_unknown"; fault.Invalid "identity_invalid"; fault.Unavailable "user_busy".
func (s *Service) Link(ctx context.Context, userID string, id Identity) (User, error) {
	id, err := clean(id)
	if err != nil {
		return User{}, err
	}
	var out Outcome
	u, err := persist(ctx, func(ctx context.Context) (User, error) { return s.link(ctx, userID, id, &out) })
	s.record(ctx, "user.link", userID, userID, err, "provider", id.Provider)
	return u, err
}

func (s *Service) link(ctx context.Context, userID string, id Identity, out *Outcome) (User, error) {
	u, err := s.store.Get(ctx, userID)
	switch {
	case err != nil:
		return User{}, err
	case u.Status != Active:
		return User{}, s.errDisabled()
	}
	c := identityClaim(id)
	k, err := s.look(ctx, c)
	if err != nil {
		return User{}, err
	}
	if k.listed && k.UserID == userID {
		return s.known(ctx, k.user, id, out)
	}
	if k.listed {
		return User{}, fault.New(fault.Conflict, "identity_taken", "This identity is linked to another account. Sign in with it, or unlink it there first.")
	}
	if err := roomFor(u); err != nil {
		return User{}, err
	}
	if err := s.vacate(ctx, c, k, userID, true); err != nil {
		return User{}, err
	}
	claims := []Claim{c.Claim}
	proves := id.EmailVerified && !u.EmailVerified && u.Email != "" && addressClaim(id.Email).lists(u)
	if proves {
		if proves, err = s.freeAddress(ctx, id.Email, userID, out); err != nil {
			return User{}, err
		}
	}
	if proves {
		claims = append(claims, addressClaim(id.Email).Claim)
	}
	u, err = s.replace(ctx, u, func(_ context.Context, u *User) (write, error) {
		attach(u, id, s.now())
		u.Claimable, u.EmailVerified = false, u.EmailVerified || proves
		return write{add: claims}, nil
	})
	return u, again(err)
}

func roomFor(u User) error {
	if len(u.Identities) >= MaxIdentities {
		return fault.New(fault.Conflict, "too_many_identities", "An account can have %d identities. Unlink one first.", MaxIdentities)
	}
	return nil
}

// Unlink takes a way in from a user: the linked identity with this key, or the password where it is the key of the login name. One
// write requires that another usable way stays, so that two at once cannot take the last two. Taking the password raises the epoch; what mapping rules gave by the identity goes with it.
//
// fault.Conflict "last_method"; fault.NotFound "method_unknown" or "user_unknown".
func (s *Service) Unlink(ctx context.Context, userID, key string) (User, error) {
	u, err := s.change(ctx, userID, func(_ context.Context, u *User) (write, error) {
		var w write
		i := slices.IndexFunc(u.Identities, func(l Linked) bool { return l.Key() == key })
		switch {
		case i >= 0:
			provider := u.Identities[i].Provider
			u.Identities = slices.Delete(u.Identities, i, i+1)
			w.drop = []Claim{{ClaimIdentity, key}}
			if s.unmap(u, provider) {
				w.raise = raiseVersion
			}
		case u.Password != "" && u.Username != "" && usernameClaim(u.Username).Key == key:
			u.Password = ""
			w.raise = raiseEpoch
		default:
			return w, fault.New(fault.NotFound, "method_unknown", "The account has no such way to sign in.")
		}
		if len(s.methods(*u)) == 0 {
			return w, fault.New(fault.Conflict, "last_method", "This is the only way to sign in that works. Add another one first.")
		}
		return w, nil
	})
	s.record(ctx, "user.unlink", "", userID, err)
	return u, err
}

// hasLogin reports whether there is something to type above the password.
func hasLogin(u User) bool { return u.Username != "" || u.Email != "" && u.EmailVerified }
