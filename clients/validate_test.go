package clients_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"example.com/broker/clients"
	"example.com/broker/internal/fault"
	"example.com/broker/oauth"
)

func TestValidate(t *testing.T) {
	h := open(t)
	for _, row := range []struct {
		rule   string
		change func(*clients.Client)
		fields []string // what is wrong
	}{
		{"a good client", func(*clients.Client) {}, nil},
		{"a good client with everything", func(c *clients.Client) {
			c.Name, c.FirstParty, c.GrantTypes = "Ünïcödé App 2", true, []string{"authorization_code", "refresh_token", "password", "client_credentials"}
			c.RedirectURIs = []string{"https://a.example/cb", "com.example.app:/cb", "http://127.0.0.1/cb"}
			c.PostLogoutRedirectURIs, c.InitiateLoginURI, c.Origins = []string{"https://a.example/"}, "https://a.example/login", []string{"https://a.example:8443"}
			c.Scopes, c.APIs, c.DefaultAPI, c.PKCEOptional, c.IDTokenAlg, c.IntrospectAny = oauth.Scopes{"openid"}, []string{"orders"}, "orders", true, "EdDSA", true
		}, nil},
		{"no id", func(c *clients.Client) { c.ID = "" }, []string{"client_id"}},
		{"an id with a slash", func(c *clients.Client) { c.ID = "a/b" }, []string{"client_id"}},
		{"an id with a colon, which Basic would split", func(c *clients.Client) { c.ID = "a:b" }, []string{"client_id"}},
		{"an id with a line break", func(c *clients.Client) { c.ID = "a\n" }, []string{"client_id"}},
		{"an id that begins with a dot", func(c *clients.Client) { c.ID = ".a" }, []string{"client_id"}},
		{"an id of 101 characters", func(c *clients.Client) { c.ID = strings.Repeat("a", 101) }, []string{"client_id"}},
		{"a long name", func(c *clients.Client) { c.Name = strings.Repeat("a", 101) }, []string{"name"}},
		{"a name with a line break", func(c *clients.Client) { c.Name = "a\r\nb" }, []string{"name"}},
		{"a name that turns the text around", func(c *clients.Client) { c.Name = "a\u202eb" }, []string{"name"}},
		{"a name with a terminal sequence", func(c *clients.Client) { c.Name = "a\x1b[2J" }, []string{"name"}},
		{"a name that is no text", func(c *clients.Client) { c.Name = "a\xff" }, []string{"name"}},
		{"an unknown method", func(c *clients.Client) { c.AuthMethod = "private_key_jwt" }, []string{"token_endpoint_auth_method"}},
		{"no method", func(c *clients.Client) { c.AuthMethod = "" }, []string{"token_endpoint_auth_method"}},
		{"no grant", func(c *clients.Client) { c.GrantTypes = nil }, []string{"grant_types"}},
		{"an unknown grant", func(c *clients.Client) { c.GrantTypes = []string{"authorization_code", "implicit"} }, []string{"grant_types[1]"}},
		{"no redirect address", func(c *clients.Client) { c.RedirectURIs = nil }, []string{"redirect_uris"}},
		{"no redirect address where none is needed", func(c *clients.Client) { c.RedirectURIs, c.GrantTypes = nil, []string{"client_credentials"} }, nil},

		// B04, in each field that holds an address.
		{"bad addresses", func(c *clients.Client) {
			c.RedirectURIs = []string{"https://ok.example/", "javascript:alert(1)", "data:text/html,x", "https://*.example/", "https://a.example/#f", "https://u@a.example/", "http://a.example/", ""}
		}, []string{"redirect_uris[1]", "redirect_uris[2]", "redirect_uris[3]", "redirect_uris[4]", "redirect_uris[5]", "redirect_uris[6]", "redirect_uris[7]"}},
		{"a bad address after sign-out", func(c *clients.Client) { c.PostLogoutRedirectURIs = []string{"javascript:alert(1)"} }, []string{"post_logout_redirect_uris[0]"}},
		{"a login address by script", func(c *clients.Client) { c.InitiateLoginURI = "javascript:alert(1)" }, []string{"initiate_login_uri"}},
		{"a login address over http", func(c *clients.Client) { c.InitiateLoginURI = "http://a.example/" }, []string{"initiate_login_uri"}},
		{"a login address of an app's own scheme", func(c *clients.Client) { c.InitiateLoginURI = "com.example.app:/login" }, []string{"initiate_login_uri"}},
		{"a login address on loopback", func(c *clients.Client) { c.InitiateLoginURI = "http://localhost:8081/" }, nil},

		{"origins that are none", func(c *clients.Client) {
			c.Origins = []string{"https://a.example/", "*", "null", "https://*.example", "https://A.example", "https://a.example:443", "a.example", "https://ok.example"}
		}, []string{"allowed_origins[0]", "allowed_origins[1]", "allowed_origins[2]", "allowed_origins[3]", "allowed_origins[4]", "allowed_origins[5]", "allowed_origins[6]"}},
		{"the password grant of somebody else's app", func(c *clients.Client) { c.GrantTypes = []string{"authorization_code", "password"} }, []string{"grant_types"}},
		{"a public client that acts for itself", func(c *clients.Client) { c.AuthMethod, c.GrantTypes = "none", []string{"client_credentials"} }, []string{"grant_types"}},
		{"a public client without PKCE", func(c *clients.Client) { c.AuthMethod, c.PKCEOptional = "none", true }, []string{"pkce_optional"}},
		{"a public client that introspects", func(c *clients.Client) { c.AuthMethod, c.IntrospectAny = "none", true }, []string{"introspect_any"}},
		{"an unknown API", func(c *clients.Client) { c.APIs = []string{"orders", "gone"} }, []string{"apis"}},
		{"a default API that is not listed", func(c *clients.Client) { c.APIs, c.DefaultAPI = []string{"orders"}, "stock" }, []string{"default_api"}},
		{"an algorithm without a signature", func(c *clients.Client) { c.IDTokenAlg = "none" }, []string{"id_token_signed_response_alg"}},
		{"an algorithm with a shared secret", func(c *clients.Client) { c.IDTokenAlg = "HS256" }, []string{"id_token_signed_response_alg"}},
		{"scopes that are none", func(c *clients.Client) { c.Scopes = oauth.Scopes{"openid", "a b", "", `q"`} }, []string{"scopes[1]", "scopes[2]", "scopes[3]"}},
		{"everything at once", func(c *clients.Client) { *c = clients.Client{} }, []string{"client_id", "token_endpoint_auth_method", "grant_types"}},
	} {
		t.Run(row.rule, func(t *testing.T) {
			c := web("web")
			row.change(&c)
			var got []string
			for _, p := range h.Validate(c) {
				got = append(got, p.Field)
				if p.Text == "" {
					t.Errorf("%s: no text", p.Field)
				}
			}
			if diff := cmp.Diff(row.fields, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			_, _, err := h.Create(t.Context(), c)
			if len(row.fields) == 0 {
				return
			}
			wantCode(t, "Create", err, fault.Invalid, "client_invalid")
			for _, f := range row.fields {
				if !strings.Contains(err.Error(), f) {
					t.Errorf("Create does not name %s: %v", f, err)
				}
			}
		})
	}
}
