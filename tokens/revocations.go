package tokens

import (
	"context"
	"math"
	"time"

	"example.com/broker/apikeys"
	"example.com/broker/internal/changes"
	"example.com/broker/internal/fault"
	"example.com/broker/internal/fingerprints"
	"example.com/broker/sessions"
	"example.com/broker/verify"
)

const retryAfterSeconds = 2

// Revocations is what the change stream says was taken back, in memory: a question costs no read. On the replica that revoked it is
// known at once, on others within a poll. It is safe for concurrent use.
type Revocations struct {
	follower *changes.Follower
	now      func() time.Time
	recent   *recent

	// sets are those of the feed, by their kinds there; the other two matter to the broker alone.
	sets    map[string]*fingerprints.Set
	apiKeys *fingerprints.Set
	epochs  *fingerprints.Set
}

// kindsOfFeed says which entries of the change stream APIs must hear of, and how the feed calls them. An API key is not among them: the
// tokens it was exchanged for carry its id as their grant. Nor is a user's epoch: it ends sessions and grants, which no API sees.
var kindsOfFeed = map[changes.Kind]string{
	changes.RevokedToken: fingerprints.Token, changes.RevokedGrant: fingerprints.Grant, changes.RevokedSession: fingerprints.Session,
	changes.RevokedKey: fingerprints.Key, changes.RevokedClient: fingerprints.Client, changes.UserVersion: fingerprints.User,
}

var (
	_ verify.Revocations = (*Revocations)(nil)
	_ sessions.Fence     = (*Revocations)(nil)
	_ apikeys.Fence      = (*Revocations)(nil)
)

// NewRevocations subscribes to the follower, so it must be called before the follower's first poll.
func NewRevocations(f *changes.Follower, now func() time.Time) *Revocations {
	r := &Revocations{
		follower: f, now: now, recent: newRecent(now), sets: map[string]*fingerprints.Set{},
		apiKeys: fingerprints.NewSet(false), epochs: fingerprints.NewSet(true),
	}
	for of, kind := range kindsOfFeed {
		set := fingerprints.NewSet(fingerprints.Numbered(kind))
		r.sets[kind] = set
		f.On(of, func(e changes.Entry) {
			if learned, ok := r.add(set, kind, e); ok {
				r.recent.push(kind, learned)
			}
		})
	}
	f.On(changes.RevokedAPIKey, func(e changes.Entry) { r.add(r.apiKeys, string(e.Kind), e) })
	f.On(changes.UserEpoch, func(e changes.Entry) { r.add(r.epochs, string(e.Kind), e) })
	return r
}

func (r *Revocations) add(set *fingerprints.Set, kind string, e changes.Entry) (fingerprints.Entry, bool) {
	return set.Add(fingerprints.Of(kind, e.Key), clamp(e.Value), e.Until, r.now())
}

// Sweep drops what has expired. It is dropped by itself where something is added; Sweep is for when nothing is.
func (r *Revocations) Sweep() {
	now := r.now()
	for _, set := range r.sets {
		set.Drop(now)
	}
	r.apiKeys.Drop(now)
	r.epochs.Drop(now)
}

// clamp keeps a counter, or a Unix time up to 2106, in 32 bits. A larger one stays larger than any that a token can carry below it.
func clamp(n int64) uint32 { return uint32(min(max(n, 0), math.MaxUint32)) }

// Fresh returns fault.Unavailable "revocations_stale", with RetryAfter, if the change stream was not read for longer than
// changes.MaxStaleness: whether something was revoked cannot be told then.
func (r *Revocations) Fresh() error {
	if !r.follower.Stale(r.now()) {
		return nil
	}
	err := fault.New(fault.Unavailable, "revocations_stale", "What was revoked cannot be told at the moment.")
	err.RetryAfter = retryAfterSeconds * time.Second
	return err
}

// Check implements verify.Revocations: nil for a token that is good, *verify.Error invalid_token for one that was taken back by its own
// id, its grant, session, client, signing key, or a change to its user, temporarily_unavailable while that cannot be told.
func (r *Revocations) Check(_ context.Context, c *verify.Claims) error {
	if err := r.Fresh(); err != nil {
		return &verify.Error{
			Code: verify.CodeUnavailable, Description: "whether the token was revoked cannot be told at the moment",
			RetryAfter: retryAfterSeconds * time.Second,
		}
	}
	if r.revoked(c) {
		return &verify.Error{Code: verify.CodeInvalidToken, Description: "the token was revoked"}
	}
	return nil
}

func (r *Revocations) revoked(c *verify.Claims) bool {
	return r.has(fingerprints.Token, c.ID) || r.GrantRevoked(c.GrantID) || r.SessionRevoked(c.SessionID) || r.has(fingerprints.Key, c.KeyID) ||
		r.ClientRevoked(c.ClientID, c.IssuedAt) || (c.Subject != c.ClientID && r.UserVer(c.Subject) > c.Version)
}

func (r *Revocations) has(kind, key string) bool {
	_, ok := r.sets[kind].Look(kind, key)
	return ok
}

// GrantRevoked reports whether a grant was killed, for as long as a token bought with it can live.
func (r *Revocations) GrantRevoked(gid string) bool { return r.has(fingerprints.Grant, gid) }

// SessionRevoked reports whether a session was ended by somebody, rather than by time.
func (r *Revocations) SessionRevoked(sid string) bool { return r.has(fingerprints.Session, sid) }

// KeyRevoked reports whether an API key was revoked.
func (r *Revocations) KeyRevoked(id string) bool {
	_, ok := r.apiKeys.Look(string(changes.RevokedAPIKey), id)
	return ok
}

// ClientRevoked reports whether what a client was issued at the given time was taken back.
func (r *Revocations) ClientRevoked(clientID string, issued time.Time) bool {
	upTo, ok := r.sets[fingerprints.Client].Look(fingerprints.Client, clientID)
	return ok && (upTo == 0 || issued.Unix() <= int64(upTo))
}

// UserVer returns the counter below which a user's access tokens are refused; 0 where none was heard of.
func (r *Revocations) UserVer(userID string) int64 {
	n, _ := r.sets[fingerprints.User].Look(fingerprints.User, userID)
	return int64(n)
}

// UserEpoch returns the counter below which a user's sessions and grants are over; 0 where none was heard of.
func (r *Revocations) UserEpoch(userID string) int64 {
	n, _ := r.epochs.Look(string(changes.UserEpoch), userID)
	return int64(n)
}
