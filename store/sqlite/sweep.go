package sqlite

import (
	"context"
	"time"
)

// sweepBatch bounds the rows one operation removes, so that a sweep after a long pause does not hold up the writer.
const sweepBatch = 500

// sweeps remove at most ?2 rows that are past at ?1, found by index.
var sweeps = [...]string{
	`DELETE FROM sessions WHERE rowid IN (SELECT rowid FROM sessions WHERE bucket <= ?1 LIMIT ?2)`,
	`DELETE FROM grants WHERE rowid IN (SELECT rowid FROM grants WHERE bucket <= ?1 LIMIT ?2)`,
	`DELETE FROM allowed_tokens WHERE jti IN (SELECT jti FROM allowed_tokens WHERE until <= ?1 LIMIT ?2)`,
	`DELETE FROM api_keys WHERE rowid IN (SELECT rowid FROM api_keys WHERE gone <= ?1 LIMIT ?2)`,
	`DELETE FROM once_records WHERE (kind, id) IN (SELECT kind, id FROM once_records WHERE until <= ?1 LIMIT ?2)`,
	`DELETE FROM once_marks WHERE (kind, id) IN (SELECT kind, id FROM once_marks WHERE until <= ?1 LIMIT ?2)`,
	`DELETE FROM changes WHERE (kind, key) IN (SELECT kind, key FROM changes WHERE until > 0 AND until <= ?1 LIMIT ?2)`,
	`DELETE FROM counters WHERE key IN (SELECT key FROM counters WHERE until <= ?1 AND ends <= ?1 LIMIT ?2)`,
}

func (d *database) sweep(ctx context.Context, now time.Time) error {
	for _, query := range sweeps {
		for n := int64(sweepBatch); n == sweepBatch; {
			err := d.write.do(ctx, func(t *tx) (err error) {
				n, err = t.exec(query, millis(now), sweepBatch)
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}
