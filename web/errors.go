package web

import (
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/broker/internal/fault"
	"example.com/broker/oauth"
	"example.com/broker/verify"
	"example.com/broker/web/pages"
)

// realm is the protection space of every bearer challenge (RFC 6750 §3).
const realm = "broker"

// status maps a kind of failure to HTTP.
func status(e *fault.Error) int {
	switch e.Kind {
	case fault.Invalid:
		return http.StatusBadRequest
	case fault.Unauthenticated:
		return http.StatusUnauthorized
	case fault.Forbidden:
		return http.StatusForbidden
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict:
		return http.StatusConflict
	case fault.TooLarge:
		return http.StatusRequestEntityTooLarge
	case fault.Unsupported:
		if e.Code == "method_not_allowed" {
			return http.StatusMethodNotAllowed
		}
		return http.StatusUnsupportedMediaType
	case fault.Limited:
		return http.StatusTooManyRequests
	case fault.Upstream:
		return http.StatusBadGateway
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// problem is what all three forms of an error are drawn from.
type problem struct {
	status     int
	code       string
	detail     string
	challenge  string
	retryAfter int // seconds
	cause      error
}

// classify is the one place where an error becomes a status. The outermost error of a type the edge knows decides: whoever wrapped another
// one meant to say something else, and what lies below is for the log.
func classify(err error) problem {
	switch e := outermost(err).(type) { //nolint:errorlint // outermost walked the chain
	case *oauth.Error:
		p := problem{e.Status, e.Code, e.Description, e.Challenge, e.RetryAfter, err}
		if p.status < http.StatusBadRequest {
			p.status = http.StatusBadRequest // made without Errorf
		}
		return p
	case *verify.Error:
		return classifyToken(e, err)
	case *fault.Error:
		if e.Kind == fault.Internal {
			break
		}
		p := problem{status: status(e), code: e.Code, detail: e.Message, retryAfter: seconds(e.RetryAfter), cause: err}
		if e.Kind == fault.Limited || e.Kind == fault.Unavailable {
			p.retryAfter = max(1, p.retryAfter)
		}
		return p
	case *http.MaxBytesError:
		return classify(tooLarge(e.Limit))
	}
	return problem{http.StatusInternalServerError, "internal", "Something broke on our side. It has been logged.", "", 0, err}
}

func classifyToken(e *verify.Error, err error) problem {
	p := problem{e.Status(), e.Code, e.Description, e.Challenge(realm), 0, err}
	switch {
	case p.status == http.StatusInternalServerError:
		return problem{status: p.status, code: "internal", detail: "Something broke on our side. It has been logged.", cause: err}
	case p.status == http.StatusServiceUnavailable:
		p.retryAfter = max(1, seconds(e.RetryAfter))
	case e.Code == verify.CodeMissingToken:
		p.detail = "This needs an access token: send Authorization: Bearer with one."
	}
	return p
}

// seconds rounds up: who waits that long has waited long enough.
func seconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }

// outermost returns the first error of a chain whose type the edge knows, nil if there is none.
func outermost(err error) error {
	switch e := err.(type) { //nolint:errorlint // the chain is walked here, link by link
	case nil:
		return nil
	case *oauth.Error, *verify.Error, *fault.Error, *http.MaxBytesError:
		return e
	case interface{ Unwrap() error }:
		return outermost(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			if found := outermost(one); found != nil {
				return found
			}
		}
	}
	return nil
}

// fail is the single error writer: it logs once and answers in the form of the lane. An answer that has begun is cut off, so that nobody
// takes it for whole.
func (e *Edge) fail(c *gin.Context, lane Lane, err error) {
	p := classify(err)
	logRefusal(c, p)
	if c.Writer.Written() {
		panic(http.ErrAbortHandler)
	}
	c.Abort()
	h := c.Writer.Header()
	for _, name := range []string{"Content-Type", "Content-Length", "ETag", "Last-Modified"} {
		h.Del(name) // of the answer that was not to be
	}
	announce(c, p)
	h.Set("Cache-Control", "no-store")
	if p.status == http.StatusRequestEntityTooLarge {
		h.Set("Connection", "close") // the rest of the body is not read
	}
	switch {
	case lane == Protocol:
		oauthJSON(c, p)
	case lane == API || WantsJSON(c):
		problemJSON(c, p)
	default:
		e.errorPage(c, err, p)
	}
}

// announce sets the headers that go with an error in whatever form.
func announce(c *gin.Context, p problem) {
	if p.retryAfter > 0 {
		c.Header("Retry-After", strconv.Itoa(p.retryAfter))
	}
	if p.challenge != "" {
		c.Header("WWW-Authenticate", p.challenge)
	}
}

func logRefusal(c *gin.Context, p problem) {
	level := slog.LevelInfo
	// Somebody who hung up is no failure of ours, whatever it looks like from below.
	if p.status >= http.StatusInternalServerError && c.Request.Context().Err() == nil {
		level = slog.LevelError
	}
	Log(c).Log(c.Request.Context(), level, "refused", "route", c.FullPath(), "status", p.status, "code", p.code, "cause", p.cause.Error())
}

// oauthJSON writes RFC 6749 §5.2. Codes of our own that the RFCs do not know are mapped to theirs where one fits.
func oauthJSON(c *gin.Context, p problem) {
	c.Header("Pragma", "no-cache")
	c.JSON(p.status, gin.H{"error": oauthCode(p), "error_description": oauth.Describe(p.detail)})
}

func oauthCode(p problem) string {
	_, words := outermost(p.cause).(*oauth.Error) //nolint:errorlint // what it wraps does not decide
	switch {
	case words:
		return p.code
	case p.status == http.StatusInternalServerError, p.status == http.StatusBadGateway:
		return oauth.ErrServerError
	case p.status == http.StatusServiceUnavailable:
		return oauth.ErrTemporarilyUnavailable
	case p.code == verify.CodeMissingToken:
		return oauth.ErrInvalidToken
	case p.status == http.StatusBadRequest, p.status == http.StatusNotFound, p.status == http.StatusMethodNotAllowed, p.status == http.StatusConflict,
		p.status == http.StatusRequestEntityTooLarge, p.status == http.StatusUnsupportedMediaType:
		return oauth.ErrInvalidRequest
	}
	return p.code
}

// problemJSON writes RFC 9457. Where the caller's id is echoed, no id of ours stands in the body, so that the same request is answered by
// the same body.
func problemJSON(c *gin.Context, p problem) {
	c.Header("Content-Type", "application/problem+json")
	body := gin.H{"type": "about:blank", "title": http.StatusText(p.status), "status": p.status, "detail": p.detail, "code": p.code}
	id := RequestID(c)
	if sent, echoed := c.Get(echoedKey); echoed {
		id = sent.(string)
	}
	if id != "" {
		body["request_id"] = id
	}
	c.JSON(p.status, body)
}

// PageError carries what an error page shows beyond the error itself. Handlers wrap an error in it.
type PageError struct {
	Err error
	// Fill completes the page: a next step, the app's name, what was received.
	Fill func(*pages.Error)
}

// Error is that of the error below.
func (e *PageError) Error() string { return e.Err.Error() }

// Unwrap gives the error below.
func (e *PageError) Unwrap() error { return e.Err }

func (e *Edge) errorPage(c *gin.Context, err error, p problem) {
	page := pages.Error{
		Code:    p.code,
		Facts:   pages.Facts{RequestID: RequestID(c), RetryAfter: time.Duration(p.retryAfter) * time.Second, Status: p.status, Said: p.detail},
		Details: []pages.Detail{{Name: "What was wrong", Value: p.detail}},
	}
	if pe, ok := errors.AsType[*PageError](err); ok && pe.Fill != nil {
		pe.Fill(&page)
	}
	if err := Page(c, p.status, page); err != nil {
		Log(c).Error("drawing error page", "cause", err)
		c.String(p.status, "%d %s (%s)\n", p.status, p.code, RequestID(c))
	}
}

// WantsJSON reports whether the caller would rather have JSON than a page: Accept names JSON and not HTML, or says nothing and the route
// answers in JSON or the request is JSON or carries credentials in Authorization.
func WantsJSON(c *gin.Context) bool {
	accept := c.GetHeader("Accept")
	if accept == "" || accept == "*/*" {
		// curl and API clients send nothing better; a body in JSON or a bearer token tells what they are.
		return c.GetBool(dataKey) || strings.HasPrefix(c.ContentType(), "application/json") || c.GetHeader("Authorization") != ""
	}
	return strings.Contains(accept, "json") && !strings.Contains(accept, "text/html")
}

// Page renders a page with the headers it needs. An error means that nothing was written.
func Page(c *gin.Context, code int, page pages.Page) error {
	var buf strings.Builder
	if err := edgeOf(c).o.Pages.Render(&buf, page); err != nil {
		return err
	}
	t := page.Traits()
	h := c.Writer.Header()
	h.Set("Content-Security-Policy", pages.CSP(t))
	h.Set("Cross-Origin-Opener-Policy", pages.COOP(t))
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cache-Control", "no-store")
	c.Data(code, "text/html; charset=utf-8", []byte(buf.String()))
	return nil
}

// Shown returns the status and the facts with which a page of another package shows err. It logs err and sets Retry-After and
// WWW-Authenticate where they belong.
func Shown(c *gin.Context, err error) (int, pages.Facts) {
	p := classify(err)
	announce(c, p)
	logRefusal(c, p)
	return p.status, pages.Facts{RequestID: RequestID(c), RetryAfter: time.Duration(p.retryAfter) * time.Second}
}

// Message returns the text of err that may be shown.
func Message(err error) string { return classify(err).detail }
