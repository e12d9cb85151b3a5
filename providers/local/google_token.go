package local

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const googleCodePrefix = "4/0A"

// googleTokenError is an error answer of RFC 6749 section 5.2.
type googleTokenError struct {
	status            int
	code, description string
}

func (e *googleTokenError) write(w http.ResponseWriter, basic bool) {
	if e.status == http.StatusUnauthorized && basic {
		w.Header().Set("WWW-Authenticate", `Basic realm="Google"`)
	}
	writeJSON(w, e.status, map[string]string{"error": e.code, "error_description": e.description})
}

func badGrant(description string) *googleTokenError {
	return &googleTokenError{http.StatusBadRequest, "invalid_grant", description}
}

// googleTokens is the answer of the token endpoint. There is no refresh token:
// the broker asks Google who somebody is, once.
type googleTokens struct {
	AccessToken string `json:"access_token"`
	ExpiresIn   int64  `json:"expires_in"` // seconds
	Scope       string `json:"scope"`
	TokenType   string `json:"token_type"`
	IDToken     string `json:"id_token,omitempty"`
}

func (g *Google) token(w http.ResponseWriter, r *http.Request) {
	client, refused := g.authenticate(r)
	if refused != nil {
		refused.write(w, client.basic)
		return
	}
	code, refused := g.redeem(r.PostForm)
	if refused != nil {
		refused.write(w, client.basic)
		return
	}
	now := g.now()
	answer := googleTokens{
		AccessToken: "ya29.a0" + g.secret(32), ExpiresIn: int64(googleTokenLife/time.Second) - 1,
		Scope: strings.Join(code.scopes, " "), TokenType: "Bearer",
	}
	g.tokens.put(now, answer.AccessToken, googleToken{person: code.person, scopes: code.scopes})
	if slices.Contains(code.scopes, "openid") {
		answer.IDToken = g.idToken(g.claims(code, g.base(r), answer.AccessToken, now))
	}
	writeJSON(w, http.StatusOK, answer)
}

func (g *Google) authenticate(r *http.Request) (credentials, *googleTokenError) {
	if err := parseForm(r); err != nil {
		return credentials{}, &googleTokenError{http.StatusBadRequest, "invalid_request", "Expected an application/x-www-form-urlencoded body."}
	}
	for name, values := range r.PostForm {
		// RFC 6749 section 3.2: no parameter more than once.
		if len(values) > 1 {
			return credentials{}, &googleTokenError{http.StatusBadRequest, "invalid_request", "OAuth 2 parameters can only have a single value: " + name}
		}
	}
	client, err := readCredentials(r)
	switch {
	case err != nil:
		return client, &googleTokenError{http.StatusBadRequest, "invalid_request", err.Error()}
	case client.id == "":
		return client, &googleTokenError{http.StatusBadRequest, "invalid_request", "Could not determine client ID from request."}
	case client.id != g.clientID:
		return client, &googleTokenError{http.StatusUnauthorized, "invalid_client", "The OAuth client was not found."}
	case !g.rightSecret(client.secret):
		return client, &googleTokenError{http.StatusUnauthorized, "invalid_client", "Unauthorized"}
	}
	return client, nil
}

// redeem spends the code, whatever else is wrong with the request: only the
// client it belongs to comes this far.
func (g *Google) redeem(form url.Values) (googleCode, *googleTokenError) {
	switch grant, code := form.Get("grant_type"), form.Get("code"); {
	case grant != "authorization_code":
		return googleCode{}, &googleTokenError{http.StatusBadRequest, "unsupported_grant_type", "Invalid grant_type: " + grant}
	case code == "":
		return googleCode{}, &googleTokenError{http.StatusBadRequest, "invalid_request", "Missing required parameter: code"}
	case !strings.HasPrefix(code, googleCodePrefix):
		return googleCode{}, badGrant("Malformed auth code.")
	}
	code, ok := g.codes.take(g.now(), form.Get("code"))
	switch verifier := form.Get("code_verifier"); {
	case !ok:
		return googleCode{}, badGrant("Bad Request") // Google's words for spent and expired
	case form.Get("redirect_uri") != code.redirectURI:
		return googleCode{}, &googleTokenError{http.StatusBadRequest, "redirect_uri_mismatch", "Bad Request"}
	case verifier == "" && code.challenge != "":
		return googleCode{}, badGrant("Missing code verifier.")
	case !verifies(code.challenge, verifier):
		return googleCode{}, badGrant("Invalid code verifier.")
	}
	return code, nil
}
