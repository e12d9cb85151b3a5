package sessions

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"example.com/broker/internal/fault"
	"example.com/broker/internal/secret"
)

// Fence is what the followed change stream knows about sessions: it ends them before their row is gone.
type Fence interface {
	// SessionRevoked reports whether the session was ended.
	SessionRevoked(sid string) bool
	// UserEpoch is the counter below which the user's sessions are over.
	UserEpoch(userID string) int64
	// Fresh returns fault.Unavailable if the stream has not been read for too long.
	Fresh() error
}

// Options of a Manager. Store, Fence and Now are required.
type Options struct {
	Store Store
	Fence Fence
	Now   func() time.Time
	// Idle is how long a session lasts without use (1 hour by default), Absolute however it is used (12 hours).
	Idle, Absolute time.Duration
}

// Manager opens, loads and replaces sessions. It is safe for concurrent use.
type Manager struct{ o Options }

// NewManager fills in the defaults.
func NewManager(o Options) *Manager {
	if o.Idle == 0 {
		o.Idle = time.Hour
	}
	if o.Absolute == 0 {
		o.Absolute = 12 * time.Hour
	}
	return &Manager{o}
}

// Idle is the sliding lifetime, which is also the cookie's.
func (m *Manager) Idle() time.Duration { return m.o.Idle }

// Slid reports whether the call of Load that returned s moved its end just now. The answer is right for a second; later it is false.
func (m *Manager) Slid(s Session) bool {
	return earlier(m.now().Add(m.o.Idle), s.Until).Sub(s.IdleUntil) < time.Second
}

// CookieLife is how long the browser should keep the cookie of s from now on.
func (m *Manager) CookieLife(s Session) time.Duration { return s.IdleUntil.Sub(m.now()) }

// Opening is what a sign-in knows.
type Opening struct {
	UserID             string
	Ver                int64
	AMR                []string
	Provider           string
	Trip               string
	UserAgent, Address string
}

// Open starts a session: one row. The returned cookie value is given out only here; the store has its hash.
func (m *Manager) Open(ctx context.Context, o Opening) (Session, secret.Value, error) {
	now := m.now()
	id, err := uuid.NewV7()
	if err != nil {
		return Session{}, "", fmt.Errorf("make a session id: %w", err)
	}
	s := Session{ID: id.String(), CreatedAt: now, Until: now.Add(m.o.Absolute)}
	cookie := m.prove(&s, o, now)
	if err := m.o.Store.InsertSession(ctx, s); err != nil {
		return Session{}, "", err
	}
	return s, cookie, nil
}

// Renew records that the person proved again who they are: same session, new secret, new absolute end. The old cookie value is dead
// from here on. A session that changed or ended meanwhile, or is somebody else's, gives fault.Conflict "session_changed": the caller opens
// a new one.
func (m *Manager) Renew(ctx context.Context, s Session, o Opening) (Session, secret.Value, error) {
	if s.UserID != o.UserID {
		// What was opened as one person must not go on as another: its id stands in the first one's tokens.
		return Session{}, "", fault.New(fault.Conflict, "session_changed", "The session belongs to another account.")
	}
	now := m.now()
	old := s.SecretHash
	s.Until = now.Add(m.o.Absolute)
	cookie := m.prove(&s, o, now)
	if err := m.o.Store.ReplaceSession(ctx, s, old); err != nil {
		return Session{}, "", err
	}
	return s, cookie, nil
}

func (m *Manager) prove(s *Session, o Opening, now time.Time) secret.Value {
	key := secret.New(32)
	s.SecretHash = secret.Hash(key)
	s.UserID, s.Ver, s.AMR, s.Provider, s.Trip = o.UserID, o.Ver, o.AMR, o.Provider, o.Trip
	s.UserAgent, s.Address = cut(o.UserAgent, 256), o.Address
	s.AuthTime = now
	s.IdleUntil = earlier(now.Add(m.o.Idle), s.Until)
	return secret.Value(s.ID + "." + key.Reveal())
}

