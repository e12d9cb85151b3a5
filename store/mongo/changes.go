package mongo

import (
	"context"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"example.com/broker/internal/changes"
)

type stream struct{ *db }

var _ changes.Stream = (*stream)(nil)

// How far behind the newest position a follower reads again, in milliseconds: a write gets its position when the primary runs it
// and is seen when the majority has it, and the clocks of two shards, or of two primaries, differ.
const (
	nearOverlap = 5_000
	farOverlap  = 120_000
)

// never stands for "no end", so that the later of two ends is the greater date.
var never = time.Date(9999, time.December, 31, 0, 0, 0, 0, time.UTC)

type entryRow struct {
	ID    string    `bson:"_id"`
	Value int64     `bson:"value"`
	Until time.Time `bson:"until"`
	At    time.Time `bson:"at"`
}

func (r entryRow) entry() changes.Entry {
	kind, key, _ := strings.Cut(r.ID, ":")
	e := changes.Entry{Kind: changes.Kind(kind), Key: key, Value: r.Value, Until: r.Until, At: r.At.UnixMilli()}
	if !e.Until.Before(never) {
		e.Until = time.Time{}
	}
	return e
}

func (s *stream) Append(ctx context.Context, entries ...changes.Entry) error {
	for _, e := range entries {
		if err := s.next(); err != nil {
			return err
		}
		if err := s.append(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

func (s *stream) append(ctx context.Context, e changes.Entry) error {
	until := e.Until
	if until.IsZero() {
		until = never
	}
	return s.repeatable(ctx, "append to the change stream", func(ctx context.Context) error {
		_, err := s.c(changesC).UpdateOne(ctx, bson.M{"_id": string(e.Kind) + ":" + e.Key}, bson.M{
			"$max":         bson.M{"value": e.Value, "until": until},
			"$currentDate": bson.M{"at": true},
		}, options.UpdateOne().SetUpsert(true))
		return err
	})
}

func (s *stream) Read(ctx context.Context, from int64, now time.Time) ([]changes.Entry, error) {
	find, cancel := s.bounded(ctx)
	defer cancel()
	// One condition and one order, so that the server walks the index and never sorts a long stream in memory.
	cursor, err := s.c(changesC).Find(find, bson.M{"at": bson.M{"$gte": bson.DateTime(from)}}, options.Find().SetSort(bson.D{by("at", 1)}))
	if err != nil {
		return nil, unavailable("read the change stream", err)
	}
	defer func() { _ = cursor.Close(context.WithoutCancel(ctx)) }()
	entries := []changes.Entry{}
	for s.more(ctx, cursor) {
		var row entryRow
		if err := cursor.Decode(&row); err != nil {
			return nil, unavailable("read the change stream", err)
		}
		if now.Before(row.Until) {
			entries = append(entries, row.entry())
		}
	}
	if err := cursor.Err(); err != nil {
		return nil, unavailable("read the change stream", err)
	}
	return entries, nil
}

func (s *stream) Overlap() (near, far int64) { return nearOverlap, farOverlap }
