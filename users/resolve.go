package users

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"example.com/broker/internal/fault"
	"example.com/broker/rbac"
)

// Linking says what happens when a new identity brings a verified address that another account has proved.
type Linking string

// The ways of linking (per provider). The zero value is LinkProve.
const (
	LinkOff   Linking = "off"   // a new account without the address
	LinkProve Linking = "prove" // prove the way you sign in already, then link
	LinkTrust Linking = "trust" // link where the upstream is authoritative for the address and the local one is verified too
)

// Policy is what the provider's configuration says about people it brings.
type Policy struct {
	Linking Linking
	// Registration lets in people who have no account yet.
	Registration bool
}

// How is the way an identity became a user.
type How string

// The ways.
const (
	Known     How = "known"   // the identity is linked already
	Created   How = "created" // a new user
	Claimed   How = "claimed" // a user created ahead, claimed by the address
	TrustLink How = "linked"  // linked to the account with the address, under LinkTrust
)

// Outcome says what Resolve did.
type Outcome struct {
	How How
	// Purged is the user who had claimed the address without ever proving it and has lost it, with the password and identities; ""
	// for none. BeforeEpoch has been called for that user.
	Purged string
}

// Resolve turns an identity that an upstream proved into a local user.
//
// A known identity costs two reads and no write, unless its profile changed. An unknown one becomes a new user, claims one created
// ahead, or is refused, and never merges into an account on the strength of an address alone, except under LinkTrust. Each sequence can
// break off anywhere; the next Resolve of the same identity finishes it. Many at once give one user.
//
// Errors: *LinkRequired (fault.Conflict "identity_conflict"); fault.Forbidden "account_disabled", "not_claimable" (created ahead, but
// not for claiming) or "registration_closed"; fault.Invalid "identity_invalid"; fault.Unavailable "user_busy" with RetryAfter while
// another sign-in holds a claim that it has not finished.
func (s *Service) Resolve(ctx context.Context, id Identity, p Policy) (User, Outcome, error) {
	id, err := clean(id)
	if err != nil {
		return User{}, Outcome{}, err
	}
	// Purged survives the attempts: a purge may be done in one and the user created in the next.
	var out Outcome
	u, err := persist(ctx, func(ctx context.Context) (User, error) {
		k, err := s.look(ctx, identityClaim(id))
		if err != nil {
			return User{}, err
		}
		if k.listed {
			out.How = Known
			return s.known(ctx, k.user, id, &out)
		}
		return s.newcomer(ctx, id, p, k, &out)
	})
	if err != nil {
		var target string
		if l, ok := errors.AsType[*LinkRequired](err); ok {
			target = l.UserID
		}
		s.record(ctx, "user.resolve", "", target, err, "provider", id.Provider)
		return User{}, out, err
	}
	if u, err = s.remap(ctx, u, id); err != nil {
		return User{}, out, err
	}
	if s.bootstraps(id) && !countedAdmin(u) {
		if u, err = s.grant(ctx, u.ID, rbac.Admin, time.Time{}, "by", "bootstrap"); err != nil {
			return User{}, out, err
		}
	}
	return u, out, nil
}

// clean checks the key and drops what is unfit of the rest: the upstream is not trusted to send sane text.
func clean(id Identity) (Identity, error) {
	bad := func(s string, most int) bool {
		return s == "" || len(s) > most || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl)
	}
	if bad(id.Namespace, 512) || bad(id.Subject, 255) || id.Namespace == LocalNamespace {
		return id, fault.New(fault.Invalid, "identity_invalid", "The identity provider sent no usable subject: expected 1 to 255 printable bytes.")
	}
	id.Email = strings.TrimSpace(id.Email)
	if !isAddress(id.Email) {
		id.Email = ""
	}
	if id.Email == "" {
		id.EmailVerified, id.Authoritative = false, false
	}
	id.Handle, id.Name = text(id.Handle), text(id.Name)
	if len(id.Picture) > 2048 || !strings.HasPrefix(id.Picture, "https://") && !strings.HasPrefix(id.Picture, "http://") ||
		strings.ContainsFunc(id.Picture, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }) {
		id.Picture = ""
	}
	return id, nil
}

