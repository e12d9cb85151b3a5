package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"example.com/broker/internal/fault"
	"example.com/broker/internal/onetime"
)

type onceBox struct{ *database }

var _ onetime.Box = (*onceBox)(nil)

func (s *onceBox) Put(ctx context.Context, kind, id string, value []byte, until time.Time) error {
	if value == nil {
		value = []byte{} // nil would be NULL
	}
	return s.write.do(ctx, func(t *tx) error {
		n, err := t.exec(`INSERT INTO once_records (kind, id, value, until) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			kind, id, value, millis(until))
		if err == nil && n == 0 {
			err = fault.New(fault.Conflict, "record_exists", "There is a %s record of this id already.", kind)
		}
		return err
	})
}

func (s *onceBox) Take(ctx context.Context, kind, id string, now time.Time) ([]byte, error) {
	var value []byte
	err := s.write.do(ctx, func(t *tx) error {
		err := t.one(`DELETE FROM once_records WHERE kind = ? AND id = ? AND until > ? RETURNING value`, []any{kind, id, millis(now)}, &value)
		if errors.Is(err, sql.ErrNoRows) {
			return fault.New(fault.NotFound, "record_unknown", "There is no such %s record; it was taken, or it has expired.", kind)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return value, nil
}

func (s *onceBox) Mark(ctx context.Context, kind, id string, until time.Time) error {
	return s.write.do(ctx, func(t *tx) error {
		n, err := t.exec(`INSERT INTO once_marks (kind, id, until) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, kind, id, millis(until))
		if err == nil && n == 0 {
			err = fault.New(fault.Conflict, "mark_exists", "This %s was used already.", kind)
		}
		return err
	})
}
