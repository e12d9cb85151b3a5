package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"example.com/broker/internal/fault"
	"example.com/broker/sessions"
)

type sessionStore struct{ *database }

var _ sessions.Store = (*sessionStore)(nil)

// sessionStep is the width of a session's expiry bucket: the usual sliding hour rewrites the index once.
const sessionStep = time.Hour

const sessionColumns = `id, user_id, secret_hash, created_at, idle_until, until, doc`

func (s *sessionStore) InsertSession(ctx context.Context, v sessions.Session) error {
	doc, err := encodeSession(v)
	if err != nil {
		return err
	}
	return s.write.do(ctx, func(t *tx) error {
		n, err := t.exec(`INSERT INTO sessions (`+sessionColumns+`, bucket) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			v.ID, v.UserID, v.SecretHash, millis(v.CreatedAt), millis(v.IdleUntil), millis(v.Until), doc, sessionBucket(v))
		if err == nil && n == 0 {
			err = fault.New(fault.Conflict, "session_exists", "There is a session of this id already.")
		}
		return err
	})
}

func (s *sessionStore) GetSession(ctx context.Context, id string) (sessions.Session, error) {
	stmt, err := s.read.prepare(ctx, `SELECT `+sessionColumns+` FROM sessions WHERE id = ?`)
	if err != nil {
		return sessions.Session{}, classify(err)
	}
	v, err := scanSession(stmt.QueryRowContext(ctx, id))
	if errors.Is(err, sql.ErrNoRows) {
		return sessions.Session{}, unknownSession()
	}
	return v, classify(err)
}

func (s *sessionStore) TouchSession(ctx context.Context, id string, idleUntil, now time.Time) error {
	return s.write.do(ctx, func(t *tx) error {
		var idle, until, stored int64
		err := t.one(`UPDATE sessions SET idle_until = max(idle_until, ?1) WHERE id = ?2 AND idle_until > ?3 AND until > ?3
			RETURNING idle_until, until, bucket`, []any{millis(idleUntil), id, millis(now)}, &idle, &until, &stored)
		if errors.Is(err, sql.ErrNoRows) {
			return unknownSession()
		}
		if err != nil {
			return err
		}
		if b := bucket(min(idle, until), sessionStep); b != stored {
			_, err = t.exec(`UPDATE sessions SET bucket = ? WHERE id = ?`, b, id)
		}
		return err
	})
}

func (s *sessionStore) ReplaceSession(ctx context.Context, v sessions.Session, oldHash string) error {
	doc, err := encodeSession(v)
	if err != nil {
		return err
	}
	return s.write.do(ctx, func(t *tx) error {
		n, err := t.exec(`UPDATE sessions SET user_id = ?, secret_hash = ?, created_at = ?, idle_until = ?, until = ?, doc = ?, bucket = ?
			WHERE id = ? AND secret_hash = ?`, v.UserID, v.SecretHash, millis(v.CreatedAt), millis(v.IdleUntil), millis(v.Until), doc,
			sessionBucket(v), v.ID, oldHash)
		if err == nil && n == 0 {
			err = fault.New(fault.Conflict, "session_changed", "The session was changed or ended meanwhile.")
		}
		return err
	})
}

func (s *sessionStore) DeleteSession(ctx context.Context, id string) error {
	return s.write.do(ctx, func(t *tx) error {
		_, err := t.exec(`DELETE FROM sessions WHERE id = ?`, id)
		return err
	})
}

func (s *sessionStore) SessionsOf(ctx context.Context, userID string, limit int) ([]sessions.Session, error) {
	return list(ctx, s.read, scanSession,
		`SELECT `+sessionColumns+` FROM sessions WHERE user_id = ? ORDER BY created_at DESC, id DESC LIMIT ?`, userID, max(limit, 0))
}

func unknownSession() error {
	return fault.New(fault.NotFound, "session_unknown", "There is no such session, or it has ended.")
}

func sessionBucket(v sessions.Session) int64 {
	return bucket(min(millis(v.IdleUntil), millis(v.Until)), sessionStep)
}

// sessionDoc is the part of a session that has no column.
type sessionDoc struct {
	ID         string    `json:"-"`
	SecretHash string    `json:"-"`
	UserID     string    `json:"-"`
	Ver        int64     `json:"ver"`
	AuthTime   time.Time `json:"auth_time,omitzero"`
	AMR        []string  `json:"amr,omitempty"`
	Provider   string    `json:"provider,omitempty"`
	Trip       string    `json:"trip,omitempty"`
	UserAgent  string    `json:"user_agent,omitempty"`
	Address    string    `json:"address,omitempty"`
	CreatedAt  time.Time `json:"-"`
	IdleUntil  time.Time `json:"-"`
	Until      time.Time `json:"-"`
}

func encodeSession(v sessions.Session) (string, error) {
	d := sessionDoc(v)
	d.AuthTime = whole(v.AuthTime)
	return encode(d)
}

func scanSession(row scanner) (sessions.Session, error) {
	var d sessionDoc
	var created, idle, until int64
	var text []byte
	if err := row.Scan(&d.ID, &d.UserID, &d.SecretHash, &created, &idle, &until, &text); err != nil {
		return sessions.Session{}, err
	}
	err := decode(text, &d)
	d.CreatedAt, d.IdleUntil, d.Until = instant(created), instant(idle), instant(until)
	return sessions.Session(d), err
}
