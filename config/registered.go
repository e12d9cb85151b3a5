package config

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"example.com/broker/clients"
	"example.com/broker/internal/secret"
	"example.com/broker/keys"
	"example.com/broker/oauth"
	"example.com/broker/providers"
	"example.com/broker/rbac"
	"example.com/broker/users"
)

// What the adapters are called in a file.
const (
	KindGitHub = "github"
	KindGoogle = "google"
	KindOIDC   = "oidc"
)

// RegisteredAPIs returns the APIs by id, with the defaults filled in.
func (c Config) RegisteredAPIs() []clients.API {
	var out []clients.API
	for _, id := range slices.Sorted(maps.Keys(c.APIs)) {
		out = append(out, c.APIs[id].registered(id))
	}
	return out
}

func (a API) registered(id string) clients.API {
	return clients.API{
		ID: id, Audience: a.Audience, Scopes: some(a.Scopes), Roles: some(a.Roles),
		Alg: cmp.Or(a.AccessToken.Alg, keys.ES256), Typ: cmp.Or(a.AccessToken.Typ, oauth.TypAccessToken), TTL: a.AccessToken.TTL,
	}
}

// RegisteredClients returns the clients by id, with the defaults filled in and secrets hashed.
func (c Config) RegisteredClients() []clients.Client {
	var out []clients.Client
	for _, id := range slices.Sorted(maps.Keys(c.Clients)) {
		out = append(out, c.Clients[id].registered(id))
	}
	return out
}

func (c Client) registered(id string) clients.Client {
	out := clients.Client{
		ID: id, Name: c.Name, AuthMethod: cmp.Or(c.AuthMethod, oauth.AuthNone), FirstParty: c.FirstParty, GrantTypes: some(c.GrantTypes),
		RedirectURIs: some(c.RedirectURIs), PostLogoutRedirectURIs: some(c.PostLogout), InitiateLoginURI: c.InitiateLoginURI,
		Origins: some(c.Origins), Scopes: some(c.Scopes), APIs: some(c.APIs), DefaultAPI: c.DefaultAPI, Providers: some(c.Providers),
		PKCEOptional: c.PKCE == pkceOptional, LoopbackAnyPort: c.LoopbackAnyPort, IDTokenAlg: c.IDTokenAlg,
		IntrospectAny: c.Introspect == introspectAny, Disabled: c.Disabled,
	}
	if c.Secret != "" {
		out.AuthMethod = cmp.Or(c.AuthMethod, oauth.AuthClientSecretBasic)
		out.SecretHashes = []string{secret.Hash(secret.Value(c.Secret))}
	}
	if out.GrantTypes == nil {
		out.GrantTypes = []string{oauth.GrantAuthorizationCode, oauth.GrantRefreshToken}
	}
	return out
}

// RegisteredProviders returns the providers in the order of their buttons: google, github, then the others by id. Scopes and the
// addresses of the well-known upstreams are left to the adapters.
func (c Config) RegisteredProviders(now func() time.Time) []providers.Config {
	var out []providers.Config
	for _, id := range providerOrder(c.Providers) {
		p := c.Providers[id]
		out = append(out, providers.Config{
			ID: id, Kind: p.kind(id), Name: p.name(id), Namespace: cmp.Or(p.Namespace, p.Issuer), Issuer: p.Issuer, ClientID: p.ClientID,
			ClientSecret: p.ClientSecret, AuthMethod: p.AuthMethod, Scopes: some(p.Scopes), SubjectClaim: p.SubjectClaim,
			HostedDomains: some(p.HostedDomains), Linking: users.Linking(cmp.Or(p.Linking, string(users.LinkProve))),
			Registration: p.Registration, Disabled: p.Disabled, AllowPrivate: p.AllowPrivate, Groups: c.readsGroups(id), CAFile: p.CAFile,
			AuthURL: p.AuthURL, TokenURL: p.TokenURL, APIURL: p.APIURL,
			RedirectURI: strings.TrimSuffix(c.Issuer, "/") + "/callback/" + id, Now: now,
		})
	}
	return out
}

// readsGroups reports whether a rule of the configuration reads GitHub's organisations or teams from the provider.
func (c Config) readsGroups(provider string) bool {
	for _, r := range c.Roles.Rules {
		if (r.Provider == "" || r.Provider == provider) && (r.Claim == "orgs" || r.Claim == "teams") {
			return true
		}
	}
	return false
}

// MappingRules returns the rules of the configuration in the order of evaluation.
func (c Config) MappingRules() []rbac.Rule {
	ids := slices.SortedFunc(maps.Keys(c.Roles.Rules), func(a, b string) int {
		return cmp.Or(cmp.Compare(c.Roles.Rules[a].Order, c.Roles.Rules[b].Order), cmp.Compare(a, b))
	})
	var out []rbac.Rule
	for _, id := range ids {
		r := c.Roles.Rules[id]
		out = append(out, rbac.Rule{
			ID: id, Provider: r.Provider, Claim: r.Claim, Op: rbac.Op(cmp.Or(r.Op, string(rbac.In))), Values: slices.Clone(r.Values),
			Roles: slices.Clone(r.Give), TTL: int64(r.TTL / time.Second), Stop: r.Stop,
		})
	}
	return out
}

func providerOrder(m map[string]Provider) []string {
	rank := func(id string) int {
		switch id {
		case KindGoogle:
			return 0
		case KindGitHub:
			return 1
		}
		return 2
	}
	return slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
	})
}

func (p Provider) kind(id string) string {
	switch {
	case p.Kind != "":
		return p.Kind
	case id == KindGitHub || id == KindGoogle:
		return id
	}
	return KindOIDC
}

func (p Provider) name(id string) string {
	switch {
	case p.Name != "":
		return p.Name
	case id == KindGitHub:
		return "GitHub"
	case id == KindGoogle:
		return "Google"
	}
	return id
}

// some is a copy of list, nil if it is empty: an empty list in a file means the default, as a missing one does.
func some[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return slices.Clone(list)
}
