package tokens

import (
	"encoding/json"
	"maps"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"example.com/broker/oauth"
	"example.com/broker/users"
	"example.com/broker/verify"
)

// When says on which condition a claim is in a token or an answer; "" means never.
type When string

// The conditions of the table. A claim whose value is not known is left out, never null or empty.
const (
	Always    When = "always"
	ForUser   When = "for a user"
	WithGrant When = "with a grant"
	IfKnown   When = "if known"
	// ByScope: the scope that the row names was granted, or the claim was asked for by the parameter `claims`.
	ByScope When = "by scope or request"
	// ByRequest: the claim was asked for by the parameter `claims`.
	ByRequest When = "by request"
)

// Row says where a claim is.
type Row struct {
	Claim                               string
	Access, ID, UserInfo, Introspection When
	Scope                               string // for ByScope
	Meaning                             string
}

// Table is the one list of which claim is where. A test holds what is issued against it, and prints it for the documentation.
func Table() []Row {
	return []Row{
		{"iss", Always, Always, "", Always, "", "the issuer"},
		{"sub", Always, Always, Always, Always, "", "the user; the client where it acts for itself"},
		{"aud", Always, Always, "", Always, "", "access token: the API, or the issuer; ID token: the client"},
		{"exp", Always, Always, "", Always, "", "when it ends, Unix seconds"},
		{"iat", Always, Always, "", Always, "", "when it was issued, rounded down"},
		{"nbf", Always, "", "", Always, "", "30 s before iat, for clocks that are behind"},
		{"jti", Always, "", "", Always, "", "the token's own id, by which it can be revoked"},
		{"client_id", Always, "", "", Always, "", "the client it was issued to"},
		{"scope", Always, "", "", Always, "", "what was granted, separated by spaces"},
		{"roles", Always, ByScope, ByScope, Always, oauth.ScopeRoles, "the user's roles; in an access token those the API lists"},
		{"email", IfKnown, ByRequest, ByScope, IfKnown, oauth.ScopeEmail, "the user's address"},
		{"email_verified", IfKnown, ByRequest, ByScope, IfKnown, oauth.ScopeEmail, "whether the address is proven"},
		{"sid", WithGrant, IfKnown, "", WithGrant, "", "the session; in an access token the grant where it outlives the session"},
		{"gid", WithGrant, "", "", WithGrant, "", "the grant, by which all its tokens can be revoked"},
		{"ver", ForUser, "", "", ForUser, "", "the user's counter: a lower one than the current is refused"},
		{"auth_time", "", IfKnown, "", "", "", "when the person last proved who they are"},
		{"nonce", "", IfKnown, "", "", "", "as the client sent it"},
		{"at_hash", "", IfKnown, "", "", "", "binds the access token issued beside it"},
		{"amr", "", IfKnown, "", "", "", "by what the person proved who they are"},
		{"acr", "", IfKnown, "", "", "", "the class of that proof"},
		{"name", "", ByRequest, ByScope, "", oauth.ScopeProfile, "the user's full name"},
		{"preferred_username", "", ByRequest, ByScope, "", oauth.ScopeProfile, "the login name"},
		{"picture", "", ByRequest, ByScope, "", oauth.ScopeProfile, "address of a picture"},
		{"updated_at", "", ByRequest, ByScope, "", oauth.ScopeProfile, "when the account last changed, Unix seconds"},
		{"active", "", "", "", Always, "", "true; a token that is not good gets this member alone, false"},
		{"token_type", "", "", "", Always, "", "Bearer"},
	}
}

// signedOnly lets a struct be signed. Nothing reads these claims back through it.
type signedOnly struct{}

func (signedOnly) GetExpirationTime() (*jwt.NumericDate, error) { return nil, nil }
func (signedOnly) GetIssuedAt() (*jwt.NumericDate, error)       { return nil, nil }
func (signedOnly) GetNotBefore() (*jwt.NumericDate, error)      { return nil, nil }
func (signedOnly) GetIssuer() (string, error)                   { return "", nil }
func (signedOnly) GetSubject() (string, error)                  { return "", nil }
func (signedOnly) GetAudience() (jwt.ClaimStrings, error)       { return nil, nil }

type accessClaims struct {
	signedOnly
	Issuer        string   `json:"iss"`
	Subject       string   `json:"sub"`
	Audience      string   `json:"aud"`
	ExpiresAt     int64    `json:"exp"`
	IssuedAt      int64    `json:"iat"`
	NotBefore     int64    `json:"nbf"`
	ID            string   `json:"jti"`
	ClientID      string   `json:"client_id"`
	Scope         string   `json:"scope"`
	Roles         []string `json:"roles"`
	Email         string   `json:"email,omitempty"`
	EmailVerified *bool    `json:"email_verified,omitempty"`
	SessionID     string   `json:"sid,omitempty"`
	GrantID       string   `json:"gid,omitempty"`
	Version       *int64   `json:"ver,omitempty"`
}

