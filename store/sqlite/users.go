package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"example.com/broker/internal/fault"
	"example.com/broker/rbac"
	"example.com/broker/users"
)

type userStore struct{ *database }

var _ users.Store = (*userStore)(nil)

func (s *userStore) Create(ctx context.Context, u users.User, claims []users.Claim, now time.Time) error {
	doc, err := encodeUser(u)
	if err != nil {
		return err
	}
	return s.write.do(ctx, func(t *tx) error {
		if err := takeClaims(t, u.ID, claims, now); err != nil {
			return err
		}
		n, err := t.exec(`INSERT INTO users (id, v, doc) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, u.ID, u.V, doc)
		if err == nil && n == 0 {
			err = fault.New(fault.Conflict, "user_exists", "There is a user %q already.", u.ID)
		}
		return err
	})
}

func (s *userStore) Get(ctx context.Context, id string) (users.User, error) {
	var text []byte
	err := s.read.one(ctx, `SELECT doc FROM users WHERE id = ?`, []any{id}, &text)
	if errors.Is(err, sql.ErrNoRows) {
		return users.User{}, unknownUser(id)
	}
	if err != nil {
		return users.User{}, classify(err)
	}
	return decodeUser(text)
}

func (s *userStore) Holder(ctx context.Context, c users.Claim) (users.Holder, error) {
	var h users.Holder
	var at int64
	err := s.read.one(ctx, `SELECT user_id, at FROM claims WHERE kind = ? AND key = ?`, []any{string(c.Kind), c.Key}, &h.UserID, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return users.Holder{}, fault.New(fault.NotFound, "claim_unknown", "Nobody holds this %s.", c.Kind)
	}
	if err != nil {
		return users.Holder{}, classify(err)
	}
	h.At = instant(at)
	return h, nil
}

func (s *userStore) Replace(ctx context.Context, u users.User, add, drop []users.Claim, now time.Time) error {
	v := u.V
	u.V++
	doc, err := encodeUser(u)
	if err != nil {
		return err
	}
	return s.write.do(ctx, func(t *tx) error {
		if err := takeClaims(t, u.ID, add, now); err != nil {
			return err
		}
		n, err := t.exec(`UPDATE users SET v = v + 1, doc = ? WHERE id = ? AND v = ?`, doc, u.ID, v)
		if err != nil {
			return err
		}
		if n == 0 {
			return unmatched(t, `SELECT 1 FROM users WHERE id = ?`, u.ID, unknownUser(u.ID),
				fault.New(fault.Conflict, "user_changed", "The user was changed meanwhile; read it again."))
		}
		return dropClaims(t, u.ID, drop)
	})
}

func (s *userStore) Delete(ctx context.Context, id string, v int64) error {
	return s.write.do(ctx, func(t *tx) error {
		n, err := t.exec(`DELETE FROM users WHERE id = ? AND v = ?`, id, v)
		if err != nil || n > 0 {
			return err
		}
		return unmatched(t, `SELECT 1 FROM users WHERE id = ?`, id, unknownUser(id),
			fault.New(fault.Conflict, "user_changed", "The user was changed meanwhile; read it again."))
	})
}

func (s *userStore) TakeOver(ctx context.Context, c users.Claim, from users.Holder, to string, now time.Time) error {
	return s.write.do(ctx, func(t *tx) error {
		n, err := t.exec(`UPDATE claims SET user_id = ?, at = ? WHERE kind = ? AND key = ? AND user_id = ? AND at = ?`,
			to, millis(now), string(c.Kind), c.Key, from.UserID, millis(from.At))
		if err == nil && n == 0 {
			err = takenClaim(c)
		}
		return err
	})
}

func (s *userStore) List(ctx context.Context, after string, limit int) ([]users.User, error) {
	return list(ctx, s.read, func(row scanner) (users.User, error) {
		var text []byte
		if err := row.Scan(&text); err != nil {
			return users.User{}, err
		}
		return decodeUser(text)
	}, `SELECT doc FROM users WHERE id > ? ORDER BY id LIMIT ?`, after, max(limit, 0))
}

// takeClaims reserves claims for a user. One that is held by the same user already is renewed: it must not be taken over while
// its holder is about to finish.
func takeClaims(t *tx, userID string, claims []users.Claim, now time.Time) error {
	for _, c := range claims {
		n, err := t.exec(`INSERT INTO claims (kind, key, user_id, at) VALUES (?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET at = excluded.at WHERE user_id = excluded.user_id`, string(c.Kind), c.Key, userID, millis(now))
		if err != nil {
			return err
		}
		if n == 0 {
			return takenClaim(c)
		}
	}
	return nil
}

func dropClaims(t *tx, userID string, claims []users.Claim) error {
	for _, c := range claims {
		if _, err := t.exec(`DELETE FROM claims WHERE kind = ? AND key = ? AND user_id = ?`, string(c.Kind), c.Key, userID); err != nil {
			return err
		}
	}
	return nil
}

func takenClaim(c users.Claim) error {
	return fault.New(fault.Conflict, "claim_taken", "Another user holds this %s.", c.Kind)
}

func unknownUser(id string) error {
	return fault.New(fault.NotFound, "user_unknown", "There is no user %q.", id)
}

// unmatched says why a conditional update of a versioned row matched nothing: absent if the row is not there, changed if it is.
func unmatched(t *tx, exists, id string, absent, changed error) error {
	var one int
	err := t.one(exists, []any{id}, &one)
	if errors.Is(err, sql.ErrNoRows) {
		return absent
	}
	if err != nil {
		return err
	}
	return changed
}

// The stored forms have names of their own, so that a rename in the management API cannot change what is stored, and hold what the API
// hides. A conversion between the two compiles only while their fields are the same.
type (
	userDoc struct {
		ID            string          `json:"id"`
		Username      string          `json:"username,omitempty"`
		Name          string          `json:"name,omitempty"`
		Picture       string          `json:"picture,omitempty"`
		Email         string          `json:"email,omitempty"`
		EmailVerified bool            `json:"email_verified,omitempty"`
		Status        users.Status    `json:"status"`
		Claimable     bool            `json:"claimable,omitempty"`
		Password      string          `json:"password,omitempty"`
		Identities    []users.Linked  `json:"-"`
		Grants        []rbac.Grant    `json:"-"`
		Consents      []users.Consent `json:"-"`
		Ver           int64           `json:"ver"`
		Epoch         int64           `json:"epoch"`
		CreatedAt     time.Time       `json:"created_at,omitzero"`
		UpdatedAt     time.Time       `json:"updated_at,omitzero"`
		V             int64           `json:"v"`
	}
	identityDoc struct {
		Provider      string         `json:"provider"`
		Namespace     string         `json:"namespace"`
		Subject       string         `json:"subject"`
		Email         string         `json:"email,omitempty"`
		EmailVerified bool           `json:"email_verified,omitempty"`
		Authoritative bool           `json:"authoritative,omitempty"`
		Handle        string         `json:"handle,omitempty"`
		Name          string         `json:"name,omitempty"`
		Picture       string         `json:"picture,omitempty"`
		Claims        map[string]any `json:"-"` // never stored
		Unasked       rbac.Unasked   `json:"-"`
	}
	linkedDoc struct {
		identityDoc
		LinkedAt time.Time `json:"linked_at,omitzero"`
	}
	roleDoc struct {
		Role   string      `json:"role"`
		Source rbac.Source `json:"source"`
		Since  time.Time   `json:"since,omitzero"`
		Until  time.Time   `json:"until,omitzero"`
		// Rule and Provider are lost where the version before rewrites a row: the next sign-in replaces such a grant.
		Rule     string `json:"rule,omitempty"`
		Provider string `json:"provider,omitempty"`
		Held     string `json:"held,omitempty"`
	}
	consentDoc struct {
		ClientID string    `json:"client_id"`
		Scope    string    `json:"scope"`
		APIs     []string  `json:"apis,omitempty"`
		At       time.Time `json:"at,omitzero"`
	}
	storedUser struct {
		userDoc
		Identities []linkedDoc  `json:"identities,omitempty"`
		Grants     []roleDoc    `json:"grants,omitempty"`
		Consents   []consentDoc `json:"consents,omitempty"`
	}
)

func encodeUser(u users.User) (string, error) {
	s := storedUser{userDoc: userDoc(u)}
	s.CreatedAt, s.UpdatedAt = whole(u.CreatedAt), whole(u.UpdatedAt)
	for _, l := range u.Identities {
		s.Identities = append(s.Identities, linkedDoc{identityDoc: identityDoc(l.Identity), LinkedAt: whole(l.LinkedAt)})
	}
	for _, g := range u.Grants {
		d := roleDoc(g)
		d.Since, d.Until = whole(g.Since), whole(g.Until)
		s.Grants = append(s.Grants, d)
	}
	for _, c := range u.Consents {
		d := consentDoc(c)
		d.At = whole(c.At)
		s.Consents = append(s.Consents, d)
	}
	return encode(s)
}

func decodeUser(text []byte) (users.User, error) {
	var s storedUser
	if err := decode(text, &s); err != nil {
		return users.User{}, err
	}
	u := users.User(s.userDoc)
	for _, d := range s.Identities {
		u.Identities = append(u.Identities, users.Linked{Identity: users.Identity(d.identityDoc), LinkedAt: d.LinkedAt})
	}
	for _, d := range s.Grants {
		u.Grants = append(u.Grants, rbac.Grant(d))
	}
	for _, d := range s.Consents {
		u.Consents = append(u.Consents, users.Consent(d))
	}
	return u, nil
}
