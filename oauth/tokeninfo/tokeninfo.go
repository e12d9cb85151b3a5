// Package tokeninfo answers questions about tokens that exist: introspection (RFC 7662), revocation (RFC 7009) and userinfo (OpenID
// Connect Core §5.3).
package tokeninfo

import (
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/gin-gonic/gin"

	"example.com/broker/clients"
	"example.com/broker/internal/fault"
	"example.com/broker/oauth"
	"example.com/broker/tokens"
	"example.com/broker/users"
	"example.com/broker/verify"
	"example.com/broker/web"
)

// Deps are what the endpoints stand on. All are required.
type Deps struct {
	Clients  *clients.Service
	Users    *users.Service
	Grants   *tokens.Grants
	Issuer   *tokens.Issuer
	Verifier *tokens.Verifier
}

type endpoints struct{ Deps }

// Routes returns the routes of this package.
func Routes(d Deps) []web.Route {
	e := &endpoints{d}
	return []web.Route{
		{Method: http.MethodPost, Path: "/introspect", Lane: web.Protocol, Guard: web.By("client"), Handle: e.introspect},
		{Method: http.MethodPost, Path: "/revoke", Lane: web.Protocol, Guard: web.By("client"), CORS: web.ClientCORS, Handle: e.revoke},
		{Method: http.MethodGet, Path: "/userinfo", Lane: web.Protocol, Guard: web.By("bearer"), CORS: web.ClientCORS, Handle: e.userinfo},
		{Method: http.MethodPost, Path: "/userinfo", Lane: web.Protocol, Guard: web.By("bearer"), CORS: web.ClientCORS, Handle: e.userinfo},
	}
}

func (e *endpoints) client(c *gin.Context, form url.Values) (clients.Client, error) {
	cr, err := clients.Presented(c.Request, form)
	if err != nil {
		return clients.Client{}, err
	}
	if cr.ID == "" {
		failed := oauth.Errorf(oauth.ErrInvalidClient, "client authentication is needed: send Basic credentials, or client_id and client_secret")
		failed.Challenge = `Basic realm="broker"`
		return clients.Client{}, failed
	}
	return e.Clients.Authenticate(c.Request.Context(), cr)
}

// introspect tells a confidential client about a token it is a party to: as the one it was issued to, or as one that may call the API
// it is for. A client marked introspect: any is told about every token. Everybody else learns nothing (RFC 7662 §4).
func (e *endpoints) introspect(c *gin.Context) error {
	form, err := web.Form(c)
	if err != nil {
		return err
	}
	client, err := e.client(c, form)
	if err != nil {
		return err
	}
	if client.Public() {
		return oauth.Errorf(oauth.ErrInvalidClient, "a public client cannot introspect: register one with a secret")
	}
	raw := form.Get("token")
	if raw == "" {
		return oauth.Errorf(oauth.ErrInvalidRequest, "token is missing")
	}
	answer, err := e.about(c, client, raw)
	if err != nil {
		return err
	}
	if answer == nil {
		answer = map[string]any{"active": false}
	}
	c.JSON(http.StatusOK, answer)
	return nil
}

