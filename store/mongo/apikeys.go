package mongo

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"example.com/broker/apikeys"
	"example.com/broker/internal/fault"
)

type apiKeyStore struct{ *db }

var _ apikeys.Store = (*apiKeyStore)(nil)

// apiKeyRow adds Gone: when the key leaves its owner's list, some time after it expired.
type apiKeyRow struct {
	apikeys.Key `bson:",inline"`
	Gone        time.Time `bson:"gone"`
	Act         string    `bson:"act"`
}

func (s *apiKeyStore) InsertKey(ctx context.Context, k apikeys.Key) error {
	row := apiKeyRow{Key: k, Gone: k.ExpiresAt.Add(apikeys.Listed), Act: newAct()}
	added, err := s.insert(ctx, apiKeysC, k.ID, row.Act, row)
	if err == nil && !added {
		err = fault.New(fault.Conflict, "key_exists", "The API key id %s is in use.", k.ID)
	}
	return err
}

func (s *apiKeyStore) GetKey(ctx context.Context, id string) (apikeys.Key, error) {
	row, found, err := get[apiKeyRow](ctx, s.db, apiKeysC, id)
	if err == nil && !found {
		err = unknownAPIKey()
	}
	return row.Key, err
}

func (s *apiKeyStore) KeysOf(ctx context.Context, ownerID string, limit int) ([]apikeys.Key, error) {
	return s.list(ctx, bson.M{"owner_id": ownerID}, limit)
}

func (s *apiKeyStore) LiveKeysOf(ctx context.Context, ownerID string, now time.Time, limit int) ([]apikeys.Key, error) {
	return s.list(ctx, bson.M{"owner_id": ownerID, "revoked_at": absent(), "expires_at": later(now)}, limit)
}

func (s *apiKeyStore) list(ctx context.Context, filter bson.M, limit int) ([]apikeys.Key, error) {
	rows, err := page[apiKeyRow](ctx, s.db, apiKeysC, filter, bson.D{by("created_at", -1), by("_id", -1)}, limit)
	if err != nil {
		return nil, err
	}
	list := make([]apikeys.Key, len(rows))
	for i, row := range rows {
		list[i] = row.Key
	}
	return list, nil
}

// RevokeKey may be repeated: where the first answer was lost, the second time finds the key revoked.
func (s *apiKeyStore) RevokeKey(ctx context.Context, id string, now time.Time) error {
	matched := false
	err := s.repeatable(ctx, "revoke an API key", func(ctx context.Context) error {
		result, err := s.c(apiKeysC).UpdateOne(ctx, bson.M{"_id": id, "revoked_at": absent()}, bson.M{"$set": bson.M{"revoked_at": now}})
		matched = err == nil && result.MatchedCount == 1
		return err
	})
	if err != nil || matched {
		return err
	}
	_, err = s.GetKey(ctx, id)
	return err
}

func (s *apiKeyStore) TouchKey(ctx context.Context, id string, at time.Time) error {
	return s.repeatable(ctx, "touch an API key", func(ctx context.Context) error {
		_, err := s.c(apiKeysC).UpdateOne(ctx, bson.M{"_id": id}, bson.M{"$max": bson.M{"last_used": at}})
		return err
	})
}

func unknownAPIKey() error { return fault.New(fault.NotFound, "key_unknown", "There is no such key.") }
