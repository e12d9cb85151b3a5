// Package fingerprints keeps what was revoked as eight bytes a key. The broker and the APIs that follow its feed use the same
// fingerprints, so that the feed is the set itself, in parts, and names no token. docs/revocation.md has the format for others.
package fingerprints

import (
	"crypto/sha256"
	"encoding/binary"
)

// The kinds of keys in the feed.
const (
	Token   = "jti"
	Grant   = "gid"
	Session = "sid"
	Key     = "kid"
	// User carries a counter: tokens of the user with a lower `ver` are refused.
	User = "user"
	// Client carries a Unix time in seconds: the client's tokens issued up to then are refused; 0 refuses all.
	Client = "client"
)

// Numbered reports whether the keys of a kind carry a number.
func Numbered(kind string) bool { return kind == User || kind == Client }

// Of returns the fingerprint of a key: the first eight bytes, big-endian, of the SHA-256 of the kind and the key, each behind its length
// in four bytes, big-endian. It is never 0: that one becomes 1.
//
// Nobody who could gain by a collision chooses keys: the broker makes them at random or the operator gives them. A collision refuses a
// good token and never lets a revoked one pass; for a million keys and a million questions there is one in eighteen million runs.
func Of(kind, key string) uint64 {
	var buffer [192]byte                                              // holds every key of ours, so that the common case allocates nothing
	b := binary.BigEndian.AppendUint32(buffer[:0], uint32(len(kind))) //nolint:gosec // kinds are words of ours
	b = append(b, kind...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(key))) //nolint:gosec // a key is part of a token, which is bounded far below
	b = append(b, key...)
	sum := sha256.Sum256(b)
	return max(1, binary.BigEndian.Uint64(sum[:8]))
}
