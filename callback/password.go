package callback

import (
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"example.com/broker/clients"
	"example.com/broker/internal/fault"
	"example.com/broker/internal/secret"
	"example.com/broker/providers"
	"example.com/broker/signin"
	"example.com/broker/users"
	"example.com/broker/web"
	"example.com/broker/web/pages"
)

// page shows the ways to sign in.
func (e *endpoints) page(c *gin.Context) error {
	q, t, app, err := e.begin(c, web.Query)
	if err != nil {
		return err
	}
	if t.Pending != nil {
		return e.onward(c, t)
	}
	s, u, err := e.current(c)
	if err != nil {
		return err
	}
	if t.ClientID == "" && s != nil && q.Get("switch") == "" {
		return e.back(c, t)
	}
	var account *pages.Account
	if u != nil && q.Get("switch") == "" && signin.Next(t, app, s, u, e.Now()).Step == signin.Choose {
		account, t.Shown = accountOf(*u), u.ID
	}
	return e.show(c, http.StatusOK, t, app, view{account: account, username: t.Hints.Login, notice: e.notice(q.Get("notice"), q.Get("provider"))})
}

// view is what changes between two showings of the sign-in page.
type view struct {
	account  *pages.Account
	username string
	notice   *pages.Notice
}

func (e *endpoints) show(c *gin.Context, status int, t signin.Trip, app *clients.Client, v view) error {
	hidden := []pages.Field{{Name: "tx", Value: e.Trips.Seal(t, web.BrowserID(c))}}
	p := pages.SignIn{
		App: appName(app), Hidden: hidden, Providers: e.buttons(c, app), Username: v.username, Notice: v.notice,
		Password: e.Password && (app == nil || app.AllowsProvider(signin.PasswordWay)),
		Register: e.Register && (app == nil || app.AllowsProvider(signin.PasswordWay)),
	}
	if v.account != nil {
		p.Account = v.account
		p.Continue = pages.Action{URL: "/login/continue", Post: true, Hidden: hidden}
		p.UseAnother = &pages.Action{URL: "/login", Hidden: append(slices.Clone(hidden), pages.Field{Name: "switch", Value: "1"})}
	}
	if app != nil {
		p.Cancel = &pages.Action{URL: "/authorize/cancel", Post: true, Hidden: hidden}
	}
	return web.Page(c, status, p)
}

func (e *endpoints) buttons(c *gin.Context, app *clients.Client) []pages.Provider {
	var out []pages.Provider
	last := web.LastUsed(c)
	for _, p := range e.Providers.Enabled() {
		if k := p.Config(); app == nil || app.AllowsProvider(k.ID) {
			out = append(out, button(k, last == k.ID))
		}
	}
	return out
}

func button(k providers.Config, last bool) pages.Provider {
	return pages.Provider{ID: k.ID, Name: k.Name, Kind: k.Kind, LastUsed: last}
}

// notice turns a code in the address into words of ours; an unknown code says nothing.
func (e *endpoints) notice(code, provider string) *pages.Notice {
	if !slices.Contains([]string{"upstream_denied", "upstream_unavailable", "session_required", "link_refused"}, code) {
		return nil
	}
	return &pages.Notice{Code: code, Facts: pages.Facts{Provider: e.name(provider)}}
}

func (e *endpoints) name(provider string) string {
	if p, err := e.Providers.Get(provider); err == nil {
		return p.Config().Name
	}
	return ""
}

func accountOf(u users.User) *pages.Account {
	detail := u.Username
	if u.Email != "" {
		detail = u.Email
	}
	name := u.Name
	if name == "" {
		name = detail
	}
	return &pages.Account{Name: name, Detail: detail}
}

// post checks a name and a password: from the page's form, or as JSON from a first-party front end on our own origin.
func (e *endpoints) post(c *gin.Context) error {
	switch web.MediaType(c) {
	case "application/json":
		return e.postJSON(c)
	case web.FormType:
	default:
		return web.Unsupported(c, "application/json or "+web.FormType)
	}
	form, t, app, err := e.begin(c, web.Form)
	if err != nil {
		return err
	}
	asking := app
	if t.Pending != nil {
		asking = nil // see allowed
	}
	u, err := e.authenticate(c, asking, form.Get("username"), secret.Value(form.Get("password")))
	if err != nil {
		return e.refused(c, t, app, form.Get("username"), err)
	}
	if t.Pending != nil {
		if u.ID != t.Pending.UserID {
			return e.prove(c, http.StatusForbidden, t, app, form.Get("username"), &pages.Notice{Code: "link_refused"})
		}
		t.Pending.Proven = true
	}
	if err := e.open(c, u, t, "", []string{"pwd"}); err != nil {
		return err
	}
	if web.WantsJSON(c) {
		c.JSON(http.StatusOK, signedIn(u))
		return nil
	}
	return e.onward(c, t)
}

