package verify

import (
	"context"
	"net/http"
	"strings"
)

// contextKey is the type of the keys under which this package keeps values in a context.
type contextKey int

const (
	tokenKey contextKey = iota
	realmKey
	staleKey
)

// Middleware lets a request pass to next only with a good token in the Authorization header; next finds it by
// [TokenFrom] and [SubjectFrom]. Any other request is answered as [WriteError] does.
func (v *Verifier) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := BearerToken(r)
		if err != nil {
			WriteError(w, v.cfg.Realm, err)
			return
		}
		token, err := v.Verify(r.Context(), raw)
		if err != nil {
			WriteError(w, v.cfg.Realm, err)
			return
		}
		ctx := context.WithValue(WithToken(r.Context(), token), realmKey, v.cfg.Realm)
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// BearerToken returns the token in the Authorization header (RFC 6750 section 2.1), unchecked. It returns an [*Error] with
// CodeMissingToken if there is none, and with CodeInvalidRequest if there are two, if the header is malformed, or if the
// query holds an access_token: addresses end up in logs and histories, so that form (RFC 6750 section 2.3) is not
// served, not even beside a good header. A token in a form body is not looked for.
func BearerToken(r *http.Request) (string, error) {
	if r.URL.RawQuery != "" && r.URL.Query().Has("access_token") {
		return "", &Error{Code: CodeInvalidRequest, Description: "the query holds an access_token, " +
			"the header 'Authorization: Bearer' is expected instead"}
	}
	values := r.Header.Values("Authorization")
	if len(values) > 1 {
		return "", &Error{Code: CodeInvalidRequest, Description: "the request has several Authorization headers, one is expected"}
	}
	if len(values) == 0 {
		return "", missing("the request has no Authorization header, 'Bearer' and a token are expected")
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	// RFC 9110 section 11.1: the name of a scheme has no case.
	if !strings.EqualFold(scheme, "Bearer") {
		return "", missing("the Authorization header has another scheme, 'Bearer' and a token are expected")
	}
	token = strings.Trim(token, " ")
	if token == "" || strings.ContainsAny(token, " \t,") {
		return "", &Error{Code: CodeInvalidRequest, Description: "the Authorization header is malformed, " +
			"'Bearer' and one token are expected"}
	}
	return token, nil
}

func missing(description string) *Error {
	return &Error{Code: CodeMissingToken, Description: description}
}

// WithToken returns a context that carries a token, for code that checks tokens in another way than by Middleware and for tests.
func WithToken(ctx context.Context, t *Token) context.Context {
	return context.WithValue(ctx, tokenKey, t)
}

// TokenFrom returns the token of a request that passed [Verifier.Middleware].
func TokenFrom(ctx context.Context) (*Token, bool) {
	t, ok := ctx.Value(tokenKey).(*Token)
	return t, ok && t != nil
}

// SubjectFrom returns the caller of a request that passed [Verifier.Middleware].
func SubjectFrom(ctx context.Context) (Subject, bool) {
	t, ok := TokenFrom(ctx)
	if !ok {
		return Subject{}, false
	}
	return t.Subject, true
}

// RequireRoles lets a request pass if its subject has any of the roles, and answers 403 naming them otherwise. It stands behind
// [Verifier.Middleware]; without it every request is refused with 401. It panics if no role is given, since such a route could
// only be a mistake.
func RequireRoles(anyOf ...string) func(http.Handler) http.Handler {
	if len(anyOf) == 0 {
		panic("verify: RequireRoles without a role")
	}
	return require(func(s Subject) error {
		if s.HasAnyRole(anyOf...) {
			return nil
		}
		return &Error{Code: CodeInsufficientScope, Roles: anyOf, Description: clean("the caller has "+
			list("no role", "the roles ", s.Roles)+", one of "+strings.Join(anyOf, ", ")+" is expected", maxDescription)}
	})
}

// RequireScope lets a request pass if its subject has all of the scopes, and answers 403 naming them otherwise (RFC 6750
// section 3.1). It stands behind [Verifier.Middleware] as [RequireRoles] does, and panics if no scope is given.
func RequireScope(all ...string) func(http.Handler) http.Handler {
	if len(all) == 0 {
		panic("verify: RequireScope without a scope")
	}
	return require(func(s Subject) error {
		if s.HasScopes(all...) {
			return nil
		}
		scope := strings.Join(all, " ")
		return &Error{Code: CodeInsufficientScope, Scope: scope, Description: clean("the token has "+
			list("no scope", "the scopes ", s.Scopes)+", all of "+strings.Join(all, ", ")+" are expected", maxDescription)}
	})
}

// require lets a request pass if check finds nothing against its subject.
func require(check func(Subject) error) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			realm, _ := r.Context().Value(realmKey).(string)
			subject, ok := SubjectFrom(r.Context())
			err := error(missing("the request was not checked for a token"))
			if ok {
				err = check(subject)
			}
			if err != nil {
				WriteError(w, realm, err)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

func list(none, some string, names []string) string {
	if len(names) == 0 {
		return none
	}
	return some + strings.Join(names, ", ")
}
