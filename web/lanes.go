package web

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"example.com/broker/audit"
	"example.com/broker/internal/fault"
)

const (
	requestIDKey = "web.request_id"
	echoedKey    = "web.echoed_id"
	logKey       = "web.log"
	laneKey      = "web.lane"
	polledKey    = "web.polled"
	dataKey      = "web.data"

	formLimit = 64 << 10
	jsonLimit = 1 << 20
)

// arrive is what every request passes: id, log line, common headers, host check, panic barrier.
func (e *Edge) arrive(c *gin.Context) {
	start := e.o.Now()
	id := e.o.NewID()
	c.Request = c.Request.WithContext(audit.WithRequest(c.Request.Context(), id))
	c.Set(edgeKey, e)
	c.Set(requestIDKey, id)
	c.Set(logKey, e.o.Log.With("request_id", id))
	e.commonHeaders(c)
	defer func() {
		took := e.o.Now().Sub(start)
		// The raw path and query may hold codes, tokens and keys; the pattern cannot.
		level := slog.LevelInfo
		if c.GetBool(polledKey) && c.Writer.Status() < http.StatusBadRequest {
			level = slog.LevelDebug
		}
		Log(c).LogAttrs(c.Request.Context(), level, "request", slog.String("method", method(c.Request.Method)), slog.String("route", c.FullPath()),
			slog.Int("status", c.Writer.Status()), slog.Duration("took", took))
		if e.o.Observe != nil {
			e.o.Observe(method(c.Request.Method), c.FullPath(), c.Writer.Status(), took)
		}
	}()
	defer func() {
		switch p := recover(); {
		case p == nil:
		case p == http.ErrAbortHandler: //nolint:errorlint // net/http compares so too
			panic(p)
		default:
			Log(c).Error("panic", "panic", p, "stack", string(debug.Stack()))
			e.fail(c, laneOf(c), errors.New("panic, see log"))
		}
	}()
	if len(e.hosts) > 0 && !slices.Contains(e.hosts, hostname(c.Request.Host)) {
		c.Header("Cache-Control", "no-store")
		c.String(http.StatusMisdirectedRequest, "421: this server answers only for %s\n", strings.Join(e.o.Hosts, ", "))
		c.Abort()
		return
	}
	c.Next()
}

// commonHeaders are on every answer. Pages set a wider policy of their own; what is no page needs nothing from anywhere.
func (e *Edge) commonHeaders(c *gin.Context) {
	h := c.Writer.Header()
	h.Set("X-Request-ID", RequestID(c))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Permissions-Policy", "accelerometer=(), camera=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), payment=(), usb=()")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if e.secure() {
		// Not for subdomains: they may be somebody else's, and the issuer may be a path on a host that serves more.
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// method keeps a made-up method out of log lines and metric labels.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "OTHER"
}

// hostname takes the port and the brackets off a Host header; names of hosts have no case.
func hostname(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		hostport = host
	}
	return strings.ToLower(strings.Trim(hostport, "[]"))
}

func laneOf(c *gin.Context) Lane {
	if l, ok := c.Get(laneKey); ok {
		return l.(Lane)
	}
	return Browser
}

// lane wraps a route's handler in the rules of its lane.
func (e *Edge) lane(r Route) gin.HandlerFunc {
	limit := r.MaxBody
	if limit == 0 {
		limit = formLimit
		if r.Lane == API {
			limit = jsonLimit
		}
	}
	share := e.share(r)
	return func(c *gin.Context) {
		c.Set(laneKey, r.Lane)
		if r.EchoID {
			echoID(c)
		}
		c.Set(polledKey, r.Polled)
		c.Set(dataKey, r.Data)
		c.Header("Cache-Control", "no-store")
		if r.Lane == Protocol || r.Lane == API {
			c.Request.Header.Del("Cookie") // no handler can take one for a proof, not even by mistake
		}
		share(c)
		if c.Request.ContentLength > limit {
			e.fail(c, r.Lane, tooLarge(limit))
			return
		}
		c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, limit)
		if err := e.enter(c, r); err != nil {
			e.fail(c, r.Lane, err)
			return
		}
		if err := r.Handle(c); err != nil {
			e.fail(c, r.Lane, err)
		}
	}
}

