package tokens

import (
	"context"
	"fmt"
	"time"

	"example.com/broker/verify"
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

// allowlist refuses what was taken back, as the blocklist does, and then what is not stored: the first knows at once what "everything of
// this user" means, and costs no read.
type allowlist struct {
	*Revocations
	store AllowStore
}

var _ verify.Revocations = allowlist{}

// Check implements verify.Revocations. While the store does not answer nobody can tell: that is no *verify.Error.
func (a allowlist) Check(ctx context.Context, c *verify.Claims) error {
	if err := a.Revocations.Check(ctx, c); err != nil {
		return err
	}
	ok, err := a.store.TokenAllowed(ctx, c.ID, a.now())
	if err != nil {
		return fmt.Errorf("look for a token in the allowlist: %w", err)
	}
	if !ok {
		return &verify.Error{Code: verify.CodeInvalidToken, Description: "the token was revoked, or is not one that is in force"}
	}
	return nil
}
