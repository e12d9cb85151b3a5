package web

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/rs/cors"

	"example.com/broker/audit"
	"example.com/broker/internal/fault"
)

const (
	requestIDKey = "web.request_id"
	logKey       = "web.log"

	formLimit = 64 << 10
	jsonLimit = 1 << 20
)

// arrive is what every request passes: id, log line, common headers, host check, panic barrier.
func (e *Edge) arrive(c *gin.Context) {
	start := e.o.Now()
	id := e.o.NewID()
	log := e.o.Log.With("request_id", id)
	c.Request = c.Request.WithContext(audit.WithRequest(c.Request.Context(), id))
	c.Set(edgeKey, e)
	c.Set(requestIDKey, id)
	c.Set(logKey, log)
	h := c.Writer.Header()
	h.Set("X-Request-ID", id)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Permissions-Policy", "accelerometer=(), camera=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), payment=(), usb=()")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if e.o.Issuer.Scheme == "https" {
		h.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
	}
	defer func() {
		if p := recover(); p != nil {
			if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(p)
			}
			log.Error("panic", "panic", p, "stack", string(debug.Stack()))
			e.fail(c, laneOf(c), errors.New("panic, see log"))
		}
		pattern := c.FullPath()
		took := e.o.Now().Sub(start)
		// The raw path and query may hold codes, tokens and keys; the pattern cannot.
		log.LogAttrs(c.Request.Context(), slog.LevelInfo, "request", slog.String("method", method(c.Request.Method)), slog.String("route", pattern),
			slog.Int("status", c.Writer.Status()), slog.Duration("took", took))
		if e.o.Observe != nil {
			e.o.Observe(method(c.Request.Method), pattern, c.Writer.Status(), took)
		}
	}()
	if len(e.o.Hosts) > 0 && !slices.Contains(e.o.Hosts, hostname(c.Request.Host)) {
		c.Header("Cache-Control", "no-store")
		c.String(http.StatusMisdirectedRequest, "421: this server answers only for %s\n", strings.Join(e.o.Hosts, ", "))
		c.Abort()
		return
	}
	c.Next()
}

// method keeps a made-up method out of log lines and metric labels.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "OTHER"
}

func hostname(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}

const laneKey = "web.lane"

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
	policy := e.policy(r)
	return func(c *gin.Context) {
		c.Set(laneKey, r.Lane)
		c.Header("Cache-Control", "no-store")
		if policy != nil {
			policy.HandlerFunc(c.Writer, c.Request)
		}
		if c.Request.ContentLength > limit {
			c.Header("Connection", "close")
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
	// A browser asks no API by cookie, so only the Browser lane needs the check; a request with an Authorization header was not
	// sent by a form.
	if r.Lane == Browser && c.GetHeader("Authorization") == "" {
		if err := e.csrf.Check(c.Request); err != nil {
			return fault.Wrap(err, fault.Forbidden, "cross_origin", "This request came from another site (origin %q). Open the page here and try again.", c.GetHeader("Origin"))
		}
	}
	if r.Guard.Check != nil {
		return r.Guard.Check(c)
	}
	return nil
}

// policy builds the CORS rules of a route, nil for none.
func (e *Edge) policy(r Route) *cors.Cors {
	o := cors.Options{
		AllowedMethods: []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete},
		AllowedHeaders: []string{"Authorization", "Content-Type", "X-API-Key"},
		ExposedHeaders: []string{"WWW-Authenticate", "Retry-After", "X-Request-ID"},
		MaxAge:         int((10 * time.Minute).Seconds()),
	}
	switch r.CORS {
	case AnyCORS:
		o.AllowedOrigins = []string{"*"}
	case ClientCORS:
		o.AllowOriginRequestFunc = func(r *http.Request, origin string) bool { return e.o.AllowedOrigin(r.Context(), origin) }
	default:
		return nil
	}
	return cors.New(o)
}

func (e *Edge) preflight(r Route) gin.HandlerFunc {
	policy := e.policy(r)
	return func(c *gin.Context) {
		c.Set(laneKey, r.Lane)
		policy.HandlerFunc(c.Writer, c.Request)
		c.Status(http.StatusNoContent)
		c.Writer.WriteHeaderNow()
	}
}

// RestrictOrigin takes the permission to read this answer back from an origin that is not among allowed. Endpoints call it once they
// know which client asks.
func RestrictOrigin(c *gin.Context, allowed []string) {
	if origin := c.GetHeader("Origin"); origin != "" && !slices.Contains(allowed, origin) {
		c.Writer.Header().Del("Access-Control-Allow-Origin")
	}
}

func (e *Edge) fallback(status int) gin.HandlerFunc {
	return func(c *gin.Context) {
		c.Header("Cache-Control", "no-store")
		err := fault.New(fault.NotFound, "not_found", "There is nothing at this address.")
		if status == http.StatusMethodNotAllowed {
			err = fault.New(fault.Unsupported, "method_not_allowed", "%s is not answered here. Allowed: %s.", method(c.Request.Method), c.Writer.Header().Get("Allow"))
		}
		e.fail(c, Browser, err)
	}
}
