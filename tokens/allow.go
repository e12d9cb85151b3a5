package tokens

import (
	"context"
	"time"
)

// AllowStore keeps the ids of valid access tokens where an installation runs in allowlist mode: one write a token, one read a check.
// A token that is not stored is refused.
type AllowStore interface {
	// AllowToken stores the id of a token that is valid until then. An id that is stored already is success.
	AllowToken(ctx context.Context, jti string, until time.Time) error
	// TokenAllowed reports whether the id is stored and has not expired at now.
	TokenAllowed(ctx context.Context, jti string, now time.Time) (bool, error)
	// ForgetToken removes an id; one that is gone is success.
	ForgetToken(ctx context.Context, jti string) error
}
