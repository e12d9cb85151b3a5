package account

import (
	"cmp"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/broker/apikeys"
	"example.com/broker/internal/fault"
	"example.com/broker/oauth"
	"example.com/broker/rbac"
	"example.com/broker/web"
	"example.com/broker/web/pages"
)

// What a credential must reach to keys of one's own; manageAny is what an admin may do to keys of others.
const (
	readKeys  rbac.Permission = "apikeys:read"
	writeKeys rbac.Permission = "apikeys:write"
	manageAny rbac.Permission = "apikeys:manage"
)

// keyRoutes are for anybody signed in, whatever their roles, but not by any credential: a token that a leaked key was exchanged for must
// not make the key that outlives it, nor must an app of a third party.
func (e *endpoints) keyRoutes() []web.Route {
	read, write := e.Guards.Reach(readKeys), e.Guards.Reach(writeKeys)
	route := func(method, path string, g web.Guard, handle web.Handler) web.Route {
		return web.Route{Method: method, Path: path, Lane: web.Browser, Data: true, Guard: web.By(g.Name), Handle: forPeople(g, "/api-keys", handle)}
	}
	return []web.Route{
		route(http.MethodPost, "/api-keys", write, e.makeKey),
		route(http.MethodGet, "/api-keys", read, e.listKeys),
		route(http.MethodDelete, "/api-keys/:id", write, e.deleteKey),
		route(http.MethodPost, "/api-keys/:id/revoke", write, e.revokeKey),
	}
}

// makeKey makes a key, from JSON or from the form of the page.
func (e *endpoints) makeKey(c *gin.Context) error {
	if wantsPage(c) && web.MediaType(c) == web.FormType {
		return e.createKeyByForm(c)
	}
	return e.createKey(c)
}

// createKey makes a key. Its scopes must be ones that the caller could use themselves; none named means data:read.
func (e *endpoints) createKey(c *gin.Context) error {
	var in struct {
		Name      string        `json:"name"`
		Scopes    *oauth.Scopes `json:"scopes"`
		ExpiresIn int64         `json:"expires_in"` // seconds
		OwnerID   string        `json:"owner_id"`
		Owner     string        `json:"owner"`
		User      string        `json:"user"`
		UserID    string        `json:"user_id"`
		Org       string        `json:"org"`
	}
	if err := web.JSON(c, &in); err != nil {
		return err
	}
	who, actor := web.CallerOf(c), e.Guards.Actor(c)
	for _, named := range []string{in.OwnerID, in.Owner, in.User, in.UserID, in.Org} {
		if named != "" && named != who.User.ID {
			return web.Denied(c, fault.New(fault.Forbidden, "owner_foreign", "The body names somebody else: a key belongs to whoever makes it. Leave owner_id and its like out."))
		}
	}
	scopes := oauth.Scopes{"data:read"}
	if in.Scopes != nil {
		scopes = *in.Scopes
	}
	if err := e.Guards.Access.MayGive(actor, scopes); err != nil {
		return web.Denied(c, err)
	}
	if in.ExpiresIn < 0 || in.ExpiresIn > int64(apikeys.MaxLife/time.Second) {
		return fault.New(fault.Invalid, "key_request_invalid", "expires_in is %d, expected 1 to %d seconds.", in.ExpiresIn, int64(apikeys.MaxLife/time.Second))
	}
	k, text, err := e.Keys.Create(c.Request.Context(), apikeys.Request{
		OwnerID: who.User.ID, Ver: who.User.Ver, Epoch: who.User.Epoch, Name: in.Name, Scopes: scopes, Life: time.Duration(in.ExpiresIn) * time.Second,
	})
	if err != nil {
		return err
	}
	body := keyJSON(k, who.User.Epoch, e.Now())
	body["key"] = text.Reveal()
	c.Header("Location", web.Path(c, "/api-keys/"+k.ID))
	c.JSON(http.StatusCreated, body)
	return nil
}

// listKeys shows the caller's keys, never their text; an admin may name another owner.
func (e *endpoints) listKeys(c *gin.Context) error {
	owner := web.CallerOf(c).User.ID
	if asked := c.Query("owner_id"); asked != "" && asked != owner {
		if err := e.Guards.Access.Check(e.Guards.Actor(c), manageAny); err != nil {
			return web.Denied(c, err)
		}
		owner = asked
	}
	all, err := e.Keys.List(c.Request.Context(), owner)
	if err != nil {
		return err
	}
	u, err := e.Users.Facts(c.Request.Context(), owner)
	if err != nil {
		return err
	}
	if wantsPage(c) {
		p := pages.Keys{Notice: notice(c, pages.NoticeRevoked)}
		if owner != web.CallerOf(c).User.ID {
			p.Owner, p.OwnerID = cmp.Or(u.Name, u.Username, u.Email, u.ID), u.ID
		}
		return e.showKeys(c, http.StatusOK, p, all, u.Epoch)
	}
	out := make([]gin.H, 0, len(all))
	for _, k := range all {
		out = append(out, keyJSON(k, u.Epoch, e.Now()))
	}
	c.JSON(http.StatusOK, gin.H{"keys": out})
	return nil
}

// deleteKey ends a key of the caller's, or of anybody's where the caller is an admin; otherwise it is not there.
func (e *endpoints) deleteKey(c *gin.Context) error {
	if err := e.revoke(c); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}

func (e *endpoints) revoke(c *gin.Context) error {
	by := web.CallerOf(c).User.ID
	anyone := e.Guards.Access.Check(e.Guards.Actor(c), manageAny) == nil
	k, err := e.Keys.Get(c.Request.Context(), c.Param("id"), by, anyone)
	if err != nil {
		return err
	}
	return e.Keys.Revoke(c.Request.Context(), k, by)
}

// keyJSON shows a key; epoch is its owner's, below which keys are over.
func keyJSON(k apikeys.Key, epoch int64, now time.Time) gin.H {
	out := gin.H{
		"id": k.ID, "prefix": apikeys.Prefix + k.ID, "name": k.Name, "scopes": append([]string{}, k.Scopes...), "owner_id": k.OwnerID, "state": stateOf(k, epoch, now),
		"created_at": k.CreatedAt, "expires_at": k.ExpiresAt, "last_used": nil,
	}
	if !k.LastUsed.IsZero() {
		out["last_used"] = k.LastUsed
	}
	return out
}

func stateOf(k apikeys.Key, epoch int64, now time.Time) string {
	switch {
	case !k.RevokedAt.IsZero() || k.Ver < epoch:
		return "revoked"
	case !now.Before(k.ExpiresAt):
		return "expired"
	}
	return "active"
}
