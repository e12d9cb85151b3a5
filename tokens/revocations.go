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

	// revoked is what the feed speaks of; the other two matter to the broker alone.
	revoked *fingerprints.Revoked
	apiKeys *fingerprints.Set
	epochs  *fingerprints.Set
}

// streamed is the kind of entries of the change stream that the feed calls otherwise. An API key is none of them: the tokens it was
// exchanged for carry its id as their grant. Nor is a user's epoch: it ends sessions and grants, which no API sees.
func streamed(kind string) changes.Kind {
	switch kind {
	case fingerprints.User:
		return changes.UserVersion
	case fingerprints.Client:
		return changes.RevokedClient
	}
	return changes.Kind(kind)
}

var (
	_ verify.Revocations = (*Revocations)(nil)
	_ sessions.Fence     = (*Revocations)(nil)
	_ apikeys.Fence      = (*Revocations)(nil)
)

// NewRevocations subscribes to the follower, so it must be called before the follower's first poll.
func NewRevocations(f *changes.Follower, now func() time.Time) *Revocations {
	r := &Revocations{
		follower: f, now: now, recent: newRecent(now), revoked: fingerprints.NewRevoked(),
		apiKeys: fingerprints.NewSet(false), epochs: fingerprints.NewSet(true),
	}
	for i, kind := range fingerprints.Kinds() {
		set := r.revoked.Of(kind)
		f.On(streamed(kind), func(e changes.Entry) {
			if learned, ok := r.add(set, kind, e); ok {
				r.recent.push(uint8(i), learned) //nolint:gosec // there are six kinds
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
	r.revoked.Drop(now)
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
	if r.revoked.Holds(fingerprints.Claims{
		ID: c.ID, Grant: c.GrantID, Session: c.SessionID, Key: c.KeyID, Client: c.ClientID, Subject: c.Subject, Issued: c.IssuedAt, Version: c.Version,
	}) {
		return &verify.Error{Code: verify.CodeInvalidToken, Description: "the token was revoked"}
	}
	return nil
}

// GrantRevoked reports whether a grant was killed, for as long as a token bought with it can live.
func (r *Revocations) GrantRevoked(gid string) bool { return r.revoked.Has(fingerprints.Grant, gid) }

// SessionRevoked reports whether a session was ended by somebody, rather than by time.
func (r *Revocations) SessionRevoked(sid string) bool {
	return r.revoked.Has(fingerprints.Session, sid)
}

// KeyRevoked reports whether an API key was revoked.
func (r *Revocations) KeyRevoked(id string) bool {
	_, ok := r.apiKeys.Look(string(changes.RevokedAPIKey), id)
	return ok
}

// ClientRevoked reports whether what a client was issued at the given time was taken back.
func (r *Revocations) ClientRevoked(clientID string, issued time.Time) bool {
	return r.revoked.Client(clientID, issued)
}

// UserVer returns the counter below which a user's access tokens are refused; 0 where none was heard of.
func (r *Revocations) UserVer(userID string) int64 { return r.revoked.Version(userID) }

// UserEpoch returns the counter below which a user's sessions and grants are over; 0 where none was heard of.
func (r *Revocations) UserEpoch(userID string) int64 {
	n, _ := r.epochs.Look(string(changes.UserEpoch), userID)
	return int64(n)
}
