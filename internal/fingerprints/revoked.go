package fingerprints

import (
	"iter"
	"time"
)

// Revoked is everything that the feed speaks of, a set for each kind. It is safe for concurrent use.
type Revoked struct {
	tokens, grants, sessions, keys, users, clients *Set
}

// NewRevoked returns one in which nothing was revoked.
func NewRevoked() *Revoked {
	return &Revoked{
		tokens: NewSet(false), grants: NewSet(false), sessions: NewSet(false), keys: NewSet(false), users: NewSet(true), clients: NewSet(true),
	}
}

// Kinds are the kinds of the feed, always in the same order.
func Kinds() [6]string { return [...]string{Token, Grant, Session, Key, User, Client} }

// All yields the kinds and their sets, always in the same order.
func (r *Revoked) All() iter.Seq2[string, *Set] {
	return func(yield func(string, *Set) bool) {
		for _, kind := range Kinds() {
			if !yield(kind, r.Of(kind)) {
				return
			}
		}
	}
}

// Of returns the set of a kind, nil for one that is not known.
func (r *Revoked) Of(kind string) *Set {
	switch kind {
	case Token:
		return r.tokens
	case Grant:
		return r.grants
	case Session:
		return r.sessions
	case Key:
		return r.keys
	case User:
		return r.users
	case Client:
		return r.clients
	}
	return nil
}

// Drop forgets what has expired at now.
func (r *Revoked) Drop(now time.Time) {
	for _, set := range r.All() {
		set.Drop(now)
	}
}

// Claims are what a token says by which it can be revoked.
type Claims struct {
	ID, Grant, Session, Key string // jti, gid, sid; kid of the header
	Client, Subject         string
	Issued                  time.Time
	Version                 int64 // ver
}

// Holds reports whether a token was revoked by any of its claims.
func (r *Revoked) Holds(c Claims) bool {
	return r.Has(Token, c.ID) || r.Has(Grant, c.Grant) || r.Has(Session, c.Session) || r.Has(Key, c.Key) || r.Client(c.Client, c.Issued) ||
		// A client that acts for itself has no counter, also where some user has its name.
		(c.Subject != c.Client && c.Version < r.Version(c.Subject))
}

// Has reports whether a key of a kind is known.
func (r *Revoked) Has(kind, key string) bool {
	_, ok := r.Of(kind).Look(kind, key)
	return ok
}

// Client reports whether what a client was issued at a time was taken back.
func (r *Revoked) Client(id string, issued time.Time) bool {
	upTo, ok := r.clients.Look(Client, id)
	return ok && (upTo == 0 || issued.Unix() <= int64(upTo))
}

// Version returns the counter below which a user's tokens are refused; 0 where none was heard of.
func (r *Revoked) Version(user string) int64 {
	n, _ := r.users.Look(User, user)
	return int64(n)
}
