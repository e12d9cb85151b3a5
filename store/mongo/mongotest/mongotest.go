package mongotest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// EnvURI names the environment variable that points the tests at a server of one's own.
const EnvURI = "BROKER_TEST_MONGO_URI"

// dropTimeout bounds how long a test waits for its database to be removed.
const dropTimeout = 20 * time.Second

// URI returns the address of the server that the tests of this process share; processes started by a test may use it as
// well, for as long as the test process lives. Where there is no server the test is skipped, or fails with CI=true.
// Safe for concurrent use.
func URI(tb testing.TB) string {
	tb.Helper()
	uri, err := server()
	if err == nil {
		return uri
	}
	if os.Getenv("CI") == "true" {
		tb.Fatalf("no MongoDB to test against, and CI=true allows nothing to be left out: %v", err)
	}
	tb.Skipf("no MongoDB to test against: %v", err)
	return ""
}

// server starts or finds the server on first use; the answer, a failure included, holds for the whole process.
var server = sync.OnceValues(find)

// Database returns the name of a database that nobody else uses; it is dropped when the test ends.
func Database(tb testing.TB) string {
	tb.Helper()
	uri := URI(tb)
	name := databaseName(tb.Name())
	tb.Cleanup(func() {
		if err := drop(uri, name); err != nil {
			tb.Errorf("drop the test database %s: %v", name, err)
		}
	})
	return name
}

// Env returns the settings that make a broker process use a fresh database of the test server; Database says what becomes of
// it. Processes that are given the same settings are replicas of each other.
func Env(tb testing.TB) []string {
	tb.Helper()
	return []string{"BROKER_STORE__MONGO__URI=" + URI(tb), "BROKER_STORE__MONGO__DATABASE=" + Database(tb)}
}

// Client connects to the server for the length of the test.
func Client(tb testing.TB) *mongo.Client {
	tb.Helper()
	client, err := mongo.Connect(options.Client().ApplyURI(URI(tb)))
	if err != nil {
		tb.Fatalf("connect to the test server: %v", err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), dropTimeout)
		defer cancel()
		if err := client.Disconnect(ctx); err != nil {
			tb.Errorf("disconnect from the test server: %v", err)
		}
	})
	return client
}

// drop uses a connection of its own: by the time it runs, a test may have closed or broken every other.
func drop(uri, name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), dropTimeout)
	defer cancel()
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		return err
	}
	defer func() { _ = client.Disconnect(ctx) }()
	return client.Database(name).Drop(ctx)
}

// databaseName makes a name of at most 38 bytes that still tells which test it belongs to.
func databaseName(test string) string {
	keep := func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}
	name := strings.Map(keep, test)
	if len(name) > 24 {
		name = name[:24]
	}
	random := make([]byte, 6)
	_, _ = rand.Read(random) // never fails: crypto/rand.Read ends the process instead
	return "t_" + name + hex.EncodeToString(random)
}

// uriParts splits mongodb://[user:password@]HOSTS[/DATABASE][?OPTIONS]. It is not net/url's job: several hosts with ports
// are no URL to it.
func uriParts(uri string) (scheme, user, hosts, database, query string) {
	scheme, rest, _ := strings.Cut(uri, "://")
	rest, query, _ = strings.Cut(rest, "?")
	hosts, database, _ = strings.Cut(rest, "/")
	if at := strings.LastIndex(hosts, "@"); at >= 0 {
		user, hosts = hosts[:at+1], hosts[at+1:]
	}
	return scheme, user, hosts, database, query
}