type idClaims struct {
	signedOnly
	Issuer          string   `json:"iss"`
	Subject         string   `json:"sub"`
	Audience        string   `json:"aud"`
	ExpiresAt       int64    `json:"exp"`
	IssuedAt        int64    `json:"iat"`
	AuthTime        int64    `json:"auth_time,omitempty"`
	Nonce           string   `json:"nonce,omitempty"`
	AccessTokenHash string   `json:"at_hash,omitempty"`
	AMR             []string `json:"amr,omitempty"`
	ACR             string   `json:"acr,omitempty"`
	SessionID       string   `json:"sid,omitempty"`

	// ClientID is read, never set: it tells an access token from an ID token.
	ClientID string `json:"client_id,omitempty"`
	extra    map[string]any
}

// MarshalJSON adds the claims about the user, none of which has the name of a member above.
func (c idClaims) MarshalJSON() ([]byte, error) {
	type plain idClaims
	fixed, err := json.Marshal(plain(c))
	if err != nil || len(c.extra) == 0 {
		return fixed, err
	}
	extra, err := json.Marshal(c.extra)
	if err != nil {
		return nil, err
	}
	fixed[len(fixed)-1] = ','
	return append(fixed, extra[1:]...), nil
}

// about returns the claims about a user whose value is known, by scope (OpenID Connect Core §5.1, §5.4). The broker keeps no address
// and no telephone number, so the scopes `address` and `phone` are granted and yield nothing, as §5.4 allows.
func (i *Issuer) about(u users.User, now time.Time) map[string]map[string]any {
	profile, email := map[string]any{}, map[string]any{}
	for name, text := range map[string]string{"name": u.Name, "preferred_username": u.Username, "picture": u.Picture} {
		if text != "" {
			profile[name] = text
		}
	}
	if !u.UpdatedAt.IsZero() {
		profile["updated_at"] = u.UpdatedAt.Unix()
	}
	if u.Email != "" {
		email["email"], email["email_verified"] = u.Email, u.EmailVerified
	}
	return map[string]map[string]any{
		oauth.ScopeProfile: profile, oauth.ScopeEmail: email, oauth.ScopeRoles: {"roles": i.roles(u, now)},
	}
}

// requested returns the claims about a user that are asked for by name (OpenID Connect Core §5.5) and known.
func requested(known map[string]map[string]any, asked map[string]Asked) map[string]any {
	out := map[string]any{}
	for _, claims := range known {
		for name, value := range claims {
			if _, ok := asked[name]; ok {
				out[name] = value
			}
		}
	}
	return out
}

// inIDToken returns the claims about a user for an ID token. Every flow here yields an access token too, so those of a scope are left
// to userinfo (OpenID Connect Core §5.4), except for the roles.
func (i *Issuer) inIDToken(u users.User, scopes oauth.Scopes, asked *ClaimsRequest, now time.Time) map[string]any {
	known := i.about(u, now)
	out := requested(known, asked.IDToken)
	if scopes.Has(oauth.ScopeRoles) {
		maps.Copy(out, known[oauth.ScopeRoles])
	}
	return out
}

// UserInfo returns the members of a userinfo answer (OpenID Connect Core §5.3.2): `sub`, and what the scopes and the request (nil for
// none) ask for and is known.
func (i *Issuer) UserInfo(u users.User, scopes oauth.Scopes, asked *ClaimsRequest) map[string]any {
	known := i.about(u, i.o.Now())
	out := map[string]any{}
	if asked != nil {
		out = requested(known, asked.UserInfo)
	}
	for scope, claims := range known {
		if scopes.Has(scope) {
			maps.Copy(out, claims)
		}
	}
	out["sub"] = u.ID
	return out
}

// Introspection returns the members of an introspection answer (RFC 7662 §2.2) about a live access token.
func Introspection(c *verify.Claims) map[string]any {
	out := map[string]any{
		"active": true, "token_type": "Bearer", "iss": c.Issuer, "sub": c.Subject, "aud": c.Audience[0],
		"exp": c.ExpiresAt.Unix(), "iat": c.IssuedAt.Unix(), "nbf": c.NotBefore.Unix(), "jti": c.ID, "client_id": c.ClientID,
		"scope": c.Scope, "roles": c.Roles,
	}
	// As the token has them, where it has them.
	for _, name := range []string{"email", "email_verified", "sid", "gid", "ver"} {
		if value, ok := c.Member(name); ok {
			out[name] = value
		}
	}
	return out
}

// RefreshIntrospection returns the members of an introspection answer about a live refresh token, of which g is the grant.
func (i *Issuer) RefreshIntrospection(g Grant) map[string]any {
	end := g.IdleUntil
	if g.Until.Before(end) {
		end = g.Until
	}
	return map[string]any{
		"active": true, "iss": i.o.URL, "sub": g.UserID, "client_id": g.ClientID, "scope": g.Scope,
		"iat": g.CreatedAt.Unix(), "exp": end.Unix(), "gid": g.ID,
	}
}
