package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"example.com/broker/internal/fault"
	"example.com/broker/keys"
)

type keyStore struct{ *database }

var _ keys.Store = (*keyStore)(nil)

func (s *keyStore) LoadKeys(ctx context.Context, alg string) (keys.Set, error) {
	set := keys.Set{Alg: alg}
	var text []byte
	err := s.read.one(ctx, `SELECT v, doc FROM key_sets WHERE alg = ?`, []any{alg}, &set.V, &text)
	if errors.Is(err, sql.ErrNoRows) {
		return set, nil
	}
	if err != nil {
		return keys.Set{}, classify(err)
	}
	var docs []keyDoc
	if err := decode(text, &docs); err != nil {
		return keys.Set{}, err
	}
	for _, d := range docs {
		set.Keys = append(set.Keys, keys.Key(d))
	}
	return set, nil
}

func (s *keyStore) SwapKeys(ctx context.Context, set keys.Set) error {
	docs := make([]keyDoc, 0, len(set.Keys))
	for _, k := range set.Keys {
		d := keyDoc(k)
		d.Published, d.SignsFrom, d.RetiredAt, d.Until = whole(k.Published), whole(k.SignsFrom), whole(k.RetiredAt), whole(k.Until)
		docs = append(docs, d)
	}
	doc, err := encode(docs)
	if err != nil {
		return err
	}
	return s.write.do(ctx, func(t *tx) error {
		n, err := swapKeys(t, set, doc)
		if err == nil && n == 0 {
			err = fault.New(fault.Conflict, "keys_changed", "The keys for %s were changed meanwhile; load them again.", set.Alg)
		}
		return err
	})
}

func swapKeys(t *tx, set keys.Set, doc string) (int64, error) {
	if set.V == 0 {
		return t.exec(`INSERT INTO key_sets (alg, v, doc) VALUES (?, 1, ?) ON CONFLICT DO NOTHING`, set.Alg, doc)
	}
	return t.exec(`UPDATE key_sets SET v = v + 1, doc = ? WHERE alg = ? AND v = ?`, doc, set.Alg, set.V)
}

type keyDoc struct {
	KID       string    `json:"kid"`
	Private   string    `json:"private"`
	Public    []byte    `json:"public"`
	Published time.Time `json:"published,omitzero"`
	SignsFrom time.Time `json:"signs_from,omitzero"`
	RetiredAt time.Time `json:"retired_at,omitzero"`
	Until     time.Time `json:"until,omitzero"`
}
