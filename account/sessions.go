package account

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"example.com/broker/web"
)

// sessionRoutes are for anybody signed in, by a credential that reaches so far: where somebody is signed in, and whether they stay so, is
// no matter of an app of a third party or of whoever holds an API key.
func (e *endpoints) sessionRoutes() []web.Route {
	read, write := e.Guards.Reach("sessions:read"), e.Guards.Reach("sessions:write")
	return []web.Route{
		{Method: http.MethodGet, Path: "/sessions", Lane: web.Browser, Data: true, Guard: read, Handle: e.listSessions},
		{Method: http.MethodDelete, Path: "/sessions/:id", Lane: web.Browser, Data: true, Guard: write, Handle: e.endSession},
		{Method: http.MethodPost, Path: "/sessions/end-others", Lane: web.Browser, Data: true, Guard: write, Handle: e.endOthers},
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

func (e *endpoints) listSessions(c *gin.Context) error {
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

// endSession ends one session of the caller's; somebody else's is not there.
func (e *endpoints) endSession(c *gin.Context) error {
	s, err := e.Sessions.Find(c.Request.Context(), web.CallerOf(c).User.ID, c.Param("id"))
	if err != nil {
		return err
	}
	if err := e.Lifecycle.EndSession(c.Request.Context(), s); err != nil {
		return err
	}
	if s.ID == current(c) && web.CallerOf(c).Session != nil {
		web.DropSessionCookie(c)
	}
	c.Status(http.StatusNoContent)
	return nil
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
	c.JSON(http.StatusOK, gin.H{"ended": ended})
	return nil
}
