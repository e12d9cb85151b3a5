package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"example.com/broker/internal/ratelimit"
)

type limitStore struct{ *database }

var _ ratelimit.Store = (*limitStore)(nil)

func (s *limitStore) Take(ctx context.Context, key string, b ratelimit.Bounds, now time.Time) (t ratelimit.Tally, taken bool, err error) {
	var ends, until int64
	err = s.write.do(ctx, func(x *tx) error {
		err := x.one(`INSERT INTO counters (key, count, ends, run, until) VALUES (?1, 1, ?2, 1, ?3)
			ON CONFLICT DO UPDATE SET count = iif(ends > ?4, count + 1, 1), ends = iif(ends > ?4, ends, excluded.ends),
				run = iif(until > ?4, run + 1, 1), until = excluded.until
			WHERE NOT (ends > ?4 AND count >= ?5 OR until > ?4 AND run >= ?6 AND ?6 > 0)
			RETURNING count, ends, run, until`,
			[]any{key, millis(now.Add(b.Window)), millis(now.Add(max(b.Window, b.Memory))), millis(now), b.Limit, b.Run}, &t.Count, &ends, &t.Run, &until)
		if taken = err == nil; errors.Is(err, sql.ErrNoRows) {
			err = x.one(`SELECT count, ends, run, until FROM counters WHERE key = ?`, []any{key}, &t.Count, &ends, &t.Run, &until)
		}
		return err
	})
	if err != nil {
		return ratelimit.Tally{}, false, err
	}
	t.Ends, t.Forgotten = instant(ends), instant(until)
	return t, taken, nil
}

func (s *limitStore) Return(ctx context.Context, key string, ends time.Time) error {
	return s.write.do(ctx, func(t *tx) error {
		_, err := t.exec(`UPDATE counters SET count = iif(ends = ?2, max(count - 1, 0), count), run = max(run - 1, 0) WHERE key = ?1`, key, millis(ends))
		return err
	})
}

// Reset leaves the row no longer than its window needs it.
func (s *limitStore) Reset(ctx context.Context, key string, ends time.Time) error {
	return s.write.do(ctx, func(t *tx) error {
		_, err := t.exec(`UPDATE counters SET count = iif(ends = ?2, max(count - 1, 0), count), run = 0, until = ends WHERE key = ?1`, key, millis(ends))
		return err
	})
}

func (s *limitStore) Forget(ctx context.Context, key string) error {
	return s.write.do(ctx, func(t *tx) error {
		_, err := t.exec(`DELETE FROM counters WHERE key = ?`, key)
		return err
	})
}
