package account

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"example.com/broker/internal/fault"
	"example.com/broker/sessions"
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

// own returns the caller's live sessions and the id of the one they ask with, "" for a caller without one.
func (e *endpoints) own(c *gin.Context) ([]sessions.Session, string, error) {
	who := web.CallerOf(c)
	current := ""
	switch {
	case who.Session != nil:
		current = who.Session.ID
	case who.Token != nil:
		current = who.Token.Claims.SessionID
	}
	all, err := e.Sessions.Of(c.Request.Context(), who.User.ID)
	return all, current, err
}

func (e *endpoints) listSessions(c *gin.Context) error {
	all, current, err := e.own(c)
	if err != nil {
		return err
	}
	out := make([]gin.H, 0, len(all))
	for _, s := range all {
		out = append(out, gin.H{
			"id": s.ID, "current": s.ID == current, "user_agent": s.UserAgent, "address": s.Address, "provider": s.Provider, "amr": s.AMR,
			"auth_time": s.AuthTime, "created_at": s.CreatedAt, "idle_until": s.IdleUntil, "until": s.Until,
		})
	}
	c.JSON(http.StatusOK, gin.H{"sessions": out})
	return nil
}

// endSession ends one session of the caller's; somebody else's is not there.
func (e *endpoints) endSession(c *gin.Context) error {
	all, current, err := e.own(c)
	if err != nil {
		return err
	}
	for _, s := range all {
		if s.ID != c.Param("id") {
			continue
		}
		if err := e.Lifecycle.EndSession(c.Request.Context(), s); err != nil {
			return err
		}
		if s.ID == current && web.CallerOf(c).Session != nil {
			web.DropSessionCookie(c)
		}
		c.Status(http.StatusNoContent)
		return nil
	}
	return fault.New(fault.NotFound, "session_unknown", "You have no such session.")
}

// endOthers ends every session of the caller's but the one they ask with.
func (e *endpoints) endOthers(c *gin.Context) error {
	all, current, err := e.own(c)
	if err != nil {
		return err
	}
	ended := 0
	for _, s := range all {
		if s.ID == current {
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
