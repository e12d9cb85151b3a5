// Package providers says what an upstream identity provider is. The adapters live below it, one folder each.
package providers

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"example.com/broker/users"
)

// Config is one configured provider.
type Config struct {
	ID           string // immutable; the callback path is /callback/<ID>
	Kind         string // github, google, oidc
	Name         string // on the button
	Namespace    string // of its identities: the configured issuer, a constant for GitHub, local:<id> for local upstreams
	Issuer       string
	ClientID     string
	ClientSecret string
	// AuthMethod is how the broker authenticates at the upstream's token endpoint: client_secret_basic (default) or
	// client_secret_post. It is set, never probed.
	AuthMethod   string
	Scopes       []string
	SubjectClaim string // "sub" by default
	// HostedDomains restricts Google to these `hd` values.
	HostedDomains []string
	Linking       users.Linking
	// Registration lets unknown people in: nil means the installation's setting.
	Registration *bool
	Disabled     bool
	// AllowPrivate lets the adapter dial loopback and private addresses; refused otherwise. CAFile adds a private CA (PEM).
	AllowPrivate bool
	CAFile       string
	// AuthURL, TokenURL and APIURL replace GitHub's own addresses (GitHub Enterprise, the local upstream).
	AuthURL, TokenURL, APIURL string
	RedirectURI               string // our callback address
	// Groups says that a mapping rule of the configuration reads groups which cost a scope of their own: GitHub's orgs and teams.
	Groups bool
	// Ask returns the values of a claim that mapping rules compare with, for an upstream that leaves out of its lists what has to be asked
	// for by name; nil for none.
	Ask    func(claim string) []string
	Client *http.Client
	Now    func() time.Time
}

// Flow is what a trip to an upstream must remember; it travels sealed in a cookie.
type Flow struct {
	State    string // opaque, random
	Nonce    string // random; unused by providers without ID tokens
	Verifier string // PKCE, 43 characters or more
	// Hints the upstream may use.
	LoginHint, Prompt, UILocales, Display string
	MaxAge                                *int // seconds; nil for none
	ACRValues                             []string
}

// Provider sends people to an upstream and takes them back. Implementations are safe for concurrent use and keep no flow state.
type Provider interface {
	// Config returns the configuration, without the secret.
	Config() Config
	// AuthURL builds the authorization request for the flow. fault.Upstream if discovery fails.
	AuthURL(ctx context.Context, f Flow) (string, error)
	// Issuer is the value the `iss` response parameter must have (RFC 9207), required whether its absence is an error.
	Issuer(ctx context.Context) (issuer string, required bool, err error)
	// Exchange redeems the code of a callback and returns who came. query is the callback's query; state and iss have been checked.
	// fault.Upstream "upstream_unavailable" if the upstream fails or hangs, "upstream_invalid" if what it says does not verify,
	// fault.Forbidden "upstream_not_allowed" if a restriction of the provider (hosted domain) is not met.
	Exchange(ctx context.Context, f Flow, query url.Values) (Result, error)
}

// Result is a completed exchange. The Unasked of its Identity names the claims that the upstream could not be asked for: a refusal, a
// timeout or a missing scope is not an empty answer.
type Result struct {
	Identity users.Identity
	AMR      []string
	AuthTime time.Time // from the ID token, zero if it did not say
}

// Factory makes a provider from its configuration, without a network call. It returns an error that names what is missing.
type Factory func(Config) (Provider, error)
