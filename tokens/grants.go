package tokens

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"example.com/broker/audit"
	"example.com/broker/internal/changes"
	"example.com/broker/internal/fault"
	"example.com/broker/internal/secret"
	"example.com/broker/oauth"
	"example.com/broker/users"
)

const (
	// CodeLife is how long an authorization code is good (RFC 6749 §4.1.2 recommends at most ten minutes).
	CodeLife = time.Minute
	// DefaultIdleLife is how long a refresh token is good without use, DefaultAbsoluteLife how long its family is however it is used.
	DefaultIdleLife     = 7 * 24 * time.Hour
	DefaultAbsoluteLife = 30 * 24 * time.Hour
	// DefaultReuseInterval is the usual time for which a spent refresh token is answered with its successor again, so that a client
	// that lost an answer, or has two tabs, keeps its family. MaxReuseInterval bounds it.
	DefaultReuseInterval = 30 * time.Second
	MaxReuseInterval     = 10 * time.Minute

	// margin is what an entry in the change stream outlives the tokens it speaks of: the leeway of a verifier, and a signature made by a
	// replica that had redeemed before it heard. It also bounds how far replicas' clocks may differ.
	margin = 2 * time.Minute

	killTimeout = 5 * time.Second
)

// GrantsOptions configure Grants.
type GrantsOptions struct {
	// Store, Changes, Revocations, Audit and Now are required.
	Store       GrantStore
	Changes     *changes.Follower
	Revocations *Revocations
	Audit       audit.Recorder
	Now         func() time.Time
	// Allowed holds the access tokens that are good, in allowlist mode; nil otherwise.
	Allowed AllowStore
	// Log hears what no answer can carry; nil discards.
	Log *slog.Logger
	// AccessLife is the longest lifetime of an access token of any API: what is revoked is remembered for that long. Required.
	AccessLife time.Duration
	// IdleLife and AbsoluteLife end a refresh family; 0 means the defaults.
	IdleLife, AbsoluteLife time.Duration
	// ReuseInterval is 0 (a spent refresh token kills its family at once) to MaxReuseInterval.
	ReuseInterval time.Duration
}

// Grants is the life of a grant: minted, redeemed, rotated, killed. Each act is decided by one conditional update of one row, so any
// number of replicas and requests may race. It is safe for concurrent use.
type Grants struct{ o GrantsOptions }

// NewGrants returns an error that lists everything wrong with the options.
func NewGrants(o GrantsOptions) (*Grants, error) {
	o.IdleLife = cmp.Or(o.IdleLife, DefaultIdleLife)
	o.AbsoluteLife = cmp.Or(o.AbsoluteLife, DefaultAbsoluteLife)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	var faults []error
	if o.Store == nil || o.Changes == nil || o.Revocations == nil || o.Audit == nil || o.Now == nil {
		faults = append(faults, errors.New("store, change stream, revocations, audit and clock are required"))
	}
	if o.AccessLife <= 0 || o.IdleLife <= 0 || o.AbsoluteLife <= 0 {
		faults = append(faults, fmt.Errorf("lifetimes are %v (access token), %v (idle), %v (absolute), expected more than 0",
			o.AccessLife, o.IdleLife, o.AbsoluteLife))
	}
	if o.ReuseInterval < 0 || o.ReuseInterval > MaxReuseInterval {
		faults = append(faults, fmt.Errorf("the reuse interval is %v, expected 0 to %v", o.ReuseInterval, MaxReuseInterval))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("refuse to set up grants: %w", err)
	}
	return &Grants{o}, nil
}

// now is the clock at the precision of the stores.
func (s *Grants) now() time.Time { return s.o.Now().UTC().Truncate(time.Millisecond) }

