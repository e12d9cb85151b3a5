package verify

import "strings"

// Kind says what a subject is.
type Kind string

// The kinds of subject a token can have.
const (
	KindUser   Kind = "user"   // a person, for whom the client acts
	KindClient Kind = "client" // the client itself, in the client credentials grant
)

// Subject is the caller as an API sees it.
type Subject struct {
	Kind     Kind
	ID       string   // the user, or the client where Kind is KindClient
	ClientID string   // the application that presents the token
	Audience string   // the audience this verifier accepts, not the others a token may name
	Email    string   // "" where the token has none
	Roles    []string // those this API lists
	Scopes   []string
}

// HasAnyRole reports whether the subject holds one of the roles; names are compared byte for byte.
func (s Subject) HasAnyRole(roles ...string) bool { return containsAny(s.Roles, roles) }

// HasScopes reports whether the subject holds every one of the scopes.
func (s Subject) HasScopes(scopes ...string) bool {
	for _, scope := range scopes {
		if !containsAny(s.Scopes, []string{scope}) {
			return false
		}
	}
	return true
}

func containsAny(have, want []string) bool {
	for _, h := range have {
		for _, w := range want {
			if h == w {
				return true
			}
		}
	}
	return false
}

// Token is a token that passed every check. It belongs to whoever received it and may be changed.
type Token struct {
	Subject Subject
	Claims  Claims
}

// newToken derives the subject from verified claims.
func newToken(c *Claims, audience string) *Token {
	claims := c.clone()
	kind := KindUser
	// RFC 9068 section 2.2: where no resource owner is involved, sub names the client.
	if claims.Subject == claims.ClientID {
		kind = KindClient
	}
	return &Token{
		Subject: Subject{
			Kind: kind, ID: claims.Subject, ClientID: claims.ClientID, Audience: audience,
			Email: claims.Email, Roles: claims.Roles, Scopes: strings.Fields(claims.Scope),
		},
		Claims: claims,
	}
}
