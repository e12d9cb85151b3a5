package users

import (
	"context"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"example.com/broker/internal/fault"
	"example.com/broker/internal/secret"
	"example.com/broker/rbac"
)

// NewUser is what an admin says about a user to be made.
type NewUser struct {
	// ID keeps the id of a user imported from elsewhere: 1 to 255 printable ASCII characters without spaces; "" for a new one.
	ID       string
	Username string
	Name     string
	Email    string
	// EmailVerified is the admin's word that the address is the person's. Without it, the account falls to whoever proves the address:
	// see Resolve.
	EmailVerified bool
	// Password, or PasswordHash for an import (see CheckHash); neither for one who is Claimable.
	Password     secret.Value
	PasswordHash string
	// Roles are given by hand; nil means the default role, an empty list no role.
	Roles []string
	// Claimable lets the first sign-in with the matching verified address have the account. It needs an address, and no password.
	Claimable bool
}

// Registration is what somebody says about themselves. Whether it is asked for at all is for the caller to decide.
type Registration struct {
	Username string
	Password secret.Value
	Name     string
	Email    string // unproved: it opens nothing, and is lost to whoever proves it
	// Address is where it comes from; the zero Addr switches the limit per address off for it.
	Address netip.Addr
}

// A login name has no @, so that it is never taken for an address, and does not look like an id of ours.
var usernamePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

func checkUsername(name string) error {
	if !usernamePattern.MatchString(name) || len(name) > 4 && name[:4] == "usr_" {
		return fault.New(fault.Invalid, "username_invalid",
			"The login name must have 1 to 64 letters (a to z), digits, dots, hyphens or underscores and begin with a letter or digit, and not with usr_.")
	}
	return nil
}

func checkAddress(addr string) error {
	if !isAddress(addr) {
		return fault.New(fault.Invalid, "address_invalid", "The address must look like name@example.com and have at most 254 bytes.")
	}
	return nil
}

// Register makes a user who signs in with a password, with the default role. It does not say whether an address is known: one that
// another user holds is noted and reserves nothing. The limit per network address is reserved before anything is hashed, and given back
// where nothing was.
//
// fault.Conflict "username_taken"; fault.Invalid "username_invalid", "address_invalid", or those of PasswordPolicy.Check; fault.Limited
// "rate_limited", with RetryAfter; fault.Unavailable "hash_pool_full" or "user_busy".
func (s *Service) Register(ctx context.Context, r Registration) (User, error) {
	u, err := s.register(ctx, r)
	s.record(ctx, "user.register", u.ID, u.ID, err)
	return u, err
}

func (s *Service) register(ctx context.Context, r Registration) (User, error) {
	if err := checkUsername(NormalizeUsername(r.Username)); err != nil {
		return User{}, err
	}
	// Create takes users without a password; this door does not.
	if r.Password == "" {
		return User{}, s.opts.Passwords.Check(r.Password)
	}
	byAddress, err := s.opts.Limiter.Reserve(ctx, s.registerLimit.For(bucketOf(r.Address)))
	if err != nil {
		return User{}, err
	}
	u, err := s.draft(ctx, NewUser{Username: r.Username, Name: r.Name, Email: r.Email, Password: r.Password})
	if err != nil {
		byAddress.GiveBack(ctx) // refused before the hash, or by the pool in its place
		return User{}, err
	}
	byAddress.Keep()
	return s.insert(ctx, u, true)
}

