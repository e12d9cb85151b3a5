package mongo

import (
	"context"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"example.com/broker/audit"
)

type auditStore struct{ *db }

var _ audit.Store = (*auditStore)(nil)

func (s *auditStore) AppendAudit(ctx context.Context, events []audit.Event) error {
	if len(events) == 0 {
		return nil
	}
	return s.repeatable(ctx, "append to the audit log", func(ctx context.Context) error {
		_, err := s.c(auditC).InsertMany(ctx, events, options.InsertMany().SetOrdered(false))
		if onlyDuplicates(err) {
			return nil
		}
		return err
	})
}

// onlyDuplicates reports whether all that went wrong is that events are stored already.
func onlyDuplicates(err error) bool {
	bulk, ok := errors.AsType[driver.BulkWriteException](err)
	if !ok || bulk.WriteConcernError != nil {
		return false
	}
	for _, failed := range bulk.WriteErrors {
		if !failed.HasErrorCode(duplicateKey) {
			return false
		}
	}
	return true
}

func (s *auditStore) TrimAudit(ctx context.Context, before time.Time, limit int) (int, error) {
	return s.sweepSome(ctx, auditC, "at", before, limit)
}

func (s *auditStore) ListAudit(ctx context.Context, before string, limit int) ([]audit.Event, error) {
	filter := bson.M{}
	if before != "" {
		filter["_id"] = bson.M{"$lt": before}
	}
	return page[audit.Event](ctx, s.db, auditC, filter, bson.D{by("_id", -1)}, limit)
}
