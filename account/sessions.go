package account

import (
	"net/http"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/broker/sessions"
	"example.com/broker/web"
	"example.com/broker/web/pages"
)

// sessionRoutes are for anybody signed in, by a credential that reaches so far: where somebody is signed in, and whether they stay so, is
// no matter of an app of a third party or of whoever holds an API key. A form of a page cannot DELETE, so there is a POST beside it.
func (e *endpoints) sessionRoutes() []web.Route {
	read, write := e.Guards.Reach("sessions:read"), e.Guards.Reach("sessions:write")
	route := func(method, path string, g web.Guard, handle web.Handler) web.Route {
		return web.Route{Method: method, Path: path, Lane: web.Browser, Data: true, Guard: web.By(g.Name), Handle: forPeople(g, "/sessions", handle)}
	}
	return []web.Route{
		route(http.MethodGet, "/sessions", read, e.listSessions),
		route(http.MethodDelete, "/sessions/:id", write, e.deleteSession),
		route(http.MethodPost, "/sessions/:id/end", write, e.endSession),
		route(http.MethodPost, "/sessions/end-others", write, e.endOthers),
	}
}

// current is the id of the session a caller asks with, "" for a caller without one.
func current(c *gin.Context) string {
	switch who := web.CallerOf(c); {
	case who.Session != nil:
		return who.Session.ID
	case who.Token != nil:
		return who.Token.Claims.SessionID
	}
	return ""
}

// listSessions shows the caller's newest sessions.
func (e *endpoints) listSessions(c *gin.Context) error {
	if wantsPage(c) {
		return e.showSessions(c)
	}
	all, err := e.Sessions.Of(c.Request.Context(), web.CallerOf(c).User.ID)
	if err != nil {
		return err
	}
	out := make([]gin.H, 0, len(all))
	for _, s := range all {
		out = append(out, gin.H{
			"id": s.ID, "current": s.ID == current(c), "user_agent": s.UserAgent, "address": s.Address, "provider": s.Provider, "amr": s.AMR,
			"auth_time": s.AuthTime, "created_at": s.CreatedAt, "idle_until": s.IdleUntil, "until": s.Until,
		})
	}
	c.JSON(http.StatusOK, gin.H{"sessions": out})
	return nil
}

// shownSessions bounds what the page lists.
const shownSessions = 100

// showSessions draws the page: the session that asks first, then the newest.
func (e *endpoints) showSessions(c *gin.Context) error {
	all, err := e.Sessions.All(c.Request.Context(), web.CallerOf(c).User.ID)
	if err != nil {
		return err
	}
	slices.SortStableFunc(all, func(a, b sessions.Session) int {
		switch current(c) {
		case a.ID:
			return -1
		case b.ID:
			return 1
		}
		return 0
	})
	p := pages.Sessions{AccessLife: e.TokenLife, Notice: notice(c, pages.NoticeEnded, pages.NoticeOthers), More: len(all) > shownSessions}
	for _, s := range all[:min(len(all), shownSessions)] {
		p.List = append(p.List, e.sessionRow(s, s.ID == current(c)))
	}
	return web.Page(c, http.StatusOK, p)
}

func (e *endpoints) sessionRow(s sessions.Session, here bool) pages.Session {
	// The row has when it ends without use, which lies its idle life after the last use, but no later than its absolute end.
	active := s.IdleUntil.Add(-e.Sessions.Idle())
	row := pages.Session{
		ID: s.ID, Current: here, UserAgent: s.UserAgent, Address: s.Address, SignedIn: s.AuthTime, LastActive: later(active, s.AuthTime),
		Later: !s.IdleUntil.Before(s.Until), Until: s.Until, Way: s.Provider,
	}
	if up, err := e.Providers.Get(s.Provider); err == nil {
		row.Way, row.Kind = up.Config().Name, up.Config().Kind
	}
	return row
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// deleteSession ends one session of the caller's; somebody else's is not there.
func (e *endpoints) deleteSession(c *gin.Context) error {
	if _, err := e.end(c); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}

// endSession is deleteSession for the form of the page.
func (e *endpoints) endSession(c *gin.Context) error {
	if !wantsPage(c) {
		return e.deleteSession(c)
	}
	own, err := e.end(c)
	switch {
	case err != nil:
		return err
	case own:
		return web.SeeOther(c, web.Path(c, "/login"))
	}
	return web.SeeOther(c, web.Path(c, "/sessions?notice="+pages.NoticeEnded))
}

// end ends the session that the address names, and reports whether it was the one of this browser.
func (e *endpoints) end(c *gin.Context) (own bool, err error) {
	s, err := e.Sessions.Find(c.Request.Context(), web.CallerOf(c).User.ID, c.Param("id"))
	if err != nil {
		return false, err
	}
	if err := e.Lifecycle.EndSession(c.Request.Context(), s); err != nil {
		return false, err
	}
	if own = s.ID == current(c) && web.CallerOf(c).Session != nil; own {
		web.DropSessionCookie(c)
	}
	return own, nil
}

// endOthers ends every session of the caller's but the one they ask with, however many there are.
func (e *endpoints) endOthers(c *gin.Context) error {
	all, err := e.Sessions.All(c.Request.Context(), web.CallerOf(c).User.ID)
	if err != nil {
		return err
	}
	ended := 0
	for _, s := range all {
		if s.ID == current(c) {
			continue
		}
		if err := e.Lifecycle.EndSession(c.Request.Context(), s); err != nil {
			return err
		}
		ended++
	}
	if wantsPage(c) {
		return web.SeeOther(c, web.Path(c, "/sessions?notice="+pages.NoticeOthers))
	}
	c.JSON(http.StatusOK, gin.H{"ended": ended})
	return nil
}
