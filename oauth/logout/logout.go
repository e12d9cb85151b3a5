// Package logout is the end-session endpoint (OpenID Connect RP-Initiated Logout 1.0): an app asks that its person be signed out here
// too. What ending a session takes along is left to lifecycle.
package logout

import (
	"net/http"
	"net/url"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/broker/clients"
	"example.com/broker/internal/fault"
	"example.com/broker/internal/secret"
	"example.com/broker/lifecycle"
	"example.com/broker/sessions"
	"example.com/broker/signin"
	"example.com/broker/tokens"
	"example.com/broker/users"
	"example.com/broker/web"
	"example.com/broker/web/pages"
)

// Deps are what the endpoint stands on. All are required.
type Deps struct {
	Clients   *clients.Service
	Users     *users.Service
	Sessions  *sessions.Manager
	Lifecycle *lifecycle.Service
	Hints     *tokens.Hints
	Seal      *secret.Sealer
	Now       func() time.Time
}

type endpoint struct{ Deps }

// Routes returns the routes of this package.
func Routes(d Deps) []web.Route {
	e := &endpoint{d}
	return []web.Route{
		{Method: http.MethodGet, Path: "/end_session", Lane: web.Entry, Handle: e.get},
		{Method: http.MethodPost, Path: "/end_session", Lane: web.Entry, Handle: e.post},
		{Method: http.MethodPost, Path: "/end_session/confirm", Lane: web.Browser, Handle: e.confirm},
	}
}

// intent is a checked request: where to go back to, if anywhere.
type intent struct {
	Client   string    `json:"c,omitempty"`
	Back     string    `json:"b,omitempty"` // registered address, byte for byte
	State    string    `json:"s,omitempty"`
	HasState bool      `json:"h,omitempty"`
	Subject  string    `json:"u,omitempty"` // of the hint, "" without one
	Browser  string    `json:"w"`
	Made     time.Time `json:"m"`
}

const (
	purpose  = "end-session"
	lifetime = 10 * time.Minute
	maxState = 4096
)

// post turns a request by POST into our own GET: the session cookie does not come with a cross-site POST.
func (e *endpoint) post(c *gin.Context) error {
	form, err := web.Form(c)
	if err != nil {
		return err
	}
	return web.SeeOther(c, web.Path(c, "/end_session?"+form.Encode()))
}

func (e *endpoint) get(c *gin.Context) error {
	q, err := web.Query(c)
	if err != nil {
		return err
	}
	in, app, err := e.check(c, q)
	if err != nil {
		return err
	}
	s, u, err := signin.Current(c.Request.Context(), e.Sessions, e.Users, web.SessionCookie(c))
	if err != nil {
		return err
	}
	if s == nil {
		return e.done(c, in, app)
	}
	// Only a hint that names this very person proves that the app may end their session without asking: anybody can link here.
	if in.Subject == u.ID {
		return e.end(c, *s, in, app)
	}
	in.Browser, in.Made = web.BrowserID(c), e.Now().UTC().Truncate(time.Second)
	p := pages.SignOut{
		Account: &pages.Account{Name: u.Name, Detail: u.Email},
		Hidden:  []pages.Field{{Name: "request", Value: e.Seal.Seal(purpose, signin.Pack(in))}},
		Action:  "/end_session/confirm",
	}
	if u.Name == "" {
		p.Account.Name = u.Username
	}
	if app != nil {
		p.App = app.Name
	}
	return web.Page(c, http.StatusOK, p)
}

// check reads the parameters. A forged hint, a client that contradicts it, or an address that is not registered, is an error page:
// such a request never redirects, also not after asking (RP-Initiated Logout §4).
func (e *endpoint) check(c *gin.Context, q url.Values) (intent, *clients.Client, error) {
	bad := func(format string, args ...any) error {
		return fault.New(fault.Invalid, "logout_invalid", format, args...)
	}
	in := intent{Client: q.Get("client_id"), State: q.Get("state"), HasState: q.Has("state")}
	if len(in.State) > maxState {
		return in, nil, bad("state has %d bytes, at most %d are allowed.", len(in.State), maxState)
	}
	if raw := q.Get("id_token_hint"); raw != "" {
		hint, err := e.Hints.Read(c.Request.Context(), raw)
		if err != nil {
			return in, nil, fault.Wrap(err, fault.Invalid, "logout_invalid", "id_token_hint is not an ID token of this issuer.")
		}
		if in.Client != "" && in.Client != hint.ClientID {
			return in, nil, bad("client_id is %.100q, but id_token_hint was issued to another app.", in.Client)
		}
		in.Client, in.Subject = hint.ClientID, hint.Subject
	}
	var app *clients.Client
	if in.Client != "" {
		found, err := e.Clients.Enabled(c.Request.Context(), in.Client)
		switch {
		case err == nil:
			app = &found
		case fault.Is(err, fault.NotFound) || fault.Is(err, fault.Forbidden):
			return in, nil, bad("There is no app %.100q that could ask for this.", in.Client)
		default:
			return in, nil, err
		}
	}
	back := q.Get("post_logout_redirect_uri")
	if back == "" {
		return in, app, nil
	}
	if app == nil {
		return in, nil, bad("post_logout_redirect_uri needs an id_token_hint or a client_id beside it.")
	}
	if !e.Clients.MatchPostLogout(*app, back) {
		return in, nil, bad("post_logout_redirect_uri is %.200q, expected one of the addresses registered for %s.", back, app.ID)
	}
	in.Back = back
	return in, app, nil
}

// confirm takes the answer of the page.
func (e *endpoint) confirm(c *gin.Context) error {
	form, err := web.Form(c)
	if err != nil {
		return err
	}
	var in intent
	plain, err := e.Seal.Open(purpose, form.Get("request"))
	if err == nil {
		err = signin.Unpack(plain, &in)
	}
	if age := e.Now().Sub(in.Made); err != nil || in.Browser == "" || in.Browser != web.KnownBrowser(c) || age > lifetime {
		return fault.New(fault.Invalid, "logout_invalid", "This question was asked too long ago, or in another browser.")
	}
	if form.Get(pages.AnswerName) != pages.AnswerSignOut {
		return web.SeeOther(c, web.Path(c, "/dashboard"))
	}
	var app *clients.Client
	if in.Client != "" {
		found, err := e.Clients.Enabled(c.Request.Context(), in.Client)
		if err != nil {
			return err
		}
		app = &found
	}
	s, _, err := signin.Current(c.Request.Context(), e.Sessions, e.Users, web.SessionCookie(c))
	if err != nil {
		return err
	}
	if s == nil {
		return e.done(c, in, app)
	}
	return e.end(c, *s, in, app)
}

func (e *endpoint) end(c *gin.Context, s sessions.Session, in intent, app *clients.Client) error {
	if err := e.Lifecycle.EndSession(c.Request.Context(), s); err != nil {
		return err
	}
	web.DropSessionCookie(c)
	return e.done(c, in, app)
}

// done returns to the app with its state verbatim, or says that the person is signed out.
func (e *endpoint) done(c *gin.Context, in intent, app *clients.Client) error {
	if in.Back == "" || app == nil || !e.Clients.MatchPostLogout(*app, in.Back) {
		p := pages.SignedOut{}
		if app != nil {
			p.App = app.Name
		}
		return web.Page(c, http.StatusOK, p)
	}
	to := in.Back
	if in.HasState {
		sep := "?"
		if u, err := url.Parse(to); err == nil && u.RawQuery != "" {
			sep = "&"
		}
		to += sep + url.Values{"state": {in.State}}.Encode()
	}
	return web.SeeOther(c, to)
}
