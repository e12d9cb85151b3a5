package callback

import (
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"example.com/broker/clients"
	"example.com/broker/internal/fault"
	"example.com/broker/signin"
	"example.com/broker/users"
	"example.com/broker/web"
	"example.com/broker/web/pages"
)

// linkPage asks for the proof of an account, and then whether to connect the new identity to it.
func (e *endpoints) linkPage(c *gin.Context) error {
	q, t, app, err := e.begin(c, web.Query)
	if err != nil {
		return err
	}
	if t.Pending == nil {
		return e.onward(c, t)
	}
	s, u, err := e.current(c)
	if err != nil {
		return err
	}
	if signin.Next(t, app, s, u, e.Now()).Step != signin.Confirm {
		// The provider proved the address, and it is the account's own.
		return e.prove(c, http.StatusOK, t, app, t.Pending.Identity.Email, e.notice(q.Get("notice"), q.Get("provider")))
	}
	return web.Page(c, http.StatusOK, pages.ConfirmLink{
		App: appName(app), Account: *accountOf(*u), Ways: e.ways(*u, t.Pending.Ways), New: e.identity(users.Linked{Identity: t.Pending.Identity}),
		Hidden: []pages.Field{{Name: "tx", Value: e.Trips.Seal(t, web.BrowserID(c))}},
	})
}

func (e *endpoints) prove(c *gin.Context, status int, t signin.Trip, app *clients.Client, username string, n *pages.Notice) error {
	hidden := []pages.Field{{Name: "tx", Value: e.Trips.Seal(t, web.BrowserID(c))}}
	p := pages.Prove{
		App: appName(app), New: e.identity(users.Linked{Identity: t.Pending.Identity}), Hidden: hidden, Username: username,
		Password: e.Password && slices.Contains(t.Pending.Ways, signin.PasswordWay), Notice: n,
		Cancel: &pages.Action{Label: "Cancel", URL: "/login/link", Post: true, Hidden: append(slices.Clone(hidden), pages.Field{Name: pages.AnswerName, Value: pages.AnswerCancel})},
	}
	if n != nil && n.Code == "link_refused" {
		n.Facts.Provider = p.New.Provider // not the one that the proof was tried with
	}
	for _, id := range t.Pending.Ways {
		if up, err := e.Providers.Get(id); err == nil {
			p.Providers = append(p.Providers, button(up.Config(), false))
		}
	}
	return web.Page(c, status, p)
}

func (e *endpoints) identity(l users.Linked) pages.Identity {
	out := pages.Identity{Provider: l.Provider, Handle: l.Handle, Linked: l.LinkedAt}
	if out.Handle == "" || strings.Contains(l.Email, "@") && l.Handle == l.Subject {
		out.Handle = l.Email
	}
	if p, err := e.Providers.Get(l.Provider); err == nil {
		out.Provider, out.Kind = p.Config().Name, p.Config().Kind
	}
	return out
}

func (e *endpoints) ways(u users.User, names []string) []pages.Identity {
	var out []pages.Identity
	for _, l := range u.Identities {
		out = append(out, e.identity(l))
	}
	if slices.Contains(names, signin.PasswordWay) {
		out = append(out, pages.Identity{Provider: "Password", Handle: u.Username})
	}
	return out
}

// link connects the identity if the person says so. Both sides are proven by now: the new one by its provider, which is why the trip
// carries it, the account by the session that this very trip opened.
func (e *endpoints) link(c *gin.Context) error {
	form, t, _, err := e.begin(c, web.Form)
	if err != nil {
		return err
	}
	if t.Pending == nil {
		return e.onward(c, t)
	}
	pending := *t.Pending
	t.Pending = nil
	switch form.Get(pages.AnswerName) {
	case pages.AnswerCancel:
		if !pending.Proven {
			return web.SeeOther(c, web.Path(c, "/login?tx="+e.Trips.Seal(t, web.BrowserID(c))))
		}
		return e.onward(c, t)
	case pages.AnswerConnect:
	default:
		return fault.New(fault.Invalid, "request_invalid", "answer is %.20q, expected connect or cancel.", form.Get(pages.AnswerName))
	}
	s, u, err := e.current(c)
	if err != nil {
		return err
	}
	if s == nil || u == nil || u.ID != pending.UserID || !pending.Proven || s.Trip != t.ID {
		t.Pending = &pending
		t.Pending.Proven = false
		return web.SeeOther(c, web.Path(c, "/login/link?tx="+e.Trips.Seal(t, web.BrowserID(c))))
	}
	if _, err := e.Users.Link(c.Request.Context(), u.ID, pending.Identity); err != nil {
		return e.backTo(c, t, e.name(pending.Identity.Provider), err)
	}
	return e.onward(c, t)
}
