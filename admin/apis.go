package admin

import (
	"cmp"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/broker/clients"
	"example.com/broker/internal/fault"
	"example.com/broker/oauth"
	"example.com/broker/web"
)

// apiJSON is an API as it comes in. What is left out has its default.
type apiJSON struct {
	ID       string       `json:"id"`
	Audience string       `json:"audience"`
	Scopes   oauth.Scopes `json:"scopes"`
	Roles    []string     `json:"roles"`
	Alg      string       `json:"alg"`
	Typ      string       `json:"typ"`
	TTL      int64        `json:"ttl"`       // seconds
	ReadOnly bool         `json:"read_only"` // taken so that what was read can be sent back; changes nothing
}

// maxSeconds keeps a life that comes in from overflowing; how long it may be is said by clients.ValidateAPI.
const maxSeconds = int64(366 * 24 * time.Hour / time.Second)

func (j apiJSON) api() clients.API {
	return clients.API{
		ID: j.ID, Audience: j.Audience, Scopes: j.Scopes, Roles: j.Roles, Alg: cmp.Or(j.Alg, "ES256"), Typ: cmp.Or(j.Typ, oauth.TypAccessToken),
		TTL: time.Duration(min(max(j.TTL, -1), maxSeconds)) * time.Second,
	}
}

func apiShown(a clients.API) gin.H {
	return gin.H{
		"id": a.ID, "audience": a.Audience, "scopes": append([]string{}, a.Scopes...), "roles": append([]string{}, a.Roles...),
		"alg": a.Alg, "typ": a.Typ, "ttl": int64(a.TTL / time.Second), "read_only": a.Fixed,
	}
}

// listAPIs shows those of the configuration first. The version is that of the stored ones, which are one document.
func (e *endpoints) listAPIs(c *gin.Context) error {
	p, err := e.paging(c, "apis")
	if err != nil {
		return err
	}
	set := e.Clients.APIs().All()
	list, next := cut(e, p, set.APIs, func(a clients.API) string { return place(a.Fixed, a.ID) }, apiShown)
	return answer(c, http.StatusOK, set.V, gin.H{"v": set.V, "by": set.By, "apis": list, "next": next})
}

func (e *endpoints) getAPI(c *gin.Context) error {
	a, ok := e.Clients.APIs().Get(c.Param("id"))
	if !ok {
		return fault.New(fault.NotFound, "api_unknown", "There is no API %.100q.", c.Param("id"))
	}
	return answer(c, http.StatusOK, e.Clients.APIs().All().V, apiShown(a))
}

func (e *endpoints) createAPI(c *gin.Context) error { return e.saveAPI(c, "", http.StatusCreated) }
func (e *endpoints) putAPI(c *gin.Context) error    { return e.saveAPI(c, c.Param("id"), http.StatusOK) }

// saveAPI adds an API, or replaces the one of the given id.
func (e *endpoints) saveAPI(c *gin.Context, id string, status int) error {
	var in apiJSON
	if err := web.JSON(c, &in); err != nil {
		return err
	}
	if err := needs(need{"audience", in.Audience != ""}); err != nil {
		return err
	}
	v, err := version(c, nil)
	if err != nil {
		return err
	}
	if id != "" && in.ID != "" && in.ID != id {
		return fault.New(fault.Invalid, "api_invalid", "id names another API: it cannot be changed.")
	}
	in.ID = cmp.Or(id, in.ID)
	action := "api.put"
	if id == "" {
		action = "api.create"
	}
	was, _ := e.Clients.APIs().Get(in.ID)
	a, set, err := e.Clients.APIs().Put(c.Request.Context(), in.api(), id == "", v, web.CallerOf(c).User.ID)
	if err := e.done(c, action, in.ID, err, "members", members(apiShown(was), apiShown(a))); err != nil {
		return err
	}
	if id == "" {
		c.Header("Location", web.Path(c, "/admin/api/apis/"+a.ID))
	}
	return answer(c, status, set.V, apiShown(a))
}

func (e *endpoints) deleteAPI(c *gin.Context) error {
	v, err := version(c, nil)
	if err != nil {
		return err
	}
	id := c.Param("id")
	_, err = e.Clients.RemoveAPI(c.Request.Context(), id, v, web.CallerOf(c).User.ID)
	if err := e.done(c, "api.delete", id, err); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}
