// Package config owns the shape of the configuration, where each value came from, and everything that can be wrong with it. Building
// the program from it is left to cmd/broker.
package config

import (
	"time"
)

// Config is the whole configuration. Every field has a key (the tag) and a line of documentation (doc.go's reference is made from
// both); durations are written like 15m, 1h30m or 90d.
type Config struct {
	Issuer         string              `koanf:"issuer" doc:"Public address of the broker, https; a path is allowed. It is the iss of every token."`
	Listen         string              `koanf:"listen" doc:"Address to listen on; port 0 picks a free one."`
	TrustedProxies []string            `koanf:"trusted_proxies" doc:"Networks of the proxies whose X-Forwarded-For is believed. From public addresses that are not listed it is ignored; from private ones it switches the limit per address off, with a warning."`
	TLS            TLS                 `koanf:"tls"`
	Ops            Ops                 `koanf:"ops"`
	Log            Log                 `koanf:"log"`
	Product        Product             `koanf:"product"`
	Store          Store               `koanf:"store"`
	Keys           Keys                `koanf:"keys"`
	Tokens         Tokens              `koanf:"tokens"`
	Sessions       Sessions            `koanf:"sessions"`
	Password       Password            `koanf:"password"`
	APIKeys        APIKeys             `koanf:"api_keys"`
	Revocation     Revocation          `koanf:"revocation"`
	Registration   Registration        `koanf:"registration"`
	Roles          Roles               `koanf:"roles"`
	Policies       Policies            `koanf:"policies"`
	Audit          Audit               `koanf:"audit"`
	Tools          Tools               `koanf:"tools"`
	Bootstrap      Bootstrap           `koanf:"bootstrap"`
	Providers      map[string]Provider `koanf:"providers" doc:"Identity providers by id; the callback of one is /callback/<id>."`
	Clients        map[string]Client   `koanf:"clients" doc:"Applications by client_id."`
	APIs           map[string]API      `koanf:"apis" doc:"Protected resources by id."`
}

// TLS serves https without a proxy.
type TLS struct {
	CertFile string `koanf:"cert_file" doc:"PEM certificate chain; a renewed one is served without a restart. Empty: plain http behind a proxy that ends TLS."`
	KeyFile  string `koanf:"key_file" doc:"PEM key of cert_file."`
}

// Ops is the listener for operators.
type Ops struct {
	Listen string `koanf:"listen" doc:"Address of /healthz, /readyz and /metrics; keep it private. Empty switches it off."`
}

// Log shapes what is logged.
type Log struct {
	Level  string `koanf:"level" doc:"debug, info, warn or error."`
	Format string `koanf:"format" doc:"text, json, or auto: text on a terminal."`
}

// Product is what people see.
type Product struct {
	Name    string `koanf:"name" doc:"Name shown on pages."`
	Support string `koanf:"support" doc:"Whom people are told to ask: an e-mail address, an https address, or a few words."`
}

// Store says where data lives. With mongo.uri set, MongoDB; otherwise the SQLite file.
type Store struct {
	SQLite SQLite `koanf:"sqlite"`
	Mongo  Mongo  `koanf:"mongo"`
}

// SQLite is the embedded store.
type SQLite struct {
	Path string `koanf:"path" doc:"Database file; its folder also holds the control socket of the running broker."`
}

// Mongo is the store that replicas share.
type Mongo struct {
	URI      string `koanf:"uri" secret:"true" doc:"MongoDB connection string."`
	Database string `koanf:"database" doc:"Name of the database."`
}

// Keys protect and sign.
type Keys struct {
	Encryption   []string      `koanf:"encryption" secret:"true" doc:"Encryption keys, each 32 bytes in base64: the first seals, all open. Make one with: openssl rand -base64 32."`
	RotateEvery  time.Duration `koanf:"rotate_every" doc:"Age at which a signing key is replaced."`
	PublishAhead time.Duration `koanf:"publish_ahead" doc:"How long a new signing key is published before it signs."`
}

