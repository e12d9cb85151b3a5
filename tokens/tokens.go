package tokens

import (
	"context"
	"encoding/json"
	"time"
)

// Grant is one authorization: the code it began with and the refresh family it became. One document.
type Grant struct {
	ID       string `json:"gid" bson:"_id"` // UUIDv7
	ClientID string `json:"client_id" bson:"client_id"`
	UserID   string `json:"user_id" bson:"user_id"`
	// SessionID is the browser session it was given in, "" for the password grant.
	SessionID string `json:"sid,omitempty" bson:"sid,omitempty"`
	// Online grants end with their session; the others (offline_access, password grant) outlive it.
	Online bool `json:"online,omitempty" bson:"online,omitempty"`
	// Ver is the user's counter when it was given; the grant is over once the user's Epoch passes it.
	Ver       int64    `json:"ver" bson:"ver"`
	Scope     string   `json:"scope" bson:"scope"`
	Audiences []string `json:"audiences,omitempty" bson:"audiences,omitempty"` // ids of the APIs granted by `resource`
	// AuthTime, AMR, ACR and Nonce go into the ID token.
	AuthTime time.Time `json:"auth_time" bson:"auth_time"`
	AMR      []string  `json:"amr,omitempty" bson:"amr,omitempty"`
	ACR      string    `json:"acr,omitempty" bson:"acr,omitempty"`
	Nonce    string    `json:"nonce,omitempty" bson:"nonce,omitempty"`
	// Claims is the `claims` request parameter (OpenID Connect Core §5.5) as received and checked, nil for none.
	Claims json.RawMessage `json:"claims,omitempty" bson:"claims,omitempty"`

	// The code, in force until it is spent. CodeHash "" means that the grant never had one.
	CodeHash    string    `json:"-" bson:"code_hash,omitempty"`
	RedirectURI string    `json:"redirect_uri,omitempty" bson:"redirect_uri,omitempty"`
	Challenge   string    `json:"challenge,omitempty" bson:"challenge,omitempty"` // S256; "" only for an exempt client
	CodeUntil   time.Time `json:"code_until,omitzero" bson:"code_until,omitempty"`
	CodeSpent   time.Time `json:"code_spent,omitzero" bson:"code_spent,omitempty"`

	// The refresh family. Cur "" means that no refresh token is in force.
	AnchorHash string    `json:"-" bson:"anchor_hash,omitempty"`
	Cur        string    `json:"-" bson:"cur,omitempty"`       // hash of the current secret
	Prev       string    `json:"-" bson:"prev,omitempty"`      // hash of its direct predecessor
	Successor  string    `json:"-" bson:"successor,omitempty"` // the current secret, sealed under a key derived from the predecessor
	RotatedAt  time.Time `json:"rotated_at,omitzero" bson:"rotated_at,omitempty"`
	IdleUntil  time.Time `json:"idle_until,omitzero" bson:"idle_until,omitempty"`

	CreatedAt time.Time `json:"created_at" bson:"created_at"`
	Until     time.Time `json:"until" bson:"until"`                  // absolute end
	Dead      time.Time `json:"dead,omitzero" bson:"dead,omitempty"` // when it was killed
}

// Redemption is everything a code redemption must match, and what it writes.
type Redemption struct {
	GrantID, CodeHash, ClientID, RedirectURI, Challenge string
	Now                                                 time.Time
	// AnchorHash, Cur and IdleUntil start the refresh family; empty where the client gets no refresh token.
	AnchorHash, Cur string
	IdleUntil       time.Time
}

// Rotation is everything a refresh must match, and what it writes.
type Rotation struct {
	GrantID, ClientID, AnchorHash string
	From, To                      string // hashes of the presented and the new secret
	Successor                     string // the new secret, sealed
	Now, IdleUntil                time.Time
}

// GrantStore keeps grants. Each method is one conditional update of one row.
type GrantStore interface {
	// InsertGrant adds a grant. fault.Conflict "grant_exists".
	InsertGrant(ctx context.Context, g Grant) error
	// GetGrant returns a grant, dead or expired too; fault.NotFound "grant_unknown".
	GetGrant(ctx context.Context, id string) (Grant, error)
	// RedeemGrant spends the code and returns the grant after the update, if id, code, client, redirect address and challenge all
	// match, it is unspent, alive, and neither CodeUntil nor Until has been reached at r.Now. Otherwise fault.Conflict
	// "grant_unmatched" and nothing is changed.
	RedeemGrant(ctx context.Context, r Redemption) (Grant, error)
	// RotateGrant moves Cur to Prev and To to Cur, sets Successor, RotatedAt = r.Now and IdleUntil, and returns the grant after the
	// update, if id, client, anchor and Cur = From match and the grant is alive, and neither IdleUntil nor Until has been reached at
	// r.Now. Otherwise fault.Conflict "grant_unmatched" and nothing is changed.
	RotateGrant(ctx context.Context, r Rotation) (Grant, error)
	// KillGrant sets Dead once; a grant that is dead already or gone is success.
	KillGrant(ctx context.Context, id string, now time.Time) error
}
