// Package callback is where somebody becomes a session: a browser comes back from an upstream, or a person posts a password. What the
// session is for is left to oauth/authorize; both meet in signin.
package callback

import (
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/broker/audit"
	"example.com/broker/clients"
	"example.com/broker/internal/fault"
	"example.com/broker/internal/onetime"
	"example.com/broker/internal/secret"
	"example.com/broker/lifecycle"
	"example.com/broker/providers"
	"example.com/broker/sessions"
	"example.com/broker/signin"
	"example.com/broker/users"
	"example.com/broker/web"
	"example.com/broker/web/pages"
)

// Deps are what the endpoints stand on. All are required but SupportContact.
type Deps struct {
	Clients   *clients.Service
	Users     *users.Service
	Sessions  *sessions.Manager
	Lifecycle *lifecycle.Service
	Providers *providers.Registry
	Trips     *signin.Sealer
	Seal      *secret.Sealer
	Once      onetime.Box
	Audit     audit.Recorder
	Log       *slog.Logger
	Now       func() time.Time
	// Password offers the form with name and password; Registration lets unknown people in by a provider, Register by the form.
	Password, Registration, Register bool
	// Exchange bounds the whole exchange with an upstream; 15 seconds if zero.
	Exchange time.Duration
	// Observe counts sign-ins by provider ("password" for the form) and result.
	Observe func(provider, result string)
}

type endpoints struct{ Deps }

// Routes returns the routes of this package.
func Routes(d Deps) []web.Route {
	if d.Exchange == 0 {
		d.Exchange = 15 * time.Second
	}
	if d.Observe == nil {
		d.Observe = func(string, string) {}
	}
	e := &endpoints{d}
	return []web.Route{
		{Method: http.MethodGet, Path: "/login", Lane: web.Browser, Handle: e.page},
		{Method: http.MethodPost, Path: "/login", Lane: web.Browser, Handle: e.post},
		{Method: http.MethodPost, Path: "/login/continue", Lane: web.Browser, Guard: web.By("session"), Handle: e.goOn},
		{Method: http.MethodGet, Path: "/login/link", Lane: web.Browser, Handle: e.linkPage},
		{Method: http.MethodPost, Path: "/login/link", Lane: web.Browser, Guard: web.By("session"), Handle: e.link},
		{Method: http.MethodGet, Path: "/login/:provider", Lane: web.Browser, Handle: e.start},
		{Method: http.MethodGet, Path: "/callback/:provider", Lane: web.Entry, Handle: e.arrive},
		{Method: http.MethodGet, Path: "/register", Lane: web.Browser, Handle: e.registerPage},
		{Method: http.MethodPost, Path: "/register", Lane: web.Browser, Handle: e.register},
	}
}

// trip opens the tx of a request; without one it starts a trip to the broker's own pages, next if that is one of them.
func (e *endpoints) trip(c *gin.Context, tx, next string) (signin.Trip, error) {
	if tx == "" {
		t := signin.New(signin.SignIn, e.Now())
		t.Back = signin.Back(next)
		return t, nil
	}
	t, err := e.Trips.Open(tx, web.KnownBrowser(c))
	if err != nil {
		return signin.Trip{}, startAgain(err)
	}
	return t, nil
}

// begin reads what a request brings, its trip, and the client the trip is for (nil for the broker's own pages).
func (e *endpoints) begin(c *gin.Context, read func(*gin.Context) (url.Values, error)) (url.Values, signin.Trip, *clients.Client, error) {
	values, err := read(c)
	if err != nil {
		return nil, signin.Trip{}, nil, err
	}
	t, err := e.trip(c, values.Get("tx"), values.Get("next"))
	if err != nil {
		return nil, t, nil, err
	}
	app, err := e.app(c, t)
	return values, t, app, err
}

