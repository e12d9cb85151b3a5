package web

import (
	"errors"
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
	}
	return http.StatusInternalServerError
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

// classify is the one place where an error becomes a status.
func classify(err error) problem {
	if e, ok := errors.AsType[*oauth.Error](err); ok {
		return problem{e.Status, e.Code, e.Description, e.Challenge, e.RetryAfter, err}
	}
	if e, ok := errors.AsType[*verify.Error](err); ok {
		p := problem{e.Status(), e.Code, e.Description, e.Challenge(realm), 0, err}
		if p.status == http.StatusServiceUnavailable {
			p.retryAfter = max(1, int(math.Ceil(e.RetryAfter.Seconds())))
		}
		if e.Code == verify.CodeMissingToken {
			p.detail = "This needs an access token: send Authorization: Bearer with one."
		}
		return p
	}
	if e, ok := errors.AsType[*fault.Error](err); ok && e.Kind != fault.Internal {
		p := problem{status: status(e), code: e.Code, detail: e.Message, retryAfter: int(math.Ceil(e.RetryAfter.Seconds())), cause: err}
		if (e.Kind == fault.Limited || e.Kind == fault.Unavailable) && p.retryAfter < 1 {
			p.retryAfter = 1
		}
		return p
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return problem{http.StatusRequestEntityTooLarge, "too_large", "The request body is too large.", "", 0, err}
	}
	return problem{http.StatusInternalServerError, "internal", "Something broke on our side. It has been logged.", "", 0, err}
}

// fail is the single error writer: it logs once and answers in the form of the lane.
func (e *Edge) fail(c *gin.Context, lane Lane, err error) {
	p := classify(err)
	level := Log(c).Info
	if p.status >= 500 {
		level = Log(c).Error
	}
	level("refused", "route", c.FullPath(), "status", p.status, "code", p.code, "cause", p.cause.Error())
	if c.Writer.Written() {
		return
	}
	c.Abort()
	if p.retryAfter > 0 {
		c.Header("Retry-After", strconv.Itoa(p.retryAfter))
	}
	if p.challenge != "" {
		c.Header("WWW-Authenticate", p.challenge)
	}
	c.Header("Cache-Control", "no-store")
	switch {
	case lane == Protocol:
		e.oauthJSON(c, p)
	case lane == API || WantsJSON(c):
		problemJSON(c, p)
	default:
		e.errorPage(c, err, p)
	}
}

// oauthJSON writes RFC 6749 §5.2. Codes of our own that the RFCs do not know are mapped to theirs where one fits.
func (e *Edge) oauthJSON(c *gin.Context, p problem) {
	code := p.code
	switch {
	case p.status == http.StatusInternalServerError:
		code = oauth.ErrServerError
	case p.status == http.StatusServiceUnavailable:
		code = oauth.ErrTemporarilyUnavailable
	case p.status == http.StatusRequestEntityTooLarge, p.status == http.StatusUnsupportedMediaType, p.status == http.StatusMethodNotAllowed:
		code = oauth.ErrInvalidRequest
	}
	c.Header("Pragma", "no-cache")
	c.JSON(p.status, gin.H{"error": code, "error_description": oauth.Describe(p.detail)})
}

// problemJSON writes RFC 9457.
func problemJSON(c *gin.Context, p problem) {
	c.Header("Content-Type", "application/problem+json")
	c.JSON(p.status, gin.H{
		"type": "about:blank", "title": http.StatusText(p.status), "status": p.status, "detail": p.detail, "code": p.code, "request_id": RequestID(c),
	})
}

// PageError carries what an error page shows beyond the error itself. Handlers wrap an error in it.
type PageError struct {
	Err error
	// Fill completes the page: a next step, the app's name, what was received.
	Fill func(*pages.Error)
}

func (e *PageError) Error() string { return e.Err.Error() }
func (e *PageError) Unwrap() error { return e.Err }

func (e *Edge) errorPage(c *gin.Context, err error, p problem) {
	page := pages.Error{
		Code:    p.code,
		Facts:   pages.Facts{RequestID: RequestID(c), RetryAfter: time.Duration(p.retryAfter) * time.Second},
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

// WantsJSON reports whether the caller would rather have JSON than a page: Accept names JSON and not HTML.
func WantsJSON(c *gin.Context) bool {
	accept := c.GetHeader("Accept")
	if accept == "" || accept == "*/*" {
		// curl and API clients send nothing better; a body in JSON or a bearer token tells what they are.
		return strings.HasPrefix(c.ContentType(), "application/json") || c.GetHeader("Authorization") != ""
	}
	return strings.Contains(accept, "json") && !strings.Contains(accept, "text/html")
}

// Page renders a page with the headers it needs.
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

// Shown returns the status and the facts with which a page of another package shows err, and sends Retry-After where it belongs.
func Shown(c *gin.Context, err error) (int, pages.Facts) {
	p := classify(err)
	if p.retryAfter > 0 {
		c.Header("Retry-After", strconv.Itoa(p.retryAfter))
	}
	Log(c).Info("refused", "route", c.FullPath(), "status", p.status, "code", p.code, "cause", p.cause.Error())
	return p.status, pages.Facts{RequestID: RequestID(c), RetryAfter: time.Duration(p.retryAfter) * time.Second}
}

// Message returns the text of err that may be shown.
func Message(err error) string { return classify(err).detail }
