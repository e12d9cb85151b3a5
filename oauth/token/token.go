// Package token is the token endpoint (RFC 6749 §3.2) and POST /refresh: one pipeline with a hook per grant type, so that none can skip
// client authentication, the client's list of grants, or the check of the user. What a grant is belongs to tokens.
package token

import (
	"cmp"
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/broker/apikeys"
	"example.com/broker/clients"
	"example.com/broker/internal/fault"
	"example.com/broker/internal/secret"
	"example.com/broker/oauth"
	"example.com/broker/rbac"
	"example.com/broker/tokens"
	"example.com/broker/users"
	"example.com/broker/web"
)

// Deps are what the endpoint stands on. All are required but DefaultClient.
type Deps struct {
	Clients *clients.Service
	Users   *users.Service
	Grants  *tokens.Grants
	Issuer  *tokens.Issuer
	Keys    *apikeys.Service
	// Roles are the permission sets of the roles.
	Roles func() map[string][]rbac.Permission
	Now   func() time.Time
	// DefaultClient is meant where the password grant and /refresh come without client_id, "" for none.
	DefaultClient string
	// Observe counts answers by grant type and result.
	Observe func(grant, result string)
}

type endpoint struct {
	Deps
	hooks map[string]hook
}

// hook turns the parameters of one grant type into what is to be issued.
type hook func(ctx context.Context, r request) (issue, error)

// request is what every hook gets: the client has been authenticated and lists the grant type.
type request struct {
	client  clients.Client
	form    url.Values
	address netip.Addr
	scope   oauth.Scopes // asked for, nil for none
}

// issue is what a hook found.
type issue struct {
	user    *users.User
	grant   *tokens.Grant
	api     clients.API
	scope   oauth.Scopes
	refresh string
	id      bool // an ID token belongs to the answer
	// client is the client_id of the token where it is not the one that authenticated; exchanged adds what RFC 8693 §2.2.1 demands.
	client    string
	exchanged bool
	life      time.Duration // the longest the token may live, 0 for as long as any
	names     func(role string) bool
}

// Routes returns the routes of this package.
func Routes(d Deps) []web.Route {
	if d.Observe == nil {
		d.Observe = func(string, string) {}
	}
	e := &endpoint{Deps: d}
	e.hooks = map[string]hook{
		oauth.GrantAuthorizationCode: e.code,
		oauth.GrantRefreshToken:      e.refresh,
		oauth.GrantPassword:          e.password,
		oauth.GrantClientCredentials: e.self,
		oauth.GrantTokenExchange:     e.exchange,
	}
	return []web.Route{
		{Method: http.MethodPost, Path: "/token", Lane: web.Protocol, Guard: web.By("client"), CORS: web.ClientCORS, Handle: e.token},
		{Method: http.MethodPost, Path: "/refresh", Lane: web.Protocol, Guard: web.By("client"), CORS: web.ClientCORS, Handle: e.refreshJSON},
	}
}

func (e *endpoint) token(c *gin.Context) error {
	form, err := web.Form(c)
	if err != nil {
		return err
	}
	// The one parameter that may repeat; those asked for by Get read as left out when they are empty (RFC 6749 §3.2).
	if form["resource"] = e.targets(form); len(form["resource"]) == 0 {
		form.Del("resource")
	}
	return e.answer(c, form)
}

// targets are the APIs that a request names: by `resource` (RFC 8707), or by the `audience` of RFC 8693 §2.1, which clients send with other
// grants too. To pass over it would give them a token for somebody else. The issuer is meant where none is named.
func (e *endpoint) targets(form url.Values) []string {
	named := oauth.Given(form["resource"])
	for _, audience := range oauth.Given(form["audience"]) {
		if !slices.Contains(named, audience) && (audience != e.Issuer.URL() || len(named) > 0) {
			named = append(named, audience)
		}
	}
	return named
}

