package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"example.com/broker/apikeys"
	"example.com/broker/internal/fault"
	"example.com/broker/oauth"
)

type apiKeyStore struct{ *database }

var _ apikeys.Store = (*apiKeyStore)(nil)

const apiKeyColumns = `id, owner_id, created_at, expires_at, last_used, revoked_at, doc`

func (s *apiKeyStore) InsertKey(ctx context.Context, k apikeys.Key) error {
	doc, err := encode(apiKeyDoc(k))
	if err != nil {
		return err
	}
	return s.write.do(ctx, func(t *tx) error {
		n, err := t.exec(`INSERT INTO api_keys (`+apiKeyColumns+`, gone) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			k.ID, k.OwnerID, millis(k.CreatedAt), millis(k.ExpiresAt), millis(k.LastUsed), millis(k.RevokedAt), doc,
			millis(k.ExpiresAt.Add(apikeys.Listed)))
		if err == nil && n == 0 {
			err = fault.New(fault.Conflict, "key_exists", "There is an API key of this id already.")
		}
		return err
	})
}

func (s *apiKeyStore) GetKey(ctx context.Context, id string) (apikeys.Key, error) {
	stmt, err := s.read.prepare(ctx, `SELECT `+apiKeyColumns+` FROM api_keys WHERE id = ?`)
	if err != nil {
		return apikeys.Key{}, classify(err)
	}
	k, err := scanAPIKey(stmt.QueryRowContext(ctx, id))
	if errors.Is(err, sql.ErrNoRows) {
		return apikeys.Key{}, unknownAPIKey()
	}
	return k, classify(err)
}

func (s *apiKeyStore) KeysOf(ctx context.Context, ownerID string, limit int) ([]apikeys.Key, error) {
	return list(ctx, s.read, scanAPIKey,
		`SELECT `+apiKeyColumns+` FROM api_keys WHERE owner_id = ? ORDER BY created_at DESC, id DESC LIMIT ?`, ownerID, max(limit, 0))
}

func (s *apiKeyStore) LiveKeysOf(ctx context.Context, ownerID string, now time.Time, limit int) ([]apikeys.Key, error) {
	return list(ctx, s.read, scanAPIKey, `SELECT `+apiKeyColumns+` FROM api_keys WHERE owner_id = ? AND revoked_at = 0 AND expires_at > ?
		ORDER BY created_at DESC, id DESC LIMIT ?`, ownerID, millis(now), max(limit, 0))
}

func (s *apiKeyStore) RevokeKey(ctx context.Context, id string, now time.Time) error {
	return s.write.do(ctx, func(t *tx) error {
		n, err := t.exec(`UPDATE api_keys SET revoked_at = ? WHERE id = ? AND revoked_at = 0`, millis(now), id)
		if err != nil || n > 0 {
			return err
		}
		return unmatched(t, `SELECT 1 FROM api_keys WHERE id = ?`, id, unknownAPIKey(), nil)
	})
}

func (s *apiKeyStore) TouchKey(ctx context.Context, id string, at time.Time) error {
	return s.write.do(ctx, func(t *tx) error {
		_, err := t.exec(`UPDATE api_keys SET last_used = ?1 WHERE id = ?2 AND last_used < ?1`, millis(at), id)
		return err
	})
}

func unknownAPIKey() error { return fault.New(fault.NotFound, "key_unknown", "There is no such key.") }

// apiKeyDoc is the part of a key that has no column. It keeps an empty list apart from none.
type apiKeyDoc struct {
	ID         string       `json:"-"`
	SecretHash string       `json:"secret_hash"`
	OwnerID    string       `json:"-"`
	Name       string       `json:"name"`
	Scopes     oauth.Scopes `json:"scopes,omitzero"`
	CreatedAt  time.Time    `json:"-"`
	ExpiresAt  time.Time    `json:"-"`
	LastUsed   time.Time    `json:"-"`
	RevokedAt  time.Time    `json:"-"`
	Ver        int64        `json:"ver"`
}

func scanAPIKey(row scanner) (apikeys.Key, error) {
	var d apiKeyDoc
	var created, expires, used, revoked int64
	var text []byte
	if err := row.Scan(&d.ID, &d.OwnerID, &created, &expires, &used, &revoked, &text); err != nil {
		return apikeys.Key{}, err
	}
	err := decode(text, &d)
	d.CreatedAt, d.ExpiresAt, d.LastUsed, d.RevokedAt = instant(created), instant(expires), instant(used), instant(revoked)
	return apikeys.Key(d), err
}
