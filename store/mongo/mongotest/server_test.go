package mongotest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
)

const duplicateKey = 11000

// TestServerKeepsItsPromises is what the code of store/mongo relies on, asked of whichever server the tests use: the
// stand-in is good for exactly this list.
func TestServerKeepsItsPromises(t *testing.T) {
	database := Client(t).Database(Database(t), options.Database().
		SetReadConcern(readconcern.Majority()).
		SetWriteConcern(writeconcern.Majority()).
		SetReadPreference(readpref.Primary()))
	tests := []struct {
		rule  string
		check func(*testing.T, *mongo.Collection)
	}{
		{"a conditional findOneAndUpdate has one winner", findOneAndUpdateRace},
		{"findOneAndDelete has one winner", findOneAndDeleteRace},
		{"a conditional updateOne has one winner", updateOneRace},
		{"inserts under one _id have one winner, the others a duplicate key", insertRace},
		{"compare-and-swap upserts under one _id have one winner", upsertRace},
		{"no increment is lost, not even the one that creates the document", incrementRace},
		{"$max upserts end at the largest", maxRace},
		{"$currentDate works in an upsert, in updates and in a reply", currentDate},
		{"$setOnInsert acts once", setOnInsert},
		{"findOneAndUpdate replies with the document before or after", beforeAndAfter},
		{"a TTL index is accepted", ttlIndex},
		{"an ordinary index is accepted, and once more", plainIndex},
		{"a bulk write reports what it did", bulkWrite},
		{"an unordered bulk insert names the duplicates", unorderedInsert},
		{"an update changes one element of an array in place", arrayElement},
		{"the last element of an array is protected by a condition", lastElement},
		{"sort and limit page through by _id", sortAndLimit},
		{"a range of dates is found", dateRange},
		{"binary values are _ids and compare byte by byte", binaryID},
		{"a long result comes in several batches", batches},
	}
	for i, test := range tests {
		t.Run(test.rule, func(t *testing.T) { test.check(t, database.Collection(fmt.Sprintf("c%d", i))) })
	}
}

// race runs act n times at once and returns how often it succeeded; a duplicate key or no document is a lost race.
func race(t *testing.T, n int, act func(i int) error) int {
	t.Helper()
	var wg sync.WaitGroup
	results := make([]error, n)
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			results[i] = act(i)
		})
	}
	close(start)
	wg.Wait()
	won := 0
	for _, err := range results {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, mongo.ErrNoDocuments) && !mongo.IsDuplicateKeyError(err):
			t.Errorf("a lost race ended with %v", err)
		}
	}
	return won
}

func oneWinner(t *testing.T, act func(i int) error) {
	t.Helper()
	if won := race(t, 50, act); won != 1 {
		t.Errorf("%d of 50 won, want 1", won)
	}
}

func insert(t *testing.T, c *mongo.Collection, documents ...any) {
	t.Helper()
	if _, err := c.InsertMany(t.Context(), documents); err != nil {
		t.Fatalf("insert: %v", err)
	}
}

func read(t *testing.T, c *mongo.Collection, id any) bson.M {
	t.Helper()
	var got bson.M
	if err := c.FindOne(t.Context(), bson.M{"_id": id}).Decode(&got); err != nil {
		t.Fatalf("read %v: %v", id, err)
	}
	return got
}

func findOneAndUpdateRace(t *testing.T, c *mongo.Collection) {
	insert(t, c, bson.M{"_id": 1, "spent": false})
	oneWinner(t, func(i int) error {
		return c.FindOneAndUpdate(t.Context(), bson.M{"_id": 1, "spent": false}, bson.M{"$set": bson.M{"spent": true, "by": i}}).Err()
	})
}

func findOneAndDeleteRace(t *testing.T, c *mongo.Collection) {
	insert(t, c, bson.M{"_id": 1})
	oneWinner(t, func(int) error { return c.FindOneAndDelete(t.Context(), bson.M{"_id": 1}).Err() })
}

