// Package oauth holds the words of OAuth 2.0 and OpenID Connect and the checks that need nothing but their input. It imports the
// standard library only; every other package may use it.
package oauth

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Error is an error answer of RFC 6749 §4.1.2.1 and §5.2 and its extensions.
type Error struct {
	Code        string // one of the Err constants
	Description string // shown to the client; Describe keeps it within the characters RFC 6749 allows
	Status      int    // HTTP status where the answer is JSON
	// Challenge is the WWW-Authenticate value to send with a 401, if any.
	Challenge string
	// RetryAfter in whole seconds, 0 for none.
	RetryAfter int
	Cause      error // for the log only
}

// Error returns the code, the description and the cause, for the log.
func (e *Error) Error() string {
	if e.Cause != nil {
		return e.Code + ": " + e.Description + ": " + e.Cause.Error()
	}
	return e.Code + ": " + e.Description
}

// Unwrap gives the cause, for errors.Is and errors.As.
func (e *Error) Unwrap() error { return e.Cause }

// The error codes the broker answers with.
const (
	ErrInvalidRequest          = "invalid_request"
	ErrInvalidClient           = "invalid_client"
	ErrInvalidGrant            = "invalid_grant"
	ErrUnauthorizedClient      = "unauthorized_client"
	ErrUnsupportedGrantType    = "unsupported_grant_type"
	ErrUnsupportedResponseType = "unsupported_response_type"
	ErrInvalidScope            = "invalid_scope"
	ErrInvalidTarget           = "invalid_target" // RFC 8707 §2
	ErrInvalidToken            = "invalid_token"  // RFC 6750 §3.1
	ErrInsufficientScope       = "insufficient_scope"
	ErrAccessDenied            = "access_denied"
	ErrServerError             = "server_error"
	ErrTemporarilyUnavailable  = "temporarily_unavailable"
	ErrLoginRequired           = "login_required" // OpenID Connect Core §3.1.2.6
	ErrInteractionRequired     = "interaction_required"
	ErrConsentRequired         = "consent_required"
	ErrAccountSelection        = "account_selection_required"
	ErrRequestNotSupported     = "request_not_supported"
	ErrRequestURINotSupported  = "request_uri_not_supported"
	ErrRegistration            = "registration_not_supported"
	ErrUnsupportedTokenType    = "unsupported_token_type" // RFC 7009 §2.2.1
	ErrUnmetAuthentication     = "unmet_authentication_requirements"
	ErrSlowDown                = "slow_down" // RFC 8628 §3.5
)

// Errorf returns an *Error with the status that belongs to the code; the description is formatted and passed through Describe.
func Errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Description: Describe(fmt.Sprintf(format, args...)), Status: statusOf(code)}
}

func statusOf(code string) int {
	switch code {
	case ErrInvalidClient, ErrInvalidToken:
		return http.StatusUnauthorized
	case ErrInsufficientScope, ErrAccessDenied:
		return http.StatusForbidden
	case ErrServerError:
		return http.StatusInternalServerError
	case ErrTemporarilyUnavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusBadRequest
	}
}

// Describe maps text to the characters RFC 6749 §5.2 allows in error_description: %x20-21 / %x23-5B / %x5D-7E. Double quotes
// become single ones, a backslash becomes a slash, line breaks and tabs a space, anything else a question mark.
func Describe(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case r == '\\':
			return '/'
		case r >= 0x20 && r <= 0x7e:
			return r
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		default:
			return '?'
		}
	}, text)
}

// Grant types (RFC 6749, RFC 8693).
const (
	GrantAuthorizationCode = "authorization_code"
	GrantRefreshToken      = "refresh_token"
	GrantPassword          = "password"
	GrantClientCredentials = "client_credentials"
	GrantTokenExchange     = "urn:ietf:params:oauth:grant-type:token-exchange"
)

// Token types (RFC 8693 §3). TokenTypeAPIKey is our own.
const (
	TokenTypeAccessToken = "urn:ietf:params:oauth:token-type:access_token"
	TokenTypeAPIKey      = "urn:broker:token-type:api-key"
)

// Scopes with a meaning of their own (OpenID Connect Core §5.4, §11). ScopeRoles asks for `roles` in ID token and userinfo.
const (
	ScopeOpenID        = "openid"
	ScopeProfile       = "profile"
	ScopeEmail         = "email"
	ScopeAddress       = "address"
	ScopePhone         = "phone"
	ScopeOfflineAccess = "offline_access"
	ScopeRoles         = "roles"
)

// StandardScopes are those whose meaning is not an API's to give. They speak of a person.
func StandardScopes() Scopes {
	return Scopes{ScopeOpenID, ScopeProfile, ScopeEmail, ScopeAddress, ScopePhone, ScopeOfflineAccess, ScopeRoles}
}

// Client authentication methods (RFC 7591 §2).
const (
	AuthNone              = "none"
	AuthClientSecretBasic = "client_secret_basic"
	AuthClientSecretPost  = "client_secret_post"
)

// Response modes (OAuth 2.0 Form Post Response Mode).
const (
	ModeQuery    = "query"
	ModeFormPost = "form_post"
)

// TypAccessToken is the JOSE `typ` of an access token (RFC 9068 §2.1).
const TypAccessToken = "at+jwt"

// Given returns the values that are not empty: a parameter without a value counts as left out (RFC 6749 §3.1, §3.2).
func Given(values []string) []string {
	return slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == "" })
}
