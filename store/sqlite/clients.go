package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"example.com/broker/clients"
	"example.com/broker/internal/fault"
	"example.com/broker/oauth"
)

type clientStore struct{ *database }

var _ clients.Store = (*clientStore)(nil)

func (s *clientStore) InsertClient(ctx context.Context, c clients.Client) error {
	doc, err := encodeClient(c)
	if err != nil {
		return err
	}
	return s.write.do(ctx, func(t *tx) error {
		n, err := t.exec(`INSERT INTO clients (id, v, doc) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, c.ID, c.V, doc)
		if err == nil && n == 0 {
			err = fault.New(fault.Conflict, "client_exists", "There is a client %q already.", c.ID)
		}
		return err
	})
}

func (s *clientStore) GetClient(ctx context.Context, id string) (clients.Client, error) {
	var text []byte
	err := s.read.one(ctx, `SELECT doc FROM clients WHERE id = ?`, []any{id}, &text)
	if errors.Is(err, sql.ErrNoRows) {
		return clients.Client{}, unknownClient(id)
	}
	if err != nil {
		return clients.Client{}, classify(err)
	}
	return decodeClient(text)
}

func (s *clientStore) ReplaceClient(ctx context.Context, c clients.Client) error {
	v := c.V
	c.V++
	doc, err := encodeClient(c)
	if err != nil {
		return err
	}
	return s.write.do(ctx, func(t *tx) error {
		n, err := t.exec(`UPDATE clients SET v = v + 1, doc = ? WHERE id = ? AND v = ?`, doc, c.ID, v)
		if err != nil || n > 0 {
			return err
		}
		return unmatched(t, `SELECT 1 FROM clients WHERE id = ?`, c.ID, unknownClient(c.ID),
			fault.New(fault.Conflict, "client_changed", "The client was changed meanwhile; read it again."))
	})
}

func (s *clientStore) ListClients(ctx context.Context, after string, limit int) ([]clients.Client, error) {
	return list(ctx, s.read, func(row scanner) (clients.Client, error) {
		var text []byte
		if err := row.Scan(&text); err != nil {
			return clients.Client{}, err
		}
		return decodeClient(text)
	}, `SELECT doc FROM clients WHERE id > ? ORDER BY id LIMIT ?`, after, max(limit, 0))
}

func (s *clientStore) DeleteClient(ctx context.Context, id string, v int64) error {
	return s.write.do(ctx, func(t *tx) error {
		n, err := t.exec(`DELETE FROM clients WHERE id = ? AND v = ?`, id, v)
		if err != nil || n > 0 {
			return err
		}
		return unmatched(t, `SELECT 1 FROM clients WHERE id = ?`, id, unknownClient(id),
			fault.New(fault.Conflict, "client_changed", "The client was changed meanwhile; read it again."))
	})
}

// apisDoc is the name of the document of APIs.
const apisDoc = "apis"

func (s *clientStore) LoadAPIs(ctx context.Context) (clients.APISet, error) {
	var d storedAPIs
	v, err := s.loadDocument(ctx, apisDoc, &d)
	if err != nil || v == 0 {
		return clients.APISet{}, err
	}
	set := clients.APISet{V: v, By: d.By, At: d.At}
	for _, a := range d.APIs {
		set.APIs = append(set.APIs, clients.API(a))
	}
	return set, nil
}

func (s *clientStore) SwapAPIs(ctx context.Context, set clients.APISet) error {
	d := storedAPIs{By: set.By, At: whole(set.At)}
	for _, a := range set.APIs {
		d.APIs = append(d.APIs, storedAPI(a))
	}
	return s.swapDocument(ctx, apisDoc, set.V, d, fault.New(fault.Conflict, "apis_changed", "The APIs were changed meanwhile; read them again."))
}

type (
	storedAPIs struct {
		By   string      `json:"by,omitempty"`
		At   time.Time   `json:"at,omitzero"`
		APIs []storedAPI `json:"apis"`
	}
	storedAPI struct {
		ID       string        `json:"id"`
		Audience string        `json:"audience"`
		Scopes   oauth.Scopes  `json:"scopes,omitempty"`
		Roles    []string      `json:"roles,omitempty"`
		Alg      string        `json:"alg"`
		Typ      string        `json:"typ"`
		TTL      time.Duration `json:"ttl,omitempty"`
		Fixed    bool          `json:"-"` // never stored
	}
)

func unknownClient(id string) error {
	return fault.New(fault.NotFound, "client_unknown", "There is no client %q.", id)
}

// clientDoc keeps an empty list apart from none: for some lists, none means all.
type clientDoc struct {
	ID                     string       `json:"id"`
	Name                   string       `json:"name,omitempty"`
	AuthMethod             string       `json:"auth_method"`
	SecretHashes           []string     `json:"secret_hashes,omitzero"`
	SecretGrace            time.Time    `json:"secret_grace,omitzero"`
	FirstParty             bool         `json:"first_party,omitempty"`
	GrantTypes             []string     `json:"grant_types,omitzero"`
	RedirectURIs           []string     `json:"redirect_uris,omitzero"`
	PostLogoutRedirectURIs []string     `json:"post_logout_redirect_uris,omitzero"`
	InitiateLoginURI       string       `json:"initiate_login_uri,omitempty"`
	Origins                []string     `json:"origins,omitzero"`
	Scopes                 oauth.Scopes `json:"scopes,omitzero"`
	APIs                   []string     `json:"apis,omitzero"`
	DefaultAPI             string       `json:"default_api,omitempty"`
	Providers              []string     `json:"providers,omitzero"`
	PKCEOptional           bool         `json:"pkce_optional,omitempty"`
	LoopbackAnyPort        bool         `json:"loopback_any_port,omitempty"`
	IDTokenAlg             string       `json:"id_token_alg,omitempty"`
	IntrospectAny          bool         `json:"introspect_any,omitempty"`
	Disabled               bool         `json:"disabled,omitempty"`
	CreatedAt              time.Time    `json:"created_at,omitzero"`
	V                      int64        `json:"v"`
}

func encodeClient(c clients.Client) (string, error) {
	d := clientDoc(c)
	d.SecretGrace, d.CreatedAt = whole(c.SecretGrace), whole(c.CreatedAt)
	return encode(d)
}

func decodeClient(text []byte) (clients.Client, error) {
	var d clientDoc
	err := decode(text, &d)
	return clients.Client(d), err
}
