package tokens

import (
	"context"
	"math"
	"time"

	"example.com/broker/apikeys"
	"example.com/broker/internal/changes"
	"example.com/broker/internal/fault"
	"example.com/broker/sessions"
	"example.com/broker/verify"
)

const retryAfterSeconds = 2

// Revocations is what the change stream says was taken back, in memory: a question costs no read. On the replica that revoked it is
// known at once, on others within a poll. It is safe for concurrent use.
type Revocations struct {
	follower *changes.Follower
	now      func() time.Time

	tokens, grants, sessions, keys, apiKeys *fingerprints
	clients, versions, epochs               *fingerprints // with numbers
}

var (
	_ verify.Revocations = (*Revocations)(nil)
	_ sessions.Fence     = (*Revocations)(nil)
	_ apikeys.Fence      = (*Revocations)(nil)
)

// NewRevocations subscribes to the follower, so it must be called before the follower's first poll.
func NewRevocations(f *changes.Follower, now func() time.Time) *Revocations {
	r := &Revocations{
		follower: f, now: now,
		tokens: newFingerprints(false), grants: newFingerprints(false), sessions: newFingerprints(false), keys: newFingerprints(false), apiKeys: newFingerprints(false),
		clients: newFingerprints(true), versions: newFingerprints(true), epochs: newFingerprints(true),
	}
	for kind, set := range map[changes.Kind]*fingerprints{
		changes.RevokedToken: r.tokens, changes.RevokedGrant: r.grants, changes.RevokedSession: r.sessions, changes.RevokedKey: r.keys, changes.RevokedAPIKey: r.apiKeys,
		changes.RevokedClient: r.clients, changes.UserVersion: r.versions, changes.UserEpoch: r.epochs,
	} {
		f.On(kind, func(e changes.Entry) { set.add(e.Key, clamp(e.Value), e.Until, r.now()) })
	}
	return r
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
	return has(r.tokens, c.ID) || r.GrantRevoked(c.GrantID) || r.SessionRevoked(c.SessionID) || has(r.keys, c.KeyID) ||
		r.ClientRevoked(c.ClientID, c.IssuedAt) || (c.Subject != c.ClientID && r.UserVer(c.Subject) > c.Version)
}

func has(set *fingerprints, key string) bool {
	_, ok := set.get(key)
	return ok
}

// GrantRevoked reports whether a grant was killed, for as long as a token bought with it can live.
func (r *Revocations) GrantRevoked(gid string) bool { return has(r.grants, gid) }

// SessionRevoked reports whether a session was ended by somebody, rather than by time.
func (r *Revocations) SessionRevoked(sid string) bool { return has(r.sessions, sid) }

// KeyRevoked reports whether an API key was revoked.
func (r *Revocations) KeyRevoked(id string) bool { return has(r.apiKeys, id) }

// ClientRevoked reports whether what a client was issued at the given time was taken back.
func (r *Revocations) ClientRevoked(clientID string, issued time.Time) bool {
	upTo, ok := r.clients.get(clientID)
	return ok && (upTo == 0 || issued.Unix() <= int64(upTo))
}

// UserVer returns the counter below which a user's access tokens are refused; 0 where none was heard of.
func (r *Revocations) UserVer(userID string) int64 {
	n, _ := r.versions.get(userID)
	return int64(n)
}

// UserEpoch returns the counter below which a user's sessions and grants are over; 0 where none was heard of.
func (r *Revocations) UserEpoch(userID string) int64 {
	n, _ := r.epochs.get(userID)
	return int64(n)
}
