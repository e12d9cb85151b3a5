package web

import (
	"errors"
	"strings"

	"github.com/gin-gonic/gin"

	"example.com/broker/access"
	"example.com/broker/audit"
	"example.com/broker/internal/fault"
)

// RouteDenied is the audit event of a caller who is known and may not use a route.
const RouteDenied = "route.use"

// Denied records that somebody known was refused, if that is what err says, and returns err. The edge does so with what a guard returns; a
// handler that asks for a permission itself passes its refusal through here. What package access records by itself, which is what it is
// asked about a resource, need not come here.
//
// The event has the route's pattern and not the address, which a caller may fill with anything.
func Denied(c *gin.Context, err error) error {
	e := edgeOf(c)
	who, known := c.Get(callerKey)
	if !known || e.o.Denials == nil || !fault.Is(err, fault.Forbidden) {
		return err
	}
	caller := who.(Caller)
	event := audit.Event{
		Action: RouteDenied, Actor: caller.User.ID, Target: c.Request.Method + " " + strings.TrimPrefix(c.FullPath(), e.base), Outcome: "denied",
		Detail: map[string]string{"code": fault.CodeOf(err)},
	}
	if m, ok := errors.AsType[*access.Missing](err); ok {
		if len(m.Roles) > 0 {
			event.Detail["roles"] = strings.Join(m.Roles, " ")
		}
		if m.Permission != "" {
			event.Detail["permission"] = string(m.Permission)
		}
	}
	switch {
	case caller.Token != nil:
		event.ClientID = caller.Token.Subject.ClientID
	case caller.Key != nil:
		event.Detail["api_key"] = caller.Key.ID
	}
	e.o.Denials.Record(c.Request.Context(), event)
	return err
}
