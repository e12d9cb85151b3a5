package main

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"example.com/broker/access/authzen"
	"example.com/broker/account"
	"example.com/broker/admin"
	"example.com/broker/callback"
	"example.com/broker/config"
	"example.com/broker/guide"
	"example.com/broker/guide/openapi"
	"example.com/broker/internal/fault"
	"example.com/broker/oauth/authorize"
	"example.com/broker/oauth/logout"
	"example.com/broker/oauth/metadata"
	"example.com/broker/oauth/token"
	"example.com/broker/oauth/tokeninfo"
	"example.com/broker/rbac"
	"example.com/broker/samples"
	"example.com/broker/users"
	"example.com/broker/web"
)

// routes is the one list of the broker's surface. testdata/routes.golden holds it.
func (p *program) routes(assets http.Handler) ([]web.Route, error) {
	guards := web.Guards{
		Verify: p.verifier.Own, Sessions: p.sessions, User: p.activeUser, Keys: p.apikeys, QueryKeys: p.cfg.APIKeys.Query,
		Access: p.access, FirstParty: p.firstParty, Now: p.now,
	}
	documents, err := metadata.Routes(metadata.Deps{
		Issuer: p.issuer, Ring: p.ring, IDTokenAlgs: p.algorithmsOfIDTokens(), Clients: p.clients, Feed: p.feed,
		OpenFeed: p.cfg.Revocation.Feed == config.FeedAnyone, Mode: p.cfg.Revocation.Mode,
	})
	if err != nil {
		return nil, err
	}
	surface := slices.Concat(
		documents,
		authorize.Routes(authorize.Deps{
			Clients: p.clients, Users: p.users, Sessions: p.sessions, Providers: p.providers, Trips: p.trips, Grants: p.grants, Hints: p.hints, Now: p.now,
		}),
		callback.Routes(callback.Deps{
			Clients: p.clients, Users: p.users, Sessions: p.sessions, Lifecycle: p.lifecycle, Providers: p.providers, Trips: p.trips,
			Seal: p.seal, Once: p.stores.Once, Audit: p.audit, Log: p.log, Now: p.now, Password: p.cfg.Password.Enabled,
			Registration: p.cfg.Registration.Open, Register: p.cfg.Registration.Password && p.cfg.Password.Enabled, Observe: p.metrics.Login,
		}),
		token.Routes(token.Deps{
			Clients: p.clients, Users: p.users, Grants: p.grants, Issuer: p.tokens, Keys: p.apikeys, Roles: p.roles.Sets, Now: p.now, DefaultClient: p.cfg.Password.DefaultClient,
			Observe: p.metrics.Token,
		}),
		tokeninfo.Routes(tokeninfo.Deps{Clients: p.clients, Users: p.users, Grants: p.grants, Issuer: p.tokens, Verifier: p.verifier}),
		logout.Routes(logout.Deps{
			Clients: p.clients, Users: p.users, Sessions: p.sessions, Lifecycle: p.lifecycle, Hints: p.hints, Seal: p.seal, Now: p.now,
		}),
		account.Routes(account.Deps{
			Guards: guards, Users: p.users, Sessions: p.sessions, Lifecycle: p.lifecycle, Grants: p.grants, Keys: p.apikeys, Providers: p.providers, Now: p.now,
			TokenLife: p.tokenLife(), Offered: p.offeredScopes, Guide: p.cfg.Tools.Guide,
		}),
		admin.Routes(admin.Deps{
			Guards: guards, Users: p.users, Roles: p.roles, Rules: p.rules, Clients: p.clients, Policies: p.policies, Providers: p.providers,
			AuditLog: p.stores.Audit, Audit: p.audit, Seal: p.seal, Now: p.now,
		}),
		authzen.Routes(authzen.Deps{
			Issuer: p.issuer, Policies: p.policies, Keys: p.apikeys, Clients: p.clients, Guards: guards, DefaultApp: p.cfg.Policies.Default,
			Seal: p.seal, Sign: p.tokens.Statement, KeyID: p.tokens.StatementKey, Observe: p.metrics.Decision,
		}),
		samples.Routes(samples.Deps{Guards: guards, Articles: p.stores.Articles, Audit: p.audit, Seal: p.seal, Now: p.now, NewID: newID}),
		[]web.Route{{Method: http.MethodGet, Path: "/static/*file", Lane: web.Browser, Handle: func(c *gin.Context) error {
			assets.ServeHTTP(c.Writer, c.Request)
			return nil
		}}},
	)
	if !p.cfg.Tools.Docs {
		return append(surface, guide.Routes(p.guide(surface, guards))...), nil
	}
	docs, err := openapi.New(openapi.Deps{
		Issuer: p.issuer, Product: p.cfg.Product.Name, Dev: p.dev, Guide: p.cfg.Tools.Guide,
		CodeClient: p.cfg.Tools.DocsClient, PasswordClient: p.cfg.Password.DefaultClient,
	})
	if err != nil {
		return nil, err
	}
	surface = append(surface, docs.Routes()...)
	surface = append(surface, guide.Routes(p.guide(surface, guards))...)
	return surface, docs.Describe(openapi.Filling{Issuer: p.issuer, Version: version, Routes: surface, QueryKeys: p.cfg.APIKeys.Query})
}

