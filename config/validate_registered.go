package config

import (
	"crypto/x509"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"example.com/broker/clients"
	"example.com/broker/keys"
	"example.com/broker/oauth"
	"example.com/broker/providers"
	"example.com/broker/rbac"
	"example.com/broker/users"
)

const minSecret = 32

var idPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// validID reports whether id can be a part of a path, which the id of a provider is.
func validID(id string) bool { return idPattern.MatchString(id) }

// reserved are ids that a provider cannot have: paths below /login, and the word for the password where ways in are listed.
var reserved = []string{"continue", "link", providerPassword}

// providerPassword stands for name and password among the providers of a client.
const providerPassword = "password"

func (v *validator) providers() {
	for _, id := range slices.Sorted(maps.Keys(v.c.Providers)) {
		key := "providers." + id
		switch {
		case !validID(id):
			v.bad(key, "%q cannot be the id of a provider, expected 1 to 63 of a-z, 0-9 and -", id)
		case slices.Contains(reserved, id):
			v.bad(key, "%q is a word of the broker's own: choose another id", id)
		}
		v.provider(key, id, v.c.Providers[id])
	}
}

func (v *validator) provider(key, id string, p Provider) {
	v.shown(key+".name", p.Name, 60)
	if !v.oneOf(key+".kind", p.Kind, KindGitHub, KindGoogle, KindOIDC) {
		return
	}
	if p.ClientID == "" {
		v.bad(key+".client_id", "is missing: the upstream gives it when you register %s/callback/%s there", strings.TrimSuffix(v.c.Issuer, "/"), id)
	}
	if p.ClientSecret == "" {
		v.bad(key+".client_secret", "is missing: set it, or the file that holds it in client_secret_file")
	}
	v.oneOf(key+".token_endpoint_auth_method", p.AuthMethod, oauth.AuthClientSecretBasic, oauth.AuthClientSecretPost)
	v.oneOf(key+".linking", p.Linking, string(users.LinkOff), string(users.LinkProve), string(users.LinkTrust))
	v.scopes(key+".scopes", p.Scopes)
	v.caFile(key+".ca_file", p.CAFile)
	for i, d := range p.HostedDomains {
		if strings.ContainsAny(d, "@/: *") || !strings.Contains(d, ".") {
			v.bad(item(key+".hosted_domains", i), "%q, expected a domain such as example.com", d)
		}
	}
	kind := p.kind(id)
	if kind == KindGitHub {
		v.gitHub(key, p)
		return
	}
	for name, value := range map[string]string{".auth_url": p.AuthURL, ".token_url": p.TokenURL, ".api_url": p.APIURL} {
		v.foreign(key+name, value != "", KindGitHub)
	}
	v.foreign(key+".hosted_domains", len(p.HostedDomains) > 0 && kind != KindGoogle, KindGoogle)
	switch {
	case p.Issuer == "" && kind == KindOIDC:
		v.bad(key+".issuer", "is missing: copy it from the upstream's discovery document")
	case p.Issuer != "":
		v.upstream(key+".issuer", p.Issuer, p)
		if strings.Contains(p.Issuer, "?") {
			v.bad(key+".issuer", "%q has a query, expected none", p.Issuer)
		}
	}
}

// gitHub checks what is for GitHub and for GitHub alone.
func (v *validator) gitHub(key string, p Provider) {
	v.foreign(key+".issuer", p.Issuer != "", KindOIDC)
	v.foreign(key+".subject_claim", p.SubjectClaim != "", KindOIDC)
	v.foreign(key+".hosted_domains", len(p.HostedDomains) > 0, KindGoogle)
	addresses := []struct{ name, value string }{{"auth_url", p.AuthURL}, {"token_url", p.TokenURL}, {"api_url", p.APIURL}}
	given := slices.ContainsFunc(addresses, func(a struct{ name, value string }) bool { return a.value != "" })
	for _, a := range addresses {
		switch {
		case a.value != "":
			v.upstream(key+"."+a.name, a.value, p)
		case given:
			v.bad(key+"."+a.name, "is missing: auth_url, token_url and api_url replace GitHub's own together")
		}
	}
}

// foreign says that a setting is for another kind of provider.
func (v *validator) foreign(key string, set bool, kind string) {
	if set {
		v.bad(key, "is for providers of the kind %s: remove it", kind)
	}
}

// upstream checks an address the broker calls.
func (v *validator) upstream(key, raw string, p Provider) {
	if err := (providers.Config{AllowPrivate: p.AllowPrivate}).CheckURL(raw); err != nil {
		v.bad(key, "%q, expected an https address without credentials and fragment (http is for this computer, with allow_private)", raw)
	}
}

func (v *validator) caFile(key, path string) {
	if path == "" {
		return
	}
	pem, err := os.ReadFile(path) //nolint:gosec // the path is the operator's own setting
	switch {
	case err != nil:
		v.bad(key, "%q cannot be read: %s", path, reason(err))
	case !x509.NewCertPool().AppendCertsFromPEM(pem):
		v.bad(key, "%q holds no certificate in PEM form", path)
	}
}

