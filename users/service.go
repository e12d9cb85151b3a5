package users

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"example.com/broker/audit"
	"example.com/broker/internal/fault"
	"example.com/broker/internal/ratelimit"
	"example.com/broker/rbac"
	"github.com/google/uuid"
)

const (
	// giveUp is when a sequence of writes is abandoned, unlistedFor when a claim that nobody lists may be taken over. What lies
	// between them is how far apart the clocks of replicas may be.
	giveUp      = 30 * time.Second
	unlistedFor = 10 * time.Minute

	// MaxIdentities is how many identities one user may have.
	MaxIdentities = 32
	// MethodPassword names the password where ways in are named; the others are provider ids.
	MethodPassword = "password"
)

// Options are what a Service needs. Store, Admins, Limiter, Hasher and Now are required.
type Options struct {
	Store   Store
	Admins  rbac.AdminStore
	Limiter *ratelimit.Limiter
	Hasher  *Hasher
	Now     func() time.Time
	// NewID gives the ids of new users; by default "usr_" + UUIDv7.
	NewID func() string
	// DefaultRole is what every new user gets, "" for nothing.
	DefaultRole string
	// SupportContact is whom people are told to ask, such as an address; by default "the administrator".
	SupportContact string
	// BootstrapAdmins become admins when they sign in: "<provider id>:<subject>", or an address that the upstream verified. They get
	// past closed registration, and get the role back at the next sign-in if it was taken from them: configuration wins.
	BootstrapAdmins []string
	// Passwords is what a new password must satisfy; zero fields mean the defaults.
	Passwords PasswordPolicy
	// AddressLimit and AccountLimit bound wrong passwords; by default ratelimit.PasswordByAddress and PasswordByAccount.
	AddressLimit, AccountLimit *ratelimit.Rule
	// RegisterLimit bounds Register; by default ratelimit.RegisterByAddress.
	RegisterLimit *ratelimit.Rule
	// Usable reports whether a linked identity can still sign in (its provider is configured and on); nil: each can.
	Usable func(Linked) bool
	// BeforeVersion is called with the new counter before a row is written that raises Ver alone (a role change), BeforeEpoch before
	// one that raises Ver and Epoch (disabling, a new password, sign-out everywhere, a purge). The entry of the change stream goes
	// here: no replica can then act on the row and miss the entry. An error keeps the row from being written. They may be called
	// again for the same counter, and for one that is never written.
	BeforeVersion, BeforeEpoch func(ctx context.Context, userID string, ver int64) error
	// Heard is the highest counter of a user that the followed change stream has named, 0 for none; nil where nothing is followed.
	Heard func(userID string) int64
	// Audit takes what was done and denied; nil for nobody. Actor is set where it is the user; else the Recorder knows the caller.
	Audit audit.Recorder
	// AuditLimited takes in its place what a limit refused, which anybody can repeat at no cost; nil for Audit.
	AuditLimited audit.Recorder
	// Roles are the roles that may be given, and Rules what gives some of them at each sign-in; nil: those of every installation, and
	// no rules.
	Roles *rbac.Roles
	Rules *rbac.Rules
	// FactsSize bounds the cache behind Facts in users (10,000 by default), FactsFor the age of an entry (a minute by default).
	FactsSize int
	FactsFor  time.Duration
}

// Service holds the rules about accounts. It is safe for concurrent use; several replicas may run on one store.
//
// An error of a method is a *fault.Error of a kind that the method names, or the store's own (fault.Unavailable).
type Service struct {
	opts                       Options
	store                      Store
	hasher                     *Hasher
	addressLimit, accountLimit ratelimit.Rule
	registerLimit              ratelimit.Rule
	facts                      *facts
}

// New returns a Service, or an error that names what is missing or wrong.
func New(o Options) (*Service, error) {
	if o.Store == nil || o.Admins == nil || o.Limiter == nil || o.Hasher == nil || o.Now == nil {
		return nil, errors.New("users: Store, Admins, Limiter, Hasher and Now are required")
	}
	if o.DefaultRole != "" && !o.knownRole(o.DefaultRole) {
		return nil, fmt.Errorf("users: unknown default role %q, expected one of %v", o.DefaultRole, o.roleNames())
	}
	if o.NewID == nil {
		o.NewID = func() string { return "usr_" + uuid.Must(uuid.NewV7()).String() }
	}
	if o.SupportContact == "" {
		o.SupportContact = "the administrator"
	}
	o.Passwords = o.Passwords.withDefaults()
	s := &Service{opts: o, store: o.Store, hasher: o.Hasher, addressLimit: ratelimit.PasswordByAddress(), accountLimit: ratelimit.PasswordByAccount()}
	s.registerLimit = ratelimit.RegisterByAddress()
	if o.Heard != nil {
		s.store = lifted{o.Store, o.Heard}
	}
	if o.AddressLimit != nil {
		s.addressLimit = *o.AddressLimit
	}
	if o.AccountLimit != nil {
		s.accountLimit = *o.AccountLimit
	}
	if o.RegisterLimit != nil {
		s.registerLimit = *o.RegisterLimit
	}
	s.facts = newFacts(o.FactsSize, o.FactsFor)
	return s, nil
}

