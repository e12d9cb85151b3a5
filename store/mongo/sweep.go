package mongo

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

const (
	sweepBatch   = 500
	sweepBatches = 20 // of each collection in one call, so that a call ends
)

// sweep does the work of the TTL monitor, for servers that have none, by the same indexes.
func (d *db) sweep(ctx context.Context, now time.Time) error {
	for _, i := range indexes() {
		if !i.expires {
			continue
		}
		for range sweepBatches {
			n, err := d.sweepSome(ctx, i.coll, i.keys[0].Key, now, sweepBatch)
			if err != nil {
				return err
			}
			if n < sweepBatch {
				break
			}
		}
	}
	return nil
}

// sweepSome removes documents whose time in a field that has an index is before a bound, earliest first, at most limit, and returns how many it
// found; the bound holds at the removal too, since their end may have moved meanwhile.
func (d *db) sweepSome(ctx context.Context, coll, field string, bound time.Time, limit int) (int, error) {
	if limit <= 0 {
		return 0, nil // to the server, no limit
	}
	expired := bson.M{field: bson.M{"$lt": bound}}
	type onlyID struct {
		ID string `bson:"_id"`
	}
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	cursor, err := d.c(coll).Find(ctx, expired, options.Find().SetSort(bson.D{by(field, 1)}).SetLimit(int64(limit)).SetProjection(bson.M{"_id": 1}))
	if err != nil {
		return 0, unavailable("sweep "+coll, err)
	}
	var found []onlyID
	if err := cursor.All(ctx, &found); err != nil {
		return 0, unavailable("sweep "+coll, err)
	}
	if len(found) == 0 {
		return 0, nil
	}
	ids := make([]string, len(found))
	for i, row := range found {
		ids[i] = row.ID
	}
	filter := bson.M{"_id": bson.M{"$in": ids}, field: expired[field]}
	if _, err := d.c(coll).DeleteMany(ctx, filter); err != nil {
		return 0, unavailable("sweep "+coll, err)
	}
	return len(found), nil
}
