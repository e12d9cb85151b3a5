// Package web is the HTTP edge: the lanes a route is mounted in, the middleware each lane has, and the one writer of errors. It
// decides how a request may look and how an answer looks; what a request means is left to the endpoint packages above.
package web

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/broker/web/pages"
	"example.com/broker/web/static"
)

// Handler answers a request or returns an error, never both. A *fault.Error or *oauth.Error is shown in the form of the lane; any
// other error becomes a 500 with hidden text.
type Handler func(*gin.Context) error

// Lane is the set of rules a route is mounted under.
type Lane int

// The lanes.
const (
	// Entry takes arrivals from other sites: no CSRF check, no cookie is set as a proof of anything, errors are pages.
	Entry Lane = iota
	// Browser serves our own pages and forms: CSRF check, strict CSP, no framing; errors are pages, or problem JSON where Accept
	// asks for it.
	Browser
	// Protocol serves OAuth endpoints: cookies ignored, CORS per client, no-store, errors as RFC 6749 §5.2 JSON.
	Protocol
	// API serves JSON to bearers: cookies ignored, CORS per client, errors as RFC 9457 problem JSON.
	API
)

var laneNames = [...]string{"entry", "browser", "protocol", "api"}

func (l Lane) String() string { return laneNames[l] }

// CORS says which origins may read a route's answers.
type CORS int

// The choices of CORS.
const (
	NoCORS      CORS = iota
	ClientCORS       // origins of registered clients
	AnyCORS          // public documents: any origin, never with credentials
	browserSafe = http.MethodGet + " " + http.MethodHead + " " + http.MethodOptions
)

// Route is one line of the surface.
type Route struct {
	Method, Path string
	Lane         Lane
	// Guard must pass before Handle runs. The zero Guard lets everybody in and is named "public".
	Guard  Guard
	CORS   CORS
	Handle Handler
	// AtRoot mounts Path at the root of the host instead of below the issuer's path (RFC 8414 §3.1 inserts its well-known part
	// between host and path).
	AtRoot bool
	// MaxBody bounds the request body in bytes; 0 means 64 KiB, in the API lane 1 MiB.
	MaxBody int64
}

// Options of an Edge. All fields but Hosts, TrustedProxies, Observe and HSTS are required.
type Options struct {
	Issuer *url.URL
	Pages  *pages.Renderer
	Assets *static.Assets
	Log    *slog.Logger
	Now    func() time.Time
	// NewID makes request ids.
	NewID func() string
	// AllowedOrigin reports whether any enabled client has the origin.
	AllowedOrigin func(ctx context.Context, origin string) bool
	// TrustedProxies may set X-Forwarded-For.
	TrustedProxies []netip.Prefix
	// Hosts, if not empty, are the only host names served (without port); others get 421 (RFC 9110 §15.5.20).
	Hosts []string
	// Dev shows technical details on error pages and allows cookies without Secure where the issuer is plain http.
	Dev bool
	// Observe sees every finished request; pattern is the route's path, never the raw one.
	Observe func(method, pattern string, status int, took time.Duration)
}

// Edge is the mounted surface. It is an http.Handler, safe for concurrent use.
type Edge struct {
	o        Options
	base     string
	origin   string
	engine   *gin.Engine
	routes   []Route
	warnOnce sync.Once
	csrf     *http.CrossOriginProtection
}

// New mounts routes. It refuses a route without handler, one mounted twice, and a Guard without a name.
func New(o Options, routes []Route) (*Edge, error) {
	e := &Edge{o: o, base: strings.TrimSuffix(o.Issuer.EscapedPath(), "/"), origin: o.Issuer.Scheme + "://" + o.Issuer.Host, csrf: http.NewCrossOriginProtection()}
	// Behind a proxy that rewrites Host, the issuer's own origin is still ours.
	if err := e.csrf.AddTrustedOrigin(e.origin); err != nil {
		return nil, fmt.Errorf("issuer %s: %w", o.Issuer, err)
	}
	gin.SetMode(gin.ReleaseMode)
	g := gin.New()
	g.HandleMethodNotAllowed = true
	g.RedirectTrailingSlash = false
	g.RedirectFixedPath = false
	g.UseRawPath = true
	g.UnescapePathValues = true
	if err := g.SetTrustedProxies(nil); err != nil {
		return nil, err
	}
	e.engine = g
	g.Use(e.arrive)
	seen := map[string]bool{}
	preflights := map[string]bool{}
	for _, r := range routes {
		full := e.path(r)
		switch key := r.Method + " " + full; {
		case r.Handle == nil:
			return nil, fmt.Errorf("route %s: no handler", key)
		case seen[key]:
			return nil, fmt.Errorf("route %s: mounted twice", key)
		case r.Guard.Check != nil && r.Guard.Name == "":
			return nil, fmt.Errorf("route %s: guard without a name", key)
		default:
			seen[key] = true
		}
		g.Handle(r.Method, full, e.lane(r))
		if r.CORS != NoCORS && !preflights[full] {
			preflights[full] = true
			g.OPTIONS(full, e.preflight(r))
		}
	}
	g.NoRoute(e.fallback(http.StatusNotFound))
	g.NoMethod(e.fallback(http.StatusMethodNotAllowed))
	e.routes = slices.Clone(routes)
	return e, nil
}

func (e *Edge) path(r Route) string {
	if r.AtRoot {
		return r.Path
	}
	return e.base + r.Path
}

// ServeHTTP implements http.Handler.
func (e *Edge) ServeHTTP(w http.ResponseWriter, r *http.Request) { e.engine.ServeHTTP(w, r) }

// Table lists the surface, one line a route: METHOD PATH LANE GUARD, sorted by path. Paths are below the issuer's.
func Table(routes []Route) []string {
	var out []string
	for _, r := range routes {
		out = append(out, fmt.Sprintf("%-7s %-45s %-8s %s", r.Method, r.Path, r.Lane, r.Guard.name()))
	}
	slices.SortFunc(out, func(a, b string) int { return strings.Compare(a[8:]+a[:8], b[8:]+b[:8]) })
	return out
}

const edgeKey = "web.edge"

func edgeOf(c *gin.Context) *Edge { return c.MustGet(edgeKey).(*Edge) }

// Issuer returns the issuer's URL with path appended, the only base of links that leave us: nothing is derived from the request.
func Issuer(c *gin.Context, path string) string {
	e := edgeOf(c)
	return e.origin + e.base + path
}

// Path returns a path of ours below the issuer's.
func Path(c *gin.Context, path string) string { return edgeOf(c).base + path }

// Log returns the request's logger, which carries its id.
func Log(c *gin.Context) *slog.Logger { return c.MustGet(logKey).(*slog.Logger) }

// RequestID returns the id of the request, made here.
func RequestID(c *gin.Context) string { return c.GetString(requestIDKey) }

// SeeOther answers 303, so that a POST is never repeated at the target (RFC 9700 §4.12).
func SeeOther(c *gin.Context, to string) error {
	c.Header("Location", to)
	c.Status(http.StatusSeeOther)
	c.Writer.WriteHeaderNow()
	return nil
}
