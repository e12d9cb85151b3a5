package metadata

import (
	"net/http"
	"net/url"

	"github.com/gin-gonic/gin"

	"example.com/broker/clients"
	"example.com/broker/oauth"
	"example.com/broker/web"
)

const feedType = "application/revocations+jwt"

// feed returns the routes of the revocation feed. POST is for clients that are registered to send their secret in a form.
func feed(d Deps) []web.Route {
	guard := web.By("client|anyone")
	return []web.Route{
		{Method: http.MethodGet, Path: "/revocations", Lane: web.Protocol, Guard: guard, Polled: true, Handle: func(c *gin.Context) error {
			return d.revocations(c, c.Request.URL.Query().Get("since"), url.Values{})
		}},
		{Method: http.MethodPost, Path: "/revocations", Lane: web.Protocol, Guard: guard, Polled: true, Handle: func(c *gin.Context) error {
			form, err := web.Form(c)
			if err != nil {
				return err
			}
			return d.revocations(c, form.Get("since"), form)
		}},
	}
}

// revocations answers with what was taken back since a cursor. It asks the store for nothing but a client that is not in the memory.
func (d Deps) revocations(c *gin.Context, since string, form url.Values) error {
	if !d.OpenFeed {
		if err := d.mayFollow(c, form); err != nil {
			return err
		}
	}
	answer, err := d.Feed.Answer(since)
	if err != nil {
		return err
	}
	c.Data(http.StatusOK, feedType, []byte(answer))
	return nil
}

// mayFollow demands a client with a secret that may call an API: such clients are the APIs' own, or could learn as much by calling them.
func (d Deps) mayFollow(c *gin.Context, form url.Values) error {
	cr, err := clients.Presented(c.Request, form)
	if err != nil {
		return err
	}
	if cr.ID == "" {
		e := oauth.Errorf(oauth.ErrInvalidClient, "client authentication is needed: send Basic credentials, or client_id and client_secret in a form")
		e.Challenge = `Basic realm="broker"`
		return e
	}
	client, err := d.Clients.Authenticate(c.Request.Context(), cr)
	switch {
	case err != nil:
		return err
	case client.Public():
		return oauth.Errorf(oauth.ErrInvalidClient, "a public client cannot follow revocations: register one with a secret")
	case len(client.APIs) == 0 && !client.IntrospectAny:
		e := oauth.Errorf(oauth.ErrUnauthorizedClient, "client %s is registered for no API, and only APIs follow revocations", client.ID)
		e.Status = http.StatusForbidden
		return e
	}
	return nil
}
