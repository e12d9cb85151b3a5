package keys

import (
	"context"
	"time"
)

// Key is one signing key of a set.
type Key struct {
	KID     string `json:"kid" bson:"kid"`       // RFC 7638 thumbprint
	Private string `json:"-" bson:"private"`     // PKCS #8, sealed for the purpose "signing-key"
	Public  []byte `json:"public" bson:"public"` // PKIX DER
	// Published is when it entered the JWKS, SignsFrom when it may sign, RetiredAt when its successor takes over (zero: it has none
	// yet), Until when it leaves the JWKS, which is when the last token it may have signed is dead (zero as RetiredAt is). UTC
	// milliseconds.
	Published time.Time `json:"published" bson:"published"`
	SignsFrom time.Time `json:"signs_from" bson:"signs_from"`
	RetiredAt time.Time `json:"retired_at,omitzero" bson:"retired_at,omitempty"`
	Until     time.Time `json:"until,omitzero" bson:"until,omitempty"`
}

// Set holds the keys of one algorithm, oldest first.
type Set struct {
	Alg  string `json:"alg" bson:"_id"`
	V    int64  `json:"v" bson:"v"`
	Keys []Key  `json:"keys" bson:"keys"`
}

// Store keeps one document per algorithm.
type Store interface {
	// LoadKeys returns the set of an algorithm; an empty Set with V 0 if there is none.
	LoadKeys(ctx context.Context, alg string) (Set, error)
	// SwapKeys stores s if the stored V is s.V (0: none stored); it becomes s.V+1. fault.Conflict "keys_changed".
	SwapKeys(ctx context.Context, s Set) error
}