// refreshJSON is grant_type=refresh_token for callers that speak JSON. Without client_id the client is meant that has the token.
func (e *endpoint) refreshJSON(c *gin.Context) error {
	form, err := web.FormJSON(c, "refresh_token", "client_id", "client_secret", "scope", "resource")
	if err != nil {
		return err
	}
	for name, values := range form {
		if values[0] == "" {
			form.Del(name)
		}
	}
	form.Set("grant_type", oauth.GrantRefreshToken)
	if form.Has("client_id") || c.GetHeader("Authorization") != "" {
		return e.answer(c, form)
	}
	// The token says whose it is; a client that keeps a secret must prove all the same that it is the one.
	client, err := e.Grants.ClientOf(c.Request.Context(), form.Get("refresh_token"))
	if err != nil {
		return err
	}
	if client = cmp.Or(client, e.DefaultClient); client != "" {
		form.Set("client_id", client)
	}
	return e.answer(c, form)
}

// answer is the pipeline: grant type, client, client's grants, scope, hook, signatures.
func (e *endpoint) answer(c *gin.Context, form url.Values) error {
	ctx := c.Request.Context()
	grant := form.Get("grant_type")
	hook, ok := e.hooks[grant]
	if !ok {
		if grant == "" {
			return oauth.Errorf(oauth.ErrInvalidRequest, "grant_type is missing")
		}
		return oauth.Errorf(oauth.ErrUnsupportedGrantType, "grant_type '%.60s' is not supported", grant)
	}
	client, err := e.authenticate(c, form)
	if err != nil {
		e.Observe(grant, "refused")
		return err
	}
	web.RestrictOrigin(c, e.Clients.OriginsOf(client))
	if client.ID != "" && !client.Allows(grant) {
		e.Observe(grant, "refused")
		return oauth.Errorf(oauth.ErrUnauthorizedClient, "client %s is not registered for the grant type %s", client.ID, grant)
	}
	r := request{client: client, form: form}
	r.address, _ = web.ClientAddress(c)
	if r.scope, err = oauth.ParseScopes(form.Get("scope")); err != nil {
		return err
	}
	what, err := hook(ctx, r)
	if err != nil {
		e.Observe(grant, "refused")
		return err
	}
	what.scope = e.Clients.APIs().Reach(what.api, what.scope)
	body, err := e.sign(ctx, client, what)
	if err != nil {
		return err
	}
	e.Observe(grant, "ok")
	// RFC 6749 §5.1: the answer must not be stored; Cache-Control is set by the lane.
	c.Header("Pragma", "no-cache")
	c.JSON(http.StatusOK, body)
	return nil
}

func (e *endpoint) authenticate(c *gin.Context, form url.Values) (clients.Client, error) {
	cr, err := clients.Presented(c.Request, form)
	if err != nil {
		return clients.Client{}, err
	}
	if cr.ID == "" && form.Get("grant_type") == oauth.GrantTokenExchange {
		return clients.Client{}, nil // the key is the proof
	}
	if cr.ID == "" {
		switch {
		case form.Get("grant_type") != oauth.GrantPassword:
			return clients.Client{}, oauth.Errorf(oauth.ErrInvalidRequest, "client_id is missing: say which client asks")
		case e.DefaultClient == "":
			return clients.Client{}, oauth.Errorf(oauth.ErrInvalidClient, "client_id is missing, and no client is meant by default")
		}
		cr.ID = e.DefaultClient
	}
	return e.Clients.Authenticate(c.Request.Context(), cr)
}

func (e *endpoint) sign(ctx context.Context, client clients.Client, what issue) (gin.H, error) {
	access, err := e.Issuer.AccessToken(ctx, tokens.AccessRequest{
		ClientID: cmp.Or(what.client, client.ID), User: what.user, Grant: what.grant, API: what.api, Scope: what.scope,
		MaxLife: what.life, Names: what.names,
	})
	if err != nil {
		return nil, err
	}
	body := gin.H{
		"access_token": access.Raw, "token_type": "bearer", "expires_in": int(access.Life.Seconds()), "scope": what.scope.String(),
	}
	if what.exchanged {
		body["issued_token_type"] = oauth.TokenTypeAccessToken
	}
	if what.refresh != "" {
		body["refresh_token"] = what.refresh
	}
	if what.id {
		body["id_token"], err = e.Issuer.IDToken(ctx, tokens.IDRequest{Client: client, User: *what.user, Grant: *what.grant, AccessToken: access.Raw})
		if err != nil {
			return nil, err
		}
	}
	return body, nil
}

