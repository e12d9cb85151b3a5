// Package web is the HTTP edge: the lanes a route is mounted in, the middleware each lane has, and the one writer of errors. It
// decides how a request may look and how an answer looks; what a request means is left to the endpoint packages above.
package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/broker/audit"
	"example.com/broker/web/pages"
	"example.com/broker/web/static"
)

// Handler answers a request or returns an error, never both. A *fault.Error or *oauth.Error is shown in the form of the lane; any
// other error becomes a 500 with hidden text.
type Handler func(*gin.Context) error

// Lane is the set of rules a route is mounted under.
type Lane int

// The lanes. GET is answered to HEAD too, but not in the Entry lane: there it takes what can be taken once.
const (
	// Entry takes arrivals from other sites: no CSRF check, so a handler changes nothing on the word of a cookie alone; errors
	// as in Browser.
	Entry Lane = iota
	// Browser serves our own pages and forms: CSRF check, strict CSP, no framing; errors are pages, or problem JSON where Accept
	// asks for it.
	Browser
	// Protocol serves OAuth endpoints: cookies are taken out of the request, CORS per client, no-store, errors as RFC 6749 §5.2 JSON.
	Protocol
	// API serves JSON to bearers: cookies are taken out of the request, CORS per client, errors as RFC 9457 problem JSON.
	API
)

var laneNames = [...]string{"entry", "browser", "protocol", "api"}

func (l Lane) String() string {
	if l < 0 || int(l) >= len(laneNames) {
		return "unknown"
	}
	return laneNames[l]
}

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
	// EchoID answers with the X-Request-ID that was sent, whatever it says, instead of the request's own id; the log keeps the latter. A
	// problem says request_id only where one was sent.
	EchoID bool
	// Data routes answer in JSON, so their errors are pages only where Accept asks for one.
	Data bool
	// MaxBody bounds the request body in bytes; 0 means 64 KiB, in the API lane 1 MiB.
	MaxBody int64
	// Polled routes are asked every second by every API: what goes well there is logged at debug level.
	Polled bool
}

// Options of an Edge. All fields but Hosts, TrustedProxies, Denials, Observe and Dev are required.
type Options struct {
	// Issuer is an http or https address whose path, if it has one, is made of unreserved characters.
	Issuer *url.URL
	Pages  *pages.Renderer
	Assets *static.Assets
	Log    *slog.Logger
	Now    func() time.Time
	// NewID makes request ids; one that a caller sends is not used.
	NewID func() string
	// AllowedOrigin reports whether any enabled client has the origin.
	AllowedOrigin func(ctx context.Context, origin string) bool
	// TrustedProxies may set X-Forwarded-For, see ClientAddress.
	TrustedProxies []netip.Prefix
	// Denials takes what Denied records. It must not wait, and not let a caller fill it.
	Denials audit.Recorder
	// Hosts, if not empty, are the only host names served (without port; an IPv6 address with or without brackets); others get 421
	// (RFC 9110 §15.5.20).
	Hosts []string
	// Dev says that this is `broker dev`; the pages know it from their renderer.
	Dev bool
	// Observe sees every finished request; pattern is the route's path, never the raw one.
	Observe func(method, pattern string, status int, took time.Duration)
}

// Edge is the mounted surface. It is an http.Handler, safe for concurrent use.
type Edge struct {
	o      Options
	base   string
	origin string
	hosts  []string
	engine *gin.Engine
	// patterns are those of the routes, for answers to methods that are not served there.
	patterns []pattern
	// What ClientAddress warns of once.
	nearbyOnce, strangerOnce sync.Once

	csrf *http.CrossOriginProtection
}

// New mounts routes. It refuses a route that breaks a rule of its lane, has no handler or is mounted twice, and a Guard without a name.
func New(o Options, routes []Route) (*Edge, error) {
	if o.Issuer == nil || o.Pages == nil || o.Assets == nil || o.Log == nil || o.Now == nil || o.NewID == nil || o.AllowedOrigin == nil {
		return nil, errors.New("web: an option is missing")
	}
	e := &Edge{
		o: o, base: strings.TrimSuffix(o.Issuer.EscapedPath(), "/"), origin: o.Issuer.Scheme + "://" + o.Issuer.Host,
		csrf: http.NewCrossOriginProtection(),
	}
	if !basePath.MatchString(e.base) {
		return nil, fmt.Errorf("issuer %s: its path may have letters, digits and - . _ ~ between slashes", o.Issuer)
	}
	for _, h := range o.Hosts {
		e.hosts = append(e.hosts, hostname(h))
	}
	// Behind a proxy that rewrites Host, the issuer's own origin is still ours.
	if err := e.csrf.AddTrustedOrigin(e.origin); err != nil {
		return nil, fmt.Errorf("issuer %s: %w", o.Issuer, err)
	}
	if err := e.mount(routes); err != nil {
		return nil, err
	}
	return e, nil
}

