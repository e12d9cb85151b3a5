package tokens

import (
	"context"
	"fmt"
	"strings"

	"example.com/broker/internal/fault"
)

// IsRefresh reports whether raw has the form of a refresh token of ours; it says nothing about whether it is one.
func IsRefresh(raw string) bool { return strings.HasPrefix(raw, refreshPrefix) }

// ClientOf returns the client that a refresh token was issued to, "" for one that is unknown or whose family is over. It proves nothing about
// who asks. One read; errors are the store's.
func (s *Grants) ClientOf(ctx context.Context, token string) (string, error) {
	t, ok := parseRefresh(token)
	if !ok {
		return "", nil
	}
	g, err := s.live(ctx, t)
	if isInvalidGrant(err) {
		return "", nil
	}
	return g.ClientID, err
}

// ClaimsRequest returns the `claims` parameter a grant was asked for with (OpenID Connect Core §5.5), nil for none or where there is
// no grant any more. One read; errors are the store's.
func (s *Grants) ClaimsRequest(ctx context.Context, grantID string) (*ClaimsRequest, error) {
	if grantID == "" {
		return nil, nil
	}
	g, err := s.o.Store.GetGrant(ctx, grantID)
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the claims request of a grant: %w", err)
	}
	return g.claimsRequest()
}
