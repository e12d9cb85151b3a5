package mongo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"example.com/broker/internal/fault"
)

// The collections. In a sharded cluster the key of each is the hashed _id.
const (
	usersC      = "users"
	identitiesC = "identities"
	addressesC  = "addresses"
	adminsC     = "admins"
	documentsC  = "documents"
	clientsC    = "clients"
	sessionsC   = "sessions"
	keysC       = "keys"
	grantsC     = "grants"
	allowedC    = "allowed"
	apiKeysC    = "api_keys"
	policiesC   = "policies"
	articlesC   = "articles"
	onceC       = "once"
	changesC    = "changes"
	failuresC   = "failures"
	auditC      = "audit"
	metaC       = "meta"
)

func collections() []string {
	return []string{
		usersC, identitiesC, addressesC, adminsC, documentsC, clientsC, sessionsC, keysC, grantsC, allowedC, apiKeysC, policiesC, articlesC, onceC, changesC, failuresC, auditC,
		metaC,
	}
}

// cleanupDelay is how long after its end a document stays: judged by the database's clock, which may be ahead of the broker's.
const cleanupDelay = time.Hour

// index is one the code needs: to find documents, or, where expires is set, to have them removed.
type index struct {
	coll    string
	keys    bson.D
	expires bool
}

// indexes lists all of them; lookups by _id need none.
func indexes() []index {
	return []index{
		{coll: sessionsC, keys: bson.D{by("user_id", 1), by("created_at", -1)}},
		{coll: apiKeysC, keys: bson.D{by("owner_id", 1), by("created_at", -1)}},
		{coll: changesC, keys: bson.D{by("at", 1)}},
		{coll: auditC, keys: bson.D{by("at", 1)}},
		{coll: sessionsC, keys: bson.D{by("until", 1)}, expires: true},
		{coll: sessionsC, keys: bson.D{by("gone", 1)}, expires: true},
		{coll: grantsC, keys: bson.D{by("until", 1)}, expires: true},
		{coll: grantsC, keys: bson.D{by("gone", 1)}, expires: true},
		{coll: allowedC, keys: bson.D{by("until", 1)}, expires: true},
		{coll: apiKeysC, keys: bson.D{by("gone", 1)}, expires: true},
		{coll: onceC, keys: bson.D{by("until", 1)}, expires: true},
		{coll: changesC, keys: bson.D{by("until", 1)}, expires: true},
		{coll: failuresC, keys: bson.D{by("until", 1)}, expires: true},
	}
}

// name is the one that MongoDB gives by default.
func (i index) name() string {
	parts := []string{}
	for _, key := range i.keys {
		parts = append(parts, fmt.Sprintf("%s_%v", key.Key, key.Value))
	}
	return strings.Join(parts, "_")
}

func (i index) model() driver.IndexModel {
	settings := options.Index().SetName(i.name())
	if i.expires {
		settings.SetExpireAfterSeconds(int32(cleanupDelay.Seconds()))
	}
	return driver.IndexModel{Keys: i.keys, Options: settings}
}

// The server's codes for an index that exists with the same name or keys and is another.
const (
	indexOptionsConflict  = 85
	indexKeySpecsConflict = 86
)

// create makes an index; one that exists as it should be is success. Building one may take longer than any call: no timeout.
func (d *db) create(ctx context.Context, i index) error {
	_, err := d.c(i.coll).Indexes().CreateOne(ctx, i.model())
	switch refused, ok := errors.AsType[driver.ServerError](err); {
	case err == nil:
		return nil
	case ok && (refused.HasErrorCode(indexOptionsConflict) || refused.HasErrorCode(indexKeySpecsConflict)):
		return unfitIndex(i)
	}
	return unavailable("create the index "+i.coll+"."+i.name(), err)
}

// verify refuses a database that would break the broker's promises, and makes up for indexes that somebody dropped. A database
// that a newer broker has changed may have more indexes than this one knows.
func (d *db) verify(ctx context.Context, version int) error {
	existing, err := d.verifyCollections(ctx)
	if err != nil {
		return err
	}
	for _, coll := range existing {
		if err := d.verifyIndexes(ctx, coll, version > schemaVersion); err != nil {
			return err
		}
	}
	return nil
}

// verifyCollections refuses what was created by hand in a way that breaks promises, and returns the names of those that exist.
func (d *db) verifyCollections(ctx context.Context) ([]string, error) {
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	specs, err := d.data.ListCollectionSpecifications(ctx, bson.M{"name": bson.M{"$in": collections()}})
	if err != nil {
		return nil, unavailable("list the collections", err)
	}
	existing := []string{}
	for _, spec := range specs {
		if err := fitCollection(spec); err != nil {
			return nil, err
		}
		existing = append(existing, spec.Name)
	}
	return existing, nil
}

// fitCollection reports how a collection would break the broker's promises, nil if it would not.
func fitCollection(spec driver.CollectionSpecification) error {
	if spec.Type != "" && spec.Type != "collection" {
		return unfit(spec.Name, "is a "+spec.Type)
	}
	if _, err := spec.Options.LookupErr("collation"); err == nil {
		return unfit(spec.Name, "has a collation, under which different names may be equal")
	}
	if capped, ok := spec.Options.Lookup("capped").BooleanOK(); ok && capped {
		return unfit(spec.Name, "is capped and would lose documents")
	}
	return nil
}

func (d *db) verifyIndexes(ctx context.Context, coll string, newer bool) error {
	found, err := d.indexesOf(ctx, coll)
	if err != nil {
		return err
	}
	for _, want := range indexes() {
		if want.coll != coll {
			continue
		}
		at := slices.IndexFunc(found, func(s driver.IndexSpecification) bool { return s.Name == want.name() })
		if at < 0 {
			d.log.WarnContext(ctx, "an index was missing and is created again", "collection", coll, "index", want.name())
			if err := d.create(ctx, want); err != nil {
				return err
			}
			continue
		}
		if (found[at].ExpireAfterSeconds != nil) != want.expires || isTrue(found[at].Unique) || isTrue(found[at].Sparse) {
			return unfitIndex(want)
		}
		found = slices.Delete(found, at, at+1)
	}
	if newer {
		return nil
	}
	return refuseHarmful(coll, found)
}

func (d *db) indexesOf(ctx context.Context, coll string) ([]driver.IndexSpecification, error) {
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	specs, err := d.c(coll).Indexes().ListSpecifications(ctx)
	if err != nil {
		return nil, unavailable("list the indexes of "+coll, err)
	}
	return specs, nil
}

// refuseHarmful looks at indexes of somebody else's making: one that removes documents could revive what was revoked, and a unique
// one turns away documents for a reason the code does not know. Others do no harm.
func refuseHarmful(coll string, others []driver.IndexSpecification) error {
	for _, spec := range others {
		switch {
		case spec.ExpireAfterSeconds != nil:
			return unfit(coll, "has the index "+spec.Name+", which removes documents")
		case isTrue(spec.Unique) && spec.Name != "_id_":
			return unfit(coll, "has the unique index "+spec.Name)
		}
	}
	return nil
}

func unfitIndex(i index) error {
	return unfit(i.coll, "has the index "+i.name()+" with other options than the broker gives it")
}

func isTrue(b *bool) bool { return b != nil && *b }

func unfit(coll, what string) error {
	return fault.New(fault.Conflict, "schema_unfit", "The collection %s %s; drop that, or choose another database.", coll, what)
}
