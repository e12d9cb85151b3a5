package local

import (
	"net/http"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// googleMetadata holds what Google publishes, as far as it is true here.
type googleMetadata struct {
	Issuer                 string   `json:"issuer"`
	AuthorizationEndpoint  string   `json:"authorization_endpoint"`
	TokenEndpoint          string   `json:"token_endpoint"`
	UserinfoEndpoint       string   `json:"userinfo_endpoint"`
	JWKSURI                string   `json:"jwks_uri"`
	ResponseTypes          []string `json:"response_types_supported"`
	ResponseModes          []string `json:"response_modes_supported"`
	SubjectTypes           []string `json:"subject_types_supported"`
	IDTokenAlgorithms      []string `json:"id_token_signing_alg_values_supported"`
	Scopes                 []string `json:"scopes_supported"`
	TokenEndpointMethods   []string `json:"token_endpoint_auth_methods_supported"`
	Claims                 []string `json:"claims_supported"`
	CodeChallengeMethods   []string `json:"code_challenge_methods_supported"`
	GrantTypes             []string `json:"grant_types_supported"`
	IssInResponseSupported bool     `json:"authorization_response_iss_parameter_supported,omitempty"`
}

func (g *Google) discovery(w http.ResponseWriter, r *http.Request) {
	base := g.base(r)
	writeJSON(w, http.StatusOK, googleMetadata{
		Issuer:                base,
		AuthorizationEndpoint: base + GoogleAuthorizePath,
		TokenEndpoint:         base + GoogleTokenPath,
		UserinfoEndpoint:      base + GoogleUserinfoPath,
		JWKSURI:               base + GoogleCertsPath,
		ResponseTypes:         []string{"code"},
		ResponseModes:         []string{"query"},
		SubjectTypes:          []string{"public"},
		IDTokenAlgorithms:     []string{"RS256"},
		Scopes:                []string{"openid", "email", "profile"},
		TokenEndpointMethods:  []string{"client_secret_post", "client_secret_basic"},
		Claims: []string{
			"aud", "email", "email_verified", "exp", "family_name", "given_name", "iat", "iss", "name", "picture", "sub",
		},
		CodeChallengeMethods:   []string{"S256"},
		GrantTypes:             []string{"authorization_code"},
		IssInResponseSupported: !g.omitIss,
	})
}

func (g *Google) certs(w http.ResponseWriter, _ *http.Request) {
	set := jose.JSONWebKeySet{}
	for _, key := range g.published() {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: key.signer.Public(), KeyID: key.id, Algorithm: "RS256", Use: "sig"})
	}
	writeJSON(w, http.StatusOK, set)
}

// userinfo answers the claims about a person that the scopes of the token open.
func (g *Google) userinfo(w http.ResponseWriter, r *http.Request) {
	raw, _ := bearer(r, "Bearer")
	token, ok := g.tokens.get(g.now(), raw)
	if !ok {
		// RFC 6750 section 3; the body is Google's.
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+g.base(r)+`", error="invalid_token"`)
		writeJSON(w, http.StatusUnauthorized, map[string]string{"error": "invalid_request", "error_description": "Invalid Credentials"})
		return
	}
	writeJSON(w, http.StatusOK, token.person.claims(token.scopes, g.base(r)))
}

// claims are those about the person, the same in ID token and userinfo.
func (p GooglePerson) claims(scopes []string, base string) map[string]any {
	claims := map[string]any{"sub": p.Sub}
	if slices.Contains(scopes, googleScopes["profile"]) {
		claims["name"] = p.Name
		claims["given_name"] = p.GivenName
		claims["family_name"] = p.FamilyName
		claims["picture"] = base + p.avatarPath()
	}
	if slices.Contains(scopes, googleScopes["email"]) {
		claims["email"] = p.Email
		claims["email_verified"] = p.EmailVerified
	}
	if p.HostedDomain != "" {
		claims["hd"] = p.HostedDomain
	}
	return claims
}
