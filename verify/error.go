package verify

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"example.com/broker/oauth"
)

// The codes an [Error] carries. All but CodeMissingToken appear on the wire as RFC 6750 section 3.1 defines them;
// CodeUnavailable is the word of RFC 6749 section 4.1.2.1.
const (
	// CodeMissingToken: the request carries no bearer token. Answered with 401 and a challenge without an error code.
	CodeMissingToken = "missing_token"
	// CodeInvalidRequest: the token is presented in a way that is refused whatever it says. Answered with 400.
	CodeInvalidRequest = "invalid_request"
	// CodeInvalidToken: the token is malformed, forged, expired, revoked or meant for another API. Answered with 401.
	CodeInvalidToken = "invalid_token"
	// CodeInsufficientScope: the token is good and does not reach far enough. Answered with 403.
	CodeInsufficientScope = "insufficient_scope"
	// CodeUnavailable: nobody can say at the moment. Answered with 503 and Retry-After, never with 401: a client
	// that is told its token is bad throws it away.
	CodeUnavailable = "temporarily_unavailable"
)

const (
	// maxDescription and maxShown bound, in bytes, an error's text and one received value within it.
	maxDescription = 400
	maxShown       = 100

	// defaultRetryAfter is what a 503 advises when its cause names nothing better.
	defaultRetryAfter = 5 * time.Second
)

// Error is a refusal. Its description says what was received and what was expected, in the characters that RFC 6749
// section 5.2 allows. What it quotes is what the sender wrote, not what is proven: most refusals come before the
// signature is checked.
type Error struct {
	// Code is one of the Code constants.
	Code string
	// Description is for the developer at the other end. It holds no secret and no part of a signature.
	Description string
	// Scope lists the scopes that would do, separated by spaces; only with CodeInsufficientScope.
	Scope string
	// Roles lists the roles of which one would do; only with CodeInsufficientScope.
	Roles []string
	// RetryAfter is advice for CodeUnavailable; zero means five seconds.
	RetryAfter time.Duration

	cause error
}

// Error returns the code and the description.
func (e *Error) Error() string { return e.Code + ": " + e.Description }

// Unwrap returns what made the answer impossible, for logs; it is never sent.
func (e *Error) Unwrap() error { return e.cause }

// Status returns the HTTP status that goes with the code; 500 for a code this package does not know.
func (e *Error) Status() int {
	switch e.Code {
	case CodeInvalidRequest:
		return http.StatusBadRequest
	case CodeInvalidToken, CodeMissingToken:
		return http.StatusUnauthorized
	case CodeInsufficientScope:
		return http.StatusForbidden
	case CodeUnavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// Challenge returns the value of WWW-Authenticate, and "" where none belongs (503, 500).
func (e *Error) Challenge(realm string) string {
	if e.Status() >= http.StatusInternalServerError {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, `Bearer realm="%s"`, clean(realm, maxDescription))
	// RFC 6750 section 3.1: a request without any token learns no error code.
	if e.Code != CodeMissingToken {
		fmt.Fprintf(&b, `, error="%s", error_description="%s"`, e.Code, clean(e.Description, maxDescription))
	}
	if e.Scope != "" {
		fmt.Fprintf(&b, `, scope="%s"`, clean(e.Scope, maxDescription))
	}
	return b.String()
}

// problem is the body of RFC 9457.
type problem struct {
	Type   string   `json:"type"`
	Title  string   `json:"title"`
	Status int      `json:"status"`
	Detail string   `json:"detail"`
	Code   string   `json:"code"`
	Roles  []string `json:"required_roles,omitempty"`
	Scope  string   `json:"required_scope,omitempty"`
}

// WriteError answers a request with err: status, challenge (RFC 6750 section 3) and a problem body (RFC 9457), not to be
// stored by caches. An error that is no *Error is answered with 500 and a fixed text.
func WriteError(w http.ResponseWriter, realm string, err error) {
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Code: "internal", Description: "the request could not be answered"}
	}
	status := e.Status()
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "application/problem+json")
	h.Set("X-Content-Type-Options", "nosniff")
	if c := e.Challenge(realm); c != "" {
		h.Set("WWW-Authenticate", c)
	}
	if status == http.StatusServiceUnavailable {
		h.Set("Retry-After", retryAfter(e.RetryAfter))
	}
	// Marshalling a struct of strings cannot fail.
	body, _ := json.Marshal(problem{
		Type: "about:blank", Title: http.StatusText(status), Status: status,
		Detail: e.Description, Code: e.Code, Roles: e.Roles, Scope: e.Scope,
	})
	w.WriteHeader(status)
	_, _ = w.Write(body) // The caller may be gone, and nobody else wants to know.
}

// retryAfter returns d in whole seconds, rounded up.
func retryAfter(d time.Duration) string {
	if d <= 0 {
		d = defaultRetryAfter
	}
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

// refuse returns a CodeInvalidToken error.
func refuse(format string, args ...any) *Error {
	return &Error{Code: CodeInvalidToken, Description: clean(fmt.Sprintf(format, args...), maxDescription)}
}

// unavailable returns a CodeUnavailable error that remembers its cause without showing it.
func unavailable(description string, cause error) *Error {
	return &Error{Code: CodeUnavailable, Description: description, cause: cause}
}

// show prepares a received value for a description: in single quotes, cleaned and cut.
func show(value string) string { return "'" + clean(value, maxShown) + "'" }

// clean maps text to the characters of error_description and cuts it to limit bytes.
// Neither a quote nor a backslash, of which those are none, can end the quoted string of a challenge.
func clean(text string, limit int) string {
	if len(text) > limit {
		return oauth.Describe(text[:limit]) + "..."
	}
	return oauth.Describe(text)
}
