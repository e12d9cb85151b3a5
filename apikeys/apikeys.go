// Package apikeys owns long-lived machine keys: making, finding, listing and revoking them. What a key may do is decided where it is
// used: its scopes, within the rights its owner has at that moment.
package apikeys

import (
	"context"
	"time"

	"example.com/broker/oauth"
)

// Key is one API key. Its secret is shown once, when it is made; the store has a hash.
type Key struct {
	ID         string       `json:"id" bson:"_id"` // 22 characters, part of the key's text
	SecretHash string       `json:"-" bson:"secret_hash"`
	OwnerID    string       `json:"owner_id" bson:"owner_id"`
	Name       string       `json:"name" bson:"name"`
	Scopes     oauth.Scopes `json:"scopes" bson:"scopes"` // names of permissions, resource:verb; none means no rights
	CreatedAt  time.Time    `json:"created_at" bson:"created_at"`
	ExpiresAt  time.Time    `json:"expires_at" bson:"expires_at"`
	// LastUsed is coarse: it is written at most once a minute. Zero: never.
	LastUsed  time.Time `json:"last_used,omitzero" bson:"last_used,omitempty"`
	RevokedAt time.Time `json:"revoked_at,omitzero" bson:"revoked_at,omitempty"`
	// Ver is the owner's counter when the key was made; the key is over once the owner's Epoch passes it.
	Ver int64 `json:"-" bson:"ver"`
}

// Store keeps keys, until Listed after they expired; each method is one act on one row, except the lists.
type Store interface {
	// InsertKey adds a key. fault.Conflict "key_exists".
	InsertKey(ctx context.Context, k Key) error
	// GetKey returns a key, revoked or expired too; fault.NotFound "key_unknown".
	GetKey(ctx context.Context, id string) (Key, error)
	// KeysOf returns an owner's keys, newest first, at most limit.
	KeysOf(ctx context.Context, ownerID string, limit int) ([]Key, error)
	// LiveKeysOf returns those of an owner's keys that are neither revoked nor expired at now, newest first, at most limit.
	LiveKeysOf(ctx context.Context, ownerID string, now time.Time, limit int) ([]Key, error)
	// RevokeKey sets RevokedAt once; a key that is revoked already is success, one that is gone fault.NotFound "key_unknown".
	RevokeKey(ctx context.Context, id string, now time.Time) error
	// TouchKey moves LastUsed later, never earlier; a key that is gone is success.
	TouchKey(ctx context.Context, id string, at time.Time) error
}