func updateOneRace(t *testing.T, c *mongo.Collection) {
	insert(t, c, bson.M{"_id": 1, "v": 7})
	oneWinner(t, func(int) error {
		return matched(c.UpdateOne(t.Context(), bson.M{"_id": 1, "v": 7}, bson.M{"$inc": bson.M{"v": 1}}))
	})
}

func matched(result *mongo.UpdateResult, err error) error {
	if err == nil && result.MatchedCount == 0 {
		return mongo.ErrNoDocuments
	}
	return err
}

func insertRace(t *testing.T, c *mongo.Collection) {
	oneWinner(t, func(i int) error {
		_, err := c.InsertOne(t.Context(), bson.M{"_id": "same", "by": i})
		return err
	})
	_, err := c.InsertOne(t.Context(), bson.M{"_id": "same"})
	var written mongo.WriteException
	if !errors.As(err, &written) || !written.HasErrorCode(duplicateKey) {
		t.Errorf("a second insert: %v, want code %d", err, duplicateKey)
	}
}

// upsertRace takes over a claim from one owner: where the condition fails, the upsert runs into the _id that is there.
func upsertRace(t *testing.T, c *mongo.Collection) {
	owner := any("nobody")
	for round := range 3 {
		oneWinner(t, func(i int) error {
			_, err := c.UpdateOne(t.Context(), bson.M{"_id": "claim", "owner": owner},
				bson.M{"$set": bson.M{"owner": fmt.Sprintf("number %d of round %d", i, round)}}, options.UpdateOne().SetUpsert(true))
			return err
		})
		owner = read(t, c, "claim")["owner"]
	}
}

func incrementRace(t *testing.T, c *mongo.Collection) {
	const n = 200
	race(t, n, func(int) error {
		for {
			_, err := c.UpdateOne(t.Context(), bson.M{"_id": "counter"}, bson.M{"$inc": bson.M{"n": int64(1)}}, options.UpdateOne().SetUpsert(true))
			if !mongo.IsDuplicateKeyError(err) { // a real server may let two upserts insert: the loser tries again
				return err
			}
		}
	})
	if got := read(t, c, "counter")["n"]; got != int64(n) {
		t.Errorf("after %d increments the counter is %v", n, got)
	}
}

func maxRace(t *testing.T, c *mongo.Collection) {
	race(t, 50, func(i int) error {
		for {
			_, err := c.UpdateOne(t.Context(), bson.M{"_id": "highest"}, bson.M{"$max": bson.M{"n": int64(i)}}, options.UpdateOne().SetUpsert(true))
			if !mongo.IsDuplicateKeyError(err) {
				return err
			}
		}
	})
	if got := read(t, c, "highest")["n"]; got != int64(49) {
		t.Errorf("the largest is %v, want 49", got)
	}
}

func currentDate(t *testing.T, c *mongo.Collection) {
	upsert := bson.M{"$currentDate": bson.M{"at": true}, "$set": bson.M{"value": "x"}}
	began := time.Now()
	if _, err := c.UpdateOne(t.Context(), bson.M{"_id": "upserted"}, upsert, options.UpdateOne().SetUpsert(true)); err != nil {
		t.Fatalf("upsert: %v", err)
	}
	first := at(t, read(t, c, "upserted"))
	if off := first.Sub(began); off < -time.Minute || off > time.Minute {
		t.Errorf("the server's clock says %v, ours %v", first, began)
	}
	time.Sleep(2 * time.Millisecond)
	var reply bson.M
	err := c.FindOneAndUpdate(t.Context(), bson.M{"_id": "upserted"}, upsert, options.FindOneAndUpdate().
		SetUpsert(true).SetReturnDocument(options.After)).Decode(&reply)
	if err != nil {
		t.Fatalf("findOneAndUpdate: %v", err)
	}
	if again := at(t, reply); !again.After(first) {
		t.Errorf("the second time is %v, the first was %v", again, first)
	}
}