// Tokens are lifetimes.
type Tokens struct {
	AccessTTL       time.Duration `koanf:"access_ttl" doc:"Life of an access token."`
	CodeTTL         time.Duration `koanf:"code_ttl" doc:"Life of an authorization code."`
	RefreshIdle     time.Duration `koanf:"refresh_idle" doc:"A refresh token unused for so long is over."`
	RefreshAbsolute time.Duration `koanf:"refresh_absolute" doc:"End of a refresh family with offline_access or from the password grant."`
	ReuseInterval   time.Duration `koanf:"reuse_interval" doc:"For so long the direct predecessor of a refresh token is answered with the same successor, 0 to 10m."`
}

// Sessions are lifetimes of browser sessions.
type Sessions struct {
	Idle     time.Duration `koanf:"idle" doc:"A session unused for so long is over."`
	Absolute time.Duration `koanf:"absolute" doc:"A session is over after so long however it is used."`
}

// Password is the local password.
type Password struct {
	Enabled       bool   `koanf:"enabled" doc:"Offer name and password on the sign-in page."`
	MinLength     int    `koanf:"min_length" doc:"Least characters of a new password, 8 to 128."`
	DefaultClient string `koanf:"default_client" doc:"Client meant by the password grant without client_id."`
}

// APIKeys are the machine keys of users.
type APIKeys struct {
	Query bool `koanf:"query" doc:"Take an API key in the parameter api_key too, where addresses end up in logs of others."`
}

// Policies say what people and programs may do beside their roles.
type Policies struct {
	Dir     string `koanf:"dir" doc:"Folder with one folder per application, each with *.cedar, schema.cedarschema and entities.json; what it holds cannot be changed at run time. Empty: the policies in the store, and for the broker itself those it comes with."`
	Default string `koanf:"default" doc:"Application asked at <issuer>/access/v1 by callers whom none is named after; empty for none. Every application is also asked at <issuer>/pdp/<application>/access/v1."`
}

// Audit is the record of who did what.
type Audit struct {
	Keep time.Duration `koanf:"keep" doc:"How long audit events are kept, at least 1d; 0 for ever."`
}

// Tools are pages for the people who build apps and APIs.
type Tools struct {
	JWT bool `koanf:"jwt" doc:"The JWT decoder at /tools/jwt. It works in the browser and shows nothing that is not public."`
	// Policy evaluates what people type, within bounds.
	Policy bool `koanf:"policy" doc:"The policy playground at /tools/policy, for everybody who is signed in. It evaluates policies that people type, and changes none."`
	Guide  bool `koanf:"guide" doc:"The guide at /guide: what each kind of credential is for, with a line to try it by."`
	Docs   bool `koanf:"docs" doc:"The description of the whole surface at /openapi.json, and the page at /docs on which it can be tried."`
	// DocsClient is not checked against clients made at run time.
	DocsClient string `koanf:"docs_client" doc:"Public client filled in where people authorize at /docs; its redirect address is <issuer>/docs/oauth2-redirect.html."`
}

// Revocation is how a token is known to be good.
type Revocation struct {
	Mode string `koanf:"mode" doc:"blocklist: a token is good unless it was revoked; allowlist: every token is stored, one write each, and one that is not stored is refused."`
	Feed string `koanf:"feed" doc:"Who may read the revocation feed: clients (those with a secret that may call an API) or anyone."`
}

// The words of Revocation.
const (
	Blocklist   = "blocklist"
	Allowlist   = "allowlist"
	FeedClients = "clients"
	FeedAnyone  = "anyone"
)

// Registration is how unknown people become users.
type Registration struct {
	Open        bool   `koanf:"open" doc:"Unknown people who come from a provider become users."`
	Password    bool   `koanf:"password" doc:"People can make an account with name and password themselves."`
	DefaultRole string `koanf:"default_role" doc:"Role of a new user; empty for none."`
}

