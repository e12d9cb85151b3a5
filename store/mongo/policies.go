package mongo

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"

	"example.com/broker/abac"
	"example.com/broker/internal/fault"
)

type policyStore struct{ *db }

var _ abac.Store = (*policyStore)(nil)

type policiesRow struct {
	abac.Set `bson:",inline"`
	Act      string `bson:"act"`
}

func (s *policyStore) LoadPolicies(ctx context.Context, app string) (abac.Set, error) {
	row, found, err := get[policiesRow](ctx, s.db, policiesC, app)
	if err != nil || !found {
		return abac.Set{App: app}, err
	}
	return row.Set, nil
}

func (s *policyStore) SwapPolicies(ctx context.Context, set abac.Set) error {
	row := policiesRow{Set: set, Act: newAct()}
	row.V++
	var done bool
	var err error
	if set.V == 0 {
		done, err = s.insert(ctx, policiesC, set.App, row.Act, row)
	} else {
		done, err = s.swap(ctx, policiesC, set.App, row.Act, bson.M{"_id": set.App, "v": set.V}, row)
	}
	if err == nil && !done {
		err = fault.New(fault.Conflict, "policies_changed", "The policies of %s were changed meanwhile; read them again.", set.App)
	}
	return err
}

func (s *policyStore) PolicyApps(ctx context.Context, after string, limit int) ([]string, error) {
	rows, err := page[struct {
		App string `bson:"_id"`
	}](ctx, s.db, policiesC, bson.M{"_id": bson.M{"$gt": after}, "removed": bson.M{"$ne": true}}, bson.D{by("_id", 1)}, limit)
	if err != nil {
		return nil, err
	}
	apps := make([]string, len(rows))
	for i, row := range rows {
		apps[i] = row.App
	}
	return apps, nil
}