// Mint stores a grant and returns its code, which is given out only here and is good for CodeLife. The caller sets what the grant is
// about: client, user, session, Ver, scope, audiences, how the person proved who they are, redirect address, challenge; for an online
// grant also Until, the absolute end of its session. Id, hashes and dates are set here. One write; errors are the store's.
func (s *Grants) Mint(ctx context.Context, g Grant) (code string, err error) {
	now := s.now()
	if g.RedirectURI == "" || (g.Challenge != "" && !oauth.ValidChallenge(g.Challenge)) {
		return "", errors.New("mint a grant: a code needs a redirect address, and an S256 challenge or none")
	}
	if err := s.begin(&g, now); err != nil {
		return "", err
	}
	c := authorizationCode{g.ID, secret.New(secretBytes)}
	g.CodeHash, g.CodeUntil = secret.Hash(c.secret), now.Add(CodeLife)
	if err := s.o.Store.InsertGrant(ctx, g); err != nil {
		return "", fmt.Errorf("mint a grant: %w", err)
	}
	return c.String(), nil
}

// Open stores a grant that never has a code, as the password grant gives it, and returns it with its first refresh token, "" unless
// refresh is asked for. The caller sets what the grant is about, as for Mint. One write; errors are the store's.
func (s *Grants) Open(ctx context.Context, g Grant, refresh bool) (Grant, string, error) {
	now := s.now()
	if err := s.begin(&g, now); err != nil {
		return Grant{}, "", err
	}
	token := ""
	if refresh {
		t := s.family(g.ID)
		g.AnchorHash, g.Cur, g.IdleUntil = secret.Hash(t.anchor), secret.Hash(t.secret), now.Add(s.o.IdleLife)
		token = t.String()
	}
	if err := s.o.Store.InsertGrant(ctx, g); err != nil {
		return Grant{}, "", fmt.Errorf("open a grant: %w", err)
	}
	return g, token, nil
}

// begin sets what every new grant has. An incomplete grant is a fault of the caller, not of the request.
func (s *Grants) begin(g *Grant, now time.Time) error {
	if g.ClientID == "" || g.UserID == "" {
		return errors.New("begin a grant: client and user are required")
	}
	if g.Online && (g.SessionID == "" || !now.Before(g.Until)) {
		return errors.New("begin a grant: an online grant needs a session that has not ended")
	}
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("begin a grant: %w", err)
	}
	end := now.Add(s.o.AbsoluteLife)
	if !g.Online || g.Until.After(end) {
		g.Until = end
	}
	g.ID, g.CreatedAt, g.Until = id.String(), now, g.Until.UTC().Truncate(time.Millisecond)
	return nil
}

func (s *Grants) family(grantID string) refreshToken {
	return refreshToken{grantID, secret.New(anchorBytes), secret.New(secretBytes)}
}

// RedeemRequest is a code as it came to the token endpoint. The client has been authenticated.
type RedeemRequest struct {
	Code        string
	ClientID    string
	RedirectURI string // "" where the request had none
	Verifier    string // code_verifier, "" where the request had none
	// Refresh asks for a refresh token.
	Refresh bool
	// Check, if set, refuses the request before the code is spent; it costs one read. Its error is returned as it is.
	Check func(Grant) error
}

// Redeem spends a code and returns its grant with the first refresh token, "" unless asked for, which is given out only here. Whatever
// does not match gets the one *oauth.Error invalid_grant and changes nothing; but a second redemption that is otherwise valid kills the
// grant and everything bought with it (RFC 6749 §4.1.2, §10.5). temporarily_unavailable where revocations cannot be told. One write.
// Whether the user may still come in is for the caller to ask: CheckUser.
func (s *Grants) Redeem(ctx context.Context, r RedeemRequest) (Grant, string, error) {
	code, ok := parseCode(r.Code)
	if !ok {
		return Grant{}, "", badCode()
	}
	challenge := ""
	if r.Verifier != "" {
		// RFC 9700 §4.8: a verifier for a code without a challenge is refused, which the update does, as no stored challenge equals it.
		if !oauth.ValidVerifier(r.Verifier) {
			return Grant{}, "", badCode()
		}
		challenge = oauth.Challenge(r.Verifier)
	}
	if err := s.fresh(); err != nil {
		return Grant{}, "", err
	}
	re := Redemption{
		GrantID: code.grantID, CodeHash: secret.Hash(code.secret), ClientID: r.ClientID, RedirectURI: r.RedirectURI,
		Challenge: challenge, Now: s.now(),
	}
	if r.Check != nil {
		if err := s.checkCode(ctx, re, r.Check); err != nil {
			return Grant{}, "", err
		}
	}
	token := ""
	if r.Refresh {
		t := s.family(code.grantID)
		re.AnchorHash, re.Cur, re.IdleUntil = secret.Hash(t.anchor), secret.Hash(t.secret), re.Now.Add(s.o.IdleLife)
		token = t.String()
	}
	g, err := s.o.Store.RedeemGrant(ctx, re)
	if fault.Is(err, fault.Conflict) {
		return Grant{}, "", s.refuseCode(ctx, re)
	}
	if err != nil {
		return Grant{}, "", fmt.Errorf("redeem a code: %w", err)
	}
	// Not whether the grant itself was killed: the update found it alive, so a replay that killed it came later, and takes along what this
	// redemption bought. Of many at once exactly one is answered with tokens.
	if s.takenBack(g) {
		return Grant{}, "", badCode()
	}
	return g, token, nil
}

