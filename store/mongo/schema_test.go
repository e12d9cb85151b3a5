package mongo_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	driveroptions "go.mongodb.org/mongo-driver/v2/mongo/options"

	"example.com/broker/clients"
	"example.com/broker/internal/fault"
	"example.com/broker/store/mongo"
	"example.com/broker/store/mongo/mongotest"
)

func TestOpenByTwoAtOnce(t *testing.T) {
	t.Parallel()
	uri, database := mongotest.URI(t), mongotest.Database(t)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			s, err := mongo.Open(t.Context(), options(uri, database).WithLease(20*time.Millisecond, 50))
			if err != nil {
				t.Errorf("Open: %v", err)
				return
			}
			if err := s.Ping(t.Context()); err != nil {
				t.Errorf("Ping: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
	group.Wait()
	if got := meta(t, database, "schema")["version"]; got != int32(mongo.SchemaVersion) {
		t.Errorf("the schema has version %v, want %d", got, mongo.SchemaVersion)
	}
	if got := meta(t, database, "lease")["owner"]; got != "" {
		t.Errorf("the lease is still held by %v", got)
	}
}

// A broker that died while it held the lease does not keep the others out; one that still beats does.
func TestOpenWhileTheLeaseIsHeld(t *testing.T) {
	t.Parallel()
	uri := mongotest.URI(t)
	hold := func(t *testing.T) *driver.Collection {
		t.Helper()
		coll := mongotest.Client(t).Database(mongotest.Database(t)).Collection(mongo.MetaC)
		if _, err := coll.InsertOne(t.Context(), bson.M{"_id": "lease", "owner": "other", "beat": int64(1)}); err != nil {
			t.Fatal(err)
		}
		return coll
	}
	t.Run("dead holder", func(t *testing.T) {
		t.Parallel()
		coll := hold(t)
		open(t, options(uri, coll.Database().Name()).WithLease(10*time.Millisecond, 5))
	})
	t.Run("live holder", func(t *testing.T) {
		t.Parallel()
		coll := hold(t)
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		var group sync.WaitGroup
		group.Go(func() {
			for ctx.Err() == nil {
				_, _ = coll.UpdateOne(ctx, bson.M{"_id": "lease"}, bson.M{"$inc": bson.M{"beat": int64(1)}})
				time.Sleep(5 * time.Millisecond)
			}
		})
		_, err := mongo.Open(ctx, options(uri, coll.Database().Name()).WithLease(20*time.Millisecond, 5))
		wantFault(t, err, fault.Unavailable, "store_unavailable")
		group.Wait()
	})
}

func TestOpenSchemaVersions(t *testing.T) {
	t.Parallel()
	uri := mongotest.URI(t)
	tests := []struct {
		name            string
		version, oldest int
		refused         bool
	}{
		{name: "the version before this program's successor may run beside it", version: mongo.SchemaVersion + 1, oldest: mongo.SchemaVersion},
		{name: "a newer version is refused", version: mongo.SchemaVersion + 1, oldest: mongo.SchemaVersion + 1, refused: true},
		{name: "a much newer version is refused", version: mongo.SchemaVersion + 9, oldest: mongo.SchemaVersion + 8, refused: true},
		{name: "a newer version that does not say who may use it is refused", version: mongo.SchemaVersion + 1, refused: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			database := mongotest.Database(t)
			before := bson.M{"_id": "schema", "version": test.version, "oldest": test.oldest}
			if _, err := mongotest.Client(t).Database(database).Collection(mongo.MetaC).InsertOne(t.Context(), before); err != nil {
				t.Fatal(err)
			}
			s, err := mongo.Open(t.Context(), options(uri, database))
			if test.refused {
				wantFault(t, err, fault.Conflict, "schema_newer")
				names, err := mongotest.Client(t).Database(database).ListCollectionNames(t.Context(), bson.M{})
				if err != nil || len(names) != 1 {
					t.Errorf("the collections are %v (%v), want the database as it was", names, err)
				}
				return
			}
			if err != nil {
				t.Fatalf("Open: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			if got := meta(t, database, "schema")["version"]; got != int32(test.version) {
				t.Errorf("the schema has version %v now, want %d as before", got, test.version)
			}
		})
	}
}

// A database of the version before gets what is new and keeps what it had, and brokers of that version go on beside this one.
func TestOpenOfTheVersionBefore(t *testing.T) {
	t.Parallel()
	uri, database := mongotest.URI(t), mongotest.Database(t)
	data := mongotest.Client(t).Database(database)
	before := open(t, options(uri, database))
	if err := before.Clients.InsertClient(t.Context(), clients.Client{ID: "app"}); err != nil {
		t.Fatal(err)
	}
	if err := data.Collection("audit").Indexes().DropOne(t.Context(), "at_1"); err != nil {
		t.Fatal(err)
	}
	set := bson.M{"$set": bson.M{"version": 3, "oldest": 2}}
	if _, err := data.Collection(mongo.MetaC).UpdateOne(t.Context(), bson.M{"_id": "schema"}, set); err != nil {
		t.Fatal(err)
	}

	s := open(t, options(uri, database))
	if _, err := s.Clients.GetClient(t.Context(), "app"); err != nil {
		t.Errorf("the client of before: %v", err)
	}
	if got := meta(t, database, "schema"); got["version"] != int32(4) || got["oldest"] != int32(3) {
		t.Errorf("the schema is %v, want version 4, which version 3 can use", got)
	}
	for coll, want := range map[string]int{"audit": 2} {
		specs, err := data.Collection(coll).Indexes().ListSpecifications(t.Context())
		if err != nil || len(specs) != want {
			t.Errorf("%s has %d indexes (%v), want %d", coll, len(specs), err, want)
		}
	}
}

func TestOpenVerifiesIndexes(t *testing.T) {
	t.Parallel()
	uri := mongotest.URI(t)
	tests := []struct {
		name    string
		before  func(ctx context.Context, data *driver.Database) error // ahead of the first Open
		change  func(ctx context.Context, data *driver.Database) error // after it
		refused string
	}{
		{
			name: "a dropped index is created again",
			change: func(ctx context.Context, data *driver.Database) error {
				return data.Collection("sessions").Indexes().DropOne(ctx, "until_1")
			},
		},
		{
			name: "an index of the operator's own does no harm",
			change: func(ctx context.Context, data *driver.Database) error {
				_, err := data.Collection("users").Indexes().CreateOne(ctx, driver.IndexModel{Keys: bson.M{"email": 1}})
				return err
			},
		},
		{
			name: "an index that removes documents is refused",
			change: func(ctx context.Context, data *driver.Database) error {
				_, err := data.Collection("changes").Indexes().CreateOne(ctx,
					driver.IndexModel{Keys: bson.M{"value": 1}, Options: driveroptions.Index().SetExpireAfterSeconds(60)})
				return err
			},
			refused: "value_1",
		},
		{
			name: "another unique index is refused",
			change: func(ctx context.Context, data *driver.Database) error {
				_, err := data.Collection("grants").Indexes().CreateOne(ctx,
					driver.IndexModel{Keys: bson.M{"user_id": 1}, Options: driveroptions.Index().SetUnique(true)})
				return err
			},
			refused: "user_id_1",
		},
		{
			name: "an index that should remove documents and does not is refused",
			before: func(ctx context.Context, data *driver.Database) error {
				if _, err := data.Collection(mongo.MetaC).InsertOne(ctx, bson.M{"_id": "schema", "version": mongo.SchemaVersion}); err != nil {
					return err
				}
				_, err := data.Collection("once").Indexes().CreateOne(ctx, driver.IndexModel{Keys: bson.M{"until": 1}})
				return err
			},
			refused: "until_1",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			database := mongotest.Database(t)
			data := mongotest.Client(t).Database(database)
			if test.before != nil {
				if err := test.before(t.Context(), data); err != nil {
					t.Fatal(err)
				}
			}
			if test.change != nil {
				open(t, options(uri, database))
				if err := test.change(t.Context(), data); err != nil {
					t.Fatal(err)
				}
			}
			s, err := mongo.Open(t.Context(), options(uri, database))
			if test.refused != "" {
				wantFault(t, err, fault.Conflict, "schema_unfit")
				if !strings.Contains(err.Error(), test.refused) {
					t.Errorf("got %v, want it to name %s", err, test.refused)
				}
				return
			}
			if err != nil {
				t.Fatalf("Open: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			specs, err := data.Collection("sessions").Indexes().ListSpecifications(t.Context())
			if err != nil || len(specs) != 4 {
				t.Errorf("sessions has %d indexes (%v), want 4", len(specs), err)
			}
		})
	}
}

func meta(t *testing.T, database, id string) bson.M {
	t.Helper()
	var row bson.M
	err := mongotest.Client(t).Database(database).Collection(mongo.MetaC).FindOne(t.Context(), bson.M{"_id": id}).Decode(&row)
	if err != nil {
		t.Fatalf("read %s: %v", id, err)
	}
	return row
}
