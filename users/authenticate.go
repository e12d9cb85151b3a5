package users

import (
	"context"
	"net/netip"
	"strings"

	"example.com/broker/internal/fault"
	"example.com/broker/internal/ratelimit"
	"example.com/broker/internal/secret"
)

// maxPresented bounds the bytes of a password at login. It is above what a new password may have (128 characters), for hashes imported
// from systems that allowed more.
const maxPresented = 1024

// Authenticate returns the user with this login name, or verified address, and password. address is where the attempt comes from; the
// zero Addr switches the limit per address off for this attempt.
//
// Limits are reserved before anything is computed and given back unless the password was wrong. The limit per account counts by the
// account, whichever of its names is typed and however; a name nobody has counts by itself. It closes this door only: identities,
// sessions and tokens of the account are not touched, or guessing would be a way to lock others out. A hundred wrong passwords in a row
// close it for a year, see Unlock; a right one before that ends the run.
//
// An unknown name, a wrong password, an account without one and a disabled one with a wrong one are answered alike, after the same
// reads and the same hash: fault.Unauthenticated "credentials_invalid". Whoever gives the right password of a disabled account may know
// that: fault.Forbidden "account_disabled". Also fault.Limited "rate_limited" or "attempts_exhausted", and fault.Unavailable
// "hash_pool_full" or "attempts_under_way", with RetryAfter.
func (s *Service) Authenticate(ctx context.Context, login string, password secret.Value, address netip.Addr) (User, error) {
	u, err := s.authenticate(ctx, login, password, address)
	if err != nil {
		// The login is not written down: people type passwords there.
		s.record(ctx, "user.authenticate", "", u.ID, err)
		return User{}, err
	}
	return u, nil
}

// authenticate returns, beside an error, the user meant, for the record.
func (s *Service) authenticate(ctx context.Context, login string, password secret.Value, address netip.Addr) (User, error) {
	byAddress, err := s.opts.Limiter.Reserve(ctx, s.addressLimit.For(bucketOf(address)))
	if err != nil {
		return User{}, err
	}
	u, err := s.byLogin(ctx, login)
	if err != nil {
		byAddress.GiveBack(ctx)
		return User{}, err
	}
	account := s.attemptsOn(u.ID)
	if u.ID == "" {
		account = s.accountLimit.For("login:" + NormalizeUsername(login))
	}
	byAccount, err := s.opts.Limiter.Reserve(ctx, account)
	if err != nil {
		if fault.Is(err, fault.Limited) {
			byAddress.Keep()
		} else {
			byAddress.GiveBack(ctx)
		}
		return u, err
	}
	stored := u.Password
	if len(password) > maxPresented {
		password, stored = password[:maxPresented], "" // nobody's password
	}
	ok, err := s.hasher.Verify(ctx, stored, password)
	if err == nil && !ok {
		byAccount.Keep()
		byAddress.Keep()
		return u, fault.New(fault.Unauthenticated, "credentials_invalid", "The login name or the password is wrong.")
	}
	if err == nil && u.Status == Active {
		byAccount.Succeed(ctx)
		byAddress.Succeed(ctx)
		return s.rehash(ctx, u, password), nil
	}
	byAccount.GiveBack(ctx)
	byAddress.GiveBack(ctx)
	if err == nil {
		err = s.errDisabled()
	}
	return u, err
}

// attemptsOn is the bucket of wrong passwords for a user.
func (s *Service) attemptsOn(userID string) ratelimit.Key {
	return s.accountLimit.For("user:" + userID)
}

// Unlock forgets the wrong passwords that were tried for a user: the password they have is asked for again. SetPassword does that too.
// fault.NotFound "user_unknown".
func (s *Service) Unlock(ctx context.Context, userID string) (User, error) {
	u, err := s.store.Get(ctx, userID)
	if err == nil {
		err = s.opts.Limiter.Forget(ctx, s.attemptsOn(userID))
	}
	s.record(ctx, "user.unlock", "", userID, err)
	return u, err
}

// byLogin finds the user whose password is to be tried, the zero User for nobody. It reads twice either way: a missing second read
// would tell unknown names apart.
func (s *Service) byLogin(ctx context.Context, login string) (User, error) {
	byAddress := strings.Contains(login, "@")
	k, err := s.look(ctx, loginClaim(login))
	if err != nil {
		return User{}, err
	}
	if !k.held {
		if _, err := s.store.Get(ctx, "nobody"); err != nil && !fault.Is(err, fault.NotFound) {
			return User{}, err
		}
	}
	if !k.listed || byAddress && !k.user.EmailVerified {
		return User{}, nil
	}
	return k.user, nil
}

// rehash replaces a hash of another algorithm or cost while the password is at hand. It is a courtesy: whatever is in its way, a full
// pool or another writer, the next login tries again.
func (s *Service) rehash(ctx context.Context, u User, password secret.Value) User {
	if !s.hasher.Stale(u.Password) {
		return u
	}
	hash, err := s.hasher.Hash(ctx, password)
	if err != nil {
		return u
	}
	next, err := s.replace(ctx, u, func(_ context.Context, u *User) (write, error) {
		u.Password = hash
		return write{}, nil
	})
	if err != nil {
		return u
	}
	return next
}