// Bootstrap makes the first admins.
type Bootstrap struct {
	Admins []string `koanf:"admins" doc:"Who becomes admin at sign-in: <provider>:<subject> such as github:583231, or a verified address."`
}

// Provider is an upstream.
type Provider struct {
	Kind          string   `koanf:"kind" doc:"github, google or oidc; the id if that is github or google, otherwise oidc."`
	Name          string   `koanf:"name" doc:"Name on the button."`
	ClientID      string   `koanf:"client_id" doc:"The broker's client id at the upstream."`
	ClientSecret  string   `koanf:"client_secret" secret:"true" doc:"The broker's client secret at the upstream."`
	Issuer        string   `koanf:"issuer" doc:"Issuer of an OpenID provider, exactly as its discovery document says."`
	AuthMethod    string   `koanf:"token_endpoint_auth_method" doc:"client_secret_basic or client_secret_post."`
	Scopes        []string `koanf:"scopes" doc:"Scopes to ask for."`
	SubjectClaim  string   `koanf:"subject_claim" doc:"Claim that identifies people; sub unless the upstream says otherwise (oid for Entra)."`
	HostedDomains []string `koanf:"hosted_domains" doc:"Google Workspace domains whose people may sign in; empty for everybody."`
	Linking       string   `koanf:"linking" doc:"What happens when a new identity brings the verified address of another account: off, prove or trust."`
	Registration  *bool    `koanf:"registration" doc:"Overrides registration.open for this provider."`
	Disabled      bool     `koanf:"disabled" doc:"Switches the provider off."`
	AllowPrivate  bool     `koanf:"allow_private" doc:"Let the broker reach loopback and private addresses for this provider."`
	CAFile        string   `koanf:"ca_file" doc:"PEM file of a private CA for this provider."`
	AuthURL       string   `koanf:"auth_url" doc:"GitHub Enterprise: authorization endpoint."`
	TokenURL      string   `koanf:"token_url" doc:"GitHub Enterprise: token endpoint."`
	APIURL        string   `koanf:"api_url" doc:"GitHub Enterprise: base of the REST API."`
	// Namespace of its identities where it is not the issuer; `broker dev` sets it for local upstreams, it has no key.
	Namespace string `koanf:"-"`
}

// Roles say who gets which role at sign-in.
type Roles struct {
	Rules map[string]MappingRule `koanf:"rules" doc:"Mapping rules by id, evaluated before those that admins make at run time."`
}

// MappingRule gives roles to people about whom an upstream says something.
type MappingRule struct {
	Order    int           `koanf:"order" doc:"Rules are evaluated from the lowest number up, equal ones by id."`
	Provider string        `koanf:"provider" doc:"Id of the provider whose claims it reads; empty for every provider."`
	Claim    string        `koanf:"claim" doc:"Path to the claim, names joined by dots, such as realm_access.roles; orgs and teams for GitHub."`
	Op       string        `koanf:"op" doc:"equals, in or matches_domain; in if empty."`
	Values   []string      `koanf:"values" doc:"What the claim, or an element of it, is compared with."`
	Give     []string      `koanf:"roles" doc:"Roles that a match gives."`
	TTL      time.Duration `koanf:"ttl" doc:"How long they last without being confirmed by a sign-in; 30 days if empty."`
	Stop     bool          `koanf:"stop" doc:"Where this rule matches, those after it give nothing."`
}

