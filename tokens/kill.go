package tokens

import (
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/broker/audit"
	"example.com/broker/internal/changes"
	"example.com/broker/oauth"
)

// Kill ends a grant and everything bought with it: first for every replica's checks by the change stream, then in its row. A grant that
// is dead already or gone is success, and so is a repetition, which completes what was left. Two writes; errors are the store's.
func (s *Grants) Kill(ctx context.Context, grantID string) error {
	return s.kill(ctx, Grant{ID: grantID}, "grant.revoke")
}

// kill does not end with the request: whoever presents a stolen token must not be able to keep it alive by hanging up.
func (s *Grants) kill(ctx context.Context, g Grant, action string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killTimeout)
	defer cancel()
	now := s.now()
	entry := changes.Entry{Kind: changes.RevokedGrant, Key: g.ID, Until: now.Add(s.o.AccessLife + margin)}
	if err := s.o.Changes.Append(ctx, entry); err != nil {
		return fmt.Errorf("kill a grant: %w", err)
	}
	if err := s.o.Store.KillGrant(ctx, g.ID, now); err != nil {
		return fmt.Errorf("kill a grant: %w", err)
	}
	event := audit.Event{At: now, Action: action, Target: g.ID, ClientID: g.ClientID, Outcome: "done"}
	if g.UserID != "" {
		event.Detail = map[string]string{"user": g.UserID}
	}
	s.o.Audit.Record(ctx, event)
	return nil
}

// bury marks a grant whose time has run out, so that a clock that is set back does not revive it.
func (s *Grants) bury(ctx context.Context, grantID string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killTimeout)
	defer cancel()
	if err := s.o.Store.KillGrant(ctx, grantID, s.now()); err != nil {
		return fmt.Errorf("bury a grant: %w", err)
	}
	return nil
}

// RevokeAccess makes one access token bad (RFC 7009) until it expires at exp. One write, two in allowlist mode, where the entry in the
// change stream is what APIs hear of; errors are the store's, and a repetition completes what was left.
func (s *Grants) RevokeAccess(ctx context.Context, jti string, exp time.Time) error {
	entry := changes.Entry{Kind: changes.RevokedToken, Key: jti, Until: exp.UTC().Add(margin)}
	if err := s.o.Changes.Append(ctx, entry); err != nil {
		return fmt.Errorf("revoke an access token: %w", err)
	}
	if s.o.Allowed == nil {
		return nil
	}
	if err := s.o.Allowed.ForgetToken(ctx, jti); err != nil {
		return fmt.Errorf("revoke an access token: %w", err)
	}
	return nil
}

// RevokeRefresh kills the grant of a refresh token that belongs to the client, whether current or spent (RFC 7009 §2.1). It reports
// false, and does nothing, for a token that is unknown, dead or of another client. One read, as knowing a grant's id must not be enough
// to end it, and two writes; errors are the store's.
func (s *Grants) RevokeRefresh(ctx context.Context, token, clientID string) (bool, error) {
	t, ok := parseRefresh(token)
	if !ok {
		return false, nil
	}
	g, err := s.held(ctx, t, clientID)
	if isInvalidGrant(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, s.kill(ctx, g, "grant.revoke")
}

func isInvalidGrant(err error) bool {
	e, ok := errors.AsType[*oauth.Error](err)
	return ok && e.Code == oauth.ErrInvalidGrant
}
