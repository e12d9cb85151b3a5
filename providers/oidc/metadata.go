package oidc

import (
	"context"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"example.com/broker/providers"
)

// asymmetric are the algorithms an ID token may be signed by. HMAC is not among them: its key would be the client secret, or whatever a
// forger says it is. RFC 8725 §3.1
var asymmetric = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// metadata is what the broker uses of a discovery document. It does not change.
type metadata struct {
	authorization, token string
	userinfo             string // "" if there is none
	jwks                 string
	algorithms           []jose.SignatureAlgorithm // the asymmetric ones of those advertised
	issInResponse        bool
	keys                 *keySet
}

// discover fetches and checks the document. go-oidc could do it, but puts the whole answer into its errors and reads names in any case.
func (p *Provider) discover(ctx context.Context) (*metadata, error) {
	const where = "/.well-known/openid-configuration"
	// OpenID Connect Discovery 1.0 §4.1: a final slash of the issuer goes.
	doc, err := providers.GetObject(ctx, p.client, "the discovery document", strings.TrimSuffix(p.config.Issuer, "/")+where, "")
	if err != nil {
		return nil, err
	}
	d := claims(doc)
	// OpenID Connect Discovery 1.0 §4.3: byte for byte, or one issuer could speak for another.
	if issuer := d.text("issuer"); issuer != p.config.Issuer {
		return nil, providers.Invalid(nil, "The discovery document is the one of %.200q, expected %q.", issuer, p.config.Issuer)
	}
	m := &metadata{
		authorization: d.text("authorization_endpoint"), token: d.text("token_endpoint"), userinfo: d.text("userinfo_endpoint"),
		jwks: d.text("jwks_uri"), issInResponse: d["authorization_response_iss_parameter_supported"] == true,
	}
	for name, address := range map[string]string{
		"authorization_endpoint": m.authorization, "token_endpoint": m.token, "userinfo_endpoint": m.userinfo, "jwks_uri": m.jwks,
	} {
		if name == "userinfo_endpoint" && d[name] == nil {
			continue
		}
		if err := p.checkEndpoint(address); err != nil {
			return nil, providers.Invalid(err, "The discovery document's %s cannot be used.", name)
		}
	}
	if m.algorithms, err = algorithms(d); err != nil {
		return nil, err
	}
	m.keys = p.keysAt(m.jwks)
	return m, nil
}

// checkEndpoint is CheckURL, and holds an issuer on https to https for all of it.
func (p *Provider) checkEndpoint(address string) error {
	c := p.config
	c.AllowPrivate = c.AllowPrivate && strings.HasPrefix(c.Issuer, "http://")
	return c.CheckURL(address)
}

func algorithms(d claims) ([]jose.SignatureAlgorithm, error) {
	list, ok := d["id_token_signing_alg_values_supported"].([]any)
	if !ok {
		return []jose.SignatureAlgorithm{jose.RS256}, nil // OpenID Connect Core 1.0 §3.1.3.7: the default
	}
	var both []jose.SignatureAlgorithm
	for _, a := range asymmetric {
		if slices.Contains(list, any(string(a))) {
			both = append(both, a)
		}
	}
	if len(both) == 0 {
		return nil, providers.Invalid(nil, "The discovery document names no signature algorithm for ID tokens that is taken here; expected one of %q.", asymmetric)
	}
	return both, nil
}

// keysAt keeps the keys that are known as long as a renewed document names the same place.
func (p *Provider) keysAt(address string) *keySet {
	if old, ok := p.found.peek(); ok && old.jwks == address {
		return old.keys
	}
	return newKeySet(p.client, address, p.config.Now)
}