// now is the time as it is stored.
func (s *Service) now() time.Time { return s.opts.Now().UTC().Truncate(time.Millisecond) }

// Get returns a user, fault.NotFound "user_unknown" if there is none.
func (s *Service) Get(ctx context.Context, id string) (User, error) { return s.store.Get(ctx, id) }

// List returns users ordered by id, at most limit, with ids above after.
func (s *Service) List(ctx context.Context, after string, limit int) ([]User, error) {
	return s.store.List(ctx, after, limit)
}

// Find returns the user with this id, e-mail address (verified or not) or login name, in that order. fault.NotFound "user_unknown".
func (s *Service) Find(ctx context.Context, what string) (User, error) {
	u, err := s.store.Get(ctx, what)
	if !fault.Is(err, fault.NotFound) {
		return u, err
	}
	c := loginClaim(what)
	k, err := s.look(ctx, c)
	if err == nil && !k.listed {
		err = fault.New(fault.NotFound, "user_unknown", "There is no user with this id, address or login name.")
	}
	return k.user, err
}

// claim is a Claim with the rule by which a user lists it.
type claim struct {
	Claim
	lists func(User) bool
}

func identityClaim(i Identity) claim {
	return claim{Claim{ClaimIdentity, i.Key()}, func(u User) bool { return u.Lists(i) }}
}

func usernameClaim(name string) claim {
	return identityClaim(Identity{Namespace: LocalNamespace, Subject: NormalizeUsername(name)})
}

func addressClaim(addr string) claim {
	key := NormalizeAddress(addr)
	return claim{Claim{ClaimAddress, key}, func(u User) bool { return NormalizeAddress(u.Email) == key }}
}

// loginClaim tells a login name from an address by the @, which no login name may have.
func loginClaim(login string) claim {
	if isAddress(login) {
		return addressClaim(login)
	}
	return usernameClaim(login)
}

// seat is what stands behind a claim.
type seat struct {
	Holder
	held   bool // somebody holds it
	exists bool // that user exists (and is user)
	listed bool // and lists it: the claim counts
	user   User
}

// look reads who holds a claim and whether it counts: two reads, one if nobody holds it.
func (s *Service) look(ctx context.Context, c claim) (seat, error) {
	h, err := s.store.Holder(ctx, c.Claim)
	if fault.Is(err, fault.NotFound) {
		return seat{}, nil
	}
	if err != nil {
		return seat{}, err
	}
	u, err := s.store.Get(ctx, h.UserID)
	if fault.Is(err, fault.NotFound) {
		return seat{Holder: h, held: true}, nil
	}
	if err != nil {
		return seat{}, err
	}
	return seat{Holder: h, held: true, exists: true, listed: c.lists(u), user: u}, nil
}

// stale reports whether a claim that does not count may be taken over by anybody.
func (s *Service) stale(k seat) bool {
	return k.held && !k.listed && s.now().Sub(k.At) >= unlistedFor
}

// errAgain means that somebody else changed what a decision rested on: look again and decide anew. errPending is the same, but somebody
// else's work is half done and needs a moment.
var (
	errAgain   = errors.New("users: changed meanwhile")
	errPending = errors.New("users: held by unfinished work")
)

// again makes errAgain of what the store says when another writer was first.
func again(err error) error {
	switch fault.CodeOf(err) {
	case "claim_taken", "user_exists", "user_changed":
		return errAgain
	}
	return err
}

// vacate makes way for id to take a claim which does not count: a stale one is moved, and so is one whose user was never inserted,
// which only id's owner may ask for, having proved the claim.
func (s *Service) vacate(ctx context.Context, c claim, k seat, id string, proved bool) error {
	switch {
	case !k.held || k.UserID == id:
		return nil
	case k.listed:
		return errAgain
	case s.stale(k), proved && !k.exists:
		return again(s.store.TakeOver(ctx, c.Claim, k.Holder, id, s.now()))
	}
	return errPending
}