// basePath is what the path of an issuer may be: gin gives a meaning to `:` and `*`, and encoded characters have two spellings.
var basePath = regexp.MustCompile(`^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*$`)

func (e *Edge) mount(routes []Route) error {
	gin.SetMode(gin.ReleaseMode)
	g := gin.New()
	g.HandleMethodNotAllowed = true
	g.RedirectTrailingSlash = false
	g.RedirectFixedPath = false
	// Parameters are decoded after routing: an encoded slash stays inside its parameter.
	g.UseEscapedPath = true
	g.UnescapePathValues = true
	if err := g.SetTrustedProxies(nil); err != nil {
		return err
	}
	e.engine = g
	g.Use(e.arrive)
	seen := map[string]bool{}
	shared := map[string]*sharing{}
	var order []string
	for _, r := range routes {
		full := e.path(r)
		key := r.Method + " " + full
		if err := r.check(); err != nil {
			return fmt.Errorf("route %s: %w", key, err)
		}
		if seen[key] {
			return fmt.Errorf("route %s: mounted twice", key)
		}
		seen[key] = true
		methods := []string{r.Method}
		if r.Method == http.MethodGet && r.Lane != Entry {
			methods = append(methods, http.MethodHead)
		}
		for _, m := range methods {
			g.Handle(m, full, e.lane(r))
			if full == e.base+"/" && e.base != "" {
				g.Handle(m, e.base, e.lane(r)) // an issuer has no slash at its end, and people open it as it is written
			}
		}
		e.patterns = append(e.patterns, pattern{strings.Split(full, "/"), r.Lane, r.EchoID})
		if r.CORS == NoCORS {
			continue
		}
		if shared[full] == nil {
			shared[full] = &sharing{lane: r.Lane, kind: r.CORS}
			order = append(order, full)
		}
		if shared[full].kind != r.CORS {
			return fmt.Errorf("route %s: its CORS differs from that of another method at this path, and a preflight has one answer", key)
		}
		shared[full].methods = append(shared[full].methods, methods...)
	}
	for _, full := range order {
		s := shared[full]
		g.OPTIONS(full, e.preflight(s.lane, s.kind, s.methods))
	}
	g.NoRoute(e.fallback(http.StatusNotFound))
	g.NoMethod(e.fallback(http.StatusMethodNotAllowed))
	return nil
}

// sharing is what a preflight says about a path.
type sharing struct {
	lane    Lane
	kind    CORS
	methods []string
}

// check refuses what no handler could make safe again.
func (r Route) check() error {
	switch {
	case r.Handle == nil:
		return errors.New("no handler")
	case !strings.HasPrefix(r.Path, "/"):
		return errors.New("its path does not begin with a slash")
	case r.Guard.Check != nil && r.Guard.Name == "":
		return errors.New("guard without a name")
	case r.Method == http.MethodHead || r.Method == http.MethodOptions:
		return errors.New("HEAD and OPTIONS are answered by the edge")
	case r.Lane == Entry && r.CORS != NoCORS:
		return errors.New("an arrival from another site is not for scripts to read")
	case r.Lane == Browser && r.CORS == AnyCORS:
		return errors.New("a page is not for every site to read")
	case (r.Lane == Protocol || r.Lane == API) && strings.Contains(r.Guard.Name, "session"):
		return errors.New("cookies are not seen in this lane, so a session cannot be demanded")
	}
	return nil
}

// secure reports whether the broker is reached by https.
func (e *Edge) secure() bool { return e.o.Issuer.Scheme == "https" }

func (e *Edge) path(r Route) string {
	if r.AtRoot {
		return r.Path
	}
	return e.base + r.Path
}

// ServeHTTP implements http.Handler.
func (e *Edge) ServeHTTP(w http.ResponseWriter, r *http.Request) { e.engine.ServeHTTP(w, r) }

// Table lists the surface, one line a route: METHOD PATH LANE GUARD, sorted by path, then method. Paths are below the issuer's. What the
// edge adds by itself (HEAD, OPTIONS) is not listed.
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

// ToSignIn sends a browser that is not signed in to the sign-in page, which leads back to a page of ours if package signin knows it.
func ToSignIn(c *gin.Context, back string) error {
	c.Writer.Header().Del("WWW-Authenticate") // of the guard that turned it away
	return SeeOther(c, Path(c, "/login?next="+url.QueryEscape(back)))
}

// SeeOther answers 303, so that a POST is never repeated at the target (RFC 9700 §4.12).
func SeeOther(c *gin.Context, to string) error {
	c.Header("Location", to)
	c.Status(http.StatusSeeOther)
	c.Writer.WriteHeaderNow()
	return nil
}
