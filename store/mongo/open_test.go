package mongo

import (
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"

	"example.com/broker/internal/fault"
)

func TestOpenRefusesAnAddressAndKeepsItsPassword(t *testing.T) {
	t.Parallel()
	for _, uri := range []string{
		"", "localhost", "http://broker:hunter2@db", "mongodb://broker:hunter2%zz@db/x", "mongodb://broker:hunter2/x@db/y",
		"mongodb://broker:hunter2@db/?w=maybe&retryWrites=perhaps", "mongodb://broker:hun@ter2@db/x", "mongodb://broker:hunter2@",
	} {
		_, err := Open(t.Context(), Options{URI: uri, Now: time.Now})
		if !fault.Is(err, fault.Invalid) || fault.CodeOf(err) != "store_uri" {
			t.Errorf("%q: got %v, want store_uri", uri, err)
		}
		if err != nil && (strings.Contains(err.Error(), "hun") || strings.Contains(err.Error(), "ter2")) {
			t.Errorf("%q: the error shows the password: %v", uri, err)
		}
	}
}

func TestDatabaseName(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, uri, database, want string
	}{
		{name: "configured", uri: "mongodb://h/inpath", database: "set", want: "set"},
		{name: "in the path", uri: "mongodb://u:p@h:1,i:2/inpath?w=1", want: "inpath"},
		{name: "no path", uri: "mongodb://h", want: "broker"},
		{name: "empty path", uri: "mongodb://h/?replicaSet=a/b", want: "broker"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := databaseName(Options{URI: test.uri, Database: test.database}); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// Whatever the address says, what is acknowledged must last and what is read must be the primary's.
func TestAddressCannotWeakenReadsAndWrites(t *testing.T) {
	t.Parallel()
	uri := "mongodb://h/?w=1&journal=false&readPreference=secondary&readConcernLevel=local&maxPoolSize=7"
	got, err := clientOptions(Options{URI: uri, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if got.WriteConcern.W != "majority" || got.WriteConcern.Journal == nil || !*got.WriteConcern.Journal {
		t.Errorf("the write concern is %+v", got.WriteConcern)
	}
	if got.ReadConcern.Level != "majority" || got.ReadPreference.Mode() != readpref.PrimaryMode {
		t.Errorf("reads go to %v with %v", got.ReadPreference, got.ReadConcern.Level)
	}
	if *got.MaxPoolSize != 7 {
		t.Errorf("the pool has %d connections, want the operator's 7", *got.MaxPoolSize)
	}
}

func TestCollectionsThatBreakPromisesAreRefused(t *testing.T) {
	t.Parallel()
	options := func(o bson.M) bson.Raw {
		raw, err := bson.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	tests := []struct {
		name    string
		spec    driver.CollectionSpecification
		refused bool
	}{
		{name: "plain", spec: driver.CollectionSpecification{Type: "collection", Options: options(bson.M{})}},
		{name: "a server that says nothing", spec: driver.CollectionSpecification{}},
		{name: "view", spec: driver.CollectionSpecification{Type: "view", Options: options(bson.M{"viewOn": "x"})}, refused: true},
		{name: "collation", spec: driver.CollectionSpecification{Type: "collection", Options: options(bson.M{"collation": bson.M{"locale": "en", "strength": 2}})}, refused: true},
		{name: "capped", spec: driver.CollectionSpecification{Type: "collection", Options: options(bson.M{"capped": true, "size": 4096})}, refused: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := fitCollection(test.spec)
			if refused := err != nil; refused != test.refused {
				t.Errorf("got %v, want refused: %v", err, test.refused)
			}
		})
	}
}