// startAgain makes the next step of an error page a fresh start.
func startAgain(err error) error {
	return &web.PageError{Err: err, Fill: func(p *pages.Error) {
		p.Next = &pages.Action{Label: "Start again", URL: "/login"}
		p.Interaction = true
	}}
}

// backTo makes the next step of an error page the sign-in page of the same trip.
func (e *endpoints) backTo(c *gin.Context, t signin.Trip, name string, err error) error {
	tx := e.Trips.Seal(t, web.BrowserID(c))
	return &web.PageError{Err: err, Fill: func(p *pages.Error) {
		p.Next = &pages.Action{Label: "Back to sign-in", URL: "/login", Hidden: []pages.Field{{Name: "tx", Value: tx}}}
		p.Facts.Provider = name
		p.Interaction = true
	}}
}

// app returns the client a trip is for; nil for the broker's own pages.
func (e *endpoints) app(c *gin.Context, t signin.Trip) (*clients.Client, error) {
	if t.ClientID == "" {
		return nil, nil
	}
	app, err := e.Clients.Enabled(c.Request.Context(), t.ClientID)
	if err != nil {
		return nil, err
	}
	return &app, nil
}

func appName(app *clients.Client) string {
	switch {
	case app == nil:
		return ""
	case app.Name != "":
		return app.Name
	}
	return app.ID
}

// onward sends the browser to where the trip goes on.
func (e *endpoints) onward(c *gin.Context, t signin.Trip) error {
	tx := "?tx=" + e.Trips.Seal(t, web.BrowserID(c))
	switch {
	case t.Pending != nil:
		return web.SeeOther(c, web.Path(c, "/login/link"+tx))
	case t.ClientID != "":
		return web.SeeOther(c, web.Path(c, "/authorize"+tx))
	}
	return e.back(c, t)
}

// back sends the browser to the page of ours that the trip began for.
func (e *endpoints) back(c *gin.Context, t signin.Trip) error {
	if t.Back == "" {
		t.Back = signin.DefaultBack
	}
	return web.SeeOther(c, web.Path(c, t.Back))
}

// current returns the live session of the browser and its user; nil, nil without one.
func (e *endpoints) current(c *gin.Context) (*sessions.Session, *users.User, error) {
	s, u, err := signin.Current(c.Request.Context(), e.Sessions, e.Users, web.SessionCookie(c))
	if s != nil {
		web.KeepSessionCookie(c, e.Sessions, *s)
	}
	return s, u, err
}

// open makes the proven user the session of this browser. A session of the same user is renewed under a new secret, one of somebody
// else is ended first.
func (e *endpoints) open(c *gin.Context, u users.User, t signin.Trip, provider string, amr []string) error {
	ctx := c.Request.Context()
	address := ""
	if a, ok := web.ClientAddress(c); ok {
		address = a.String()
	}
	o := sessions.Opening{
		UserID: u.ID, Ver: u.Ver, AMR: amr, Provider: provider, Trip: t.ID,
		UserAgent: c.Request.UserAgent(), Address: address,
	}
	var cookie secret.Value
	old, err := e.Sessions.Load(ctx, web.SessionCookie(c))
	switch {
	case err == nil && old.UserID == u.ID:
		_, cookie, err = e.Sessions.Renew(ctx, old, o)
	case err == nil:
		if err := e.Lifecycle.EndSession(ctx, old); err != nil {
			return err
		}
		_, cookie, err = e.Sessions.Open(ctx, o)
	case fault.Is(err, fault.Unauthenticated):
		_, cookie, err = e.Sessions.Open(ctx, o)
	}
	if fault.Is(err, fault.Conflict) { // another tab renewed it at the same moment
		_, cookie, err = e.Sessions.Open(ctx, o)
	}
	if err != nil {
		return err
	}
	web.SetSessionCookie(c, cookie, e.Sessions.Idle())
	web.SetLastUsed(c, provider)
	way := provider
	if way == "" {
		way = signin.PasswordWay
	}
	e.Observe(way, "ok")
	return nil
}