// pendingTries bounds how often unfinished work of others is looked at again: a creator that lives needs milliseconds.
const pendingTries = 10

// persist repeats step while others get in the way, at most for giveUp. fault.Unavailable "user_busy" when they do not get out of it.
func persist[T any](ctx context.Context, step func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, giveUp)
	defer cancel()
	var pending int
	for try := 0; ; try++ {
		out, err := step(ctx)
		switch {
		case errors.Is(err, errPending):
			if pending++; pending > pendingTries {
				return out, busy(err, giveUp)
			}
		case !errors.Is(err, errAgain):
			return out, err
		case try == 0:
			continue
		}
		t := time.NewTimer(min(time.Duration(try+1)*5*time.Millisecond, 25*time.Millisecond))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return out, busy(ctx.Err(), time.Second)
		}
	}
}

func busy(cause error, after time.Duration) error {
	e := fault.Wrap(cause, fault.Unavailable, "user_busy", "Another sign-in with the same identity or address is not finished. Try again later.")
	e.RetryAfter = after
	return e
}

// raise says which counters a write raises.
type raise int

const (
	raiseNothing raise = iota
	raiseVersion
	raiseEpoch
)

// write is what a change asks for beside the new row.
type write struct {
	add, drop []Claim
	raise     raise
	skip      bool // leave the row as it is
}

// change reads a user, lets f alter a copy, and replaces the row if it is still what was read; if not, it starts over, so f may run
// several times and must decide from the row it is given.
func (s *Service) change(ctx context.Context, id string, f func(context.Context, *User) (write, error)) (User, error) {
	return persist(ctx, func(ctx context.Context) (User, error) {
		u, err := s.store.Get(ctx, id)
		if err != nil {
			return User{}, err
		}
		if err := expected(ctx, u); err != nil {
			return u, err
		}
		u, err = s.replace(ctx, u, f)
		if fault.CodeOf(err) == "user_changed" {
			err = errAgain
		}
		return u, err
	})
}

// replace is one attempt of change.
func (s *Service) replace(ctx context.Context, u User, f func(context.Context, *User) (write, error)) (User, error) {
	next := u
	next.Identities, next.Grants = slices.Clone(u.Identities), slices.Clone(u.Grants)
	w, err := f(ctx, &next)
	if err != nil || w.skip {
		return u, err
	}
	now := s.now()
	hook := s.opts.BeforeVersion
	switch w.raise {
	case raiseEpoch:
		next.Ver, next.Epoch, hook = u.Ver+1, u.Ver+1, s.opts.BeforeEpoch
	case raiseVersion:
		next.Ver = u.Ver + 1
	case raiseNothing:
		hook = nil
	}
	if hook != nil {
		if err := hook(ctx, u.ID, next.Ver); err != nil {
			return u, err
		}
		// The entry is out: a caller who hangs up now must not keep the row from following.
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), giveUp)
		defer cancel()
	}
	next.UpdatedAt = now
	if err := s.store.Replace(ctx, next, w.add, w.drop, now); err != nil {
		return u, err
	}
	next.V = u.V + 1
	s.facts.forget(next.ID, next.Ver, now)
	return next, nil
}

// record writes down what was done, or that it was denied; a failure of the store is neither.
func (s *Service) record(ctx context.Context, action, actor, target string, err error, detail ...string) {
	if s.opts.Audit == nil {
		return
	}
	e := audit.Event{At: s.now(), Action: action, Actor: actor, Target: target, Outcome: "done"}
	if err != nil {
		switch fault.KindOf(err) {
		case fault.Forbidden, fault.Conflict, fault.Unauthenticated, fault.Limited:
			e.Outcome, detail = "denied", append(detail, "reason", fault.CodeOf(err))
		default:
			return
		}
	}
	for i := 0; i+1 < len(detail); i += 2 {
		if e.Detail == nil {
			e.Detail = map[string]string{}
		}
		e.Detail[detail[i]] = detail[i+1]
	}
	to := s.opts.Audit
	if fault.Is(err, fault.Limited) && s.opts.AuditLimited != nil {
		to = s.opts.AuditLimited
	}
	to.Record(ctx, e)
}

func (s *Service) errDisabled() error {
	return fault.New(fault.Forbidden, "account_disabled", "This account is disabled. Ask %s.", s.opts.SupportContact)
}