// matches reports whether a redemption names everything the grant was minted with.
func (r Redemption) matches(g Grant) bool {
	return g.CodeHash != "" && g.CodeHash == r.CodeHash && g.ClientID == r.ClientID && g.RedirectURI == r.RedirectURI && g.Challenge == r.Challenge
}

// checkCode asks the caller's check about a grant whose code is about to be spent. One that will be refused anyway is not asked about.
func (s *Grants) checkCode(ctx context.Context, r Redemption, check func(Grant) error) error {
	g, err := s.o.Store.GetGrant(ctx, r.GrantID)
	if fault.Is(err, fault.NotFound) {
		return badCode()
	}
	if err != nil {
		return fmt.Errorf("redeem a code: %w", err)
	}
	if !r.matches(g) || !g.CodeSpent.IsZero() || !g.Dead.IsZero() {
		return nil
	}
	return check(g)
}

// refuseCode finds out why a redemption matched nothing. All reasons get one answer; two of them end the grant.
func (s *Grants) refuseCode(ctx context.Context, r Redemption) error {
	g, err := s.o.Store.GetGrant(ctx, r.GrantID)
	if fault.Is(err, fault.NotFound) {
		return badCode()
	}
	if err != nil {
		return fmt.Errorf("redeem a code: %w", err)
	}
	if !r.matches(g) || !g.Dead.IsZero() {
		return badCode()
	}
	if g.CodeSpent.IsZero() {
		err = s.bury(ctx, g.ID)
	} else {
		err = s.kill(ctx, g, "grant.code_reuse")
	}
	if err != nil {
		return err
	}
	return badCode()
}

// RotateRequest is a refresh token as it came to the token endpoint. The client has been authenticated.
type RotateRequest struct {
	Token    string
	ClientID string
	// Check, if set, refuses the request before the token is spent; it costs one read. Its error is returned as it is.
	Check func(Grant) error
}

// Rotate spends a refresh token and returns its grant with the successor, which holds the same rights (RFC 6749 §6, RFC 9700 §4.14.2).
// The direct predecessor of the current token gets that token again within the reuse interval. Whatever does not match gets the one
// *oauth.Error invalid_grant; a token of this client that was spent before that kills the family and everything bought with it.
// temporarily_unavailable where revocations cannot be told. One write, no read, unless something is wrong. Whether the user may still
// come in is for the caller to ask: CheckUser.
func (s *Grants) Rotate(ctx context.Context, r RotateRequest) (Grant, string, error) {
	t, ok := parseRefresh(r.Token)
	if !ok {
		return Grant{}, "", badRefresh()
	}
	if err := s.fresh(); err != nil {
		return Grant{}, "", err
	}
	now := s.now()
	if r.Check != nil {
		if err := s.checkRefresh(ctx, t, r, now); err != nil {
			return Grant{}, "", err
		}
	}
	next := t.next(secret.New(secretBytes))
	g, err := s.o.Store.RotateGrant(ctx, Rotation{
		GrantID: t.grantID, ClientID: r.ClientID, AnchorHash: secret.Hash(t.anchor),
		From: secret.Hash(t.secret), To: secret.Hash(next.secret), Successor: sealSuccessor(t, next),
		Now: now, IdleUntil: now.Add(s.o.IdleLife),
	})
	if fault.Is(err, fault.Conflict) {
		g, next, err = s.again(ctx, t, r.ClientID, now)
	} else if err != nil {
		err = fmt.Errorf("rotate a refresh token: %w", err)
	}
	if err != nil {
		return Grant{}, "", err
	}
	if s.over(g) {
		return Grant{}, "", s.refuseOver(ctx, g)
	}
	return g, next.String(), nil
}

