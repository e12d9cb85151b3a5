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

// tallyRow is removed at until, when the run is forgotten; the window in it ends before.
type tallyRow struct {
	ID    string    `bson:"_id"`
	N     int64     `bson:"n"`
	Ends  time.Time `bson:"ends"`
	Run   int64     `bson:"run"`
	Until time.Time `bson:"until"`
}

func (r tallyRow) tally() ratelimit.Tally {
	return ratelimit.Tally{Count: r.N, Ends: r.Ends.UTC(), Run: r.Run, Forgotten: r.Until.UTC()}
}

// Take tells nothing where the answer was lost; the attempt may be counted.
func (s *limitStore) Take(ctx context.Context, key string, b ratelimit.Bounds, now time.Time) (ratelimit.Tally, bool, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	fresh := tallyRow{ID: key, N: 1, Ends: utcMillis(now.Add(b.Window)), Run: 1, Until: utcMillis(now.Add(max(b.Window, b.Memory)))}
	for range countTries {
		row, err := s.count(ctx, fresh, b, now)
		if driver.IsDuplicateKeyError(err) {
			var have tallyRow
			err = s.c(failuresC).FindOne(ctx, bson.M{"_id": key}).Decode(&have)
			switch {
			case err == nil && b.Full(have.tally(), now):
				return have.tally(), false, nil
			case err == nil && have.Ends.After(now):
				continue // somebody else has just begun it
			case err == nil:
				row, err = s.begin(ctx, fresh, have, now)
			}
		}
		switch {
		case err == nil:
			return row.tally(), true, nil
		case !errors.Is(err, driver.ErrNoDocuments):
			return ratelimit.Tally{}, false, unavailable("count", err)
		}
	}
	return ratelimit.Tally{}, false, unavailable("count", errors.New("its window keeps ending"))
}

// before changes the row that matches filter and returns it as it was, from which the caller knows what it has made of it: the row as it
// is afterwards could hold what others have counted since.
func (s *limitStore) before(ctx context.Context, filter, update bson.M, upsert bool) (row tallyRow, err error) {
	err = s.c(failuresC).FindOneAndUpdate(ctx, filter, update, options.FindOneAndUpdate().SetUpsert(upsert).SetReturnDocument(options.Before)).Decode(&row)
	return row, err
}

// count adds one to a running window that has room, or begins the first one; a duplicate key if there is another row.
func (s *limitStore) count(ctx context.Context, fresh tallyRow, b ratelimit.Bounds, now time.Time) (tallyRow, error) {
	filter := bson.M{"_id": fresh.ID, "ends": later(now), "n": bson.M{"$lt": b.Limit}}
	if b.Run > 0 {
		filter["run"] = bson.M{"$lt": b.Run}
	}
	row, err := s.before(ctx, filter,
		bson.M{"$inc": bson.M{"n": int64(1), "run": int64(1)}, "$set": bson.M{"until": fresh.Until}, "$setOnInsert": bson.M{"ends": fresh.Ends}}, true)
	if errors.Is(err, driver.ErrNoDocuments) {
		return fresh, nil
	}
	row.N, row.Run, row.Until = row.N+1, row.Run+1, fresh.Until
	return row, err
}

// begin makes a new window in the place of the one that was read and has ended, and goes on with its run unless that is forgotten.
// driver.ErrNoDocuments if the window is no longer that one.
func (s *limitStore) begin(ctx context.Context, fresh, have tallyRow, now time.Time) (tallyRow, error) {
	update := bson.M{"$set": bson.M{"n": fresh.N, "ends": fresh.Ends, "run": fresh.Run, "until": fresh.Until}}
	remembered := have.Until.After(now)
	if remembered {
		update = bson.M{"$set": bson.M{"n": fresh.N, "ends": fresh.Ends, "until": fresh.Until}, "$inc": bson.M{"run": int64(1)}}
	}
	was, err := s.before(ctx, bson.M{"_id": have.ID, "ends": have.Ends}, update, false)
	if remembered {
		fresh.Run = was.Run + 1
	}
	return fresh, err
}

// utcMillis is a time as it is read back.
func utcMillis(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// Return is not repeated where its answer was lost: twice back would loosen the limit.
func (s *limitStore) Return(ctx context.Context, key string, ends time.Time) error {
	return s.firstOf(ctx, "give a count back", []updateOf{
		{bson.M{"_id": key, "ends": ends, "n": positive(), "run": positive()}, bson.M{"$inc": bson.M{"n": int64(-1), "run": int64(-1)}}},
		{bson.M{"_id": key, "ends": ends, "n": positive()}, bson.M{"$inc": bson.M{"n": int64(-1)}}},
		{bson.M{"_id": key, "run": positive()}, bson.M{"$inc": bson.M{"run": int64(-1)}}},
	})
}

// Reset leaves the row no longer than its window needs it. It is not repeated either.
func (s *limitStore) Reset(ctx context.Context, key string, ends time.Time) error {
	return s.firstOf(ctx, "end a run", []updateOf{
		{bson.M{"_id": key, "ends": ends, "n": positive()}, bson.M{"$inc": bson.M{"n": int64(-1)}, "$set": bson.M{"run": int64(0), "until": ends}}},
		{bson.M{"_id": key}, bson.M{"$set": bson.M{"run": int64(0)}}},
	})
}

func (s *limitStore) Forget(ctx context.Context, key string) error {
	return s.repeatable(ctx, "forget a count", func(ctx context.Context) error {
		_, err := s.c(failuresC).DeleteOne(ctx, bson.M{"_id": key})
		return err
	})
}

func positive() bson.M { return bson.M{"$gt": 0} }

// updateOf is an update and what it is for.
type updateOf struct{ filter, update bson.M }

// firstOf makes the first update that finds its document; where none does, there is nothing to be done.
func (s *limitStore) firstOf(ctx context.Context, doing string, updates []updateOf) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	for _, u := range updates {
		result, err := s.c(failuresC).UpdateOne(ctx, u.filter, u.update)
		if err != nil {
			return unavailable(doing, err)
		}
		if result.MatchedCount > 0 {
			return nil
		}
	}
	return nil
}
