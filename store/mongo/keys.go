package mongo

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"

	"example.com/broker/internal/fault"
	"example.com/broker/keys"
)

type keyStore struct{ *db }

var _ keys.Store = (*keyStore)(nil)

type keysRow struct {
	keys.Set `bson:",inline"`
	Act      string `bson:"act"`
}

func (s *keyStore) LoadKeys(ctx context.Context, alg string) (keys.Set, error) {
	row, found, err := get[keysRow](ctx, s.db, keysC, alg)
	if err != nil || !found {
		return keys.Set{Alg: alg}, err
	}
	return row.Set, nil
}

func (s *keyStore) SwapKeys(ctx context.Context, set keys.Set) error {
	row := keysRow{Set: set, Act: newAct()}
	row.V++
	var done bool
	var err error
	if set.V == 0 {
		done, err = s.insert(ctx, keysC, set.Alg, row.Act, row)
	} else {
		done, err = s.swap(ctx, keysC, set.Alg, row.Act, bson.M{"_id": set.Alg, "v": set.V}, row)
	}
	if err == nil && !done {
		err = fault.New(fault.Conflict, "keys_changed", "The %s keys were changed by another replica meanwhile; load them again.", set.Alg)
	}
	return err
}