// Load returns the live session a cookie value names, and slides its end. Whatever is wrong with it, the answer is
// fault.Unauthenticated "session_required"; fault.Unavailable if the store or the change stream cannot be asked.
func (m *Manager) Load(ctx context.Context, cookie secret.Value) (Session, error) {
	id, key, ok := strings.Cut(cookie.Reveal(), ".")
	if !ok || len(id) != 36 || len(key) != 43 {
		return Session{}, required()
	}
	if err := m.o.Fence.Fresh(); err != nil {
		return Session{}, err
	}
	s, err := m.o.Store.GetSession(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return Session{}, required()
	}
	if err != nil {
		return Session{}, err
	}
	now := m.now()
	if !secret.Equal(s.SecretHash, secret.Value(key)) || m.o.Fence.SessionRevoked(id) || s.Ver < m.o.Fence.UserEpoch(s.UserID) {
		return Session{}, required()
	}
	if !s.Live(now) {
		// Buried, so that a clock that is set back does not revive it.
		if err := m.o.Store.DeleteSession(ctx, id); err != nil {
			return Session{}, err
		}
		return Session{}, required()
	}
	// The end is written at most once in a twentieth of the lifetime, so that reading pages costs no writes.
	next := earlier(now.Add(m.o.Idle), s.Until)
	if next.Sub(s.IdleUntil) > m.o.Idle/20 {
		err := m.o.Store.TouchSession(ctx, id, next, now)
		if fault.Is(err, fault.NotFound) {
			return Session{}, required() // it ended since it was read
		}
		if err != nil {
			return Session{}, err
		}
		s.IdleUntil = next
	}
	return s, nil
}

// Of returns a user's live sessions, newest first, those among the newest 200.
func (m *Manager) Of(ctx context.Context, userID string) ([]Session, error) {
	all, err := m.o.Store.SessionsOf(ctx, userID, maxListed)
	if err != nil {
		return nil, err
	}
	return m.live(userID, all), nil
}

// All returns every live session of a user, newest first, however many there are and however many dead rows lie between them: for whoever
// ends them.
func (m *Manager) All(ctx context.Context, userID string) ([]Session, error) {
	// The store gives the newest only, so it is asked for twice as many until it has no more.
	for limit := maxListed; ; limit *= 2 {
		all, err := m.o.Store.SessionsOf(ctx, userID, limit)
		if err != nil {
			return nil, err
		}
		if len(all) < limit {
			return m.live(userID, all), nil
		}
	}
}

// Find returns a live session of a user: fault.NotFound "session_unknown" for any other, and for one that is over.
func (m *Manager) Find(ctx context.Context, userID, id string) (Session, error) {
	s, err := m.o.Store.GetSession(ctx, id)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return Session{}, err
	}
	if err != nil || s.UserID != userID || len(m.live(userID, []Session{s})) == 0 {
		return Session{}, fault.New(fault.NotFound, "session_unknown", "You have no such session.")
	}
	return s, nil
}

// live keeps those of a user's sessions that are not over.
func (m *Manager) live(userID string, all []Session) []Session {
	now, epoch := m.now(), m.o.Fence.UserEpoch(userID)
	return slices.DeleteFunc(all, func(s Session) bool { return !s.Live(now) || s.Ver < epoch || m.o.Fence.SessionRevoked(s.ID) })
}

// Delete removes the row of an ended session. lifecycle calls it after the entry in the change stream.
func (m *Manager) Delete(ctx context.Context, id string) error {
	return m.o.Store.DeleteSession(ctx, id)
}

// maxListed bounds the sessions that Of reads for one user.
const maxListed = 200

func (m *Manager) now() time.Time { return m.o.Now().UTC().Truncate(time.Millisecond) }

func required() error {
	return fault.New(fault.Unauthenticated, "session_required", "You are not signed in, or your session has ended. Sign in again.")
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// cut keeps at most n bytes, whole characters only.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}