// bucketOf is the address as the rules per address take it.
func bucketOf(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// Create makes a user on an admin's word.
//
// fault.Conflict "username_taken", "address_taken" or "user_exists" names the field; fault.Invalid "username_invalid",
// "address_invalid", "user_id_invalid", "role_unknown", "password_conflict" (both kinds), "claimable_invalid", "no_way_in" (no
// password, and not claimable), "no_login" (a password with nothing to type above it), those of PasswordPolicy.Check and CheckHash; fault.Unavailable "hash_pool_full" or "user_busy".
func (s *Service) Create(ctx context.Context, n NewUser) (User, error) {
	u, err := s.draft(ctx, n)
	if err == nil {
		u, err = s.insert(ctx, u, false)
	}
	s.record(ctx, "user.create", "", u.ID, err)
	if err != nil {
		return User{}, err
	}
	// An admin is entered in the list only once the user exists: an entry without a user would pass for another admin.
	if slices.Contains(n.Roles, rbac.Admin) {
		return s.grant(ctx, u.ID, rbac.Admin, time.Time{})
	}
	return u, nil
}

// draft checks what was said and makes the document, without the role admin.
func (s *Service) draft(ctx context.Context, n NewUser) (User, error) {
	now := s.now()
	u := User{
		ID: n.ID, Username: NormalizeUsername(n.Username), Name: text(n.Name), Email: strings.TrimSpace(n.Email), EmailVerified: n.EmailVerified && n.Email != "",
		Status: Active, Claimable: n.Claimable, Ver: 1, CreatedAt: now, UpdatedAt: now, V: 1,
	}
	if u.ID == "" {
		u.ID = s.opts.NewID()
	} else if !idPattern.MatchString(u.ID) {
		return User{}, fault.New(fault.Invalid, "user_id_invalid", "The id must have 1 to 255 printable ASCII characters without spaces.")
	}
	if u.Username != "" {
		if err := checkUsername(u.Username); err != nil {
			return User{}, err
		}
	}
	if u.Email != "" {
		if err := checkAddress(u.Email); err != nil {
			return User{}, err
		}
	}
	for _, role := range n.Roles {
		if err := s.checkRole(role); err != nil {
			return User{}, err
		}
		if role != rbac.Admin {
			u.Grants = append(u.Grants, rbac.Grant{Role: role, Source: rbac.Manual, Since: now})
		}
	}
	if n.Roles == nil {
		u.Grants = s.defaultGrants(now)
	}
	hasPassword := n.Password != "" || n.PasswordHash != ""
	switch {
	case n.Password != "" && n.PasswordHash != "":
		return User{}, fault.New(fault.Invalid, "password_conflict", "Give a password or a password hash, not both.")
	case n.Claimable && (hasPassword || u.Email == ""):
		return User{}, fault.New(fault.Invalid, "claimable_invalid", "A claimable user needs an address and has no password.")
	case hasPassword && !hasLogin(u):
		return User{}, fault.New(fault.Invalid, "no_login", "A password needs a login name or a verified address.")
	case !hasPassword && !n.Claimable:
		// Nobody could ever sign in as them, and an admin among them would pass for one who guards the rest.
		return User{}, fault.New(fault.Invalid, "no_way_in", "Nobody could sign in as this user: give a password, or an address and claimable.")
	case n.PasswordHash != "":
		if err := CheckHash(n.PasswordHash); err != nil {
			return User{}, err
		}
		u.Password = n.PasswordHash
	case n.Password != "":
		hash, err := s.newPassword(ctx, u, n.Password)
		if err != nil {
			return User{}, err
		}
		u.Password = hash
	}
	return u, nil
}

var idPattern = regexp.MustCompile(`^[!-~]{1,255}$`)

// newPassword checks a password against the policy and hashes it.
func (s *Service) newPassword(ctx context.Context, u User, password secret.Value) (string, error) {
	if err := s.opts.Passwords.Check(password, u.Username, u.Name, u.Email); err != nil {
		return "", err
	}
	return s.hasher.Hash(ctx, password)
}

// insert creates u with the claims of its login name and address. With soft, an address that is taken is left out of the claims.
func (s *Service) insert(ctx context.Context, u User, soft bool) (User, error) {
	withAddress := u.Email != ""
	return persist(ctx, func(ctx context.Context) (User, error) {
		var claims []claim
		if u.Username != "" {
			claims = append(claims, usernameClaim(u.Username))
		}
		if withAddress {
			claims = append(claims, addressClaim(u.Email))
		}
		bare := make([]Claim, len(claims))
		for i, c := range claims {
			bare[i] = c.Claim
		}
		err := s.store.Create(ctx, u, bare, s.now())
		switch fault.CodeOf(err) {
		case "user_exists":
			return User{}, fault.Wrap(err, fault.Conflict, "user_exists", "There is a user with the id %s already.", u.ID)
		case "claim_taken":
		default:
			if err != nil {
				return User{}, err
			}
			return u, nil
		}
		for _, c := range claims {
			k, err := s.look(ctx, c)
			if err != nil {
				return User{}, err
			}
			isAddress := c.Kind == ClaimAddress
			switch {
			case isAddress && soft && k.held && k.UserID != u.ID:
				withAddress = false
				continue
			case k.listed && k.UserID != u.ID && isAddress:
				return User{}, fault.New(fault.Conflict, "address_taken", "Another user has the address %s.", u.Email)
			case k.listed && k.UserID != u.ID:
				return User{}, fault.New(fault.Conflict, "username_taken", "Another user has the login name %s.", u.Username)
			}
			if err := s.vacate(ctx, c, k, u.ID, false); err != nil {
				return User{}, err
			}
		}
		return User{}, errAgain
	})
}

// SetPassword gives a user a new password and raises the epoch: whoever knew the old one is out, and what was tried in its place counts no
// longer. Should only the last of this fail, repeating it completes it.
//
// fault.Invalid "no_login" if the user has neither login name nor verified address, or those of PasswordPolicy.Check; fault.Forbidden
// "account_disabled"; fault.NotFound "user_unknown"; fault.Unavailable "hash_pool_full".
func (s *Service) SetPassword(ctx context.Context, userID string, password secret.Value) (User, error) {
	u, err := s.setPassword(ctx, userID, password)
	s.record(ctx, "user.password", "", userID, err)
	return u, err
}

func (s *Service) setPassword(ctx context.Context, userID string, password secret.Value) (User, error) {
	u, err := s.store.Get(ctx, userID)
	if err != nil {
		return User{}, err
	}
	if !hasLogin(u) {
		return User{}, fault.New(fault.Invalid, "no_login", "A password needs a login name or a verified address.")
	}
	hash, err := s.newPassword(ctx, u, password)
	if err != nil {
		return User{}, err
	}
	u, err = s.change(ctx, userID, func(_ context.Context, u *User) (write, error) {
		if u.Status != Active {
			return write{}, s.errDisabled()
		}
		u.Password, u.Claimable = hash, false
		return write{raise: raiseEpoch}, nil
	})
	if err != nil {
		return u, err
	}
	return u, s.opts.Limiter.Forget(ctx, s.attemptsOn(userID))
}