// text makes one line of at most 256 bytes.
func text(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return -1
		}
		return r
	}, s)
	for len(s) > 256 {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return strings.TrimSpace(s)
}

// isAddress is a check of shape, no more: one @ with something on both sides, no spaces. Whether mail arrives, only mail shows.
func isAddress(s string) bool {
	local, domain, ok := strings.Cut(strings.TrimSpace(s), "@")
	return ok && local != "" && domain != "" && len(s) <= 254 && utf8.ValidString(s) && !strings.Contains(domain, "@") &&
		!strings.ContainsFunc(strings.TrimSpace(s), func(r rune) bool {
			return unicode.IsSpace(r) || unicode.IsControl(r) || r == '<' || r == '>' || r == ',' || r == ';'
		})
}

// bootstraps reports whether configuration names the identity, or its proved address, as an admin.
func (s *Service) bootstraps(id Identity) bool {
	return slices.ContainsFunc(s.opts.BootstrapAdmins, func(entry string) bool {
		return entry == id.Provider+":"+id.Subject || id.EmailVerified && NormalizeAddress(entry) == NormalizeAddress(id.Email)
	})
}

// known lets somebody in whose identity is linked, and follows what changed about them upstream.
func (s *Service) known(ctx context.Context, u User, id Identity, out *Outcome) (User, error) {
	if u.Status != Active {
		return User{}, s.errDisabled()
	}
	proves := id.EmailVerified && !u.EmailVerified && u.Email != "" && addressClaim(id.Email).lists(u)
	if !proves && !s.outdated(u, id) {
		return u, nil
	}
	var add []Claim
	if proves {
		free, err := s.freeAddress(ctx, id.Email, u.ID, out)
		if err != nil && !errors.Is(err, errPending) { // half-done work of others keeps nobody out: the next sign-in claims it
			return User{}, err
		}
		if free {
			add = []Claim{addressClaim(id.Email).Claim}
		}
	}
	next, err := s.replace(ctx, u, func(_ context.Context, u *User) (write, error) {
		follow(u, id)
		u.EmailVerified = u.EmailVerified || len(add) > 0
		return write{add: add}, nil
	})
	return next, again(err)
}

// freeAddress makes way for userID, who proved an address, to claim it; false if another account proved it too.
func (s *Service) freeAddress(ctx context.Context, addr, userID string, out *Outcome) (bool, error) {
	c := addressClaim(addr)
	k, err := s.look(ctx, c)
	switch {
	case err != nil:
		return false, err
	case !k.held || k.UserID == userID:
		return true, nil
	case k.listed && !unproven(k.user):
		return false, nil
	case k.listed:
		return true, s.purge(ctx, k.user, out)
	}
	err = s.vacate(ctx, c, k, userID, false)
	return err == nil, err
}

// pictureEvery keeps a picture address that changes at each sign-in from costing a write at each.
const pictureEvery = 24 * time.Hour

func (s *Service) outdated(u User, id Identity) bool {
	i := slices.IndexFunc(u.Identities, func(l Linked) bool { return l.Namespace == id.Namespace && l.Subject == id.Subject })
	had := u.Identities[i].Identity
	if had.Picture != id.Picture && s.now().Sub(u.UpdatedAt) >= pictureEvery {
		return true
	}
	return had.Provider != id.Provider || had.Email != id.Email || had.EmailVerified != id.EmailVerified ||
		had.Authoritative != id.Authoritative || had.Handle != id.Handle || had.Name != id.Name
}

// follow writes the newest profile of a linked identity. The user's own name and picture follow while they are the upstream's; the
// user's address does not: it is what other accounts are told apart by, and moves only when somebody asks for it.
func follow(u *User, id Identity) {
	for i, l := range u.Identities {
		if l.Namespace == id.Namespace && l.Subject == id.Subject {
			if u.Name == "" || u.Name == l.Name {
				u.Name = id.Name
			}
			if u.Picture == "" || u.Picture == l.Picture {
				u.Picture = id.Picture
			}
			id.Claims, id.Unasked = nil, nil
			u.Identities[i].Identity = id
		}
	}
}

