// Package sessions owns browser sessions: who signed in, when and how, and until when that holds. The browser has a random secret;
// the store has its hash.
package sessions

import (
	"context"
	"time"
)

// Session is one browser's sign-in.
type Session struct {
	ID         string `json:"id" bson:"_id"` // the `sid` of tokens; UUIDv7
	SecretHash string `json:"-" bson:"secret_hash"`
	UserID     string `json:"user_id" bson:"user_id"`
	// Ver is the user's counter when the session was opened; the session is over once the user's Epoch passes it.
	Ver int64 `json:"ver" bson:"ver"`
	// AuthTime is when the person last proved who they are; AMR by what (RFC 8176 and provider ids).
	AuthTime time.Time `json:"auth_time" bson:"auth_time"`
	AMR      []string  `json:"amr,omitempty" bson:"amr,omitempty"`
	Provider string    `json:"provider,omitempty" bson:"provider,omitempty"` // id of the provider used, "" for the password
	// Trip is the sign-in trip that last proved who they are; it satisfies prompt=login and max_age without comparing clocks.
	Trip      string    `json:"-" bson:"trip,omitempty"`
	UserAgent string    `json:"user_agent,omitempty" bson:"user_agent,omitempty"`
	Address   string    `json:"address,omitempty" bson:"address,omitempty"`
	CreatedAt time.Time `json:"created_at" bson:"created_at"`
	IdleUntil time.Time `json:"idle_until" bson:"idle_until"`
	Until     time.Time `json:"until" bson:"until"` // absolute end
}

// Live reports whether neither end has been reached at now. It does not know the user's epoch.
func (s Session) Live(now time.Time) bool { return now.Before(s.IdleUntil) && now.Before(s.Until) }

// Store keeps sessions; each method is one act on one row, except the lists.
type Store interface {
	// InsertSession adds a session. fault.Conflict "session_exists".
	InsertSession(ctx context.Context, s Session) error
	// GetSession returns a session whether live or not, fault.NotFound "session_unknown".
	GetSession(ctx context.Context, id string) (Session, error)
	// TouchSession moves IdleUntil later, never earlier, if the session exists and was live at now; otherwise fault.NotFound.
	TouchSession(ctx context.Context, id string, idleUntil, now time.Time) error
	// ReplaceSession swaps the document if its stored SecretHash is oldHash. fault.Conflict "session_changed".
	ReplaceSession(ctx context.Context, s Session, oldHash string) error
	// DeleteSession removes a session; one that is gone is success.
	DeleteSession(ctx context.Context, id string) error
	// SessionsOf returns a user's sessions, newest first, at most limit.
	SessionsOf(ctx context.Context, userID string, limit int) ([]Session, error)
}
