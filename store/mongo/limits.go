package mongo

import (
	"context"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"example.com/broker/internal/ratelimit"
)

type limitStore struct{ *db }

var _ ratelimit.Store = (*limitStore)(nil)

// countTries bounds the dance around the end of a window: whoever loses a race to begin a new one counts in it at the next try.
const countTries = 8

type counterRow struct {
	ID    string    `bson:"_id"`
	N     int64     `bson:"n"`
	Until time.Time `bson:"until"`
}

// Increment tells nothing where the answer was lost; the attempt may be counted.
func (s *limitStore) Increment(ctx context.Context, key string, window time.Duration, now time.Time) (int64, time.Time, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	ends := now.Add(window)
	for range countTries {
		before, err := s.count(ctx, key, ends, now)
		switch {
		case err == nil:
			return before.N + 1, before.Until, nil
		case errors.Is(err, driver.ErrNoDocuments):
			return 1, utcMillis(ends), nil
		case !driver.IsDuplicateKeyError(err):
			return 0, time.Time{}, unavailable("count", err)
		}
		// The window has ended, or somebody else has just begun the first one.
		restarted, err := s.restart(ctx, key, ends, now)
		switch {
		case err != nil:
			return 0, time.Time{}, unavailable("begin to count again", err)
		case restarted:
			return 1, utcMillis(ends), nil
		}
	}
	return 0, time.Time{}, unavailable("count", errors.New("its window keeps ending"))
}

// count adds one to a running window and returns the counter as it was before, or begins the first window and returns
// driver.ErrNoDocuments; a duplicate key if the window has ended.
func (s *limitStore) count(ctx context.Context, key string, ends, now time.Time) (before counterRow, err error) {
	err = s.c(limitsC).FindOneAndUpdate(ctx, bson.M{"_id": key, "until": later(now)},
		bson.M{"$inc": bson.M{"n": int64(1)}, "$setOnInsert": bson.M{"until": ends}},
		options.FindOneAndUpdate().SetUpsert(true).SetReturnDocument(options.Before)).Decode(&before)
	return before, err
}

// restart begins a new window in the place of one that has ended, and reports false if there is none such.
func (s *limitStore) restart(ctx context.Context, key string, ends, now time.Time) (bool, error) {
	result, err := s.c(limitsC).UpdateOne(ctx, bson.M{"_id": key, "until": bson.M{"$lte": now}},
		bson.M{"$set": bson.M{"n": int64(1), "until": ends}})
	return err == nil && result.MatchedCount == 1, err
}

// utcMillis is a time as it is read back.
func utcMillis(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// Decrement is not repeated where its answer was lost: twice back would loosen the limit.
func (s *limitStore) Decrement(ctx context.Context, key string, now time.Time) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	_, err := s.c(limitsC).UpdateOne(ctx, bson.M{"_id": key, "until": later(now), "n": bson.M{"$gt": 0}},
		bson.M{"$inc": bson.M{"n": int64(-1)}})
	if err != nil {
		return unavailable("give a count back", err)
	}
	return nil
}
