package authzen

import (
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/gin-gonic/gin"

	"example.com/broker/abac"
	"example.com/broker/apikeys"
	"example.com/broker/clients"
	"example.com/broker/internal/fault"
	"example.com/broker/internal/secret"
	"example.com/broker/web"
)

// Deps are what the routes stand on. All but DefaultApp and Observe are required.
type Deps struct {
	Issuer   *url.URL
	Policies *abac.Service
	Keys     *apikeys.Service
	Clients  *clients.Service
	Guards   web.Guards // of these Access, User and Now
	// DefaultApp is asked at the issuer's own base path by callers whom no application is named after, "" for none.
	DefaultApp string
	// Seal signs the tokens that pages of a search are continued by.
	Seal *secret.Sealer
	// Sign signs metadata (AuthZEN §9.1.3); the same claims give the same text for as long as the key lasts.
	Sign func(claims map[string]any) (string, error)
	// KeyID names the key that Sign signs with now.
	KeyID func() (string, error)
	// Observe counts answers: result is "allow", "deny", "error" or "search".
	Observe func(kind, result string)

	documents *documents
}

// Base is where an application's decision point is, below the issuer.
const Base = "/pdp/"

const (
	evaluationPath  = "/access/v1/evaluation"
	evaluationsPath = "/access/v1/evaluations"
	searchPath      = "/access/v1/search/"
	wellKnown       = "/.well-known/authzen-configuration"
)

// Routes returns the routes of this package: each at the issuer's own base path and at that of any application.
func Routes(d Deps) []web.Route {
	if d.Observe == nil {
		d.Observe = func(string, string) {}
	}
	d.documents = &documents{by: map[string]signedDocument{}}
	guard := web.Guard{Name: "key|client", Check: d.authenticate}
	var out []web.Route
	for _, base := range []string{"", Base + ":app"} {
		add := func(path string, handle web.Handler) {
			out = append(out, web.Route{Method: http.MethodPost, Path: base + path, Lane: web.API, Guard: guard, Handle: handle, EchoID: true})
		}
		add(evaluationPath, d.evaluation)
		add(evaluationsPath, d.evaluations)
		for _, what := range []searched{subjects, resources, actions} {
			add(searchPath+string(what), d.search(what))
		}
	}
	// AuthZEN §9.2 inserts its well-known part between host and path.
	path := strings.TrimSuffix(d.Issuer.EscapedPath(), "/")
	return append(out,
		web.Route{Method: http.MethodGet, Path: wellKnown + path, Lane: web.API, CORS: web.AnyCORS, Handle: d.metadata, AtRoot: true, EchoID: true},
		web.Route{Method: http.MethodGet, Path: wellKnown + path + Base + ":app", Lane: web.API, CORS: web.AnyCORS, Handle: d.metadata, AtRoot: true, EchoID: true},
	)
}

// application returns the policies of the application that the base path names, or else the one named after the client that asks, or
// else the default.
func (d Deps) application(c *gin.Context) (*abac.Engine, error) {
	ctx := c.Request.Context()
	if app := c.Param("app"); app != "" {
		return d.Policies.Engine(ctx, app)
	}
	if who := callerOf(c); who.client != "" {
		e, err := d.Policies.Engine(ctx, who.client)
		if err == nil || !fault.Is(err, fault.NotFound) {
			return e, err
		}
	}
	if d.DefaultApp != "" {
		return d.Policies.Engine(ctx, d.DefaultApp)
	}
	return nil, fault.New(fault.NotFound, "application_unknown", "Name the application by its base path: %s%s<application>.", strings.TrimSuffix(d.Issuer.String(), "/"), Base)
}

// note records an answer: the one log line and the one count of it.
func (d Deps) note(c *gin.Context, e *abac.Engine, q question, n abac.Decision) {
	result := "deny"
	switch {
	case n.Allow:
		result = "allow"
	case len(n.Errors) > 0:
		result = "error"
	}
	d.Observe("authzen", result)
	web.Log(c).LogAttrs(c.Request.Context(), slog.LevelInfo, "decision", slog.String("application", e.App), slog.Int64("version", e.V), slog.String("caller", callerOf(c).name()),
		slog.String("subject", q.Subject.Type+":"+q.Subject.ID), slog.String("action", q.Action.ID), slog.String("resource", q.Resource.Type+":"+q.Resource.ID),
		slog.String("result", result), slog.Any("policies", n.Deciding), slog.Int("problems", len(n.Errors)), slog.String("inapplicable", n.Inapplicable))
}

// decisions is the permission that an API key, and its owner, must have to ask.
const decisions = "decisions:read"
