// Package fault names the kinds of failure the product knows. Domain code returns *Error; the edge alone turns a kind into a
// status and a body (see web). An error of any other type is internal: its text is logged and never shown.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Kind is the class of a failure. The zero Kind is Internal, so that a forgotten kind hides its text.
type Kind int

// The kinds, in the order of the HTTP statuses they become.
const (
	Internal        Kind = iota // 500, text hidden
	Invalid                     // 400: the input breaks a rule
	Unauthenticated             // 401: who are you
	Forbidden                   // 403: you may not
	NotFound                    // 404: no such thing, or none that the caller may know of
	Conflict                    // 409: the state does not allow it
	TooLarge                    // 413: a bound on size
	Unsupported                 // 415: a media type or method that is not served
	Limited                     // 429: too many, see RetryAfter
	Upstream                    // 502: an identity provider failed or lied
	Unavailable                 // 503: the store or a pool is out of reach, see RetryAfter
)

var names = [...]string{"internal", "invalid", "unauthenticated", "forbidden", "not_found", "conflict", "too_large", "unsupported", "limited", "upstream", "unavailable"}

func (k Kind) String() string {
	if k < 0 || int(k) >= len(names) {
		return "internal"
	}
	return names[k]
}

// Error is a failure whose Message may be shown to the caller.
type Error struct {
	Kind Kind
	// Code is the stable word for this failure in pages, logs and problem JSON, such as "credentials_invalid".
	Code string
	// Message names what was received, what was expected and one fix. It must not hold secrets.
	Message string
	// RetryAfter is how long the caller should wait; it is set for Limited and Unavailable and rounds up to whole seconds on the wire.
	RetryAfter time.Duration
	// Cause is for the log only.
	Cause error
}

func (e *Error) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.Cause)
	}
	return e.Code + ": " + e.Message
}

// Unwrap gives the cause, for errors.Is and errors.As.
func (e *Error) Unwrap() error { return e.Cause }

// New returns an *Error with a formatted message.
func New(kind Kind, code, format string, args ...any) *Error {
	return &Error{Kind: kind, Code: code, Message: fmt.Sprintf(format, args...)}
}

// Wrap is New with a cause that only the log sees.
func Wrap(cause error, kind Kind, code, format string, args ...any) *Error {
	return &Error{Kind: kind, Code: code, Message: fmt.Sprintf(format, args...), Cause: cause}
}

// KindOf returns the kind of the first *Error in err's chain, Internal if there is none or err is nil.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// CodeOf returns the code of the first *Error in err's chain, "internal" if there is none.
func CodeOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok && e.Code != "" {
		return e.Code
	}
	return "internal"
}

// Is reports whether err is of kind k; Is(nil, Internal) is false.
func Is(err error, k Kind) bool { return err != nil && KindOf(err) == k }
