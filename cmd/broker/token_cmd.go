package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"example.com/broker/clients"
	"example.com/broker/dev"
	"example.com/broker/internal/fault"
	"example.com/broker/oauth"
	"example.com/broker/tokens"
	"example.com/broker/users"
)

func newTokenCommand() *cobra.Command {
	wish, data, out := tokenWish{}, "", tokenRaw
	cmd := &cobra.Command{
		Use: "token USER", Short: "Print an access token for a person, made by a running broker dev", Args: arguments("USER"),
		Long: "Print an access token for a person, named by id, address or login name, as if they had signed in to the client: for trying out an API.\n" +
			"Only a broker that runs as `broker dev` makes one. The token can be revoked like any other, and ends when the person is disabled.",
		Example: "  curl http://127.0.0.1:8090/orders -H \"Authorization: Bearer $(broker token alice --api orders)\"\n  broker token bob -o json",
	}
	flags := cmd.Flags()
	flags.StringVar(&wish.API, "api", "", "id or audience of the API the token is for (default: the broker itself)")
	flags.StringVar(&wish.Scope, "scope", "", "scopes, separated by spaces (default: all of the API; for the broker openid profile email roles)")
	flags.StringVar(&wish.Client, "client", dev.CLIClient, "client the token is issued to; it must list the API")
	flags.StringVar(&data, "data", "", "data folder `DIR` of the broker dev that is meant (default: the usual one)")
	flags.VarP(&out, "output", "o", "how to print: raw (the token alone) or json")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		wish.User = args[0]
		if data == "" {
			if data, err = dev.DefaultDir(); err != nil {
				return err
			}
		}
		ctx := cmd.Context()
		c, err := openDev(ctx, data)
		if err != nil {
			return err
		}
		defer func() { _ = c.close(ctx) }()
		made, err := ask[madeToken](ctx, c, "token.make", wish)
		if err != nil {
			return err
		}
		if out == tokenRaw {
			_, err = fmt.Fprintln(cmd.OutOrStdout(), made.AccessToken)
			return err
		}
		e := json.NewEncoder(cmd.OutOrStdout())
		e.SetIndent("", "  ")
		return e.Encode(made) //nolint:gosec // the token is what was asked for
	}
	return cmd
}

// tokenFormat is the flag -o of `broker token`.
type tokenFormat string

const (
	tokenRaw  tokenFormat = "raw"
	tokenJSON tokenFormat = "json"
)

func (f *tokenFormat) String() string { return string(*f) }
func (f *tokenFormat) Type() string   { return "raw|json" }

func (f *tokenFormat) Set(s string) error {
	if *f = tokenFormat(s); *f != tokenRaw && *f != tokenJSON {
		return fmt.Errorf("%q, expected raw or json", s)
	}
	return nil
}

// tokenWish is whose token is wanted, for which API, and as if which client had asked. API and Scope may be empty.
type tokenWish struct{ User, API, Client, Scope string }

// madeToken is what the token endpoint would answer, and whom and what the token is for.
type madeToken struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int    `json:"expires_in"` // seconds
	Scope       string `json:"scope"`
	Subject     string `json:"sub"`
	Audience    string `json:"aud"`
	ClientID    string `json:"client_id"`
}

// makeToken makes an access token for somebody who has proven nothing, in dev alone: elsewhere it would let whoever reaches the control
// socket act as anybody, with nothing but a line of log to show for it. It goes the way of the password grant from the grant on, so the
// token is revoked as all others are. No refresh token comes with it.
func makeToken(ctx context.Context, p *program, in tokenWish) (madeToken, error) {
	if !p.dev {
		return madeToken{}, fault.New(fault.Forbidden, "token_dev_only",
			"This broker runs as `broker serve`, which makes no tokens for people who did not sign in. Use `broker dev`, or a client with the grant client_credentials for a program of yours.")
	}
	u, err := personFor(ctx, p, in.User)
	if err != nil {
		return madeToken{}, err
	}
	client, err := clientFor(ctx, p, in.Client)
	if err != nil {
		return madeToken{}, err
	}
	api, err := apiFor(p, client, in.API)
	if err != nil {
		return madeToken{}, err
	}
	scope, err := scopeFor(p, client, api, in.Scope)
	if err != nil {
		return madeToken{}, err
	}
	// Neither AuthTime nor AMR: nobody proved anything.
	g := tokens.Grant{ClientID: client.ID, UserID: u.ID, Ver: u.Ver, Scope: scope.String()}
	if api.ID != "" {
		g.Audiences = []string{api.ID}
	}
	g, _, err = p.grants.Open(ctx, g, false)
	if err != nil {
		return madeToken{}, err
	}
	access, err := p.tokens.AccessToken(ctx, tokens.AccessRequest{ClientID: client.ID, User: &u, Grant: &g, API: api, Scope: scope})
	if err != nil {
		return madeToken{}, err
	}
	out := madeToken{
		AccessToken: access.Raw, TokenType: "bearer", ExpiresIn: int(access.Life.Seconds()), Scope: scope.String(),
		Subject: u.ID, Audience: api.Audience, ClientID: client.ID,
	}
	if api.ID == "" {
		out.Audience = p.tokens.URL()
	}
	p.log.Info("made an access token by hand", "user_id", u.ID, "client_id", client.ID, "audience", out.Audience)
	return out, nil
}