// verdict is what an account that has claimed the newcomer's proved address means for the newcomer.
type verdict int

const (
	refuseDisabled verdict = iota
	refuseUnclaimable
	claimAccount // created ahead for whoever proves the address
	linkAccount  // trusted
	askForProof
	standApart // a new account without the address
	purgeOwner // it never proved the address, which goes to a new account
)

// judge decides. Every rule about what a proved address is worth is here.
func judge(owner User, id Identity, l Linking) verdict {
	noWayIn := owner.Password == "" && len(owner.Identities) == 0
	switch {
	case noWayIn && owner.Status != Active:
		return refuseDisabled
	case noWayIn && owner.Claimable:
		return claimAccount
	case noWayIn:
		return refuseUnclaimable
	case unproven(owner):
		return purgeOwner
	case owner.Status != Active:
		return refuseDisabled
	case l == LinkTrust && id.Authoritative && owner.EmailVerified:
		return linkAccount
	case l == LinkOff:
		return standApart
	}
	return askForProof
}

// unproven reports whether the account put the address down without proving it and may have been made by somebody else to lie in wait
// (Microsoft's pre-hijacking study, 2022: the classic-federated merge). Somebody whom an admin made an admin by hand is known to be who
// they are: purging them would let a mailbox empty the last admin account.
func unproven(u User) bool {
	return !u.EmailVerified && !countedAdmin(u) && (u.Password != "" || len(u.Identities) > 0)
}

// newcomer finds a user for an identity that none lists; k is what stands behind its claim.
func (s *Service) newcomer(ctx context.Context, id Identity, p Policy, k seat, out *Outcome) (User, error) {
	if !id.EmailVerified {
		return s.create(ctx, id, p, k, seat{}, false, out)
	}
	at, err := s.look(ctx, addressClaim(id.Email))
	if err != nil {
		return User{}, err
	}
	if !at.listed {
		return s.create(ctx, id, p, k, at, true, out)
	}
	owner := at.user
	if owner.Lists(id) { // another sign-in with this identity has finished since k was read
		if k, err = s.look(ctx, identityClaim(id)); err != nil {
			return User{}, err
		}
		if k.listed {
			out.How = Known
			return s.known(ctx, k.user, id, out)
		}
	}
	switch judge(owner, id, p.Linking) {
	case refuseDisabled:
		return User{}, s.errDisabled()
	case refuseUnclaimable:
		return User{}, fault.New(fault.Forbidden, "not_claimable",
			"An account was made for this address, but it cannot be claimed by signing in. Ask %s to link it.", s.opts.SupportContact)
	case claimAccount:
		out.How = Claimed
		return s.admit(ctx, owner, id, k, "user.claim")
	case linkAccount:
		out.How = TrustLink
		return s.admit(ctx, owner, id, k, "user.link")
	case standApart:
		return s.create(ctx, id, p, k, seat{}, false, out)
	case purgeOwner:
		// Not for somebody who is then sent away.
		if err := s.mayRegister(id, p); err != nil {
			return User{}, err
		}
		if err := s.purge(ctx, owner, out); err != nil {
			return User{}, err
		}
		return s.create(ctx, id, p, k, seat{}, true, out)
	case askForProof:
	}
	return User{}, &LinkRequired{UserID: owner.ID, Methods: s.methods(owner), Identity: id}
}

func (s *Service) mayRegister(id Identity, p Policy) error {
	if p.Registration || s.bootstraps(id) {
		return nil
	}
	return fault.New(fault.Forbidden, "registration_closed", "There is no account for this identity, and new accounts are made by %s only.", s.opts.SupportContact)
}

