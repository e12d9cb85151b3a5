// Package guide holds the pages that explain: /guide, which says what each kind of credential is for, the decoder at /tools/jwt, and the
// playground for policies at /tools/policy. It owns their words; how they look is left to web/pages, what the lines of the guide reach to
// the packages that answer them, and every decision to packages access and abac.
package guide

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/broker/abac"
	"example.com/broker/access"
	"example.com/broker/clients"
	"example.com/broker/oauth"
	"example.com/broker/rbac"
	"example.com/broker/tokens"
	"example.com/broker/users"
	"example.com/broker/verify"
	"example.com/broker/web"
	"example.com/broker/web/pages"
)

// Deps are what the pages stand on. Issuer, Verify, Tokens and Surface are required.
type Deps struct {
	// Issuer is the address that links and lines begin with, without a slash at the end.
	Issuer string
	// Verify is the check behind "Verify on server": it takes every live access token of this broker.
	Verify func(ctx context.Context, raw string) (*verify.Token, error)
	// Tokens signs the example of the decoder; only with Dev.
	Tokens *tokens.Issuer
	// Surface is what answers beside these pages: the guide shows nothing that does not.
	Surface []web.Route
	// Dev says that this is `broker dev`, whose people and clients the lines may name; DemoURL is the address of its demo app.
	Dev     bool
	DemoURL string
	// Password says that the password grant works without client_id, QueryKeys that api_key is taken from the address.
	Password, QueryKeys bool
	// Audiences are offered in the decoder; nil for none.
	Audiences func() []string
	// JWT, Policy and Guide switch the pages on.
	JWT, Policy, Guide bool

	// With Policy, these are required. Guards tell who is signed in, and hold the guard that articles stand behind; Policies are those in
	// force; Articles is what can be done to an article.
	Guards   web.Guards
	Policies *abac.Service
	Articles []access.Action
	Now      func() time.Time
}

type endpoints struct {
	Deps
	decoder pages.JWT
	guide   pages.Guide
}

// Routes returns the routes of this package. The pages are the same for everybody and are made once.
func Routes(d Deps) []web.Route {
	e := &endpoints{Deps: d}
	var out []web.Route
	if d.JWT {
		out = append(out,
			web.Route{Method: http.MethodGet, Path: "/tools/jwt", Lane: web.Browser, Handle: e.showDecoder},
			web.Route{Method: http.MethodPost, Path: "/tools/jwt/verify", Lane: web.Browser, Handle: e.verify})
		if d.Dev {
			out = append(out, web.Route{Method: http.MethodGet, Path: "/tools/jwt/example", Lane: web.Browser, Handle: e.example})
		}
	}
	if d.Policy {
		out = append(out, newPlayground(d).routes()...)
	}
	if d.Guide {
		out = append(out, web.Route{Method: http.MethodGet, Path: "/guide", Lane: web.Browser, Handle: e.showGuide})
	}
	e.decoder = pages.JWT{
		Issuer: d.Issuer, Example: d.Dev, Claims: claims(), Header: header(), Guide: d.Guide, Mint: d.Dev,
	}
	if d.Policy {
		e.decoder.Preset = rbacPreset()
	}
	e.guide = content(d, slices.Concat(d.Surface, out))
	return out
}

func (e *endpoints) showGuide(c *gin.Context) error { return web.Page(c, http.StatusOK, e.guide) }

func (e *endpoints) showDecoder(c *gin.Context) error {
	page := e.decoder
	if e.Audiences != nil {
		page.Audiences = e.Audiences()
	}
	if e.Dev {
		page.Audiences = append(page.Audiences, exampleAudience)
	}
	return web.Page(c, http.StatusOK, page)
}

// exampleAudience is no absolute URI, so no API can be registered under it: the example opens nothing.
const exampleAudience = "example-api"

// example answers with a token that this broker signed and that no API takes. Anybody may have one in dev.
func (e *endpoints) example(c *gin.Context) error {
	t, err := e.Tokens.AccessToken(c.Request.Context(), tokens.AccessRequest{
		ClientID: "example-app", API: clients.API{Audience: exampleAudience}, Scope: oauth.Scopes{"orders:read", "orders:write"},
		User: &users.User{ID: "usr_example", Email: "jo@example.org", EmailVerified: true, Grants: []rbac.Grant{{Role: rbac.Editor}}},
	})
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, gin.H{"token": t.Raw})
	return nil
}
