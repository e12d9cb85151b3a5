package mongo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"example.com/broker/internal/fault"
	"example.com/broker/store"
)

// Options say which database to open.
type Options struct {
	// URI is a MongoDB connection string. Its read preference, read concern and write concern are overruled: the broker's
	// promises rest on its own.
	URI string
	// Database is the name of the database; "" means the one in the path of URI, or "broker".
	Database string
	// Now is the clock. It only stamps migrations: what expires is judged by the now that callers pass.
	Now func() time.Time
	// Log gets what an operator should know about the schema; nil: nothing is logged.
	Log *slog.Logger
	// Timeout bounds each read and write, the search for a server and the look at what became of it included; 0 means 5 seconds.
	// A sequence has it for each of its writes, a long list for each of its batches.
	Timeout time.Duration

	step  func() error // called ahead of each write of a sequence; tests stop there
	lease leaseTerms
}

const (
	defaultTimeout  = 5 * time.Second
	defaultDatabase = "broker"
	defaultPool     = 64
	idleConnection  = 5 * time.Minute
)

// db is an open database, and what all stores on it share.
type db struct {
	client  *driver.Client
	data    *driver.Database
	now     func() time.Time
	log     *slog.Logger
	timeout time.Duration
	step    func() error
	lease   leaseTerms
}

// Open connects, brings the schema to this program's version and checks that indexes and collections are as the code needs them.
// fault.Invalid "store_uri" for a connection string that is none; fault.Conflict "schema_newer" for a database that a newer broker
// has changed beyond what this one understands, "schema_unfit" for indexes or collections that would break a promise;
// fault.Unavailable "store_unavailable" if no primary answers. Several brokers may open one database at once.
func Open(ctx context.Context, o Options) (*store.Stores, error) {
	d, err := connect(o)
	if err != nil {
		return nil, err
	}
	if err := d.prepare(ctx); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return &store.Stores{
		Users:    &userStore{d},
		Admins:   &adminStore{d},
		RBAC:     &rbacStore{d},
		Clients:  &clientStore{d},
		Sessions: &sessionStore{d},
		Keys:     &keyStore{d},
		Grants:   &grantStore{d},
		Allowed:  &allowStore{d},
		APIKeys:  &apiKeyStore{d},
		Policies: &policyStore{d},
		Articles: &articleStore{d},
		Once:     &box{d},
		Changes:  &stream{d},
		Limits:   &limitStore{d},
		Audit:    &auditStore{d},
		Ping:     d.ping,
		Sweep:    d.sweep,
		Close:    sync.OnceValue(d.close),
	}, nil
}

// connect makes the client; it does not wait for a server.
func connect(o Options) (*db, error) {
	if o.Now == nil {
		return nil, fault.New(fault.Invalid, "store_options", "The store needs a clock.")
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	settings, err := clientOptions(o)
	if err != nil {
		return nil, err
	}
	client, err := driver.Connect(settings)
	if err != nil {
		return nil, invalidURI(o.URI)
	}
	return &db{
		client: client, data: client.Database(databaseName(o)),
		now: o.Now, log: o.Log, timeout: o.Timeout, step: o.step, lease: o.lease.orDefault(),
	}, nil
}

// clientOptions takes from the URI what is the operator's choice and sets what is not.
func clientOptions(o Options) (*options.ClientOptions, error) {
	settings := options.Client().ApplyURI(o.URI)
	if o.URI == "" || settings.Validate() != nil {
		return nil, invalidURI(o.URI)
	}
	journal := true // on a standalone server "majority" alone does not wait for the journal, and a crash would lose what was answered
	settings.SetReadPreference(readpref.Primary())
	settings.SetReadConcern(readconcern.Majority())
	settings.SetWriteConcern(&writeconcern.WriteConcern{W: writeconcern.WCMajority, Journal: &journal})
	settings.SetServerSelectionTimeout(o.Timeout)
	settings.SetConnectTimeout(o.Timeout)
	if settings.MaxPoolSize == nil {
		settings.SetMaxPoolSize(defaultPool)
	}
	if settings.MaxConnIdleTime == nil {
		settings.SetMaxConnIdleTime(idleConnection)
	}
	if settings.AppName == nil {
		settings.SetAppName("broker")
	}
	return settings, nil
}

// invalidURI says what is wrong with a connection string without showing its user name and password: the part before the last @
// is replaced, and only if the rest alone is faulty is the driver's own text safe to pass on.
func invalidURI(uri string) error {
	const expected = "mongodb://[user:password@]host[:port][,…]/[database][?options] or mongodb+srv://…"
	scheme, rest, found := strings.Cut(uri, "://")
	if !found {
		return fault.New(fault.Invalid, "store_uri", "The MongoDB address has no scheme; expected %s.", expected)
	}
	if at := strings.LastIndex(rest, "@"); at >= 0 {
		rest = rest[at+1:]
	}
	if err := options.Client().ApplyURI(scheme + "://" + rest).Validate(); err != nil {
		return fault.New(fault.Invalid, "store_uri", "The MongoDB address is not valid: %v; expected %s.", err, expected)
	}
	return fault.New(fault.Invalid, "store_uri", "The user name or password in the MongoDB address is not valid; percent-encode / ? # [ ] @ : and %%.")
}

// databaseName is the configured name, else the one in the path of the connection string.
func databaseName(o Options) string {
	if o.Database != "" {
		return o.Database
	}
	_, rest, _ := strings.Cut(o.URI, "://")
	rest, _, _ = strings.Cut(rest, "?")
	rest = rest[strings.LastIndex(rest, "@")+1:]
	if _, name, _ := strings.Cut(rest, "/"); name != "" {
		return name
	}
	return defaultDatabase
}

// prepare waits for a primary and makes the database fit for this program.
func (d *db) prepare(ctx context.Context) error {
	if err := d.reach(ctx); err != nil {
		return err
	}
	version, err := d.migrate(ctx)
	if err != nil {
		return err
	}
	return d.verify(ctx, version)
}

// reach asks for any answer from the primary. It writes nothing, so that a database of a newer broker is left as it is.
func (d *db) reach(ctx context.Context) error {
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	if err := d.client.Ping(ctx, readpref.Primary()); err != nil {
		return unavailable("reach the primary", err)
	}
	return nil
}

// ping writes, as the majority must acknowledge it: a server that only reads is of no use.
func (d *db) ping(ctx context.Context) error {
	return d.repeatable(ctx, "ping", func(ctx context.Context) error {
		_, err := d.c(metaC).UpdateOne(ctx, bson.M{"_id": "ping"}, bson.M{"$currentDate": bson.M{"at": true}},
			options.UpdateOne().SetUpsert(true))
		return err
	})
}

// close waits for calls under way, as long as one call may take, and lets the connections go.
func (d *db) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), d.timeout)
	defer cancel()
	if err := d.client.Disconnect(ctx); err != nil {
		return fmt.Errorf("disconnect from MongoDB: %w", err)
	}
	return nil
}