// create makes a new user. k and at stand behind the identity's and the address's claims and do not count; withAddress says whether the
// address is taken along as proved.
func (s *Service) create(ctx context.Context, id Identity, p Policy, k, at seat, withAddress bool, out *Outcome) (User, error) {
	if err := s.mayRegister(id, p); err != nil {
		return User{}, err
	}
	ic, ac := identityClaim(id), addressClaim(id.Email)
	userID := s.opts.NewID()
	if k.held && !k.exists && !s.stale(k) {
		userID = k.UserID // finish what another sign-in with this identity began
	}
	// The identity first: if the address turns out to be busy, the next attempt goes on under the id that holds the identity.
	if err := s.vacate(ctx, ic, k, userID, false); err != nil {
		return User{}, err
	}
	if err := s.vacate(ctx, ac, at, userID, false); err != nil {
		return User{}, err
	}
	now := s.now()
	claims := []Claim{ic.Claim}
	u := User{ID: userID, Name: id.Name, Picture: id.Picture, Status: Active, Grants: s.defaultGrants(now), Ver: 1, CreatedAt: now, UpdatedAt: now, V: 1}
	if withAddress {
		u.Email, u.EmailVerified = id.Email, true
		claims = append(claims, ac.Claim)
	} else if !id.EmailVerified {
		u.Email = id.Email // a note: it reserves nothing and opens nothing
	}
	id.Claims, id.Unasked = nil, nil
	u.Identities = []Linked{{Identity: id, LinkedAt: now}}
	if err := s.store.Create(ctx, u, claims, now); err != nil {
		return User{}, again(err)
	}
	out.How = Created
	s.record(ctx, "user.create", u.ID, u.ID, nil, "provider", id.Provider)
	return u, nil
}

func (s *Service) defaultGrants(now time.Time) []rbac.Grant {
	if s.opts.DefaultRole == "" {
		return nil
	}
	return []rbac.Grant{{Role: s.opts.DefaultRole, Source: rbac.Default, Since: now}}
}

// admit adds the identity, which proved the user's address, to the user as read.
func (s *Service) admit(ctx context.Context, u User, id Identity, k seat, action string) (User, error) {
	if err := roomFor(u); err != nil {
		return User{}, err
	}
	c := identityClaim(id)
	if err := s.vacate(ctx, c, k, u.ID, true); err != nil {
		return User{}, err
	}
	u, err := s.replace(ctx, u, func(_ context.Context, u *User) (write, error) {
		attach(u, id, s.now())
		u.Claimable, u.EmailVerified = false, true
		return write{add: []Claim{c.Claim}}, nil
	})
	if err != nil {
		return User{}, again(err)
	}
	s.record(ctx, action, u.ID, u.ID, nil, "provider", id.Provider)
	return u, nil
}

// attach appends an identity to a user's ways in, or brings it up to date there.
func attach(u *User, id Identity, now time.Time) {
	if u.Lists(id) {
		follow(u, id)
		return
	}
	if u.Name == "" {
		u.Name = id.Name
	}
	if u.Picture == "" {
		u.Picture = id.Picture
	}
	id.Claims, id.Unasked = nil, nil
	u.Identities = append(u.Identities, Linked{Identity: id, LinkedAt: now})
}

// purge voids, in one write, everything by which somebody could come into an account that put down an address it never proved, now that
// another has proved it: the password, all identities, and through the epoch all sessions and grants. The address is free afterwards.
// Roles stay, since nobody can come in to use them.
func (s *Service) purge(ctx context.Context, u User, out *Outcome) error {
	u, err := s.replace(ctx, u, func(_ context.Context, u *User) (write, error) {
		drop := []Claim{addressClaim(u.Email).Claim}
		for _, l := range u.Identities {
			drop = append(drop, identityClaim(l.Identity).Claim)
		}
		u.Password, u.Identities, u.Email, u.Claimable = "", nil, "", false
		return write{drop: drop, raise: raiseEpoch}, nil
	})
	if err != nil {
		return again(err)
	}
	out.Purged = u.ID
	s.record(ctx, "user.purge", "", u.ID, nil, "cause", "another identity proved the address")
	return nil
}
