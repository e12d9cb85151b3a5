package token

import (
	"context"
	"slices"
	"strings"
	"time"

	"example.com/broker/clients"
	"example.com/broker/internal/fault"
	"example.com/broker/internal/secret"
	"example.com/broker/oauth"
	"example.com/broker/rbac"
	"example.com/broker/tokens"
	"example.com/broker/users"
)

// maxExchanged is the longest life of a token that an API key was exchanged for: the key is the long-lived credential.
const maxExchanged = 15 * time.Minute

// keyClient begins the client_id of a token whose key came without a client. No registered client has such an id: they hold no colon.
const keyClient = "apikey:"

// exchange turns an API key into an access token (RFC 8693), so that a downstream API verifies one kind of credential only. The key is
// the proof, so no client needs to authenticate; one that does must list the grant type.
func (e *endpoint) exchange(ctx context.Context, r request) (issue, error) {
	switch kind := r.form.Get("subject_token_type"); {
	case r.form.Get("subject_token") == "":
		return issue{}, oauth.Errorf(oauth.ErrInvalidRequest, "subject_token is missing")
	case kind != oauth.TokenTypeAPIKey:
		return issue{}, oauth.Errorf(oauth.ErrInvalidRequest, "subject_token_type is '%.100s', expected %s", kind, oauth.TokenTypeAPIKey)
	case r.form.Has("actor_token") || r.form.Has("actor_token_type"):
		return issue{}, oauth.Errorf(oauth.ErrInvalidRequest, "actor_token is not supported: an API key speaks for its owner alone")
	}
	if want := r.form.Get("requested_token_type"); want != "" && want != oauth.TokenTypeAccessToken {
		return issue{}, oauth.Errorf(oauth.ErrInvalidRequest, "requested_token_type is '%.100s', expected %s", want, oauth.TokenTypeAccessToken)
	}
	key, err := e.Keys.Authenticate(ctx, secret.Value(r.form.Get("subject_token")))
	if fault.Is(err, fault.Forbidden) {
		return issue{}, badKey(err)
	}
	if err != nil {
		return issue{}, err
	}
	u, err := e.Users.Facts(ctx, key.OwnerID)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return issue{}, err
	}
	if err != nil || u.Status != users.Active || key.Ver < u.Epoch {
		return issue{}, badKey(err)
	}
	api, err := e.exchangedFor(r)
	if err != nil {
		return issue{}, err
	}
	scope, err := e.exchangedScope(r, u, key.Scopes, api)
	if err != nil {
		return issue{}, err
	}
	// The grant is the key: what it was exchanged for ends with it.
	g := tokens.Grant{ID: key.ID, UserID: u.ID, Ver: key.Ver}
	return issue{
		user: &u, grant: &g, api: api, scope: scope, client: keyClient + key.ID, exchanged: true, names: e.roleOf(key.Scopes),
		life: min(maxExchanged, max(time.Second, key.ExpiresAt.Sub(e.Now()))),
	}, nil
}

// roleOf reports whether a key reaches as far as a role: an API that asks for roles and not for scopes must not let in a key that its
// owner made for less. A role without permissions here means something elsewhere, and is named by a key that reaches everywhere.
func (e *endpoint) roleOf(key oauth.Scopes) func(role string) bool {
	covers := func(want rbac.Permission) bool {
		return slices.ContainsFunc(key, func(s string) bool { return rbac.Permission(s).Covers(want) })
	}
	sets := e.Roles()
	return func(role string) bool {
		if len(sets[role]) == 0 {
			return covers("*:*")
		}
		return !slices.ContainsFunc(sets[role], func(p rbac.Permission) bool { return !covers(p) })
	}
}

func badKey(cause error) error {
	e := oauth.Errorf(oauth.ErrInvalidGrant, "subject_token is not a good API key: it is malformed, unknown, expired or revoked, or its owner may not come in")
	e.Cause = cause
	return e
}

// exchangedFor returns the API named by `resource`; a client that authenticated is bound to its own list. Without one the token is for
// the broker itself.
func (e *endpoint) exchangedFor(r request) (clients.API, error) {
	asked := r.form["resource"]
	switch {
	case len(asked) > 1:
		return clients.API{}, oauth.Errorf(oauth.ErrInvalidTarget, "resource is given %d times, expected once: one audience per token", len(asked))
	case len(asked) == 0:
		return clients.API{}, nil
	case r.client.ID != "":
		return e.Clients.APIFor(r.client, asked[0])
	}
	api, ok := e.Clients.APIs().ByResource(asked[0])
	if !ok {
		return clients.API{}, oauth.Errorf(oauth.ErrInvalidTarget, "resource '%.200s' is not an API of this broker", asked[0])
	}
	return api, nil
}

// exchangedScope is what the key allows within the rights its owner has now: for an API those of its scopes, for the broker the key's
// own. A narrower scope may be asked for.
func (e *endpoint) exchangedScope(r request, u users.User, key oauth.Scopes, api clients.API) (oauth.Scopes, error) {
	offered := key
	if api.ID != "" {
		offered = api.Scopes
	}
	var granted oauth.Scopes
	roles := u.Roles(e.Now())
	for _, s := range offered {
		want := rbac.Permission(s)
		covered := false
		for _, k := range key {
			covered = covered || rbac.Permission(k).Covers(want)
		}
		if covered && rbac.Can(e.Roles(), roles, want) {
			granted = append(granted, s)
		}
	}
	if len(r.scope) == 0 {
		return granted, nil
	}
	if missing, ok := r.scope.Within(granted); !ok {
		return nil, oauth.Errorf(oauth.ErrInvalidScope, "scope '%.100s' is more than the key allows, which is '%.200s'", missing, strings.Join(granted, " "))
	}
	return r.scope, nil
}