const successorPurpose = "refresh-successor"

// sealSuccessor makes the successor readable to whoever still holds the predecessor, and to nobody who reads the store.
func sealSuccessor(t, next refreshToken) string {
	return secret.Derived(t.secret, successorPurpose).Seal(successorPurpose, []byte(next.secret.Reveal()))
}

func openSuccessor(t refreshToken, sealed string) (refreshToken, error) {
	plain, err := secret.Derived(t.secret, successorPurpose).Open(successorPurpose, sealed)
	if err != nil {
		return refreshToken{}, fmt.Errorf("open the successor of a refresh token: %w", err)
	}
	return t.next(secret.Value(plain)), nil
}

// again answers a token that is not the current one: the direct predecessor gets the current one within the reuse interval, every
// other is refused, and kills the family if it once was part of it.
func (s *Grants) again(ctx context.Context, t refreshToken, clientID string, now time.Time) (Grant, refreshToken, error) {
	g, err := s.held(ctx, t, clientID)
	if err != nil {
		return Grant{}, refreshToken{}, err
	}
	switch {
	case s.standing(g, t, now) == replayed:
		err = s.kill(ctx, g, "grant.refresh_reuse")
	case g.ended(now):
		err = s.bury(ctx, g.ID)
	case s.standing(g, t, now) == predecessor:
		next, err := openSuccessor(t, g.Successor)
		return g, next, err
	}
	if err != nil {
		return Grant{}, refreshToken{}, err
	}
	return Grant{}, refreshToken{}, badRefresh()
}

// held returns the live grant whose family the token belongs to. A client that presents the token of another, and anyone who knows
// the id alone, get invalid_grant and do no harm.
func (s *Grants) held(ctx context.Context, t refreshToken, clientID string) (Grant, error) {
	g, err := s.live(ctx, t)
	if err == nil && g.ClientID != clientID {
		return Grant{}, badRefresh()
	}
	return g, err
}

// live is held whoever the client is.
func (s *Grants) live(ctx context.Context, t refreshToken) (Grant, error) {
	g, err := s.o.Store.GetGrant(ctx, t.grantID)
	if fault.Is(err, fault.NotFound) {
		return Grant{}, badRefresh()
	}
	if err != nil {
		return Grant{}, fmt.Errorf("find a refresh token: %w", err)
	}
	if !secret.Equal(g.AnchorHash, t.anchor) || !g.Dead.IsZero() {
		return Grant{}, badRefresh()
	}
	return g, nil
}

type standing int

const (
	current standing = iota
	predecessor
	replayed
)

// standing tells what the token is in the family it belongs to.
func (s *Grants) standing(g Grant, t refreshToken, now time.Time) standing {
	since := now.Sub(g.RotatedAt)
	switch {
	case secret.Equal(g.Cur, t.secret):
		return current
	// A replica's clock may be a little behind that of the one that rotated; one that was set back must not lengthen the interval.
	case secret.Equal(g.Prev, t.secret) && since < s.o.ReuseInterval && since > -margin:
		return predecessor
	default:
		return replayed
	}
}

// checkRefresh asks the caller's check about the grant of a token that is about to be spent. One that will be refused anyway is not
// asked about.
func (s *Grants) checkRefresh(ctx context.Context, t refreshToken, r RotateRequest, now time.Time) error {
	g, err := s.held(ctx, t, r.ClientID)
	if err != nil {
		return err
	}
	if s.standing(g, t, now) == replayed || g.ended(now) {
		return nil
	}
	return r.Check(g)
}