func (e *endpoints) postJSON(c *gin.Context) error {
	in, err := web.FormJSON(c, "username", "password")
	if err != nil {
		return err
	}
	u, err := e.authenticate(c, nil, in.Get("username"), secret.Value(in.Get("password")))
	if err != nil {
		return err
	}
	if err := e.open(c, u, signin.New(signin.SignIn, e.Now()), "", []string{"pwd"}); err != nil {
		return err
	}
	c.JSON(http.StatusOK, signedIn(u))
	return nil
}

func signedIn(u users.User) gin.H {
	return gin.H{"sub": u.ID, "username": u.Username, "name": u.Name, "email": u.Email}
}

func (e *endpoints) authenticate(c *gin.Context, app *clients.Client, name string, password secret.Value) (users.User, error) {
	if !e.Password || (app != nil && !app.AllowsProvider(signin.PasswordWay)) {
		return users.User{}, fault.New(fault.Forbidden, "password_off", "Signing in by password is switched off here. Use one of the providers.")
	}
	if name == "" || password == "" {
		return users.User{}, fault.New(fault.Invalid, "credentials_missing", "username and password are both needed.")
	}
	// An address that cannot be told is the zero one, which no limit counts.
	address, _ := web.ClientAddress(c)
	u, err := e.Users.Authenticate(c.Request.Context(), name, password, address)
	if err != nil {
		e.Observe(signin.PasswordWay, fault.CodeOf(err))
	}
	return u, err
}

// refused shows the page again with what was wrong; the name survives, the password never.
func (e *endpoints) refused(c *gin.Context, t signin.Trip, app *clients.Client, username string, err error) error {
	if web.WantsJSON(c) {
		return err
	}
	status, facts := web.Shown(c, err)
	if status >= http.StatusInternalServerError && status != http.StatusServiceUnavailable {
		return err
	}
	n := &pages.Notice{Code: fault.CodeOf(err), Facts: facts}
	if t.Pending != nil {
		return e.prove(c, status, t, app, username, n)
	}
	return e.show(c, status, t, app, view{username: username, notice: n})
}

// goOn answers "Continue as …": the person chose the account that is signed in already.
func (e *endpoints) goOn(c *gin.Context) error {
	_, t, _, err := e.begin(c, web.Form)
	if err != nil {
		return err
	}
	s, u, err := e.current(c)
	if err != nil {
		return err
	}
	if s == nil {
		return web.SeeOther(c, web.Path(c, "/login?notice=session_required&tx="+e.Trips.Seal(t, web.BrowserID(c))))
	}
	if u.ID != t.Shown {
		// Another tab signed in as somebody else since the page was shown.
		t.Shown = ""
		return web.SeeOther(c, web.Path(c, "/login?tx="+e.Trips.Seal(t, web.BrowserID(c))))
	}
	t.Needs.Select, t.Shown = false, ""
	return e.onward(c, t)
}

func (e *endpoints) registerPage(c *gin.Context) error {
	_, t, _, err := e.begin(c, web.Query)
	if err != nil {
		return err
	}
	return e.showRegister(c, http.StatusOK, t, pages.Register{})
}

func (e *endpoints) showRegister(c *gin.Context, status int, t signin.Trip, p pages.Register) error {
	app, err := e.app(c, t)
	if err != nil {
		return err
	}
	if !e.Register {
		return e.backTo(c, t, "", fault.New(fault.Forbidden, "registration_closed", "Nobody can make an account here by themselves."))
	}
	p.App, p.AskUsername = appName(app), true
	p.Hidden = []pages.Field{{Name: "tx", Value: e.Trips.Seal(t, web.BrowserID(c))}}
	p.MinLength = e.Users.MinPassword()
	return web.Page(c, status, p)
}

// register makes an account from a name and a password. Its address stays unproven: it claims nothing until the mailbox is proven.
func (e *endpoints) register(c *gin.Context) error {
	form, t, _, err := e.begin(c, web.Form)
	if err != nil {
		return err
	}
	if !e.Register {
		return e.showRegister(c, http.StatusForbidden, t, pages.Register{})
	}
	// An address that cannot be told is the zero one, which no limit counts.
	from, _ := web.ClientAddress(c)
	u, err := e.Users.Register(c.Request.Context(), users.Registration{
		Username: form.Get("username"), Email: form.Get("email"), Password: secret.Value(form.Get("password")), Address: from,
	})
	if err != nil {
		status, facts := web.Shown(c, err)
		if status >= http.StatusInternalServerError || web.WantsJSON(c) {
			return err
		}
		p := pages.Register{Username: form.Get("username"), Email: form.Get("email")}
		field, _, _ := strings.Cut(fault.CodeOf(err), "_")
		if field == "address" {
			field = "email"
		}
		if slices.Contains([]string{"username", "email", "password"}, field) {
			p.Errors = []pages.FieldError{{Field: field, Code: fault.CodeOf(err), Message: web.Message(err)}}
		} else {
			p.Notice = &pages.Notice{Code: fault.CodeOf(err), Facts: facts}
		}
		return e.showRegister(c, status, t, p)
	}
	if err := e.open(c, u, t, "", []string{"pwd"}); err != nil {
		return err
	}
	return e.onward(c, t)
}
