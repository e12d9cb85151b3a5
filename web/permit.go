package web

import (
	"strings"

	"github.com/gin-gonic/gin"

	"example.com/broker/access"
	"example.com/broker/internal/fault"
	"example.com/broker/internal/secret"
	"example.com/broker/rbac"
)

// Permit demands a signed-in person (see Either) whose roles allow the permission, within the scopes of the credential:
// fault.Forbidden names the roles that would do. It needs Access, FirstParty and Now.
func (g Guards) Permit(want rbac.Permission) Guard {
	either := g.Either()
	return Guard{either.Name + " " + string(want), func(c *gin.Context) error {
		if err := either.Check(c); err != nil {
			return err
		}
		return g.Access.Check(g.Actor(c), want)
	}}
}

// AnyRole demands a signed-in person who holds one of the roles. It needs Now and FirstParty.
func (g Guards) AnyRole(roles ...string) Guard {
	either := g.Either()
	return Guard{either.Name + " role " + strings.Join(roles, "|"), func(c *gin.Context) error {
		if err := either.Check(c); err != nil {
			return err
		}
		return access.AnyRole(g.Actor(c), roles...)
	}}
}

// APIKey demands an API key in X-API-Key or, where QueryKeys allows it, in the parameter api_key; the header wins. A missing or bad key
// is fault.Forbidden "key_invalid", not 401. The key's scopes and its owner's roles must both allow the permission. It needs Keys,
// Access and Now.
func (g Guards) APIKey(want rbac.Permission) Guard {
	return Guard{"apikey " + string(want), func(c *gin.Context) error {
		key, err := g.Keys.Authenticate(c.Request.Context(), g.presented(c))
		if err != nil {
			return err
		}
		u, err := g.User(c.Request.Context(), key.OwnerID)
		if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Forbidden) {
			return fault.New(fault.Forbidden, "key_invalid", "The owner of this API key is gone or disabled.")
		}
		if err != nil {
			return err
		}
		// The change stream forgets an end long before a key expires; the owner's row does not.
		if key.Ver < u.Epoch {
			return fault.New(fault.Forbidden, "key_invalid", "This API key ended when its owner signed out everywhere. Make a new one.")
		}
		c.Set(callerKey, Caller{User: u, Key: &key})
		return g.Access.Check(g.Actor(c), want)
	}}
}

// presented returns the key of a request, "" for none.
func (g Guards) presented(c *gin.Context) secret.Value {
	if headers := c.Request.Header.Values("X-API-Key"); len(headers) > 0 {
		return secret.Value(strings.Join(headers, ","))
	}
	if values := c.Request.URL.Query()["api_key"]; g.QueryKeys && len(values) == 1 {
		return secret.Value(values[0])
	}
	return ""
}

// Actor is the caller of a guarded request as package access knows callers: with the roles in force now, and the scopes of whatever
// credential was the proof.
func (g Guards) Actor(c *gin.Context) access.Actor {
	who := CallerOf(c)
	a := access.Actor{UserID: who.User.ID, Roles: who.User.Roles(g.Now())}
	switch {
	case who.Session != nil:
		a.Whole = true
	case who.Token != nil:
		a.Scopes = who.Token.Subject.Scopes
		a.Whole = g.FirstParty(c.Request.Context(), who.Token.Subject.ClientID)
	case who.Key != nil:
		a.Scopes = who.Key.Scopes
	}
	return a
}