// about returns the members of the answer, nil for a token that is not good or none of the client's business.
func (e *endpoints) about(c *gin.Context, client clients.Client, raw string) (map[string]any, error) {
	ctx := c.Request.Context()
	if tokens.IsRefresh(raw) {
		g, err := e.Grants.Find(ctx, raw)
		if oe, ok := errors.AsType[*oauth.Error](err); ok && oe.Code == oauth.ErrInvalidGrant {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if !client.IntrospectAny && g.ClientID != client.ID {
			return nil, nil
		}
		if active, err := e.stillIn(c, g.UserID, g.Ver); err != nil || !active {
			return nil, err
		}
		return e.Issuer.RefreshIntrospection(g), nil
	}
	t, err := e.Verifier.Any(ctx, raw)
	if ve, ok := errors.AsType[*verify.Error](err); ok && ve.Code == verify.CodeInvalidToken {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !client.IntrospectAny && t.Claims.ClientID != client.ID && !e.party(client, t.Claims.Audience) {
		return nil, nil
	}
	if t.Subject.Kind == verify.KindUser {
		if active, err := e.stillIn(c, t.Claims.Subject, 0); err != nil || !active {
			return nil, err
		}
	}
	return tokens.Introspection(&t.Claims), nil
}

func (e *endpoints) party(c clients.Client, audience []string) bool {
	return slices.ContainsFunc(c.APIs, func(id string) bool {
		api, ok := e.Clients.APIs().Get(id)
		return ok && slices.Contains(audience, api.Audience)
	})
}

// stillIn reports whether the user exists, is active, and was not signed out everywhere since ver (0: not asked).
func (e *endpoints) stillIn(c *gin.Context, userID string, ver int64) (bool, error) {
	u, err := e.Users.Facts(c.Request.Context(), userID)
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return u.Status == users.Active && (ver == 0 || u.Epoch <= ver), nil
}

// revoke ends a token of the client that asks. One that is unknown, or was revoked before, is success (RFC 7009 §2.2); so is one of
// another client, which is left as it is.
func (e *endpoints) revoke(c *gin.Context) error {
	form, err := web.Form(c)
	if err != nil {
		return err
	}
	client, err := e.client(c, form)
	if err != nil {
		return err
	}
	web.RestrictOrigin(c, e.Clients.OriginsOf(client))
	raw := form.Get("token")
	if raw == "" {
		return oauth.Errorf(oauth.ErrInvalidRequest, "token is missing")
	}
	ctx := c.Request.Context()
	if tokens.IsRefresh(raw) {
		_, err = e.Grants.RevokeRefresh(ctx, raw, client.ID)
	} else {
		err = e.revokeAccess(c, client, raw)
	}
	if err != nil {
		return err
	}
	c.Status(http.StatusOK)
	return nil
}

func (e *endpoints) revokeAccess(c *gin.Context, client clients.Client, raw string) error {
	t, err := e.Verifier.Any(c.Request.Context(), raw)
	if ve, ok := errors.AsType[*verify.Error](err); ok && ve.Code == verify.CodeInvalidToken {
		return nil
	}
	if err != nil || t.Claims.ClientID != client.ID {
		return err
	}
	return e.Grants.RevokeAccess(c.Request.Context(), t.Claims.ID, t.Claims.ExpiresAt)
}

// userinfo answers with the claims of whoever the access token speaks for. The token comes in the header, or by POST in the form
// (RFC 6750 §2.2), in one place only; in the address it is refused.
func (e *endpoints) userinfo(c *gin.Context) error {
	raw, err := e.bearer(c)
	if err != nil {
		return err
	}
	ctx := c.Request.Context()
	t, err := e.Verifier.Any(ctx, raw)
	if err != nil {
		return err
	}
	if client, err := e.Clients.Get(ctx, t.Claims.ClientID); err == nil {
		web.RestrictOrigin(c, e.Clients.OriginsOf(client))
	}
	if !oauth.Scopes(t.Subject.Scopes).Has(oauth.ScopeOpenID) || t.Subject.Kind != verify.KindUser {
		return &verify.Error{Code: verify.CodeInsufficientScope, Description: "userinfo needs the scope openid", Scope: oauth.ScopeOpenID}
	}
	u, err := e.Users.Facts(ctx, t.Claims.Subject)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	if err != nil || u.Status != users.Active {
		return &verify.Error{Code: verify.CodeInvalidToken, Description: "the account this token speaks for is gone or disabled"}
	}
	asked, err := e.Grants.ClaimsRequest(ctx, t.Claims.GrantID)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, e.Issuer.UserInfo(u, t.Subject.Scopes, asked))
	return nil
}

func (e *endpoints) bearer(c *gin.Context) (string, error) {
	if c.Request.Method == http.MethodPost && c.ContentType() == "application/x-www-form-urlencoded" {
		form, err := web.Form(c)
		if err != nil {
			return "", err
		}
		if raw := form.Get("access_token"); raw != "" {
			if c.GetHeader("Authorization") != "" {
				return "", &verify.Error{Code: verify.CodeInvalidRequest, Description: "the token is sent twice: in the header and in the form"}
			}
			return raw, nil
		}
	}
	return verify.BearerToken(c.Request)
}