// Client is an application.
type Client struct {
	Name             string   `koanf:"name" doc:"Name shown to people."`
	Secret           string   `koanf:"client_secret" secret:"true" doc:"Secret of at least 32 characters; none makes the client public."`
	AuthMethod       string   `koanf:"token_endpoint_auth_method" doc:"none, client_secret_basic or client_secret_post. With a secret client_secret_basic, without one none."`
	FirstParty       bool     `koanf:"first_party" doc:"The operator's own app: no consent page, and the password grant where listed."`
	GrantTypes       []string `koanf:"grant_types" doc:"authorization_code and refresh_token if empty; also password, client_credentials, urn:ietf:params:oauth:grant-type:token-exchange."`
	RedirectURIs     []string `koanf:"redirect_uris" doc:"Redirect addresses, each in full. http only on loopback; 127.0.0.1 and [::1] match with any port."`
	PostLogout       []string `koanf:"post_logout_redirect_uris" doc:"Addresses to return to after sign-out."`
	InitiateLoginURI string   `koanf:"initiate_login_uri" doc:"Address of the app that starts a sign-in."`
	Origins          []string `koanf:"allowed_origins" doc:"CORS origins; empty: those of redirect_uris."`
	Scopes           []string `koanf:"scopes" doc:"Scopes the client may ask for; empty: the OpenID ones and all of its APIs."`
	APIs             []string `koanf:"apis" doc:"Ids of the APIs the client may ask for by resource."`
	DefaultAPI       string   `koanf:"default_api" doc:"API meant where the client asks for none; empty: the broker itself."`
	Providers        []string `koanf:"providers" doc:"Ids of the providers people may use for this client, and password; empty for all."`
	PKCE             string   `koanf:"pkce" doc:"required, or optional for a confidential client that cannot send a challenge."`
	IDTokenAlg       string   `koanf:"id_token_signed_response_alg" doc:"RS256, ES256 or EdDSA."`
	Introspect       string   `koanf:"introspect" doc:"own: tokens the client is a party to; any: every token."`
	Disabled         bool     `koanf:"disabled" doc:"Switches the client off."`
	// LoopbackAnyPort is set by `broker dev` for its demo client; it has no key.
	LoopbackAnyPort bool `koanf:"-"`
}

// API is a protected resource.
type API struct {
	Audience    string      `koanf:"audience" doc:"aud of its tokens and value of the parameter resource; an absolute URI."`
	Scopes      []string    `koanf:"scopes" doc:"Scopes that clients of the API may ask for."`
	Roles       []string    `koanf:"roles" doc:"Roles its tokens may name; empty for all."`
	AccessToken AccessToken `koanf:"access_token"`
}

// AccessToken shapes the access tokens of an API.
type AccessToken struct {
	Alg string        `koanf:"alg" doc:"ES256, RS256 or EdDSA."`
	Typ string        `koanf:"typ" doc:"at+jwt, or JWT for verifiers that know no other."`
	TTL time.Duration `koanf:"ttl" doc:"Life; 0 for tokens.access_ttl."`
}

// Default returns the configuration with nothing set by anybody.
func Default() Config {
	return Config{
		Listen:  "127.0.0.1:8080",
		Ops:     Ops{Listen: "127.0.0.1:9090"},
		Log:     Log{Level: "info", Format: "auto"},
		Product: Product{Name: "Broker"},
		Store:   Store{SQLite: SQLite{Path: "broker.db"}, Mongo: Mongo{Database: "broker"}},
		Keys:    Keys{RotateEvery: 90 * 24 * time.Hour, PublishAhead: 15 * time.Minute},
		Tokens: Tokens{
			AccessTTL: 15 * time.Minute, CodeTTL: time.Minute, RefreshIdle: 7 * 24 * time.Hour, RefreshAbsolute: 30 * 24 * time.Hour,
			ReuseInterval: 30 * time.Second,
		},
		Sessions:     Sessions{Idle: time.Hour, Absolute: 12 * time.Hour},
		Password:     Password{Enabled: true, MinLength: 15},
		Revocation:   Revocation{Mode: Blocklist, Feed: FeedClients},
		Registration: Registration{Open: true, DefaultRole: "viewer"},
		Audit:        Audit{Keep: 365 * 24 * time.Hour},
		Tools:        Tools{JWT: true, Policy: true, Guide: true, Docs: true},
	}
}
