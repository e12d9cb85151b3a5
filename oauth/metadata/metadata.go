// Package metadata publishes what a client or an API must know beforehand: OpenID discovery, RFC 8414 metadata and the JWKS; and what an
// API must hear of afterwards, the revocation feed. The documents are made once for each version of the
// APIs; nothing here needs the store.
package metadata

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/broker/clients"
	"example.com/broker/keys"
	"example.com/broker/oauth"
	"example.com/broker/tokens"
	"example.com/broker/web"
)

// Deps are what the documents and the feed are made from. All but OpenFeed are required.
type Deps struct {
	Issuer *url.URL
	Ring   *keys.Ring
	// IDTokenAlgs are the algorithms clients may register for ID tokens.
	IDTokenAlgs []string
	Clients     *clients.Service
	Feed        *tokens.Feed
	// OpenFeed lets anybody read the feed, and not only clients that may call an API.
	OpenFeed bool
	// Mode is what `revocation_mode` says: whether a token is good unless it was revoked (blocklist), or bad unless the broker says it is
	// in force (allowlist).
	Mode string
}

// maxAge is how long the discovery documents may be cached; they change with a restart, and with the APIs of the store.
const maxAge = 10 * time.Minute

// Routes returns the routes of this package.
func Routes(d Deps) ([]web.Route, error) {
	docs := &documents{deps: d}
	if _, err := docs.now(); err != nil {
		return nil, err
	}
	discovery := docs.serve(func(p *published) body { return p.openID })
	metadata := docs.serve(func(p *published) body { return p.server })
	return append(feed(d),
		// OpenID Connect Discovery §4 appends its well-known part to the issuer's path, RFC 8414 §3.1 inserts its own before it.
		web.Route{Method: http.MethodGet, Path: "/.well-known/openid-configuration", Lane: web.Protocol, CORS: web.AnyCORS, Handle: discovery},
		web.Route{Method: http.MethodGet, Path: "/.well-known/oauth-authorization-server" + strings.TrimSuffix(d.Issuer.EscapedPath(), "/"), Lane: web.Protocol, CORS: web.AnyCORS, Handle: metadata, AtRoot: true},
		web.Route{Method: http.MethodGet, Path: "/jwks", Lane: web.Protocol, CORS: web.AnyCORS, Handle: jwks(d.Ring)},
	), nil
}

// Document is a metadata document.
type Document map[string]any

func describe(d Deps, apis []clients.API) (openID, server Document) {
	base := strings.TrimSuffix(d.Issuer.String(), "/")
	scopes := oauth.StandardScopes()
	for _, a := range apis {
		for _, s := range a.Scopes {
			if !scopes.Has(s) {
				scopes = append(scopes, s)
			}
		}
	}
	auth := []string{oauth.AuthClientSecretBasic, oauth.AuthClientSecretPost, oauth.AuthNone}
	confidential := auth[:2]
	common := func() Document {
		return Document{
			"issuer":                                         d.Issuer.String(),
			"authorization_endpoint":                         base + "/authorize",
			"token_endpoint":                                 base + "/token",
			"jwks_uri":                                       base + "/jwks",
			"revocation_endpoint":                            base + "/revoke",
			"introspection_endpoint":                         base + "/introspect",
			"scopes_supported":                               scopes,
			"response_types_supported":                       []string{"code"},
			"response_modes_supported":                       []string{oauth.ModeQuery, oauth.ModeFormPost},
			"grant_types_supported":                          []string{oauth.GrantAuthorizationCode, oauth.GrantRefreshToken, oauth.GrantPassword, oauth.GrantClientCredentials, oauth.GrantTokenExchange},
			"token_endpoint_auth_methods_supported":          auth,
			"revocation_endpoint_auth_methods_supported":     auth,
			"introspection_endpoint_auth_methods_supported":  confidential,
			"code_challenge_methods_supported":               []string{oauth.MethodS256},
			"authorization_response_iss_parameter_supported": true,
			"ui_locales_supported":                           []string{"en"},
		}
	}
	server = common()
	// RFC 8414 §2 allows members of one's own; OpenID discovery holds registered ones only.
	server["revocation_feed_endpoint"] = base + "/revocations"
	server["revocation_mode"] = d.Mode
	openID = common()
	extra := Document{
		"userinfo_endpoint":                     base + "/userinfo",
		"end_session_endpoint":                  base + "/end_session",
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": d.IDTokenAlgs,
		"claim_types_supported":                 []string{"normal"},
		"claims_supported": []string{
			"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "amr", "sid", "name", "preferred_username", "picture",
			"updated_at", "email", "email_verified", "roles",
		},
		"prompt_values_supported":    []string{"none", "login", "consent", "select_account"},
		"display_values_supported":   []string{"page"},
		"claims_parameter_supported": true,
		// These three say no where a client would otherwise assume yes, or could not know (OpenID Connect Discovery §3).
		"request_parameter_supported":      false,
		"request_uri_parameter_supported":  false,
		"require_request_uri_registration": false,
	}
	for name, value := range extra {
		openID[name] = value
	}
	return openID, server
}

// documents are the two documents, as they are at the moment. They are safe for concurrent use.
type documents struct {
	deps    Deps
	current atomic.Pointer[published]
}

// published is both documents in the state that belongs to one version of the APIs.
type published struct {
	version        int64
	openID, server body
}

type body struct {
	text []byte
	etag string
}

func (m *documents) now() (*published, error) {
	apis := m.deps.Clients.APIs().All()
	if p := m.current.Load(); p != nil && p.version == apis.V {
		return p, nil
	}
	openID, server := describe(m.deps, apis.APIs)
	p := &published{version: apis.V}
	for d, into := range map[*Document]*body{&openID: &p.openID, &server: &p.server} {
		text, err := json.Marshal(*d)
		if err != nil {
			return nil, fmt.Errorf("metadata: %w", err)
		}
		sum := sha256.Sum256(text)
		*into = body{text, `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
	}
	m.current.Store(p)
	return p, nil
}

func (m *documents) serve(pick func(*published) body) web.Handler {
	return func(c *gin.Context) error {
		p, err := m.now()
		if err != nil {
			return err
		}
		b := pick(p)
		return public(c, b.text, b.etag, "application/json", maxAge)
	}
}

func jwks(r *keys.Ring) web.Handler {
	return func(c *gin.Context) error {
		body, etag := r.Public()
		return public(c, body, etag, "application/jwk-set+json", r.MaxAge())
	}
}

// public answers with a document anybody may cache.
func public(c *gin.Context, body []byte, etag, kind string, age time.Duration) error {
	h := c.Writer.Header()
	h.Set("Cache-Control", fmt.Sprintf("public, max-age=%d", int(age.Seconds())))
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("ETag", etag)
	if slices.Contains(strings.Split(strings.ReplaceAll(c.GetHeader("If-None-Match"), " ", ""), ","), etag) {
		c.Status(http.StatusNotModified)
		c.Writer.WriteHeaderNow()
		return nil
	}
	c.Data(http.StatusOK, kind, body)
	return nil
}
