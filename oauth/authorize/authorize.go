// Package authorize is the authorization endpoint (RFC 6749 §3.1, OpenID Connect Core §3.1.2): it checks what an app asks for, sends
// the person through signin, and answers with a code or an error. Proving who they are is left to callback; redeeming to oauth/token.
package authorize

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/broker/clients"
	"example.com/broker/internal/fault"
	"example.com/broker/oauth"
	"example.com/broker/providers"
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
	Providers *providers.Registry
	Trips     *signin.Sealer
	Grants    *tokens.Grants
	// Hints verifies the signature and issuer of an ID token given as a hint, whether expired or not.
	Hints *tokens.Hints
	Now   func() time.Time
}

type endpoint struct{ Deps }

// Routes returns the routes of this package.
func Routes(d Deps) []web.Route {
	e := &endpoint{d}
	return []web.Route{
		{Method: http.MethodGet, Path: "/authorize", Lane: web.Entry, Handle: e.get},
		{Method: http.MethodPost, Path: "/authorize", Lane: web.Entry, Handle: e.post},
		{Method: http.MethodPost, Path: "/authorize/consent", Lane: web.Browser, Guard: web.By("session"), Handle: e.consent},
		{Method: http.MethodPost, Path: "/authorize/cancel", Lane: web.Browser, Handle: e.cancel},
	}
}

// post turns a request by POST into our own GET (OpenID Connect Core §3.1.2.1 demands both): the session cookie is SameSite=Lax and
// does not come with a cross-site POST.
func (e *endpoint) post(c *gin.Context) error {
	form, err := web.Form(c)
	if err != nil {
		return err
	}
	if form.Has("tx") {
		return fault.New(fault.Invalid, "request_invalid", "tx is not a parameter of an authorization request.")
	}
	return web.SeeOther(c, web.Path(c, "/authorize?"+form.Encode()))
}

func (e *endpoint) get(c *gin.Context) error {
	q, err := url.ParseQuery(c.Request.URL.RawQuery)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "request_invalid", "The query of the address does not decode.")
	}
	if q.Has("tx") {
		t, app, err := e.resume(c, q.Get("tx"))
		if err != nil {
			return err
		}
		return e.next(c, t, app)
	}
	app, err := e.client(c, q)
	if err != nil {
		return err
	}
	t := signin.New(signin.SignIn, e.Now())
	t.ClientID = app.ID
	t.Request.RedirectURI, t.Request.State, t.Request.HasState = q.Get("redirect_uri"), q.Get("state"), q.Has("state")
	if mode := q.Get("response_mode"); mode == oauth.ModeFormPost {
		t.Request.ResponseMode = mode
	}
	if err := e.check(c, &t, app, q); err != nil {
		// RFC 9700 §4.11.2: a link with a deliberate mistake must not bounce whoever follows it to an app that is not trusted. A script
		// that asks silently reads no pages.
		if !app.FirstParty && !slices.Contains(strings.Fields(q.Get("prompt")), "none") {
			return e.offer(c, t, app, err)
		}
		return e.refuse(c, t, app, err)
	}
	return e.next(c, t, app)
}

// client finds the client and checks the redirect address. Until both are known to belong together nothing is redirected
// (RFC 6749 §3.1.2.4).
func (e *endpoint) client(c *gin.Context, q url.Values) (clients.Client, error) {
	for _, name := range []string{"client_id", "redirect_uri"} {
		if n := len(q[name]); n > 1 {
			return clients.Client{}, fault.New(fault.Invalid, "request_invalid", "%s is given %d times, expected once.", name, n)
		}
	}
	id, address := q.Get("client_id"), q.Get("redirect_uri")
	if id == "" {
		return clients.Client{}, fault.New(fault.Invalid, "client_unknown", "client_id is missing: name the app that asks.")
	}
	app, err := e.Clients.Enabled(c.Request.Context(), id)
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Forbidden) {
		return clients.Client{}, fault.Wrap(err, fault.Invalid, fault.CodeOf(err), "client_id is %.100q: no app that may sign people in has this id.", id)
	}
	if err != nil {
		return clients.Client{}, err
	}
	if !e.Clients.MatchRedirect(app, address) {
		return clients.Client{}, &web.PageError{
			Err: fault.New(fault.Invalid, "redirect_unregistered", "redirect_uri is %.200q, expected one of the addresses registered for %s.", address, app.ID),
			Fill: func(p *pages.Error) {
				p.Facts.App = name(app)
				p.Redirect = &pages.RedirectMismatch{Received: address, Registered: app.RedirectURIs}
				p.Next = home(app)
			},
		}
	}
	return app, nil
}