// code redeems an authorization code (RFC 6749 §4.1.3).
func (e *endpoint) code(ctx context.Context, r request) (issue, error) {
	if r.form.Get("code") == "" {
		return issue{}, oauth.Errorf(oauth.ErrInvalidRequest, "code is missing")
	}
	g, refresh, err := e.Grants.Redeem(ctx, tokens.RedeemRequest{
		Code: r.form.Get("code"), ClientID: r.client.ID, RedirectURI: r.form.Get("redirect_uri"), Verifier: r.form.Get("code_verifier"),
		Refresh: r.client.Allows(oauth.GrantRefreshToken), Check: e.checkBeforeSpending(r),
	})
	if err != nil {
		return issue{}, err
	}
	what, err := e.forUser(ctx, r, g)
	if err != nil {
		return issue{}, err
	}
	what.refresh, what.id = refresh, oauth.Scopes(what.scope).Has(oauth.ScopeOpenID)
	return what, nil
}

// refresh spends a refresh token (RFC 6749 §6). It returns no ID token.
func (e *endpoint) refresh(ctx context.Context, r request) (issue, error) {
	if r.form.Get("refresh_token") == "" {
		return issue{}, oauth.Errorf(oauth.ErrInvalidRequest, "refresh_token is missing")
	}
	g, refresh, err := e.Grants.Rotate(ctx, tokens.RotateRequest{Token: r.form.Get("refresh_token"), ClientID: r.client.ID, Check: e.checkBeforeSpending(r)})
	if err != nil {
		return issue{}, err
	}
	what, err := e.forUser(ctx, r, g)
	if err != nil {
		return issue{}, err
	}
	what.refresh = refresh
	return what, nil
}

// checkBeforeSpending refuses a scope or resource that was not granted while the code or token is still good; nil where the request
// names neither, which saves a read.
func (e *endpoint) checkBeforeSpending(r request) func(tokens.Grant) error {
	if len(r.scope) == 0 && !r.form.Has("resource") {
		return nil
	}
	return func(g tokens.Grant) error {
		if _, err := g.Narrow(r.scope); err != nil {
			return err
		}
		_, err := e.audience(r, g.Audiences)
		return err
	}
}

// forUser completes what is issued on a grant: the user must still be let in, and has the roles of now.
func (e *endpoint) forUser(ctx context.Context, r request, g tokens.Grant) (issue, error) {
	u, err := e.Users.Facts(ctx, g.UserID)
	if fault.Is(err, fault.NotFound) {
		return issue{}, tokens.InvalidGrant()
	}
	if err != nil {
		return issue{}, err
	}
	if err := tokens.CheckUser(g, u); err != nil {
		return issue{}, err
	}
	scope, err := g.Narrow(r.scope)
	if err != nil {
		return issue{}, err
	}
	api, err := e.audience(r, g.Audiences)
	if err != nil {
		return issue{}, err
	}
	return issue{user: &u, grant: &g, api: api, scope: scope}, nil
}

