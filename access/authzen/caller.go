package authzen

import (
	"net/url"
	"strings"

	"github.com/gin-gonic/gin"

	"example.com/broker/access"
	"example.com/broker/clients"
	"example.com/broker/internal/fault"
	"example.com/broker/internal/secret"
	"example.com/broker/oauth"
	"example.com/broker/verify"
	"example.com/broker/web"
)

// caller is who asks: a client, or the owner of an API key.
type caller struct{ client, key string }

func (w caller) name() string {
	if w.client != "" {
		return "client:" + w.client
	}
	return "key:" + w.key
}

const callerKey = "authzen.caller"

func callerOf(c *gin.Context) caller { return c.MustGet(callerKey).(caller) }

// challenge names both ways to authenticate (RFC 9110 §11.6.1).
const challenge = `Bearer realm="broker", Basic realm="broker"`

func unauthenticated(text string) error {
	e := oauth.Errorf(oauth.ErrInvalidClient, "%s", text)
	e.Challenge = challenge
	return e
}

// authenticate demands an API key as Bearer, or the id and secret of a client as Basic: 401 with a challenge otherwise; fault.Forbidden for
// a key that may not ask.
func (d Deps) authenticate(c *gin.Context) error {
	scheme, _, _ := strings.Cut(c.GetHeader("Authorization"), " ")
	switch {
	case len(c.Request.Header.Values("Authorization")) > 1:
		return unauthenticated("several Authorization headers are sent, one is expected")
	case strings.EqualFold(scheme, "Bearer"):
		return d.byKey(c)
	case strings.EqualFold(scheme, "Basic"):
		return d.byClient(c)
	}
	return unauthenticated("send an API key as Bearer, or the id and secret of a client as Basic")
}

func (d Deps) byKey(c *gin.Context) error {
	ctx := c.Request.Context()
	raw, err := verify.BearerToken(c.Request)
	if err != nil {
		return unauthenticated("the Authorization header is malformed, Bearer and one API key are expected")
	}
	bad := unauthenticated("the API key is unknown, revoked or expired")
	key, err := d.Keys.Authenticate(ctx, secret.Value(raw))
	if fault.Is(err, fault.Forbidden) {
		return bad
	}
	if err != nil {
		return err
	}
	u, err := d.Guards.User(ctx, key.OwnerID)
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Forbidden) || err == nil && key.Ver < u.Epoch {
		return bad
	}
	if err != nil {
		return err
	}
	c.Set(callerKey, caller{key: key.ID})
	web.Known(c, web.Caller{User: u, Key: &key}) // whose refusal the edge records
	return d.Guards.Access.Check(access.Actor{UserID: u.ID, Roles: u.Roles(d.Guards.Now()), Scopes: key.Scopes}, decisions)
}

func (d Deps) byClient(c *gin.Context) error {
	bad := unauthenticated("the client is unknown, or its secret is wrong, or it is not registered for client_secret_basic")
	cr, err := clients.Presented(c.Request, url.Values{})
	if err != nil {
		return bad
	}
	client, err := d.Clients.Authenticate(c.Request.Context(), cr)
	if _, refused := err.(*oauth.Error); refused || err == nil && client.Public() { //nolint:errorlint // Authenticate returns it as it is
		return bad
	}
	if err != nil {
		return err
	}
	c.Set(callerKey, caller{client: client.ID})
	return nil
}
