package verify

import (
	"net/http"
	"strings"
)

// RequirePermission lets a request pass if a scope of its subject covers the permission, written resource:verb, and answers 403 naming it
// otherwise (RFC 6750 section 3.1). In a scope, * stands for any resource, any verb or both, as in the broker's roles. It stands behind
// [Verifier.Middleware] as [RequireRoles] does, and panics if permission is not resource:verb.
func RequirePermission(permission string) func(http.Handler) http.Handler {
	resource, verb, ok := strings.Cut(permission, ":")
	if !ok || resource == "" || verb == "" || strings.ContainsAny(permission, "* ") {
		panic("verify: RequirePermission without resource:verb")
	}
	return require(func(s Subject) error {
		if s.HasPermission(permission) {
			return nil
		}
		return &Error{Code: CodeInsufficientScope, Scope: permission, Description: clean("the token has "+
			list("no scope", "the scopes ", s.Scopes)+", one that covers "+permission+" is expected", maxDescription)}
	})
}

// HasPermission reports whether a scope of the subject covers a permission, see [RequirePermission].
func (s Subject) HasPermission(permission string) bool {
	resource, verb, ok := strings.Cut(permission, ":")
	if !ok {
		return false
	}
	for _, scope := range s.Scopes {
		r, v, ok := strings.Cut(scope, ":")
		if ok && (r == "*" || r == resource) && (v == "*" || v == verb) {
			return true
		}
	}
	return false
}