func tooLarge(limit int64) error {
	return fault.New(fault.TooLarge, "too_large", "The request body is larger than %d bytes.", limit)
}

// enter applies what must hold before the handler runs.
func (e *Edge) enter(c *gin.Context, r Route) error {
	if r.Lane == Browser && !hasBearer(c) {
		if err := e.checkOrigin(c.Request); err != nil {
			return fault.Wrap(err, fault.Forbidden, "cross_origin", "This request came from another site (origin %.100q). Open the page here and try again.", c.GetHeader("Origin"))
		}
	}
	if r.Guard.Check != nil {
		return Denied(c, r.Guard.Check(c))
	}
	return nil
}

// hasBearer reports whether the request carries an access token. A browser adds no such header by itself, so the request was not forged by
// a form of another site. Other schemes prove nothing: a browser repeats the name and password of a proxy in front of us by itself.
func hasBearer(c *gin.Context) bool {
	scheme, _, _ := strings.Cut(c.GetHeader("Authorization"), " ")
	return strings.EqualFold(scheme, "Bearer")
}

// checkOrigin refuses a request that changes something and comes from another origin. Browsers say so in Sec-Fetch-Site, old ones in
// Origin; a request with neither was not sent by a browser.
func (e *Edge) checkOrigin(r *http.Request) error {
	if err := e.csrf.Check(r); err != nil {
		return err
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return nil
	}
	// Without Sec-Fetch-Site the check compares hosts alone: our own host over http may be somebody else's page.
	origin := r.Header.Get("Origin")
	if r.Header.Get("Sec-Fetch-Site") != "" || origin == "" || origin == e.origin {
		return nil
	}
	if u, err := url.Parse(origin); err != nil || u.Scheme != e.o.Issuer.Scheme {
		return errors.New("the scheme of Origin is not the issuer's")
	}
	return nil
}

// echoID answers with the caller's own name for the request.
func echoID(c *gin.Context) {
	sent := c.GetHeader("X-Request-ID")
	if sent != "" {
		c.Header("X-Request-ID", sent)
	}
	if !utf8.ValidString(sent) {
		sent = "" // no JSON can say the same
	}
	c.Set(echoedKey, sent)
}

// pattern is the path of a route, cut at its slashes.
type pattern struct {
	parts []string
	lane  Lane
	echo  bool
}

func (p pattern) fits(parts []string) bool {
	return slices.EqualFunc(p.parts, parts, func(want, have string) bool {
		return want == have || strings.HasPrefix(want, ":") && have != ""
	})
}

// laneAt is the lane of the path's routes, Browser for a path that has none, and whether they echo the request's id.
func (e *Edge) laneAt(path string) (lane Lane, echo bool) {
	parts := strings.Split(path, "/")
	for _, p := range e.patterns {
		if p.fits(parts) {
			return p.lane, p.echo
		}
	}
	return Browser, false
}

// fallback answers where no route does, in the form of the lane the path belongs to.
func (e *Edge) fallback(status int) gin.HandlerFunc {
	return func(c *gin.Context) {
		c.Header("Cache-Control", "no-store")
		lane, echo := e.laneAt(c.Request.URL.EscapedPath())
		if echo {
			echoID(c)
		}
		err := fault.New(fault.NotFound, "not_found", "There is nothing at this address.")
		if status == http.StatusMethodNotAllowed {
			err = fault.New(fault.Unsupported, "method_not_allowed", "%s is not answered here. Allowed: %s.", method(c.Request.Method), c.Writer.Header().Get("Allow"))
		}
		e.fail(c, lane, err)
	}
}
