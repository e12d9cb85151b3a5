package mongo

import (
	"context"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"example.com/broker/internal/fault"
	"example.com/broker/internal/onetime"
)

type box struct{ *db }

var _ onetime.Box = (*box)(nil)

// onceRow is a record or, without a value, a mark.
type onceRow struct {
	ID    string    `bson:"_id"`
	Value []byte    `bson:"value,omitempty"`
	Until time.Time `bson:"until"`
	Act   string    `bson:"act"`
}

func (b *box) Put(ctx context.Context, kind, id string, value []byte, until time.Time) error {
	added, err := b.add(ctx, recordID(kind, id), value, until)
	if err == nil && !added {
		err = fault.New(fault.Conflict, "record_exists", "There is a %s record of this id already.", kind)
	}
	return err
}

func (b *box) Mark(ctx context.Context, kind, id string, until time.Time) error {
	added, err := b.add(ctx, markID(kind, id), nil, until)
	if err == nil && !added {
		err = fault.New(fault.Conflict, "mark_exists", "This %s was used already.", kind)
	}
	return err
}

func (b *box) add(ctx context.Context, id string, value []byte, until time.Time) (added bool, err error) {
	row := onceRow{ID: id, Value: value, Until: until, Act: newAct()}
	return b.insert(ctx, onceC, id, row.Act, row)
}

// Take gives up where the answer was lost: the record may be gone, and nobody must get it twice.
func (b *box) Take(ctx context.Context, kind, id string, now time.Time) ([]byte, error) {
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	var row onceRow
	err := b.c(onceC).FindOneAndDelete(ctx, bson.M{"_id": recordID(kind, id), "until": later(now)}).Decode(&row)
	switch {
	case errors.Is(err, driver.ErrNoDocuments):
		return nil, fault.New(fault.NotFound, "record_unknown", "There is no such %s record; it was taken, or it has expired.", kind)
	case err != nil:
		return nil, unavailable("take a record", err)
	}
	return row.Value, nil
}

func recordID(kind, id string) string { return "r:" + kind + ":" + id }

func markID(kind, id string) string { return "m:" + kind + ":" + id }
