package mongo

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"example.com/broker/tokens"
)

type allowStore struct{ *db }

var _ tokens.AllowStore = (*allowStore)(nil)

type allowedRow struct {
	ID    string    `bson:"_id"`
	Until time.Time `bson:"until"`
}

// AllowToken may be repeated: nobody can have forgotten a token that was not handed out yet.
func (s *allowStore) AllowToken(ctx context.Context, jti string, until time.Time) error {
	return s.repeatable(ctx, "allow a token", func(ctx context.Context) error {
		_, err := s.c(allowedC).UpdateOne(ctx, bson.M{"_id": jti}, bson.M{"$max": bson.M{"until": until}}, options.UpdateOne().SetUpsert(true))
		return err
	})
}

func (s *allowStore) TokenAllowed(ctx context.Context, jti string, now time.Time) (bool, error) {
	row, found, err := get[allowedRow](ctx, s.db, allowedC, jti)
	return err == nil && found && now.Before(row.Until), err
}

func (s *allowStore) ForgetToken(ctx context.Context, jti string) error {
	return s.repeatable(ctx, "forget a token", func(ctx context.Context) error {
		_, err := s.c(allowedC).DeleteOne(ctx, bson.M{"_id": jti})
		return err
	})
}
