package admin

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/broker/clients"
	"example.com/broker/internal/fault"
	"example.com/broker/oauth"
	"example.com/broker/web"
)

// clientJSON is a registration as it comes in. What is left out is empty.
type clientJSON struct {
	ID               string       `json:"client_id"`
	Name             string       `json:"name"`
	AuthMethod       string       `json:"token_endpoint_auth_method"`
	FirstParty       bool         `json:"first_party"`
	GrantTypes       []string     `json:"grant_types"`
	RedirectURIs     []string     `json:"redirect_uris"`
	PostLogout       []string     `json:"post_logout_redirect_uris"`
	InitiateLoginURI string       `json:"initiate_login_uri"`
	Origins          []string     `json:"allowed_origins"`
	Scopes           oauth.Scopes `json:"scopes"`
	APIs             []string     `json:"apis"`
	DefaultAPI       string       `json:"default_api"`
	Providers        []string     `json:"providers"`
	PKCEOptional     bool         `json:"pkce_optional"`
	IDTokenAlg       string       `json:"id_token_signed_response_alg"`
	IntrospectAny    bool         `json:"introspect_any"`
	Disabled         bool         `json:"disabled"`
	// V is the version that was read; the other two are taken so that what was read can be sent back, and change nothing.
	V         *int64 `json:"v"`
	ReadOnly  bool   `json:"read_only"`
	CreatedAt string `json:"created_at"`
}

// onto puts a registration in the place of the one that c holds, and leaves alone what is not for an admin to say.
func (j clientJSON) onto(c *clients.Client) {
	c.Name, c.AuthMethod, c.FirstParty, c.GrantTypes, c.RedirectURIs = j.Name, j.AuthMethod, j.FirstParty, j.GrantTypes, j.RedirectURIs
	c.PostLogoutRedirectURIs, c.InitiateLoginURI, c.Origins, c.Scopes, c.APIs = j.PostLogout, j.InitiateLoginURI, j.Origins, j.Scopes, j.APIs
	c.DefaultAPI, c.Providers, c.PKCEOptional, c.IDTokenAlg = j.DefaultAPI, j.Providers, j.PKCEOptional, j.IDTokenAlg
	c.IntrospectAny, c.Disabled = j.IntrospectAny, j.Disabled
}

// needs are the members without which nothing can be registered: to leave one out is a slip, and must not change anything.
func (j clientJSON) needs() error {
	return needs(need{"token_endpoint_auth_method", j.AuthMethod != ""}, need{"grant_types", j.GrantTypes != nil})
}

// clientShown is a client as answers have it: without its secrets, which are hashes anyway.
func clientShown(c clients.Client) gin.H {
	out := gin.H{
		"client_id": c.ID, "name": c.Name, "token_endpoint_auth_method": c.AuthMethod, "first_party": c.FirstParty,
		"grant_types": append([]string{}, c.GrantTypes...), "redirect_uris": append([]string{}, c.RedirectURIs...),
		"post_logout_redirect_uris": append([]string{}, c.PostLogoutRedirectURIs...), "initiate_login_uri": c.InitiateLoginURI,
		"allowed_origins": c.Origins, "scopes": c.Scopes, "apis": append([]string{}, c.APIs...), "default_api": c.DefaultAPI,
		"providers": c.Providers, "pkce_optional": c.PKCEOptional, "id_token_signed_response_alg": c.IDTokenAlg,
		"introspect_any": c.IntrospectAny, "disabled": c.Disabled, "read_only": c.V == 0, "v": c.V, "created_at": nil,
	}
	if !c.CreatedAt.IsZero() {
		out["created_at"] = c.CreatedAt.UTC().Format(time.RFC3339)
	}
	return out
}

// listClients shows those of the configuration first, then those of the store, each by id.
func (e *endpoints) listClients(c *gin.Context) error {
	p, err := e.paging(c, "clients")
	if err != nil {
		return err
	}
	all, err := e.Clients.All(c.Request.Context())
	if err != nil {
		return err
	}
	list, next := cut(e, p, all, func(k clients.Client) string { return place(k.V == 0, k.ID) }, clientShown)
	c.JSON(http.StatusOK, gin.H{"clients": list, "next": next})
	return nil
}

func (e *endpoints) getClient(c *gin.Context) error {
	k, err := e.Clients.Get(c.Request.Context(), c.Param("id"))
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, k.V, clientShown(k))
}

// createClient answers with the secret, which is shown once.
func (e *endpoints) createClient(c *gin.Context) error {
	var in clientJSON
	if err := web.JSON(c, &in); err != nil {
		return err
	}
	if err := in.needs(); err != nil {
		return err
	}
	k := clients.Client{ID: in.ID}
	in.onto(&k)
	k, key, err := e.Clients.Create(c.Request.Context(), k)
	if err := e.done(c, "client.create", in.ID, err, "members", members(clientShown(clients.Client{}), clientShown(k))); err != nil {
		return err
	}
	body := clientShown(k)
	if key != "" {
		body["client_secret"] = key.Reveal()
	}
	c.Header("Location", web.Path(c, "/admin/api/clients/"+k.ID))
	return answer(c, http.StatusCreated, k.V, body)
}

func (e *endpoints) putClient(c *gin.Context) error {
	var in clientJSON
	if err := web.JSON(c, &in); err != nil {
		return err
	}
	if err := in.needs(); err != nil {
		return err
	}
	v, err := version(c, in.V)
	if err != nil {
		return err
	}
	id := c.Param("id")
	if in.ID != "" && in.ID != id {
		return fault.New(fault.Invalid, "client_invalid", "client_id names another client: it cannot be changed.")
	}
	var was clients.Client
	k, err := e.Clients.Change(c.Request.Context(), id, func(k *clients.Client) error {
		if err := k.Seen(v); err != nil {
			return err
		}
		was = *k
		public := k.Public()
		if in.onto(k); public != k.Public() {
			return fault.New(fault.Invalid, "client_invalid", "A public client cannot become confidential, nor the other way round: register another.")
		}
		return nil
	})
	if err := e.done(c, "client.put", id, err, "members", members(clientShown(was), clientShown(k))); err != nil {
		return err
	}
	return answer(c, http.StatusOK, k.V, clientShown(k))
}

func (e *endpoints) rotateSecret(c *gin.Context) error {
	id := c.Param("id")
	k, key, err := e.Clients.RotateSecret(c.Request.Context(), id)
	if err := e.done(c, "client.rotate_secret", id, err); err != nil {
		return err
	}
	body := clientShown(k)
	body["client_secret"] = key.Reveal()
	return answer(c, http.StatusOK, k.V, body)
}

func (e *endpoints) deleteClient(c *gin.Context) error {
	v, err := version(c, nil)
	if err != nil {
		return err
	}
	id := c.Param("id")
	if err := e.done(c, "client.delete", id, e.Clients.Delete(c.Request.Context(), id, v)); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}
