package authorize

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"example.com/broker/clients"
	"example.com/broker/oauth"
	"example.com/broker/signin"
	"example.com/broker/tokens"
	"example.com/broker/web"
)

const (
	maxState   = 512
	maxNonce   = 256
	maxHint    = 256
	maxRequest = 8 << 10
)

// check reads the request parameters into the trip and returns the *oauth.Error the app is told. Parameters it does not know are
// ignored, and one without a value counts as left out (RFC 6749 §3.1).
func (e *endpoint) check(c *gin.Context, t *signin.Trip, app clients.Client, q url.Values) error {
	bad := func(format string, args ...any) error { return oauth.Errorf(oauth.ErrInvalidRequest, format, args...) }
	// OpenID Connect Core §6: refused by their own codes, and request_uri is never fetched.
	if q.Get("request") != "" {
		return oauth.Errorf(oauth.ErrRequestNotSupported, "the parameter request is not supported: send the parameters themselves")
	}
	if q.Get("request_uri") != "" {
		return oauth.Errorf(oauth.ErrRequestURINotSupported, "the parameter request_uri is not supported: send the parameters themselves")
	}
	if q.Get("registration") != "" {
		return oauth.Errorf("registration_not_supported", "the parameter registration is not supported: register the client beforehand")
	}
	if err := web.Single(q); err != nil {
		return err
	}
	if n := len(c.Request.URL.RawQuery); n > maxRequest {
		return bad("the request has %d bytes, at most %d are allowed", n, maxRequest)
	}
	switch mode := q.Get("response_mode"); mode {
	case "", oauth.ModeQuery, oauth.ModeFormPost:
	default:
		return bad("response_mode is '%.40s', expected query or form_post", mode)
	}
	switch kind := q.Get("response_type"); kind {
	case "code":
	case "":
		return bad("response_type is missing, expected code")
	default:
		return oauth.Errorf(oauth.ErrUnsupportedResponseType, "response_type is '%.40s', expected code", kind)
	}
	if !app.Allows(oauth.GrantAuthorizationCode) {
		return oauth.Errorf(oauth.ErrUnauthorizedClient, "client %s is not registered for the grant type authorization_code", app.ID)
	}
	if n := len(q.Get("state")); n > maxState {
		return bad("state has %d bytes, at most %d are allowed", n, maxState)
	}
	if t.Request.Nonce = q.Get("nonce"); len(t.Request.Nonce) > maxNonce {
		return bad("nonce has %d bytes, at most %d are allowed", len(t.Request.Nonce), maxNonce)
	}
	if err := pkce(t, app, q); err != nil {
		return err
	}
	if err := e.scope(t, app, q.Get("scope")); err != nil {
		return err
	}
	for _, r := range oauth.Given(q["resource"]) {
		api, err := e.Clients.APIFor(app, r)
		if err != nil {
			return err
		}
		if !slices.Contains(t.Request.Resources, api.ID) {
			t.Request.Resources = append(t.Request.Resources, api.ID)
		}
	}
	if err := e.openID(c, t, app, q); err != nil {
		return err
	}
	return nil
}

// pkce demands an S256 challenge (RFC 7636 §4.4.1); an absent method would mean plain. An exempt client may leave both out.
func pkce(t *signin.Trip, app clients.Client, q url.Values) error {
	challenge, method := q.Get("code_challenge"), q.Get("code_challenge_method")
	if challenge == "" && method == "" && app.PKCEOptional {
		return nil
	}
	switch {
	case challenge == "":
		return oauth.Errorf(oauth.ErrInvalidRequest, "code_challenge is missing: every client uses PKCE with S256")
	case method != oauth.MethodS256:
		return oauth.Errorf(oauth.ErrInvalidRequest, "code_challenge_method is '%.20s', expected S256", method)
	case !oauth.ValidChallenge(challenge):
		return oauth.Errorf(oauth.ErrInvalidRequest, "code_challenge is not 43 characters of unpadded base64url")
	}
	t.Request.Challenge = challenge
	return nil
}

func (e *endpoint) scope(t *signin.Trip, app clients.Client, raw string) error {
	scopes, err := oauth.ParseScopes(raw)
	if err != nil {
		return err
	}
	if missing, ok := scopes.Within(e.Clients.ScopesOf(app)); !ok {
		return oauth.Errorf(oauth.ErrInvalidScope, "scope '%.100s' is unknown or not allowed for client %s", missing, app.ID)
	}
	t.Request.Scope = scopes.String()
	return nil
}

// openID reads the parameters of OpenID Connect Core §3.1.2.1 and §5.5.
func (e *endpoint) openID(c *gin.Context, t *signin.Trip, app clients.Client, q url.Values) error {
	bad := func(format string, args ...any) error { return oauth.Errorf(oauth.ErrInvalidRequest, format, args...) }
	prompts := strings.Fields(q.Get("prompt"))
	for _, p := range prompts {
		switch p {
		case "none":
			t.Needs.None = true
		case "login":
			t.Needs.Login = true
		case "select_account":
			t.Needs.Select = true
		case "consent":
			t.Needs.Consent = true
		default:
			return bad("prompt has '%.40s', expected none, login, consent or select_account", p)
		}
	}
	if t.Needs.None && len(prompts) > 1 {
		return bad("prompt is '%.60s': none stands alone", q.Get("prompt"))
	}
	if raw := q.Get("max_age"); raw != "" {
		n, err := strconv.ParseUint(raw, 10, 31)
		if err != nil {
			return bad("max_age is '%.20s', expected whole seconds from 0", raw)
		}
		age := int(n)
		t.Needs.MaxAge = &age
	}
	if raw := q.Get("claims"); raw != "" {
		claims, err := tokens.ParseClaimsRequest(raw)
		if err != nil {
			return err
		}
		// What a client may not have by scope it does not get by name.
		named := claims.Scopes()
		if missing, ok := named.Within(e.Clients.ScopesOf(app)); !ok {
			return oauth.Errorf(oauth.ErrInvalidScope, "claims asks for what the scope '%s' stands for, which is not allowed for client %s", missing, app.ID)
		}
		t.Request.Claims, t.Request.Named = raw, named.String()
		t.Needs.Subject = claims.Subject()
		if claims.EssentialACR() {
			// OpenID Connect Core §5.5.1.1: an essential acr that cannot be met is a failed authentication.
			return oauth.Errorf(oauth.ErrUnmetAuthentication, "no authentication context class is supported, so an essential acr cannot be met")
		}
	}
	if raw := q.Get("id_token_hint"); raw != "" {
		hint, err := e.Hints.Read(c.Request.Context(), raw)
		switch {
		case err == nil && (t.Needs.Subject == "" || t.Needs.Subject == hint.Subject):
			t.Needs.Subject = hint.Subject
		case err == nil || t.Needs.None:
			// A hint that contradicts the request, or that is none of ours, cannot be answered without asking.
			return oauth.Errorf(oauth.ErrLoginRequired, "id_token_hint names nobody who is signed in")
		}
	}
	t.Hints = signin.Hints{
		Login: short(q.Get("login_hint")), Provider: short(q.Get("idp_hint")), UILocales: short(q.Get("ui_locales")),
		Display: short(q.Get("display")), ACRValues: short(q.Get("acr_values")),
	}
	return nil
}

// short drops a hint that is too long to be one.
func short(s string) string {
	if len(s) > maxHint {
		return ""
	}
	return s
}
