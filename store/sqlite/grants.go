package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"example.com/broker/internal/fault"
	"example.com/broker/tokens"
)

type grantStore struct{ *database }

var _ tokens.GrantStore = (*grantStore)(nil)

// grantStep is the width of a grant's expiry bucket: a family that refreshes each quarter of an hour rewrites the index once a day.
const grantStep = 24 * time.Hour

const grantColumns = `id, client_id, code_hash, redirect_uri, challenge, code_until, code_spent,
	anchor_hash, cur, prev, successor, rotated_at, idle_until, until, dead, bucket, doc`

func (s *grantStore) InsertGrant(ctx context.Context, g tokens.Grant) error {
	doc, err := encodeGrant(g)
	if err != nil {
		return err
	}
	return s.write.do(ctx, func(t *tx) error {
		n, err := t.exec(`INSERT INTO grants (`+grantColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT DO NOTHING`, g.ID, g.ClientID, g.CodeHash, g.RedirectURI, g.Challenge, millis(g.CodeUntil), millis(g.CodeSpent),
			g.AnchorHash, g.Cur, g.Prev, g.Successor, millis(g.RotatedAt), millis(g.IdleUntil), millis(g.Until), millis(g.Dead),
			grantBucket(g), doc)
		if err == nil && n == 0 {
			err = fault.New(fault.Conflict, "grant_exists", "There is a grant of this id already.")
		}
		return err
	})
}

func (s *grantStore) GetGrant(ctx context.Context, id string) (tokens.Grant, error) {
	var r grantRow
	err := s.read.one(ctx, `SELECT `+grantColumns+` FROM grants WHERE id = ?`, []any{id}, r.dest()...)
	if errors.Is(err, sql.ErrNoRows) {
		return tokens.Grant{}, fault.New(fault.NotFound, "grant_unknown", "There is no such grant.")
	}
	if err != nil {
		return tokens.Grant{}, classify(err)
	}
	return r.grant()
}

func (s *grantStore) RedeemGrant(ctx context.Context, r tokens.Redemption) (tokens.Grant, error) {
	if r.CodeHash == "" {
		return tokens.Grant{}, unmatchedGrant() // a grant that never had a code
	}
	return s.update(ctx, `UPDATE grants SET code_spent = ?1, anchor_hash = ?2, cur = ?3, idle_until = ?4
		WHERE id = ?5 AND code_hash = ?6 AND client_id = ?7 AND redirect_uri = ?8 AND challenge = ?9
		AND code_spent = 0 AND dead = 0 AND code_until > ?1 AND until > ?1 RETURNING `+grantColumns,
		millis(r.Now), r.AnchorHash, r.Cur, millis(r.IdleUntil), r.GrantID, r.CodeHash, r.ClientID, r.RedirectURI, r.Challenge)
}

func (s *grantStore) RotateGrant(ctx context.Context, r tokens.Rotation) (tokens.Grant, error) {
	if r.From == "" || r.To == "" || r.AnchorHash == "" {
		return tokens.Grant{}, unmatchedGrant() // a grant that has no family, or would have none afterwards
	}
	return s.update(ctx, `UPDATE grants SET prev = cur, cur = ?1, successor = ?2, rotated_at = ?3, idle_until = ?4
		WHERE id = ?5 AND client_id = ?6 AND anchor_hash = ?7 AND cur = ?8
		AND dead = 0 AND idle_until > ?3 AND until > ?3 RETURNING `+grantColumns,
		r.To, r.Successor, millis(r.Now), millis(r.IdleUntil), r.GrantID, r.ClientID, r.AnchorHash, r.From)
}

func (s *grantStore) KillGrant(ctx context.Context, id string, now time.Time) error {
	return s.write.do(ctx, func(t *tx) error {
		_, err := t.exec(`UPDATE grants SET dead = ? WHERE id = ? AND dead = 0`, millis(now), id)
		return err
	})
}

// update runs a conditional update that returns the grant. The bucket is written only when it moves.
func (s *grantStore) update(ctx context.Context, query string, args ...any) (tokens.Grant, error) {
	var r grantRow
	err := s.write.do(ctx, func(t *tx) error {
		err := t.one(query, args, r.dest()...)
		if errors.Is(err, sql.ErrNoRows) {
			return unmatchedGrant()
		}
		if err != nil {
			return err
		}
		if b := grantBucket(r.times()); b != r.bucket {
			_, err = t.exec(`UPDATE grants SET bucket = ? WHERE id = ?`, b, r.doc.ID)
		}
		return err
	})
	if err != nil {
		return tokens.Grant{}, err
	}
	return r.grant()
}

func unmatchedGrant() error {
	return fault.New(fault.Conflict, "grant_unmatched", "The grant is spent, over, or not the one that was named.")
}

// grantBucket is when a grant is of no more use to anybody: its code if that is all it has, else its family. A spent code is kept as
// long as what it bought, so that its replay is seen.
func grantBucket(g tokens.Grant) int64 {
	end := millis(g.Until)
	if idle := millis(g.IdleUntil); idle > 0 {
		end = min(end, idle)
	}
	if g.CodeHash != "" && g.CodeSpent.IsZero() {
		end = min(end, millis(g.CodeUntil))
	}
	return bucket(end, grantStep)
}

// grantDoc is the part of a grant that has no column.
type grantDoc struct {
	ID          string          `json:"-"`
	ClientID    string          `json:"-"`
	UserID      string          `json:"user_id,omitempty"`
	SessionID   string          `json:"sid,omitempty"`
	Online      bool            `json:"online,omitempty"`
	Ver         int64           `json:"ver"`
	Scope       string          `json:"scope,omitempty"`
	Audiences   []string        `json:"audiences,omitempty"`
	AuthTime    time.Time       `json:"auth_time,omitzero"`
	AMR         []string        `json:"amr,omitempty"`
	ACR         string          `json:"acr,omitempty"`
	Nonce       string          `json:"nonce,omitempty"`
	Claims      json.RawMessage `json:"-"`
	CodeHash    string          `json:"-"`
	RedirectURI string          `json:"-"`
	Challenge   string          `json:"-"`
	CodeUntil   time.Time       `json:"-"`
	CodeSpent   time.Time       `json:"-"`
	AnchorHash  string          `json:"-"`
	Cur         string          `json:"-"`
	Prev        string          `json:"-"`
	Successor   string          `json:"-"`
	RotatedAt   time.Time       `json:"-"`
	IdleUntil   time.Time       `json:"-"`
	CreatedAt   time.Time       `json:"created_at,omitzero"`
	Until       time.Time       `json:"-"`
	Dead        time.Time       `json:"-"`
}

// storedGrant keeps the claims parameter byte for byte, where JSON within JSON would be compacted.
type storedGrant struct {
	grantDoc
	Claims []byte `json:"claims,omitempty"`
}

func encodeGrant(g tokens.Grant) (string, error) {
	d := storedGrant{grantDoc: grantDoc(g), Claims: g.Claims}
	d.AuthTime, d.CreatedAt = whole(g.AuthTime), whole(g.CreatedAt)
	return encode(d)
}

// grantRow receives grantColumns.
type grantRow struct {
	doc                                                             storedGrant
	codeUntil, codeSpent, rotatedAt, idleUntil, until, dead, bucket int64
	text                                                            []byte
}

func (r *grantRow) dest() []any {
	d := &r.doc.grantDoc
	return []any{
		&d.ID, &d.ClientID, &d.CodeHash, &d.RedirectURI, &d.Challenge, &r.codeUntil, &r.codeSpent,
		&d.AnchorHash, &d.Cur, &d.Prev, &d.Successor, &r.rotatedAt, &r.idleUntil, &r.until, &r.dead, &r.bucket, &r.text,
	}
}

// times is the grant without what only the document holds.
func (r *grantRow) times() tokens.Grant {
	d := r.doc.grantDoc
	d.Claims = r.doc.Claims
	d.CodeUntil, d.CodeSpent, d.RotatedAt = instant(r.codeUntil), instant(r.codeSpent), instant(r.rotatedAt)
	d.IdleUntil, d.Until, d.Dead = instant(r.idleUntil), instant(r.until), instant(r.dead)
	return tokens.Grant(d)
}

func (r *grantRow) grant() (tokens.Grant, error) {
	if err := decode(r.text, &r.doc); err != nil {
		return tokens.Grant{}, err
	}
	return r.times(), nil
}
