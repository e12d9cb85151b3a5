// Package account is what a signed-in person sees and does about themselves: /me, /dashboard, their sessions and API keys, and the
// ways out of a session. Sessions and keys are JSON for programs and, where Accept asks for text/html, pages for people.
package account

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/broker/apikeys"
	"example.com/broker/internal/fault"
	"example.com/broker/lifecycle"
	"example.com/broker/oauth"
	"example.com/broker/providers"
	"example.com/broker/rbac"
	"example.com/broker/sessions"
	"example.com/broker/tokens"
	"example.com/broker/users"
	"example.com/broker/web"
	"example.com/broker/web/pages"
)

// Deps are what the endpoints stand on. All but Guide are required.
type Deps struct {
	Guards    web.Guards
	Users     *users.Service
	Sessions  *sessions.Manager
	Lifecycle *lifecycle.Service
	Grants    *tokens.Grants
	Keys      *apikeys.Service
	Providers *providers.Registry
	Now       func() time.Time
	// TokenLife is the longest life of an access token.
	TokenLife time.Duration
	// Offered are the permissions that the page offers for a key, each as far as its owner has it.
	Offered func() []Offer
	// Guide says that there is a page at /guide.
	Guide bool
}

// Offer is a permission that a key may be made for, with a few words on what it opens.
type Offer struct {
	Permission rbac.Permission
	Text       string
}

type endpoints struct{ Deps }

// Routes returns the routes of this package.
func Routes(d Deps) []web.Route {
	e := &endpoints{d}
	return slices.Concat(e.pageRoutes(), e.keyRoutes(), e.sessionRoutes())
}

func (e *endpoints) pageRoutes() []web.Route {
	return []web.Route{
		{Method: http.MethodGet, Path: "/", Lane: web.Browser, Handle: e.home},
		{Method: http.MethodGet, Path: "/me", Lane: web.API, Guard: e.Guards.Bearer(), CORS: web.ClientCORS, Handle: e.me},
		{Method: http.MethodGet, Path: "/dashboard", Lane: web.Browser, Guard: web.By("session"), Handle: e.dashboard},
		{Method: http.MethodPost, Path: "/logout", Lane: web.Browser, Guard: web.By("session|bearer"), CORS: web.ClientCORS, Handle: e.logout},
	}
}

func (e *endpoints) home(c *gin.Context) error { return web.SeeOther(c, web.Path(c, "/dashboard")) }

// me answers with the caller of an access token.
func (e *endpoints) me(c *gin.Context) error {
	who := web.CallerOf(c)
	s, u := who.Token.Subject, who.User
	// An app that is not first-party learns here what the person allowed it, as at userinfo.
	if !e.Guards.FirstParty(c.Request.Context(), s.ClientID) {
		if !slices.Contains(s.Scopes, oauth.ScopeProfile) {
			u.Username, u.Name = "", ""
		}
		if !slices.Contains(s.Scopes, oauth.ScopeEmail) {
			u.Email, u.EmailVerified = "", false
		}
	}
	c.JSON(http.StatusOK, gin.H{
		"sub": s.ID, "username": u.Username, "name": u.Name, "email": u.Email, "email_verified": u.EmailVerified,
		"roles": s.Roles, "scope": strings.Join(s.Scopes, " "), "client_id": s.ClientID,
	})
	return nil
}

// dashboard shows who is signed in. Somebody who is not is sent to the sign-in page, or told 401 where Accept asks for JSON.
func (e *endpoints) dashboard(c *gin.Context) error {
	if err := e.Guards.Session().Check(c); err != nil {
		if web.WantsJSON(c) || !unauthenticated(err) {
			return err
		}
		return web.ToSignIn(c, "/dashboard")
	}
	who := web.CallerOf(c)
	if web.WantsJSON(c) {
		c.JSON(http.StatusOK, gin.H{
			"sub": who.User.ID, "username": who.User.Username, "name": who.User.Name, "email": who.User.Email,
			"roles": who.User.Roles(e.Now()), "session": gin.H{"auth_time": who.Session.AuthTime.Unix(), "expires_at": who.Session.IdleUntil.Unix()},
		})
		return nil
	}
	// The cached facts behind the guard do not say whether there is a password.
	u, err := e.Users.Get(c.Request.Context(), who.User.ID)
	if err != nil {
		return err
	}
	p := pages.SignedIn{
		Account: pages.Account{Name: cmp.Or(u.Name, u.Username, u.Email), Detail: cmp.Or(u.Email, u.Username)},
		Email:   u.Email, Verified: u.EmailVerified, Username: u.Username, UserID: u.ID, Password: u.Password != "",
		Since: who.Session.AuthTime, Until: who.Session.Until,
	}
	now := e.Now()
	for _, g := range u.Grants {
		if g.Until.IsZero() || now.Before(g.Until) {
			p.Roles = append(p.Roles, pages.Role{Name: g.Role, Source: string(g.Source)})
		}
	}
	for _, l := range u.Identities {
		i := pages.Identity{Provider: l.Provider, Handle: cmp.Or(l.Handle, l.Email), Linked: l.LinkedAt}
		if up, err := e.Providers.Get(l.Provider); err == nil {
			i.Provider, i.Kind = up.Config().Name, up.Config().Kind
		}
		p.Identities = append(p.Identities, i)
	}
	return web.Page(c, http.StatusOK, p)
}

// logout ends the session of the cookie, or revokes the bearer token it is called with. A browser without a session is signed out
// already, which is what it asked for.
func (e *endpoints) logout(c *gin.Context) error {
	if c.GetHeader("Authorization") != "" {
		if err := e.Guards.Bearer().Check(c); err != nil {
			return err
		}
		t := web.CallerOf(c).Token
		if err := e.Grants.RevokeAccess(c.Request.Context(), t.Claims.ID, t.Claims.ExpiresAt); err != nil {
			return err
		}
		c.Status(http.StatusNoContent)
		return nil
	}
	s, err := e.Sessions.Load(c.Request.Context(), web.SessionCookie(c))
	switch {
	case err == nil:
		if err := e.Lifecycle.EndSession(c.Request.Context(), s); err != nil {
			return err
		}
	case !unauthenticated(err):
		return err
	}
	web.DropSessionCookie(c)
	if web.WantsJSON(c) {
		c.Status(http.StatusNoContent)
		return nil
	}
	return web.Page(c, http.StatusOK, pages.SignedOut{})
}

// forPeople puts a guard before a handler that answers programs in JSON and browsers with a page: a browser that is not signed in is sent to
// the sign-in page, which leads back to the page at back.
func forPeople(g web.Guard, back string, handle web.Handler) web.Handler {
	return func(c *gin.Context) error {
		err := g.Check(c)
		switch {
		case err == nil:
			return handle(c)
		case wantsPage(c) && unauthenticated(err):
			return web.ToSignIn(c, back)
		}
		return web.Denied(c, err)
	}
}

// wantsPage reports whether Accept asks for a page. Whoever says nothing of pages gets JSON, as these routes always answered.
func wantsPage(c *gin.Context) bool { return strings.Contains(c.GetHeader("Accept"), "text/html") }

// notice is what the address says was just done; an unknown code says nothing.
func notice(c *gin.Context, known ...string) *pages.Notice {
	if code := c.Query("notice"); slices.Contains(known, code) {
		return &pages.Notice{Code: code}
	}
	return nil
}

func unauthenticated(err error) bool { return fault.Is(err, fault.Unauthenticated) }