func name(app clients.Client) string {
	if app.Name != "" {
		return app.Name
	}
	return app.ID
}

func home(app clients.Client) *pages.Action {
	if app.InitiateLoginURI == "" {
		return nil
	}
	return &pages.Action{Label: "Start again at " + name(app), URL: app.InitiateLoginURI}
}

// resume opens a trip that began here. The client is looked up anew: it may have been switched off, or lost the address, meanwhile.
func (e *endpoint) resume(c *gin.Context, tx string) (signin.Trip, clients.Client, error) {
	t, err := e.Trips.Open(tx, web.KnownBrowser(c))
	if err == nil && t.ClientID == "" {
		err = fault.New(fault.Invalid, "tx_expired", "This sign-in is for no app.")
	}
	if err != nil {
		return t, clients.Client{}, &web.PageError{Err: err, Fill: func(p *pages.Error) {
			p.Next = &pages.Action{Label: "Start again", URL: "/login"}
			p.Interaction = true
		}}
	}
	app, err := e.client(c, url.Values{"client_id": {t.ClientID}, "redirect_uri": {t.Request.RedirectURI}})
	return t, app, err
}

// next does what signin decides.
func (e *endpoint) next(c *gin.Context, t signin.Trip, app clients.Client) error {
	s, u, err := signin.Current(c.Request.Context(), e.Sessions, e.Users, web.SessionCookie(c))
	if err != nil {
		return err
	}
	if s != nil {
		web.KeepSessionCookie(c, e.Sessions, *s)
	}
	d := signin.Next(t, &app, s, u, e.Now())
	tx := func() string { return "?tx=" + e.Trips.Seal(t, web.BrowserID(c)) }
	switch d.Step {
	case signin.Fail:
		return e.refuse(c, t, app, oauth.Errorf(d.Error, "%s", d.Reason))
	case signin.Confirm:
		return web.SeeOther(c, web.Path(c, "/login/link"+tx()))
	case signin.Authenticate:
		if t.Pending != nil {
			return web.SeeOther(c, web.Path(c, "/login/link"+tx()))
		}
		if id := t.Hints.Provider; id != "" && app.AllowsProvider(id) {
			if _, err := e.Providers.Get(id); err == nil {
				t.Hints.Provider = "" // once: whoever comes back from there sees the choice
				return web.SeeOther(c, web.Path(c, "/login/"+url.PathEscape(id)+tx()))
			}
		}
		return web.SeeOther(c, web.Path(c, "/login"+tx()))
	case signin.Choose:
		return web.SeeOther(c, web.Path(c, "/login"+tx()))
	case signin.Consent:
		return e.ask(c, t, app, *u)
	case signin.Done:
		return e.finish(c, t, app, *s, *u)
	}
	return errors.New("authorize: step without an answer")
}

// finish mints the grant and hands its code to the app.
func (e *endpoint) finish(c *gin.Context, t signin.Trip, app clients.Client, s sessions.Session, u users.User) error {
	scopes, err := oauth.ParseScopes(t.Request.Scope)
	if err != nil {
		return e.refuse(c, t, app, err)
	}
	g := tokens.Grant{
		ClientID: app.ID, UserID: u.ID, SessionID: s.ID, Online: !scopes.Has(oauth.ScopeOfflineAccess), Ver: u.Ver,
		Scope: t.Request.Scope, Audiences: t.Request.Resources, AuthTime: s.AuthTime, AMR: s.AMR, Nonce: t.Request.Nonce,
		RedirectURI: t.Request.RedirectURI, Challenge: t.Request.Challenge, Until: s.Until,
	}
	if t.Request.Claims != "" {
		g.Claims = []byte(t.Request.Claims)
	}
	code, err := e.Grants.Mint(c.Request.Context(), g)
	if err != nil {
		return e.refuse(c, t, app, err)
	}
	return e.answer(c, t, app, []pages.Field{{Name: "code", Value: code}})
}

// refuse tells the app (RFC 6749 §4.1.2.1).
func (e *endpoint) refuse(c *gin.Context, t signin.Trip, app clients.Client, err error) error {
	return e.answer(c, t, app, refusal(c, app, err))
}

// offer shows an error with a link that tells the app, instead of going there.
func (e *endpoint) offer(c *gin.Context, t signin.Trip, app clients.Client, err error) error {
	fields := refusal(c, app, err)
	return web.Page(c, http.StatusBadRequest, pages.Return{
		App: name(app), URL: response(c, t, fields), Code: fields[0].Value, RequestID: web.RequestID(c),
	})
}