func at(t *testing.T, document bson.M) time.Time {
	t.Helper()
	date, ok := document["at"].(bson.DateTime)
	if !ok {
		t.Fatalf("at is a %T, want a date", document["at"])
	}
	return date.Time()
}

func setOnInsert(t *testing.T, c *mongo.Collection) {
	for i := range 2 {
		_, err := c.UpdateOne(t.Context(), bson.M{"_id": 1},
			bson.M{"$setOnInsert": bson.M{"first": i}, "$set": bson.M{"last": i}}, options.UpdateOne().SetUpsert(true))
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := read(t, c, 1); got["first"] != int32(0) || got["last"] != int32(1) {
		t.Errorf("got %v, want first 0 and last 1", got)
	}
}

func beforeAndAfter(t *testing.T, c *mongo.Collection) {
	insert(t, c, bson.M{"_id": 1, "n": int64(1)})
	for _, test := range []struct {
		which options.ReturnDocument
		want  int64
	}{{options.Before, 1}, {options.After, 3}} {
		var got struct{ N int64 }
		err := c.FindOneAndUpdate(t.Context(), bson.M{"_id": 1}, bson.M{"$inc": bson.M{"n": int64(1)}},
			options.FindOneAndUpdate().SetReturnDocument(test.which)).Decode(&got)
		if err != nil || got.N != test.want {
			t.Errorf("got %d, %v; want %d", got.N, err, test.want)
		}
	}
}

func ttlIndex(t *testing.T, c *mongo.Collection) {
	_, err := c.Indexes().CreateOne(t.Context(), mongo.IndexModel{
		Keys: bson.D{{Key: "until", Value: 1}}, Options: options.Index().SetExpireAfterSeconds(0).SetName("expiry"),
	})
	if err != nil {
		t.Fatal(err)
	}
	insert(t, c, bson.M{"_id": 1, "until": time.Now().Add(time.Hour)})
}

func plainIndex(t *testing.T, c *mongo.Collection) {
	for range 2 {
		_, err := c.Indexes().CreateOne(t.Context(), mongo.IndexModel{Keys: bson.D{{Key: "user", Value: 1}, {Key: "_id", Value: 1}}})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func bulkWrite(t *testing.T, c *mongo.Collection) {
	insert(t, c, bson.M{"_id": 1}, bson.M{"_id": 2})
	result, err := c.BulkWrite(t.Context(), []mongo.WriteModel{
		mongo.NewInsertOneModel().SetDocument(bson.M{"_id": 3}),
		mongo.NewUpdateOneModel().SetFilter(bson.M{"_id": 1}).SetUpdate(bson.M{"$set": bson.M{"seen": true}}),
		mongo.NewUpdateOneModel().SetFilter(bson.M{"_id": 4}).SetUpdate(bson.M{"$set": bson.M{"seen": true}}).SetUpsert(true),
		mongo.NewDeleteOneModel().SetFilter(bson.M{"_id": 2}),
	})
	if err != nil {
		t.Fatal(err)
	}
	if result.InsertedCount != 1 || result.MatchedCount != 1 || result.UpsertedCount != 1 || result.DeletedCount != 1 {
		t.Errorf("got %+v, want one of each", result)
	}
}

func unorderedInsert(t *testing.T, c *mongo.Collection) {
	insert(t, c, bson.M{"_id": 2})
	_, err := c.InsertMany(t.Context(), []any{bson.M{"_id": 1}, bson.M{"_id": 2}, bson.M{"_id": 3}}, options.InsertMany().SetOrdered(false))
	var bulk mongo.BulkWriteException
	if !errors.As(err, &bulk) || len(bulk.WriteErrors) != 1 || bulk.WriteErrors[0].Index != 1 || bulk.WriteErrors[0].Code != duplicateKey {
		t.Fatalf("got %v, want one duplicate at index 1", err)
	}
	if n, err := c.CountDocuments(t.Context(), bson.M{}); err != nil || n != 3 {
		t.Errorf("%d documents, %v; want 3", n, err)
	}
}

func arrayElement(t *testing.T, c *mongo.Collection) {
	insert(t, c, bson.M{"_id": 1, "methods": bson.A{bson.M{"id": "a", "n": 1}, bson.M{"id": "b", "n": 1}}})
	_, err := c.UpdateOne(t.Context(), bson.M{"_id": 1}, bson.M{"$set": bson.M{"methods.$[m].n": 2}},
		options.UpdateOne().SetArrayFilters([]any{bson.M{"m.id": "b"}}))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := c.CountDocuments(t.Context(), bson.M{"methods.0.n": 1, "methods.1.n": 2}); err != nil || n != 1 {
		t.Errorf("%d documents have only their second element changed, %v; want 1", n, err)
	}
}

// lastElement removes both of two elements at once, each only while another remains.
func lastElement(t *testing.T, c *mongo.Collection) {
	insert(t, c, bson.M{"_id": 1, "methods": bson.A{bson.M{"id": 0}, bson.M{"id": 1}}})
	won := race(t, 50, func(i int) error {
		return matched(c.UpdateOne(t.Context(), bson.M{"_id": 1, "methods.id": i % 2, "methods.1": bson.M{"$exists": true}},
			bson.M{"$pull": bson.M{"methods": bson.M{"id": i % 2}}}))
	})
	if won != 1 {
		t.Errorf("%d removals passed, want 1", won)
	}
}

func sortAndLimit(t *testing.T, c *mongo.Collection) {
	insert(t, c, bson.M{"_id": "c"}, bson.M{"_id": "a"}, bson.M{"_id": "d"}, bson.M{"_id": "b"})
	var got string
	after := ""
	for {
		var page []struct {
			ID string `bson:"_id"`
		}
		cursor, err := c.Find(t.Context(), bson.M{"_id": bson.M{"$gt": after}}, options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}).SetLimit(3))
		if err == nil {
			err = cursor.All(t.Context(), &page)
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, row := range page {
			got += row.ID
			after = row.ID
		}
		got += " "
	}
	if want := "abc d "; got != want {
		t.Errorf("pages %q, want %q", got, want)
	}
}

func dateRange(t *testing.T, c *mongo.Collection) {
	noon := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	insert(t, c, bson.M{"_id": 1, "at": noon.Add(-time.Millisecond)}, bson.M{"_id": 2, "at": noon}, bson.M{"_id": 3, "at": noon.Add(time.Millisecond)})
	if n, err := c.CountDocuments(t.Context(), bson.M{"at": bson.M{"$gte": noon}}); err != nil || n != 2 {
		t.Errorf("%d from noon on, %v; want 2", n, err)
	}
	result, err := c.DeleteMany(t.Context(), bson.M{"at": bson.M{"$lt": noon}})
	if err != nil || result.DeletedCount != 1 {
		t.Errorf("removed %+v, %v; want 1", result, err)
	}
}

func binaryID(t *testing.T, c *mongo.Collection) {
	insert(t, c, bson.M{"_id": []byte{1, 2}}, bson.M{"_id": []byte{1, 3}})
	if got := read(t, c, []byte{1, 3}); got == nil {
		t.Error("not found by its bytes")
	}
	if _, err := c.InsertOne(t.Context(), bson.M{"_id": []byte{1, 2}}); !mongo.IsDuplicateKeyError(err) {
		t.Errorf("the same bytes again: %v, want a duplicate key", err)
	}
}

func batches(t *testing.T, c *mongo.Collection) {
	documents := make([]any, 500)
	for i := range documents {
		documents[i] = bson.M{"_id": i}
	}
	insert(t, c, documents...)
	cursor, err := c.Find(t.Context(), bson.M{}, options.Find().SetBatchSize(50))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cursor.Close(context.WithoutCancel(t.Context())) }()
	n := 0
	for cursor.Next(t.Context()) {
		n++
	}
	if err := cursor.Err(); err != nil || n != len(documents) {
		t.Errorf("read %d of %d, %v", n, len(documents), err)
	}
}