// Find returns the live grant of a current refresh token without spending it, for introspection (RFC 7662). Which client may be told is
// for the caller to ask. *oauth.Error invalid_grant for any other token. One read.
func (s *Grants) Find(ctx context.Context, token string) (Grant, error) {
	t, ok := parseRefresh(token)
	if !ok {
		return Grant{}, badRefresh()
	}
	if err := s.fresh(); err != nil {
		return Grant{}, err
	}
	g, err := s.live(ctx, t)
	if err != nil {
		return Grant{}, err
	}
	now := s.now()
	if s.standing(g, t, now) != current || g.ended(now) || s.over(g) {
		return Grant{}, badRefresh()
	}
	return g, nil
}

// ended reports whether a deadline of the family has been reached at now.
func (g Grant) ended(now time.Time) bool { return !now.Before(g.IdleUntil) || !now.Before(g.Until) }

// over reports whether the change stream ended the grant, which it tells before the row does.
func (s *Grants) over(g Grant) bool { return s.o.Revocations.GrantRevoked(g.ID) || s.takenBack(g) }

// refuseOver refuses a grant that the stream ended and the row did not yet: whoever was to write the row may have died before. The entry
// lapses, so the row is written now.
func (s *Grants) refuseOver(ctx context.Context, g Grant) error {
	if s.o.Revocations.GrantRevoked(g.ID) {
		if err := s.bury(ctx, g.ID); err != nil {
			return err
		}
	}
	return badRefresh()
}

// takenBack reports whether what the grant rests on was ended: its session by an explicit sign-out, all of the user's or of the client's.
func (s *Grants) takenBack(g Grant) bool {
	r := s.o.Revocations
	return (g.Online && r.SessionRevoked(g.SessionID)) || r.UserEpoch(g.UserID) > g.Ver || r.ClientRevoked(g.ClientID, g.CreatedAt)
}

// fresh refuses while it cannot be told what was revoked, before anything is spent.
func (s *Grants) fresh() error {
	err := s.o.Revocations.Fresh()
	if err == nil {
		return nil
	}
	e := oauth.Errorf(oauth.ErrTemporarilyUnavailable, "revocations cannot be told at the moment; try again")
	e.RetryAfter, e.Cause = retryAfterSeconds, err
	return e
}

// CheckUser returns *oauth.Error invalid_grant if the user was disabled, or signed out everywhere, since the grant was given. A user
// who is gone cannot be asked about: that too is invalid_grant, which InvalidGrant makes.
func CheckUser(g Grant, u users.User) error {
	if u.ID != g.UserID || u.Status != users.Active || u.Epoch > g.Ver {
		return InvalidGrant()
	}
	return nil
}

// Narrow returns the scopes a token of this grant gets: all that were granted if none are asked for, otherwise those asked for, which
// must be among them (RFC 6749 §6); *oauth.Error invalid_scope. The grant itself keeps what it has.
func (g Grant) Narrow(asked oauth.Scopes) (oauth.Scopes, error) {
	granted, err := oauth.ParseScopes(g.Scope)
	if err != nil {
		return nil, fmt.Errorf("read the scope of grant %s: %w", g.ID, err)
	}
	if len(asked) == 0 {
		return granted, nil
	}
	if missing, ok := asked.Within(granted); !ok {
		return nil, oauth.Errorf(oauth.ErrInvalidScope, "scope '%.80s' was not granted, expected some of '%.200s'", missing, g.Scope)
	}
	return asked, nil
}

// InvalidGrant is the answer to a grant whose user is gone or may not come in.
func InvalidGrant() error {
	return oauth.Errorf(oauth.ErrInvalidGrant, "the grant has ended; sign in again")
}

// badCode and badRefresh name all reasons at once: which of them it was would help whoever holds a stolen one.
func badCode() error {
	return oauth.Errorf(oauth.ErrInvalidGrant,
		"the code is malformed, unknown, expired or spent, or was issued for another client_id, redirect_uri or code_verifier; start a new sign-in")
}

func badRefresh() error {
	return oauth.Errorf(oauth.ErrInvalidGrant,
		"the refresh token is malformed, unknown, expired, spent or revoked, or was issued to another client; sign in again")
}
