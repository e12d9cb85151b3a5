package mongo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"example.com/broker/internal/fault"
	"example.com/broker/internal/secret"
)

// duplicateKey is the server's code for an id that is in use.
const duplicateKey = 11000

// retryAfter is how long a caller is asked to wait when the store did not answer.
const retryAfter = time.Second

// c names a collection of the database.
func (d *db) c(name string) *driver.Collection { return d.data.Collection(name) }

// bounded gives a call its time.
func (d *db) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d.timeout)
}

// next is called ahead of each write of a sequence: a test that stops there leaves what a crash would leave.
func (d *db) next() error {
	if d.step == nil {
		return nil
	}
	return d.step()
}

// unavailable is the answer wherever the store gave none, or none that tells what happened. It never stands for a "no".
func unavailable(doing string, cause error) error {
	return &fault.Error{
		Kind: fault.Unavailable, Code: "store_unavailable", Message: "The store did not answer; try again in a moment.",
		RetryAfter: retryAfter, Cause: fmt.Errorf("%s: %w", doing, cause),
	}
}

// newAct names one write. It is what tells a caller's own document from another's with the same content.
func newAct() string { return secret.New(12).Reveal() }

// get reads a document by its id.
func get[T any](ctx context.Context, d *db, coll, id string) (row T, found bool, err error) {
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	err = d.c(coll).FindOne(ctx, bson.M{"_id": id}).Decode(&row)
	switch {
	case errors.Is(err, driver.ErrNoDocuments):
		return row, false, nil
	case err != nil:
		return row, false, unavailable("read from "+coll, err)
	}
	return row, true, nil
}

// page reads at most limit documents in one batch; no limit means none.
func page[T any](ctx context.Context, d *db, coll string, filter bson.M, order bson.D, limit int) ([]T, error) {
	rows := []T{}
	if limit <= 0 {
		return rows, nil
	}
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	cursor, err := d.c(coll).Find(ctx, filter, options.Find().SetSort(order).SetLimit(int64(limit)))
	if err != nil {
		return nil, unavailable("list "+coll, err)
	}
	if err := cursor.All(ctx, &rows); err != nil {
		return nil, unavailable("list "+coll, err)
	}
	return rows, nil
}

// more moves a cursor on. Each batch it fetches has a call's time, so that a long list may take longer.
func (d *db) more(ctx context.Context, cursor *driver.Cursor) bool {
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	return cursor.Next(ctx)
}

// insert adds a document that carries act and reports false if its id is in use.
func (d *db) insert(ctx context.Context, coll, id, act string, row any) (added bool, err error) {
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	_, err = d.c(coll).InsertOne(ctx, row)
	switch {
	case err == nil:
		return true, nil
	case driver.IsDuplicateKeyError(err):
		return false, nil
	}
	return true, d.recognise(ctx, coll, id, act, err)
}

// swap replaces the document that matches filter by one that carries act, and reports false if none matched.
func (d *db) swap(ctx context.Context, coll, id, act string, filter bson.M, row any) (swapped bool, err error) {
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	result, err := d.c(coll).ReplaceOne(ctx, filter, row)
	if err == nil {
		return result.MatchedCount == 1, nil
	}
	return true, d.recognise(ctx, coll, id, act, err)
}

// recognise decides a write whose answer was lost: nil if the document carries the write's own name, else lost as
// fault.Unavailable. The read costs no extra time: it has what is left of the call's.
func (d *db) recognise(ctx context.Context, coll, id, act string, lost error) error {
	var row struct {
		Act string `bson:"act"`
	}
	err := d.c(coll).FindOne(ctx, bson.M{"_id": id}, options.FindOne().SetProjection(bson.M{"act": 1})).Decode(&row)
	if err == nil && row.Act == act {
		return nil
	}
	return unavailable("write to "+coll, lost)
}

// change updates the document that matches filter and returns it as it is afterwards; matched is false if there is none.
func change[T any](ctx context.Context, d *db, coll string, filter, update bson.M) (row T, matched bool, err error) {
	err = d.c(coll).FindOneAndUpdate(ctx, filter, update, options.FindOneAndUpdate().SetReturnDocument(options.After)).Decode(&row)
	if errors.Is(err, driver.ErrNoDocuments) {
		return row, false, nil
	}
	return row, err == nil, err
}

// repeatable runs a write that may happen twice without harm: once more if its answer was lost, or if it raced with the insert of
// the same document.
func (d *db) repeatable(ctx context.Context, doing string, write func(context.Context) error) error {
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	err := write(ctx)
	if err != nil && ctx.Err() == nil {
		err = write(ctx)
	}
	if err != nil {
		return unavailable(doing, err)
	}
	return nil
}

// absent matches a field that was never set: zero values are not stored.
func absent() bson.M { return bson.M{"$exists": false} }

// later matches a time after t.
func later(t time.Time) bson.M { return bson.M{"$gt": t} }

// text matches a string that is not stored where it is empty.
func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// stepAfter is the end of the step in which t lies. An index over it is seldom rewritten where t moves on often.
func stepAfter(t time.Time, step time.Duration) time.Time { return t.Truncate(step).Add(step) }

func by(key string, direction int) bson.E { return bson.E{Key: key, Value: direction} }