// maxNamed bounds how many people an error names.
const maxNamed = 20

func personFor(ctx context.Context, p *program, who string) (users.User, error) {
	u, err := p.users.Find(ctx, who)
	switch {
	case fault.Is(err, fault.NotFound):
		list, listErr := p.users.List(ctx, "", maxNamed)
		if listErr != nil {
			return users.User{}, listErr
		}
		var names []string
		for _, one := range list {
			names = append(names, cmp.Or(one.Username, one.Email, one.ID))
		}
		return users.User{}, fault.Wrap(err, fault.NotFound, "user_unknown", "There is no user %q. %s", who, expectOne(names))
	case err != nil:
		return users.User{}, err
	case u.Status != users.Active:
		return users.User{}, fault.New(fault.Forbidden, "user_disabled", "The user %s is disabled: no API would take the token.", who)
	}
	return u, nil
}

func clientFor(ctx context.Context, p *program, id string) (clients.Client, error) {
	c, err := p.clients.Enabled(ctx, id)
	if fault.Is(err, fault.NotFound) {
		list, listErr := p.clients.All(ctx)
		if listErr != nil {
			return clients.Client{}, listErr
		}
		var ids []string
		for _, one := range list {
			if signsPeopleIn(one) {
				ids = append(ids, one.ID)
			}
		}
		return clients.Client{}, fault.Wrap(err, fault.NotFound, "client_unknown", "There is no client %q. %s", id, expectOne(ids))
	}
	if err == nil && !signsPeopleIn(c) {
		err = fault.New(fault.Invalid, "client_without_people", "Nobody signs in to the client %s, which acts for itself: it gets its tokens from /token.", id)
	}
	return c, err
}

func signsPeopleIn(c clients.Client) bool {
	return c.Allows(oauth.GrantAuthorizationCode) || c.Allows(oauth.GrantPassword)
}

// apiFor returns the API with an id or audience, if it is one the client may ask for; the zero API, which is the broker, for "".
func apiFor(p *program, c clients.Client, name string) (clients.API, error) {
	if name == "" || name == p.tokens.URL() {
		return clients.API{}, nil
	}
	api, ok := p.apis.ByResource(name)
	if !ok {
		var ids []string
		for _, one := range p.apis.All().APIs {
			ids = append(ids, one.ID)
		}
		return clients.API{}, fault.New(fault.NotFound, "api_unknown", "There is no API %q. %s Without --api the token is for the broker itself.", name, expectOne(ids))
	}
	if !slices.Contains(c.APIs, api.ID) {
		return clients.API{}, fault.New(fault.Forbidden, "api_not_listed",
			"The client %s may not ask for the API %s: add it to clients.%s.apis, or name another client. %s", c.ID, api.ID, c.ID, expectOne(c.APIs))
	}
	return api, nil
}

// scopeFor reads the scopes asked for; without any a token gets those that make a first try succeed.
func scopeFor(p *program, c clients.Client, api clients.API, asked string) (oauth.Scopes, error) {
	allowed := p.clients.ScopesOf(c)
	if asked == "" {
		usual := api.Scopes
		if api.ID == "" {
			usual = oauth.Scopes{oauth.ScopeOpenID, oauth.ScopeProfile, oauth.ScopeEmail, oauth.ScopeRoles}
		}
		return slices.DeleteFunc(slices.Clone(usual), func(s string) bool { return !allowed.Has(s) }), nil
	}
	scope, err := oauth.ParseScopes(asked)
	if err != nil {
		return nil, err
	}
	if missing, ok := scope.Within(allowed); !ok {
		return nil, fault.New(fault.Invalid, "scope_unknown", "The client %s may not ask for the scope %q. %s", c.ID, missing, expectOne(allowed))
	}
	return scope, nil
}

// expectOne lists what there is.
func expectOne(names []string) string {
	if len(names) == 0 {
		return "There is none yet."
	}
	return "Expected one of: " + oneLine(strings.Join(slices.Sorted(slices.Values(names)), ", ")) + "."
}