// refusal is an error in the words of the RFC. A failure of ours is logged.
func refusal(c *gin.Context, app clients.Client, err error) []pages.Field {
	oe, ok := errors.AsType[*oauth.Error](err)
	if !ok {
		web.Log(c).Error("authorization failed", "client_id", app.ID, "cause", err.Error())
		oe = oauth.Errorf(oauth.ErrServerError, "the request could not be answered")
		if fault.Is(err, fault.Unavailable) {
			oe = oauth.Errorf(oauth.ErrTemporarilyUnavailable, "try again in a moment")
		}
	}
	web.Log(c).Info("authorization refused", "client_id", app.ID, "error", oe.Code, "reason", oe.Description)
	return []pages.Field{{Name: "error", Value: oe.Code}, {Name: "error_description", Value: oe.Description}}
}

// answer sends the response parameters in the response mode that was asked for.
func (e *endpoint) answer(c *gin.Context, t signin.Trip, app clients.Client, fields []pages.Field) error {
	if t.Request.ResponseMode == oauth.ModeFormPost {
		return web.Page(c, http.StatusOK, pages.FormPost{App: name(app), RedirectURI: t.Request.RedirectURI, Fields: complete(c, t, fields)})
	}
	return web.SeeOther(c, response(c, t, fields))
}

// complete adds state and iss (RFC 9207 §2) to the response parameters.
func complete(c *gin.Context, t signin.Trip, fields []pages.Field) []pages.Field {
	if t.Request.HasState {
		fields = append(fields, pages.Field{Name: "state", Value: t.Request.State})
	}
	return append(fields, pages.Field{Name: "iss", Value: web.Issuer(c, "")})
}

// response is the redirect address with the response parameters.
func response(c *gin.Context, t signin.Trip, fields []pages.Field) string {
	v := url.Values{}
	for _, f := range complete(c, t, fields) {
		v.Set(f.Name, f.Value)
	}
	// The registered address is kept byte for byte; only its query grows.
	sep := "?"
	if strings.Contains(t.Request.RedirectURI, "?") {
		sep = "&"
	}
	return t.Request.RedirectURI + sep + v.Encode()
}

// cancel is the person's no: the app learns of it (RFC 6749 §4.1.2.1 access_denied).
func (e *endpoint) cancel(c *gin.Context) error {
	form, err := web.Form(c)
	if err != nil {
		return err
	}
	t, app, err := e.resume(c, form.Get("tx"))
	if err != nil {
		return err
	}
	return e.refuse(c, t, app, oauth.Errorf(oauth.ErrAccessDenied, "the person cancelled the sign-in"))
}

// ask shows what an app that is not first-party wants.
func (e *endpoint) ask(c *gin.Context, t signin.Trip, app clients.Client, u users.User) error {
	asks, err := t.Request.Asks()
	if err != nil {
		return err
	}
	hidden := []pages.Field{{Name: "tx", Value: e.Trips.Seal(t, web.BrowserID(c))}}
	p := pages.Consent{
		App: name(app), RedirectURI: t.Request.RedirectURI, Hidden: hidden,
		Account:    &pages.Account{Name: u.Name, Detail: cmp.Or(u.Email, u.Username)},
		UseAnother: &pages.Action{URL: "/login", Hidden: append(slices.Clone(hidden), pages.Field{Name: "switch", Value: "1"})},
		Scopes:     pages.DescribeScopes(asks, ""),
	}
	return web.Page(c, http.StatusOK, p)
}

// consent takes the answer to ask.
func (e *endpoint) consent(c *gin.Context) error {
	form, err := web.Form(c)
	if err != nil {
		return err
	}
	t, app, err := e.resume(c, form.Get("tx"))
	if err != nil {
		return err
	}
	switch form.Get(pages.AnswerName) {
	case pages.AnswerCancel:
		return e.refuse(c, t, app, oauth.Errorf(oauth.ErrAccessDenied, "the person did not allow it"))
	case pages.AnswerAllow:
	default:
		return fault.New(fault.Invalid, "request_invalid", "answer is %.20q, expected allow or cancel.", form.Get(pages.AnswerName))
	}
	s, u, err := signin.Current(c.Request.Context(), e.Sessions, e.Users, web.SessionCookie(c))
	if err != nil {
		return err
	}
	// Only what the page asked may be answered: where another step is due, it comes first.
	if signin.Next(t, &app, s, u, e.Now()).Step == signin.Consent {
		asks, err := t.Request.Asks()
		if err != nil {
			return err
		}
		err = e.Users.Allow(c.Request.Context(), u.ID, users.Consent{ClientID: app.ID, Scope: asks.String(), APIs: t.Request.Resources}, app.CreatedAt)
		if err != nil {
			return err
		}
		t.Needs.Consent = false
	}
	return e.next(c, t, app)
}
