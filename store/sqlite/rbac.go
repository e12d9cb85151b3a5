package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"example.com/broker/internal/fault"
	"example.com/broker/rbac"
)

type rbacStore struct{ *database }

var _ rbac.Store = (*rbacStore)(nil)

// The names of the documents.
const (
	rolesDoc = "roles"
	rulesDoc = "mapping_rules"
)

func (s *rbacStore) LoadRoles(ctx context.Context) (rbac.RoleSet, error) {
	var d storedRoles
	v, err := s.loadDocument(ctx, rolesDoc, &d)
	if err != nil || v == 0 {
		return rbac.RoleSet{}, err
	}
	set := rbac.RoleSet{V: v, By: d.By, At: d.At}
	for _, r := range d.Roles {
		set.Roles = append(set.Roles, rbac.Role(r))
	}
	return set, nil
}

func (s *rbacStore) SwapRoles(ctx context.Context, set rbac.RoleSet) error {
	d := storedRoles{By: set.By, At: whole(set.At)}
	for _, r := range set.Roles {
		d.Roles = append(d.Roles, storedRole(r))
	}
	return s.swapDocument(ctx, rolesDoc, set.V, d, fault.New(fault.Conflict, "roles_changed", "The roles were changed meanwhile; read them again."))
}

func (s *rbacStore) LoadRules(ctx context.Context) (rbac.RuleSet, error) {
	var d storedRules
	v, err := s.loadDocument(ctx, rulesDoc, &d)
	if err != nil || v == 0 {
		return rbac.RuleSet{}, err
	}
	set := rbac.RuleSet{V: v, By: d.By, At: d.At}
	for _, r := range d.Rules {
		set.Rules = append(set.Rules, rbac.Rule(r))
	}
	return set, nil
}

func (s *rbacStore) SwapRules(ctx context.Context, set rbac.RuleSet) error {
	d := storedRules{By: set.By, At: whole(set.At)}
	for _, r := range set.Rules {
		d.Rules = append(d.Rules, storedRule(r))
	}
	return s.swapDocument(ctx, rulesDoc, set.V, d, fault.New(fault.Conflict, "rules_changed", "The mapping rules were changed meanwhile; read them again."))
}

// loadDocument returns version 0 where there is no document.
func (d *database) loadDocument(ctx context.Context, name string, into any) (int64, error) {
	var v int64
	var text []byte
	err := d.read.one(ctx, `SELECT v, doc FROM documents WHERE name = ?`, []any{name}, &v, &text)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, classify(err)
	}
	return v, decode(text, into)
}

// swapDocument stores a document if its version is v, 0 meaning that there is none yet; otherwise it returns changed.
func (d *database) swapDocument(ctx context.Context, name string, v int64, content any, changed error) error {
	doc, err := encode(content)
	if err != nil {
		return err
	}
	return d.write.do(ctx, func(t *tx) error {
		var n int64
		var err error
		if v == 0 {
			n, err = t.exec(`INSERT INTO documents (name, v, doc) VALUES (?, 1, ?) ON CONFLICT DO NOTHING`, name, doc)
		} else {
			n, err = t.exec(`UPDATE documents SET v = v + 1, doc = ? WHERE name = ? AND v = ?`, doc, name, v)
		}
		if err == nil && n == 0 {
			err = changed
		}
		return err
	})
}

type (
	storedRoles struct {
		By    string       `json:"by,omitempty"`
		At    time.Time    `json:"at,omitzero"`
		Roles []storedRole `json:"roles"`
	}
	storedRole struct {
		Name        string            `json:"name"`
		Description string            `json:"description,omitempty"`
		Permissions []rbac.Permission `json:"permissions"`
	}
	storedRules struct {
		By    string       `json:"by,omitempty"`
		At    time.Time    `json:"at,omitzero"`
		Rules []storedRule `json:"rules"`
	}
	storedRule struct {
		ID       string   `json:"id"`
		Provider string   `json:"provider,omitempty"`
		Claim    string   `json:"claim"`
		Op       rbac.Op  `json:"op"`
		Values   []string `json:"values"`
		Roles    []string `json:"roles"`
		TTL      int64    `json:"ttl,omitempty"`
		Stop     bool     `json:"stop,omitempty"`
		Fixed    bool     `json:"-"` // never stored
	}
)
