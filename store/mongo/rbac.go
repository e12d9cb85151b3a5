package mongo

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"

	"example.com/broker/internal/fault"
	"example.com/broker/rbac"
)

type rbacStore struct{ *db }

var _ rbac.Store = (*rbacStore)(nil)

// The documents of their collection.
const (
	rolesID = "roles"
	rulesID = "mapping_rules"
	apisID  = "apis"
)

type rolesRow struct {
	ID           string `bson:"_id"`
	rbac.RoleSet `bson:",inline"`
	Act          string `bson:"act"`
}

type rulesRow struct {
	ID           string `bson:"_id"`
	rbac.RuleSet `bson:",inline"`
	Act          string `bson:"act"`
}

func (s *rbacStore) LoadRoles(ctx context.Context) (rbac.RoleSet, error) {
	row, _, err := get[rolesRow](ctx, s.db, documentsC, rolesID)
	return row.RoleSet, err
}

func (s *rbacStore) SwapRoles(ctx context.Context, set rbac.RoleSet) error {
	v, row := set.V, rolesRow{ID: rolesID, RoleSet: set, Act: newAct()}
	row.V++
	return s.swapDocument(ctx, rolesID, row.Act, v, row,
		fault.New(fault.Conflict, "roles_changed", "The roles were changed by another replica meanwhile; read them again."))
}

func (s *rbacStore) LoadRules(ctx context.Context) (rbac.RuleSet, error) {
	row, _, err := get[rulesRow](ctx, s.db, documentsC, rulesID)
	return row.RuleSet, err
}

func (s *rbacStore) SwapRules(ctx context.Context, set rbac.RuleSet) error {
	v, row := set.V, rulesRow{ID: rulesID, RuleSet: set, Act: newAct()}
	row.V++
	return s.swapDocument(ctx, rulesID, row.Act, v, row,
		fault.New(fault.Conflict, "rules_changed", "The mapping rules were changed by another replica meanwhile; read them again."))
}

// swapDocument stores the one document of its name if its version is v, 0 meaning that there is none yet; otherwise it returns changed.
func (d *db) swapDocument(ctx context.Context, id, act string, v int64, row any, changed error) error {
	var done bool
	var err error
	if v == 0 {
		done, err = d.insert(ctx, documentsC, id, act, row)
	} else {
		done, err = d.swap(ctx, documentsC, id, act, bson.M{"_id": id, "v": v}, row)
	}
	if err == nil && !done {
		return changed
	}
	return err
}