func (v *validator) scopes(key string, scopes []string) {
	for i, s := range scopes {
		if got, err := oauth.ParseScopes(s); err != nil || len(got) != 1 {
			v.bad(item(key, i), "%q, expected one scope: printable characters without spaces, quotes and backslashes", s)
		}
	}
}

func (v *validator) apis() {
	audiences := map[string]string{}
	// Which roles there are is known once the store is open.
	bounds := clients.APIBounds{Issuer: v.c.Issuer, Algs: keys.Algorithms(), MaxTTL: maxAccess, Role: rbac.ValidName}
	for _, id := range slices.Sorted(maps.Keys(v.c.APIs)) {
		key, a := "apis."+id, v.c.APIs[id]
		for _, p := range clients.ValidateAPI(a.registered(id), bounds) {
			field := key + "." + p.Field
			switch p.Field {
			case "id":
				field = key
			case "alg", "typ":
				field = key + ".access_token." + p.Field
			case "ttl":
				v.between(key+".access_token.ttl", a.AccessToken.TTL, time.Second, maxAccess)
				continue
			}
			v.bad(field, "%s", p.Text)
		}
		for i, role := range a.Roles {
			v.madeRole(item(key+".roles", i), role)
		}
		if first := audiences[a.Audience]; first != "" && a.Audience != "" {
			v.bad(key+".audience", "%q is the audience of apis.%s too: each API needs its own", a.Audience, first)
		}
		audiences[a.Audience] = id
	}
}

func (v *validator) clients() {
	apis := func(id string) (clients.API, bool) {
		a, ok := v.c.APIs[id]
		return a.registered(id), ok
	}
	for _, id := range slices.Sorted(maps.Keys(v.c.Clients)) {
		v.client("clients."+id, id, v.c.Clients[id], apis)
	}
}

// means reports whether a client that may ask for the APIs has a use for a scope.
func (v *validator) means(scope string, apis []string) bool {
	return oauth.StandardScopes().Has(scope) || rbac.Permission(scope).Valid() ||
		slices.ContainsFunc(apis, func(id string) bool { return slices.Contains(v.c.APIs[id].Scopes, scope) })
}

// renamed are the fields of a registration that the file calls otherwise.
var renamed = map[string]string{"pkce_optional": "pkce", "introspect_any": "introspect"}

func (v *validator) client(key, id string, c Client, apis func(string) (clients.API, bool)) {
	v.clientSecret(key, c)
	v.shown(key+".name", c.Name, 60)
	v.oneOf(key+".pkce", c.PKCE, pkceRequired, pkceOptional)
	v.oneOf(key+".introspect", c.Introspect, introspectOwn, introspectAny)
	v.scopes(key+".scopes", c.Scopes)
	for i, s := range c.Scopes {
		if one, err := oauth.ParseScopes(s); err == nil && len(one) == 1 && !v.means(s, c.APIs) {
			v.warn(item(key+".scopes", i), "%q is a scope of no API of the client's, nor one of OpenID Connect or a permission such as articles:read", s)
		}
	}
	for i, p := range c.Providers {
		if _, ok := v.c.Providers[p]; !ok && p != providerPassword {
			v.bad(item(key+".providers", i), "%q is neither a configured provider nor %s", p, providerPassword)
		}
	}
	for _, p := range clients.Validate(c.registered(id), apis) {
		switch {
		case strings.HasPrefix(p.Field, "scopes"): // said above, item by item
		case p.Field == "client_id":
			v.bad(key, "%s", p.Text)
		case renamed[p.Field] != "":
			v.bad(key+"."+renamed[p.Field], "%s", p.Text)
		default:
			v.bad(key+"."+p.Field, "%s", p.Text)
		}
	}
}

// clientSecret checks that a client has a secret if and only if it authenticates with one.
func (v *validator) clientSecret(key string, c Client) {
	confidential := c.AuthMethod == oauth.AuthClientSecretBasic || c.AuthMethod == oauth.AuthClientSecretPost
	distinct := map[rune]bool{}
	for _, r := range c.Secret {
		distinct[r] = true
	}
	key += ".client_secret"
	switch {
	case c.Secret == "" && confidential:
		v.bad(key, "is missing: token_endpoint_auth_method is %s; make one with openssl rand -base64 32", c.AuthMethod)
	case c.Secret == "":
	case c.AuthMethod == oauth.AuthNone:
		v.bad(key, "is set, but token_endpoint_auth_method is none: remove one of them")
	case len(c.Secret) < minSecret:
		v.bad(key, "has %d characters, expected at least %d: make one with openssl rand -base64 32", len(c.Secret), minSecret)
	case len(distinct) < 8:
		v.bad(key, "is made of %d different characters: make a random one with openssl rand -base64 32", len(distinct))
	}
}
