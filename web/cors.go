package web

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/rs/cors"
)

// CORS says which origins may read a route's answers. No choice allows credentials: a cookie is worth nothing where CORS is.
type CORS int

// The choices of CORS.
const (
	NoCORS     CORS = iota
	ClientCORS      // origins of registered clients
	AnyCORS         // public documents: any origin
)

// preflightFor is how long a browser may remember the answer to a preflight.
const preflightFor = 10 * time.Minute

// policy builds the CORS rules for the methods of one path.
func (e *Edge) policy(kind CORS, methods []string) *cors.Cors {
	o := cors.Options{
		AllowedMethods: methods,
		AllowedHeaders: []string{"Authorization", "Content-Type", "X-API-Key"},
		ExposedHeaders: []string{"WWW-Authenticate", "Retry-After", "X-Request-ID"},
		MaxAge:         int(preflightFor.Seconds()),
		AllowedOrigins: []string{"*"},
	}
	if kind == ClientCORS {
		o.AllowedOrigins = nil
		o.AllowOriginVaryRequestFunc = func(r *http.Request, origin string) (bool, []string) {
			return origin != "" && e.o.AllowedOrigin(r.Context(), origin), nil
		}
	}
	return cors.New(o)
}

// share returns what sets the CORS headers of a route's answers. In the Browser lane they are for callers with an access token alone: what
// is shown to a cookie is never shared.
func (e *Edge) share(r Route) func(*gin.Context) {
	if r.CORS == NoCORS {
		return func(*gin.Context) {}
	}
	policy := e.policy(r.CORS, []string{r.Method, http.MethodHead})
	return func(c *gin.Context) {
		if r.Lane != Browser || hasBearer(c) {
			policy.HandlerFunc(c.Writer, c.Request)
		}
	}
}

// preflight answers OPTIONS for a path whose methods are shared; it runs no guard and no handler.
func (e *Edge) preflight(lane Lane, kind CORS, methods []string) gin.HandlerFunc {
	policy := e.policy(kind, methods)
	allow := strings.Join(append(slices.Clone(methods), http.MethodOptions), ", ")
	return func(c *gin.Context) {
		c.Set(laneKey, lane)
		c.Header("Cache-Control", "no-store")
		c.Header("Allow", allow)
		c.Status(http.StatusNoContent)
		policy.HandlerFunc(c.Writer, c.Request)
		c.Writer.WriteHeaderNow()
	}
}

// RestrictOrigin takes the permission to read this answer back from an origin that is not among allowed. Endpoints call it once they
// know which client asks.
func RestrictOrigin(c *gin.Context, allowed []string) {
	if origin := c.GetHeader("Origin"); origin != "" && !slices.Contains(allowed, origin) {
		c.Writer.Header().Del("Access-Control-Allow-Origin")
		c.Writer.Header().Del("Access-Control-Expose-Headers")
	}
}