// offeredScopes are the permissions that the page for API keys offers: those of the broker's own routes that a key or what it is exchanged for
// opens, and those that are scopes of an API.
func (p *program) offeredScopes() []account.Offer {
	out := []account.Offer{
		{Permission: "data:read", Text: "Ask GET /data, with the key itself"},
		{Permission: "articles:read", Text: "Read articles"},
		{Permission: "articles:write", Text: "Write and change articles"},
		{Permission: "reports:read", Text: "Read reports"},
		{Permission: "decisions:read", Text: "Ask the decision API, with the key itself"},
	}
	for _, api := range p.apis.All().APIs {
		for _, s := range api.Scopes {
			known := func(o account.Offer) bool { return string(o.Permission) == s }
			if o := (account.Offer{Permission: rbac.Permission(s), Text: "For the API " + api.ID}); o.Permission.Valid() && !slices.ContainsFunc(out, known) {
				out = append(out, o)
			}
		}
	}
	return out
}

// guide is what the pages that explain may show: nothing that is not in the surface.
func (p *program) guide(surface []web.Route, guards web.Guards) guide.Deps {
	d := guide.Deps{
		Issuer: strings.TrimSuffix(p.cfg.Issuer, "/"), Verify: p.verifier.Any, Tokens: p.tokens, Surface: surface, Dev: p.dev, DemoURL: p.demo,
		Password: p.cfg.Password.Enabled && p.cfg.Password.DefaultClient != "", QueryKeys: p.cfg.APIKeys.Query,
		JWT: p.cfg.Tools.JWT, Guide: p.cfg.Tools.Guide, Policy: p.cfg.Tools.Policy,
		Guards: guards, Policies: p.policies, Articles: samples.ArticleActions(), Now: p.now,
	}
	if p.dev {
		d.Audiences = func() []string {
			var out []string
			for _, a := range p.apis.All().APIs {
				out = append(out, a.Audience)
			}
			return out
		}
	}
	return d
}

func (p *program) algorithmsOfIDTokens() []string { return p.ring.Algs() }

// firstParty reports whether a client is the operator's own; one that is gone is not.
func (p *program) firstParty(ctx context.Context, id string) bool {
	c, err := p.clients.Get(ctx, id)
	return err == nil && c.FirstParty
}

// activeUser is the user behind a session or a token, if they may still come in.
func (p *program) activeUser(ctx context.Context, id string) (users.User, error) {
	u, err := p.users.Facts(ctx, id)
	if err == nil && u.Status != users.Active {
		return users.User{}, fault.New(fault.Forbidden, "account_disabled", "This account is disabled.")
	}
	return u, err
}
