package mongotest

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

func TestAddressesKeepWhatTheyNeed(t *testing.T) {
	const host = "127.0.0.1:9"
	tests := []struct {
		rule, uri, throughHost, firstHost string
	}{
		{
			"a plain address",
			"mongodb://127.0.0.1:27017",
			"mongodb://127.0.0.1:9/?directConnection=true",
			"127.0.0.1:27017",
		},
		{
			"a host without port listens on MongoDB's own",
			"mongodb://db.example/?directConnection=true",
			"mongodb://127.0.0.1:9/?directConnection=true",
			"db.example:27017",
		},
		{
			"a replica set is reached through its first host",
			"mongodb://a:1,b:2/app?replicaSet=rs0&w=majority",
			"mongodb://127.0.0.1:9/app?directConnection=true&w=majority",
			"a:1",
		},
		{
			"an account goes along",
			"mongodb://u:p@a:1/?w=1",
			"mongodb://u:p@127.0.0.1:9/?directConnection=true&w=1",
			"a:1",
		},
	}
	for _, test := range tests {
		t.Run(test.rule, func(t *testing.T) {
			if got := throughHost(test.uri, host); got != test.throughHost {
				t.Errorf("throughHost = %s, want %s", got, test.throughHost)
			}
			if got := firstHost(test.uri); got != test.firstHost {
				t.Errorf("firstHost = %s, want %s", got, test.firstHost)
			}
		})
	}
}

func TestDatabaseIsFreshAndDropped(t *testing.T) {
	client := Client(t)
	names := map[string]bool{}
	for range 2 {
		t.Run("a name/with $pecial characters and of a length beyond what a database may have", func(t *testing.T) {
			name := Database(t)
			names[name] = true
			_, err := client.Database(name).Collection("things").InsertOne(t.Context(), bson.M{"_id": 1})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
	if len(names) != 2 {
		t.Fatalf("two tests were given %d databases", len(names))
	}
	left, err := client.ListDatabaseNames(t.Context(), bson.M{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range left {
		if names[name] {
			t.Errorf("the database %s outlived its test", name)
		}
	}
}

// TestProxyInFrontOfTheServer shows what a driver sees when the answer to a write is lost: an error, and the write done.
func TestProxyInFrontOfTheServer(t *testing.T) {
	database := Database(t)
	direct := Client(t).Database(database).Collection("things")
	proxy := ServerProxy(t)
	client, err := mongo.Connect(options.Client().ApplyURI(proxy.URI(URI(t))).SetRetryWrites(false))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Disconnect(context.WithoutCancel(t.Context())) }()
	things := client.Database(database).Collection("things")

	if _, err := things.InsertOne(t.Context(), bson.M{"_id": "before"}); err != nil {
		t.Fatalf("insert through an idle proxy: %v", err)
	}
	proxy.LoseAnswers()
	if _, err := things.InsertOne(t.Context(), bson.M{"_id": "lost"}); !mongo.IsNetworkError(err) {
		t.Fatalf("insert with its answer lost: %v, want a network error", err)
	}
	proxy.Pass()
	if err := direct.FindOne(t.Context(), bson.M{"_id": "lost"}).Err(); err != nil {
		t.Errorf("the write whose answer was lost: %v, want it done", err)
	}
	if _, err := things.InsertOne(t.Context(), bson.M{"_id": "after"}); err != nil {
		t.Errorf("insert after the disturbance: %v", err)
	}
}

func TestProxyModes(t *testing.T) {
	proxy := NewProxy(t, echoServer(t))
	conn := dial(t, proxy)
	say(t, conn, "hello")

	t.Run("a delay holds each piece both ways", func(t *testing.T) {
		const delay = 50 * time.Millisecond
		proxy.Delay(delay)
		defer proxy.Pass()
		began := time.Now()
		say(t, conn, "slow")
		if took := time.Since(began); took < 2*delay {
			t.Errorf("there and back took %v, want at least %v", took, 2*delay)
		}
	})
	t.Run("silence passes nothing until it ends", func(t *testing.T) {
		proxy.Silence()
		if _, err := conn.Write([]byte("quiet")); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if n, err := conn.Read(make([]byte, 8)); n != 0 || !isTimeout(err) {
			t.Errorf("read %d bytes, %v; want a timeout", n, err)
		}
		proxy.Pass()
		hear(t, conn, "quiet")
	})
	t.Run("a reset breaks what is open and nothing else", func(t *testing.T) {
		proxy.Reset()
		broken(t, conn)
		say(t, dial(t, proxy), "again")
	})
	t.Run("a cut line refuses new connections until it is mended", func(t *testing.T) {
		proxy.Cut()
		if fresh, err := net.Dial("tcp", proxy.Addr()); err == nil {
			broken(t, fresh)
		}
		proxy.Pass()
		say(t, dial(t, proxy), "mended")
	})
	t.Run("a silent connection can be cut", func(t *testing.T) {
		conn := dial(t, proxy)
		proxy.Silence()
		_, _ = conn.Write([]byte("unheard"))
		proxy.Cut()
		broken(t, conn)
		proxy.Pass()
	})
}

// echoServer sends back what it receives.
func echoServer(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
	return l.Addr().String()
}

func dial(t *testing.T, proxy *Proxy) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", proxy.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func say(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := conn.Write([]byte(text)); err != nil {
		t.Fatalf("write %q: %v", text, err)
	}
	hear(t, conn, text)
}

func hear(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	got := make([]byte, len(want))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
		t.Fatalf("read %q, %v; want %q", got, err, want)
	}
}

func broken(t *testing.T, conn net.Conn) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := conn.Read(make([]byte, 8)); n != 0 || err == nil || isTimeout(err) {
		t.Errorf("read %d bytes, %v; want a broken connection", n, err)
	}
}

func isTimeout(err error) bool {
	var netErr net.Error
	return errors.As(err, &netErr) && netErr.Timeout()
}
