package mongo

import (
	"context"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"example.com/broker/internal/fault"
)

// schemaVersion is what this program makes of a database.
const schemaVersion = 4

// migration brings a database from the version before to its own. Its act must be safe to repeat and to run twice at once: the
// lease keeps replicas from doing the same work, and promises no more. Brokers of the version before keep running meanwhile, and
// may replace whole documents: a field that they would lose must not be the only place of a truth.
type migration struct {
	version int
	// oldest is the oldest program version that can still work with the result; at most version−1, once there is one.
	oldest int
	up     func(ctx context.Context, d *db) error
}

func migrations() []migration {
	return []migration{
		{version: 1, oldest: 1, up: createIndexes},
		{version: 2, oldest: 1, up: createIndexes}, // API keys and allowed tokens, which the version before does not look at
		// Failures, which the version before counts apart, in the collection limits: its index would remove them before they are forgotten.
		{version: 3, oldest: 2, up: createIndexes},
		{version: 4, oldest: 3, up: createIndexes}, // the age of audit events
	}
}

func createIndexes(ctx context.Context, d *db) error {
	for _, i := range indexes() {
		if err := d.create(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// schemaRow is the document that tells which version a database has.
type schemaRow struct {
	ID      string    `bson:"_id"`
	Version int       `bson:"version"`
	Oldest  int       `bson:"oldest"`
	At      time.Time `bson:"at"`
}

const (
	schemaID = "schema"
	leaseID  = "lease"
)

// migrate brings the database to this program's version and returns the version it has, which is newer where a newer broker says
// that this one may go on. One replica does it, the others wait.
func (d *db) migrate(ctx context.Context) (int, error) {
	have, err := d.schema(ctx)
	if err != nil || have.Version >= schemaVersion {
		return have.Version, err
	}
	owner, err := d.acquire(ctx)
	if err != nil {
		return 0, err
	}
	held, stop := d.keep(ctx, owner)
	version, err := d.climb(held)
	stop()
	if releaseErr := d.release(ctx, owner); err == nil {
		err = releaseErr
	}
	return version, err
}

// schema reads the version, 0 for an empty database, and refuses one that this program does not understand.
func (d *db) schema(ctx context.Context) (schemaRow, error) {
	have, _, err := get[schemaRow](ctx, d, metaC, schemaID)
	if err != nil {
		return have, err
	}
	if have.Version > schemaVersion && (have.Oldest == 0 || have.Oldest > schemaVersion) {
		return have, fault.New(fault.Conflict, "schema_newer",
			"The database has schema version %d and this broker knows version %d; start a newer broker or restore a backup.",
			have.Version, schemaVersion)
	}
	return have, nil
}

// climb runs what is missing, under the lease.
func (d *db) climb(ctx context.Context) (int, error) {
	have, err := d.schema(ctx)
	if err != nil {
		return 0, err
	}
	for _, m := range migrations() {
		if m.version <= have.Version {
			continue
		}
		if err := m.up(ctx, d); err != nil {
			return 0, err
		}
		if err := d.reached(ctx, m); err != nil {
			return 0, err
		}
		have.Version = m.version
		d.log.InfoContext(ctx, "the database schema was brought to a new version", "version", m.version)
	}
	return have.Version, nil
}

// reached records a version, never a lower one than is recorded already.
func (d *db) reached(ctx context.Context, m migration) error {
	return d.repeatable(ctx, "record the schema version", func(ctx context.Context) error {
		row := schemaRow{ID: schemaID, Version: m.version, Oldest: m.oldest, At: d.now()}
		_, err := d.c(metaC).InsertOne(ctx, row)
		if driver.IsDuplicateKeyError(err) {
			_, err = d.c(metaC).ReplaceOne(ctx, bson.M{"_id": schemaID, "version": bson.M{"$lt": m.version}}, row)
		}
		return err
	})
}

// leaseRow is held by the owner named, as long as its beat goes up. No clocks are compared: whoever waits looks for how long, by
// its own measure, the beat stood still.
type leaseRow struct {
	ID    string `bson:"_id"`
	Owner string `bson:"owner"` // "" when nobody holds it
	Beat  int64  `bson:"beat"`
}

// leaseTerms are the owner's beat, which is also how often others look, and how many looks without a beat make it dead.
type leaseTerms struct {
	beat  time.Duration
	looks int
}

func (t leaseTerms) orDefault() leaseTerms {
	if t.beat == 0 {
		return leaseTerms{beat: 500 * time.Millisecond, looks: 40}
	}
	return t
}

// acquire waits until it holds the lease, and returns the name under which it does.
func (d *db) acquire(ctx context.Context) (owner string, err error) {
	owner = newAct()
	var seen leaseRow
	for still := 0; ; still++ {
		held, err := d.tryLease(ctx, owner, seen, still >= d.lease.looks)
		if err != nil || held.Owner == owner {
			return owner, err
		}
		if held != seen {
			d.log.InfoContext(ctx, "waiting for another broker that changes the database schema")
			seen, still = held, 0
		}
		if err := pause(ctx, d.lease.beat); err != nil {
			return "", unavailable("wait for the schema lease", err)
		}
	}
}

// tryLease takes the lease if it is new or free, or, with force, from the holder that was seen; it returns who holds it now.
func (d *db) tryLease(ctx context.Context, owner string, seen leaseRow, force bool) (leaseRow, error) {
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	fresh := leaseRow{ID: leaseID, Owner: owner, Beat: 1}
	_, err := d.c(metaC).InsertOne(ctx, fresh)
	if err == nil {
		return fresh, nil
	}
	filter := bson.M{"_id": leaseID, "owner": ""}
	if force {
		filter = bson.M{"_id": leaseID, "owner": seen.Owner, "beat": seen.Beat}
	}
	took, matched, err := change[leaseRow](ctx, d, metaC, filter, bson.M{"$set": bson.M{"owner": owner}, "$inc": bson.M{"beat": int64(1)}})
	if err == nil && matched {
		return took, nil
	}
	held, _, err := get[leaseRow](ctx, d, metaC, leaseID) // shows our own name if only the answer was lost
	return held, err
}

// keep beats until stop is called; its context ends when the lease is lost.
func (d *db) keep(ctx context.Context, owner string) (held context.Context, stop func()) {
	held, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for pause(held, d.lease.beat) == nil {
			if err := d.beat(held, owner); err != nil {
				cancel(err)
			}
		}
	}()
	return held, func() {
		cancel(nil)
		<-done
	}
}

func (d *db) beat(ctx context.Context, owner string) error {
	matched := false
	err := d.repeatable(ctx, "renew the schema lease", func(ctx context.Context) error {
		result, err := d.c(metaC).UpdateOne(ctx, bson.M{"_id": leaseID, "owner": owner}, bson.M{"$inc": bson.M{"beat": int64(1)}})
		matched = err == nil && result.MatchedCount == 1
		return err
	})
	if err == nil && !matched {
		err = errors.New("another broker took the schema lease")
	}
	return err
}

func (d *db) release(ctx context.Context, owner string) error {
	return d.repeatable(ctx, "release the schema lease", func(ctx context.Context) error {
		_, err := d.c(metaC).UpdateOne(ctx, bson.M{"_id": leaseID, "owner": owner}, bson.M{"$set": bson.M{"owner": ""}})
		return err
	})
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
