package sqlite

import (
	"context"
	"time"

	"example.com/broker/internal/ratelimit"
)

type limitStore struct{ *database }

var _ ratelimit.Store = (*limitStore)(nil)

func (s *limitStore) Increment(ctx context.Context, key string, window time.Duration, now time.Time) (int64, time.Time, error) {
	var count, ends int64
	err := s.write.do(ctx, func(t *tx) error {
		return t.one(`INSERT INTO counters (key, count, ends) VALUES (?1, 1, ?2)
			ON CONFLICT DO UPDATE SET count = iif(ends > ?3, count + 1, 1), ends = iif(ends > ?3, ends, excluded.ends)
			RETURNING count, ends`, []any{key, millis(now.Add(window)), millis(now)}, &count, &ends)
	})
	if err != nil {
		return 0, time.Time{}, err
	}
	return count, instant(ends), nil
}

func (s *limitStore) Decrement(ctx context.Context, key string, now time.Time) error {
	return s.write.do(ctx, func(t *tx) error {
		_, err := t.exec(`UPDATE counters SET count = count - 1 WHERE key = ? AND ends > ? AND count > 0`, key, millis(now))
		return err
	})
}