// audience picks the one API a token is for (RFC 8707 §2.2): the resource named now, which must have been granted; else the first one
// granted; else the client's default; else the issuer, which is the zero API.
func (e *endpoint) audience(r request, granted []string) (clients.API, error) {
	asked := r.form["resource"]
	switch {
	case len(asked) > 1:
		return clients.API{}, oauth.Errorf(oauth.ErrInvalidTarget, "resource is given %d times, expected once: one audience per token", len(asked))
	case len(asked) == 1:
		api, err := e.Clients.APIFor(r.client, asked[0])
		if err != nil {
			return clients.API{}, err
		}
		if !slices.Contains(granted, api.ID) && api.ID != r.client.DefaultAPI {
			return clients.API{}, oauth.Errorf(oauth.ErrInvalidTarget, "resource '%.100s' was not granted", asked[0])
		}
		return api, nil
	case len(granted) > 0:
		return e.api(r.client, granted[0])
	}
	return e.api(r.client, r.client.DefaultAPI)
}

func (e *endpoint) api(c clients.Client, id string) (clients.API, error) {
	if id == "" {
		return clients.API{}, nil
	}
	api, ok := e.Clients.APIs().Get(id)
	if !ok || !slices.Contains(c.APIs, id) {
		return clients.API{}, oauth.Errorf(oauth.ErrInvalidTarget, "the API %.100s is no longer open to this client", id)
	}
	return api, nil
}

// direct is audience for the grants that begin here: what is asked for is granted.
func (e *endpoint) direct(r request) (clients.API, oauth.Scopes, error) {
	if missing, ok := r.scope.Within(e.Clients.ScopesOf(r.client)); !ok {
		return clients.API{}, nil, oauth.Errorf(oauth.ErrInvalidScope, "scope '%.100s' is unknown or not allowed for client %s", missing, r.client.ID)
	}
	var granted []string
	for _, resource := range r.form["resource"] {
		api, err := e.Clients.APIFor(r.client, resource)
		if err != nil {
			return clients.API{}, nil, err
		}
		granted = append(granted, api.ID)
	}
	api, err := e.audience(r, granted)
	return api, r.scope, err
}

// password checks a name and a password (RFC 6749 §4.3). That the client is first-party is part of listing the grant, see
// clients.Validate; it is asked here too, since what a registration said may be old.
func (e *endpoint) password(ctx context.Context, r request) (issue, error) {
	if !r.client.FirstParty {
		return issue{}, oauth.Errorf(oauth.ErrUnauthorizedClient, "the password grant is for first-party clients")
	}
	name, password := r.form.Get("username"), secret.Value(r.form.Get("password"))
	if name == "" || password == "" {
		return issue{}, oauth.Errorf(oauth.ErrInvalidRequest, "username and password are both needed")
	}
	api, scope, err := e.direct(r)
	if err != nil {
		return issue{}, err
	}
	u, err := e.Users.Authenticate(ctx, name, password, r.address)
	if fault.Is(err, fault.Unauthenticated) || fault.Is(err, fault.Forbidden) {
		// A disabled user gets the words of a wrong password: the endpoint names no accounts.
		denied := oauth.Errorf(oauth.ErrInvalidGrant, "username or password is wrong")
		denied.Cause = err
		return issue{}, denied
	}
	if err != nil {
		return issue{}, err
	}
	g := tokens.Grant{ClientID: r.client.ID, UserID: u.ID, Ver: u.Ver, Scope: scope.String(), AuthTime: e.Now(), AMR: []string{"pwd"}}
	if api.ID != "" && r.form.Has("resource") {
		g.Audiences = []string{api.ID}
	}
	g, refresh, err := e.Grants.Open(ctx, g, r.client.Allows(oauth.GrantRefreshToken))
	if err != nil {
		return issue{}, err
	}
	return issue{user: &u, grant: &g, api: api, scope: scope, refresh: refresh}, nil
}

// self is the client acting for itself (RFC 6749 §4.4). Scopes that speak of a person mean nothing here.
func (e *endpoint) self(_ context.Context, r request) (issue, error) {
	for _, s := range r.scope {
		if oauth.StandardScopes().Has(s) {
			return issue{}, oauth.Errorf(oauth.ErrInvalidScope, "scope '%s' speaks of a person, and the client acts for itself", s)
		}
	}
	api, scope, err := e.direct(r)
	return issue{api: api, scope: scope}, err
}
