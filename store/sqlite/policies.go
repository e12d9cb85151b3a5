package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"example.com/broker/abac"
	"example.com/broker/internal/fault"
)

type policyStore struct{ *database }

var _ abac.Store = (*policyStore)(nil)

func (s *policyStore) LoadPolicies(ctx context.Context, app string) (abac.Set, error) {
	set := abac.Set{App: app}
	var text []byte
	err := s.read.one(ctx, `SELECT v, doc FROM policies WHERE app = ?`, []any{app}, &set.V, &text)
	if errors.Is(err, sql.ErrNoRows) {
		return set, nil
	}
	if err != nil {
		return abac.Set{}, classify(err)
	}
	v := set.V
	if err := decode(text, &set); err != nil {
		return abac.Set{}, err
	}
	set.App, set.V = app, v
	return set, nil
}

func (s *policyStore) SwapPolicies(ctx context.Context, set abac.Set) error {
	set.ChangedAt = whole(set.ChangedAt)
	doc, err := encode(set)
	if err != nil {
		return err
	}
	return s.write.do(ctx, func(t *tx) error {
		n, err := swapPolicies(t, set, doc)
		if err == nil && n == 0 {
			err = fault.New(fault.Conflict, "policies_changed", "The policies of %s were changed meanwhile; read them again.", set.App)
		}
		return err
	})
}

func swapPolicies(t *tx, set abac.Set, doc string) (int64, error) {
	if set.V == 0 {
		return t.exec(`INSERT INTO policies (app, v, doc) VALUES (?, 1, ?) ON CONFLICT DO NOTHING`, set.App, doc)
	}
	return t.exec(`UPDATE policies SET v = v + 1, doc = ? WHERE app = ? AND v = ?`, doc, set.App, set.V)
}

// maxRemoved is more than what is left of a removed set has: a longer document is not read to learn that it is none.
const maxRemoved = 4 << 10

func (s *policyStore) PolicyApps(ctx context.Context, after string, limit int) ([]string, error) {
	return list(ctx, s.read, func(row scanner) (app string, err error) {
		err = row.Scan(&app)
		return app, err
	}, `SELECT app FROM policies WHERE app > ? AND (octet_length(doc) > ? OR json_extract(doc, '$.removed') IS NOT TRUE) ORDER BY app LIMIT ?`,
		after, maxRemoved, max(limit, 0))
}
