// Package changes is the stream that replicas share: revocations, and the versions of what they cache. An entry is written before
// the row it speaks of, so that no replica can act on the row and miss the entry.
package changes

import (
	"context"
	"time"
)

// Kind says what an entry's key names.
type Kind string

// The kinds of entries. Revocations hold until they expire; the others carry the newest version of a row that replicas cache.
const (
	RevokedToken   Kind = "jti"
	RevokedGrant   Kind = "gid"
	RevokedSession Kind = "sid"
	// RevokedClient carries a Unix time in seconds: the client's tokens issued up to then are refused; 0 refuses all.
	RevokedClient Kind = "rcl"
	RevokedKey    Kind = "kid"
	RevokedAPIKey Kind = "api"
	// UserVersion carries the user's counter: access tokens with a lower `ver` are refused.
	UserVersion Kind = "usr"
	// UserEpoch carries the counter at the last sign-out everywhere: sessions and grants opened below it are over.
	UserEpoch     Kind = "epo"
	ClientVersion Kind = "cli"
	// KeysVersion carries the V of the set of the signing keys whose algorithm the key names.
	KeysVersion Kind = "key"
	// PoliciesVersion carries the V of the policies of the application that the key names.
	PoliciesVersion Kind = "pol"
	// RolesVersion and RulesVersion carry the V of the one document of roles, and of mapping rules.
	RolesVersion Kind = "rol"
	RulesVersion Kind = "rul"
	// APIsVersion carries the V of the one document of the APIs in the store.
	APIsVersion Kind = "apis"
)

// Entry is one element of the stream. Its identity is (Kind, Key): appending it again raises Value, never lowers it.
type Entry struct {
	Kind  Kind
	Key   string
	Value int64
	// Until is when the entry stops to matter; the zero time means never.
	Until time.Time
	// At is the position in the stream, given by the store: milliseconds of its clock, or a sequence number. Ignored by Append.
	At int64
}

// Stream is kept by the store.
type Stream interface {
	// Append upserts entries one by one, in order: Value becomes the larger of stored and given, Until the later, At the store's
	// clock. Every prefix is safe, repeating the call completes it.
	Append(ctx context.Context, entries ...Entry) error
	// Read returns the unexpired entries (at now) with At ≥ from, ordered by At. from 0 reads all.
	Read(ctx context.Context, from int64, now time.Time) ([]Entry, error)
	// Overlap is how far behind the newest known position a follower must read again, because commit order is not position order:
	// near on every poll, far on every tenth. Both are zero where the store writes in order.
	Overlap() (near, far int64)
}
