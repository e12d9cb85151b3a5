// Package clients owns registered applications and the APIs they may call. What a configuration file defines is read-only at run
// time; the rest lives in the store.
package clients

import (
	"context"
	"slices"
	"time"

	"example.com/broker/oauth"
)

// Client is a registered application (RFC 6749 §2).
type Client struct {
	ID   string `json:"client_id" bson:"_id"`
	Name string `json:"name,omitempty" bson:"name,omitempty"`
	// AuthMethod is how the client authenticates at the token endpoint: oauth.AuthNone for a public client. Nothing else is taken.
	AuthMethod string `json:"token_endpoint_auth_method" bson:"auth_method"`
	// SecretHashes hold secret.Hash of each valid secret, newest first; a rotation keeps the old one until SecretGrace.
	SecretHashes []string  `json:"-" bson:"secret_hashes,omitempty"`
	SecretGrace  time.Time `json:"-" bson:"secret_grace,omitempty"`
	// FirstParty clients skip consent and may use the password grant if they list it.
	FirstParty             bool     `json:"first_party,omitempty" bson:"first_party,omitempty"`
	GrantTypes             []string `json:"grant_types" bson:"grant_types"`
	RedirectURIs           []string `json:"redirect_uris,omitempty" bson:"redirect_uris,omitempty"`
	PostLogoutRedirectURIs []string `json:"post_logout_redirect_uris,omitempty" bson:"post_logout_redirect_uris,omitempty"`
	// InitiateLoginURI is where "Start again" leads (OpenID Connect Core §4), "" for none.
	InitiateLoginURI string `json:"initiate_login_uri,omitempty" bson:"initiate_login_uri,omitempty"`
	// Origins are the CORS origins; nil means those of the redirect addresses.
	Origins []string `json:"allowed_origins,omitempty" bson:"origins,omitempty"`
	// Scopes the client may ask for; nil means the OpenID ones plus all scopes of its APIs.
	Scopes oauth.Scopes `json:"scopes,omitempty" bson:"scopes,omitempty"`
	// APIs are the ids of the APIs the client may ask for by `resource`; DefaultAPI is meant where it asks for none, "" the issuer.
	APIs       []string `json:"apis,omitempty" bson:"apis,omitempty"`
	DefaultAPI string   `json:"default_api,omitempty" bson:"default_api,omitempty"`
	// Providers are the ids of the providers people may use for this client; nil means all.
	Providers []string `json:"providers,omitempty" bson:"providers,omitempty"`
	// PKCEOptional exempts a confidential client from PKCE; one that sends a challenge all the same is checked in full.
	PKCEOptional bool `json:"pkce_optional,omitempty" bson:"pkce_optional,omitempty"`
	// LoopbackAnyPort lets a registered http://localhost address match with any port; `broker dev` sets it for its demo client.
	LoopbackAnyPort bool `json:"loopback_any_port,omitempty" bson:"loopback_any_port,omitempty"`
	// IDTokenAlg is the client's id_token_signed_response_alg; "" means RS256 (OpenID Connect Registration §2).
	IDTokenAlg string `json:"id_token_signed_response_alg,omitempty" bson:"id_token_alg,omitempty"`
	// IntrospectAny lets the client introspect tokens of any audience.
	IntrospectAny bool      `json:"introspect_any,omitempty" bson:"introspect_any,omitempty"`
	Disabled      bool      `json:"disabled,omitempty" bson:"disabled,omitempty"`
	CreatedAt     time.Time `json:"created_at,omitzero" bson:"created_at"`
	// V is the version of the document, for compare-and-swap; 0 for a client of the configuration.
	V int64 `json:"v" bson:"v"`
}

// Public reports whether the client has no credentials (RFC 6749 §2.1).
func (c Client) Public() bool { return c.AuthMethod == oauth.AuthNone }

// Allows reports whether the client lists the grant type.
func (c Client) Allows(grant string) bool { return slices.Contains(c.GrantTypes, grant) }

// AllowsProvider reports whether people may sign in to this client by the provider.
func (c Client) AllowsProvider(id string) bool {
	return c.Providers == nil || slices.Contains(c.Providers, id)
}

// Store keeps clients and APIs that are not defined by configuration.
type Store interface {
	// InsertClient adds a client. fault.Conflict "client_exists".
	InsertClient(ctx context.Context, c Client) error
	// GetClient returns a client, fault.NotFound "client_unknown".
	GetClient(ctx context.Context, id string) (Client, error)
	// ReplaceClient swaps the document if its stored V is c.V (which becomes c.V+1). fault.Conflict "client_changed", fault.NotFound.
	ReplaceClient(ctx context.Context, c Client) error
	// ListClients returns clients ordered by id, at most limit, with ids above after.
	ListClients(ctx context.Context, after string, limit int) ([]Client, error)
	// DeleteClient removes a client if its stored V is v. fault.Conflict "client_changed", fault.NotFound "client_unknown".
	DeleteClient(ctx context.Context, id string, v int64) error
	// LoadAPIs returns the APIs; an empty APISet with V 0 if none were stored.
	LoadAPIs(ctx context.Context) (APISet, error)
	// SwapAPIs stores s if the stored V is s.V (0: none stored); it becomes s.V+1. fault.Conflict "apis_changed".
	SwapAPIs(ctx context.Context, s APISet) error
}
