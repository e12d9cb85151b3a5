package clients

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"

	"example.com/broker/internal/secret"
	"example.com/broker/oauth"
)

// Presented reads a client's credentials from a request to the token, introspection or revocation endpoint (RFC 6749 §2.3.1): the
// Basic header, whose two parts are form-urlencoded before they are joined, or client_id and client_secret in the form. An absent
// client_id gives Credentials with an empty ID. *oauth.Error invalid_request where two methods are mixed, invalid_client for a header
// that cannot be read.
func Presented(r *http.Request, form url.Values) (Credentials, error) {
	headers := r.Header.Values("Authorization")
	switch {
	case len(headers) > 1:
		return Credentials{}, oauth.Errorf(oauth.ErrInvalidRequest, "Authorization is sent %d times, expected once", len(headers))
	case len(headers) == 1:
		c, ok := basic(headers[0])
		if !ok {
			e := oauth.Errorf(oauth.ErrInvalidClient, "the Authorization header is not Basic with a percent-encoded client id and secret")
			e.Challenge = `Basic realm="broker"`
			return Credentials{}, e
		}
		if form.Has("client_secret") {
			return Credentials{}, oauth.Errorf(oauth.ErrInvalidRequest, "the client authenticates twice: use the Authorization header or client_secret, not both")
		}
		if id := form.Get("client_id"); id != "" && id != c.ID {
			return Credentials{}, oauth.Errorf(oauth.ErrInvalidRequest, "client_id in the form differs from the one in the Authorization header")
		}
		return c, nil
	case form.Get("client_secret") != "":
		return Credentials{ID: form.Get("client_id"), Secret: secret.Value(form.Get("client_secret")), Method: oauth.AuthClientSecretPost}, nil
	}
	return Credentials{ID: form.Get("client_id"), Method: oauth.AuthNone}, nil
}

func basic(header string) (Credentials, bool) {
	scheme, value, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return Credentials{}, false
	}
	plain, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value))
	if err != nil {
		return Credentials{}, false
	}
	id, key, ok := strings.Cut(string(plain), ":")
	if !ok {
		return Credentials{}, false
	}
	if id, err = url.QueryUnescape(id); err != nil || id == "" {
		return Credentials{}, false
	}
	if key, err = url.QueryUnescape(key); err != nil {
		return Credentials{}, false
	}
	return Credentials{ID: id, Secret: secret.Value(key), Method: oauth.AuthClientSecretBasic}, true
}
