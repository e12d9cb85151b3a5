package clients

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"example.com/broker/oauth"
)

var (
	authMethods = []string{oauth.AuthNone, oauth.AuthClientSecretBasic, oauth.AuthClientSecretPost}
	grantTypes  = []string{oauth.GrantAuthorizationCode, oauth.GrantRefreshToken, oauth.GrantPassword, oauth.GrantClientCredentials, oauth.GrantTokenExchange}
	idTokenAlgs = []string{"", "RS256", "ES256", "EdDSA"}
)

// Validate lists everything wrong with a registration, given the APIs there are. Each problem names the field, what was received and
// a fix. It does not look at secrets: Service makes them.
func Validate(c Client, api func(id string) (API, bool)) []Problem {
	var out []Problem
	add := func(field, format string, args ...any) {
		out = append(out, Problem{field, fmt.Sprintf(format, args...)})
	}
	if !validID.MatchString(c.ID) {
		add("client_id", "%.100q: use 1 to 100 letters, digits, and . _ ~ -, starting with a letter or digit", c.ID)
	}
	if len(c.Name) > maxName || !utf8.ValidString(c.Name) || strings.ContainsFunc(c.Name, unprintable) {
		add("name", "%.120q: use at most %d bytes of printable text", c.Name, maxName)
	}
	if !slices.Contains(authMethods, c.AuthMethod) {
		add("token_endpoint_auth_method", "%q is not one of %s", c.AuthMethod, strings.Join(authMethods, ", "))
	}
	if len(c.GrantTypes) == 0 {
		add("grant_types", "is empty: name at least one of %s", strings.Join(grantTypes, ", "))
	}
	for i, g := range c.GrantTypes {
		if !slices.Contains(grantTypes, g) {
			add(fmt.Sprintf("grant_types[%d]", i), "%q is not one of %s", g, strings.Join(grantTypes, ", "))
		}
	}
	if c.Allows(oauth.GrantAuthorizationCode) && len(c.RedirectURIs) == 0 {
		add("redirect_uris", "is empty: the grant authorization_code needs at least one address")
	}
	for i, u := range c.RedirectURIs {
		if err := oauth.CheckRedirectURI(u); err != nil {
			add(fmt.Sprintf("redirect_uris[%d]", i), "%s", err)
		}
	}
	for i, u := range c.PostLogoutRedirectURIs {
		if err := oauth.CheckRedirectURI(u); err != nil {
			add(fmt.Sprintf("post_logout_redirect_uris[%d]", i), "%s", err)
		}
	}
	for i, o := range c.Origins {
		if oauth.Origin(o) != o {
			add(fmt.Sprintf("allowed_origins[%d]", i), "%q is not an origin such as https://app.example.com", o)
		}
	}
	// It is a link on our pages, so what may be no redirect address may not stand there either.
	if u := c.InitiateLoginURI; u != "" && (oauth.CheckRedirectURI(u) != nil || oauth.Origin(u) == "") {
		add("initiate_login_uri", "%.200q is not an https address", u)
	}
	if c.Allows(oauth.GrantPassword) && !c.FirstParty {
		add("grant_types", "password is for first-party clients only: set first_party, or use authorization_code")
	}
	if c.Allows(oauth.GrantClientCredentials) && c.Public() {
		add("grant_types", "client_credentials needs a confidential client: set token_endpoint_auth_method to client_secret_basic")
	}
	if c.PKCEOptional && c.Public() {
		add("pkce_optional", "a public client cannot be exempted from PKCE")
	}
	if c.IntrospectAny && c.Public() {
		add("introspect_any", "a public client cannot introspect")
	}
	for _, id := range c.APIs {
		if _, ok := api(id); !ok {
			add("apis", "%q is not an API of this broker", id)
		}
	}
	if c.DefaultAPI != "" && !slices.Contains(c.APIs, c.DefaultAPI) {
		add("default_api", "%q is not among the client's apis", c.DefaultAPI)
	}
	if !slices.Contains(idTokenAlgs, c.IDTokenAlg) {
		add("id_token_signed_response_alg", "%q is not one of RS256, ES256, EdDSA", c.IDTokenAlg)
	}
	for i, v := range c.Scopes {
		if one, err := oauth.ParseScopes(v); err != nil || len(one) != 1 {
			add(fmt.Sprintf("scopes[%d]", i), "%.100q is not one scope value", v)
		}
	}
	return out
}

// maxName bounds, in bytes, what people are shown of a client.
const maxName = 100

// unprintable reports characters that could draw a name as another one: controls, and marks that turn the direction of text.
func unprintable(r rune) bool { return !unicode.IsPrint(r) }
