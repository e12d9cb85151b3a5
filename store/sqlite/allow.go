package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"example.com/broker/tokens"
)

type allowStore struct{ *database }

var _ tokens.AllowStore = (*allowStore)(nil)

func (s *allowStore) AllowToken(ctx context.Context, jti string, until time.Time) error {
	return s.write.do(ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO allowed_tokens (jti, until) VALUES (?, ?) ON CONFLICT DO UPDATE SET until = max(until, excluded.until)`,
			jti, millis(until))
		return err
	})
}

func (s *allowStore) TokenAllowed(ctx context.Context, jti string, now time.Time) (bool, error) {
	var one int
	err := s.read.one(ctx, `SELECT 1 FROM allowed_tokens WHERE jti = ? AND until > ?`, []any{jti, millis(now)}, &one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, classify(err)
}

func (s *allowStore) ForgetToken(ctx context.Context, jti string) error {
	return s.write.do(ctx, func(t *tx) error {
		_, err := t.exec(`DELETE FROM allowed_tokens WHERE jti = ?`, jti)
		return err
	})
}
