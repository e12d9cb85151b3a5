// Package lifecycle is the single door through which access ends: of a session, of everything a user holds. Every act takes the same
// order: the entry in the change stream, then the row, then (where apps are to be told) the apps. Each step may be repeated, and the
// answer comes after both writes.
package lifecycle

import (
	"context"
	"time"

	"example.com/broker/audit"
	"example.com/broker/internal/changes"
	"example.com/broker/sessions"
)

// Appender is the part of the followed change stream that writes. changes.Follower is one.
type Appender interface {
	// Append writes entries, in order, and applies them here at once.
	Append(ctx context.Context, entries ...changes.Entry) error
}

// Options of a Service. All are required.
type Options struct {
	Changes  Appender
	Sessions sessions.Store
	Audit    audit.Recorder
	Now      func() time.Time
	// TokenLife is the longest life of an access token, GrantLife that of a grant or, if that is longer, of a session: for so long an
	// entry can matter.
	TokenLife, GrantLife time.Duration
}

// Service ends access. It is safe for concurrent use.
type Service struct{ o Options }

// New returns a Service.
func New(o Options) *Service { return &Service{o} }

// EndSession signs one browser out: the session, and with it the grants that were given online in it and the tokens bought with them. An
// error is the store's; the session may be over all the same, and repeating the call completes it.
func (s *Service) EndSession(ctx context.Context, x sessions.Session) error {
	until := x.Until.Add(s.o.TokenLife)
	if err := s.o.Changes.Append(ctx, changes.Entry{Kind: changes.RevokedSession, Key: x.ID, Value: 1, Until: until}); err != nil {
		return err
	}
	if err := s.o.Sessions.DeleteSession(ctx, x.ID); err != nil {
		return err
	}
	s.o.Audit.Record(ctx, audit.Event{Action: "session.end", Actor: x.UserID, Target: x.ID, Outcome: "done"})
	return nil
}

// EndClient announces that whatever a client was issued up to now is over: its access tokens, its grants and the codes among them. It is the
// hook of clients.Options.
func (s *Service) EndClient(ctx context.Context, clientID string) error {
	now := s.o.Now()
	return s.o.Changes.Append(ctx, changes.Entry{
		Kind: changes.RevokedClient, Key: clientID, Value: now.Unix(), Until: now.Add(s.o.GrantLife + s.o.TokenLife),
	})
}

// BeforeVersion announces a raised counter of a user: live access tokens below it are refused, and every replica reads the user anew.
// It is the hook of users.Options.
func (s *Service) BeforeVersion(ctx context.Context, userID string, ver int64) error {
	return s.o.Changes.Append(ctx, s.version(userID, ver))
}

func (s *Service) version(userID string, ver int64) changes.Entry {
	return changes.Entry{Kind: changes.UserVersion, Key: userID, Value: ver, Until: s.o.Now().Add(s.o.TokenLife + time.Hour)}
}

// BeforeEpoch announces that everything the user holds is over: sessions and grants below the counter too. It is the hook of
// users.Options. The epoch goes first: whoever has heard of the version has heard of the end.
func (s *Service) BeforeEpoch(ctx context.Context, userID string, ver int64) error {
	epoch := changes.Entry{Kind: changes.UserEpoch, Key: userID, Value: ver, Until: s.o.Now().Add(s.o.GrantLife + s.o.TokenLife)}
	return s.o.Changes.Append(ctx, epoch, s.version(userID, ver))
}
