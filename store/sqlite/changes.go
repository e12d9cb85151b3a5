package sqlite

import (
	"context"
	"time"

	"example.com/broker/internal/changes"
)

type changeStream struct{ *database }

var _ changes.Stream = (*changeStream)(nil)

// Append gives each entry the next position. Positions are given and committed in one order, by the one writer.
func (s *changeStream) Append(ctx context.Context, entries ...changes.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	return s.write.do(ctx, func(t *tx) error {
		for _, e := range entries {
			if err := appendEntry(t, e); err != nil {
				return err
			}
		}
		return nil
	})
}

func appendEntry(t *tx, e changes.Entry) error {
	var at int64
	if err := t.one(`UPDATE change_position SET at = at + 1 RETURNING at`, nil, &at); err != nil {
		return err
	}
	_, err := t.exec(`INSERT INTO changes (kind, key, value, until, at) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET at = excluded.at, value = max(value, excluded.value),
			until = CASE WHEN until = 0 OR excluded.until = 0 THEN 0 ELSE max(until, excluded.until) END`,
		string(e.Kind), e.Key, e.Value, millis(e.Until), at)
	return err
}

func (s *changeStream) Read(ctx context.Context, from int64, now time.Time) ([]changes.Entry, error) {
	return list(ctx, s.read, func(row scanner) (changes.Entry, error) {
		var e changes.Entry
		var until int64
		err := row.Scan(&e.Kind, &e.Key, &e.Value, &until, &e.At)
		e.Until = instant(until)
		return e, err
	}, `SELECT kind, key, value, until, at FROM changes WHERE at >= ? AND (until = 0 OR until > ?) ORDER BY at`, from, millis(now))
}

// Overlap is zero: what is committed later has a higher position.
func (s *changeStream) Overlap() (near, far int64) { return 0, 0 }
