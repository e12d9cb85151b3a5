// Package github owns the adapter to GitHub and to GitHub Enterprise servers: OAuth 2 with PKCE, and the two calls of the REST API that
// say who came. What an upstream is and how it is reached is left to providers; who the person is here, to users.
package github

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/oauth2"

	"example.com/broker/providers"
	"example.com/broker/users"
)

// Namespace is the namespace of identities of github.com.
const Namespace = "https://github.com"

const (
	authURL  = "https://github.com/login/oauth/authorize"
	tokenURL = "https://github.com/login/oauth/access_token"
	apiURL   = "https://api.github.com"
	// issuerPath after the scheme and host of AuthURL is the iss of GitHub's authorization responses. It sends one since August 2026
	// and advertises it nowhere, so it cannot be required.
	issuerPath = "/login/oauth"
)

type provider struct {
	config providers.Config
	oauth  *oauth2.Config
	client *http.Client
	api    string
	issuer string
}

// New is the providers.Factory of the kind github. AuthURL, TokenURL and APIURL are set together or not at all; with them the default
// namespace is the scheme and host of AuthURL, because account numbers of another server are other people.
func New(c providers.Config) (providers.Provider, error) {
	problems := c.Check()
	bad := func(text string) { problems = append(problems, errors.New(text)) }
	replaced := c.AuthURL != "" || c.TokenURL != "" || c.APIURL != ""
	switch {
	case !replaced:
		c.AuthURL, c.TokenURL, c.APIURL = authURL, tokenURL, apiURL
		c.Namespace = cmp.Or(c.Namespace, Namespace)
	case c.AuthURL == "" || c.TokenURL == "" || c.APIURL == "":
		bad("auth_url, token_url and api_url replace GitHub together: set all three or none")
	case c.Namespace == Namespace:
		bad("namespace " + Namespace + " belongs to github.com, and auth_url names another server: leave it out or choose another")
	}
	for _, u := range []struct{ name, address string }{{"auth_url", c.AuthURL}, {"token_url", c.TokenURL}, {"api_url", c.APIURL}} {
		if err := c.CheckURL(u.address); u.address != "" && err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", u.name, err))
		}
	}
	if len(c.HostedDomains) > 0 {
		bad("hosted_domains is for google")
	}
	if c.SubjectClaim != "" {
		bad("subject_claim is for oidc: GitHub's subject is the number of the account")
	}
	client, err := providers.HTTPClient(c)
	if err != nil {
		problems = append(problems, err)
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	base := origin(c.AuthURL)
	c.Namespace = cmp.Or(c.Namespace, base)
	if len(c.Scopes) == 0 {
		c.Scopes = []string{"read:user", "user:email"}
	}
	if c.Groups && !readsGroups(c.Scopes) {
		c.Scopes = append(slices.Clone(c.Scopes), groupScope)
	}
	return &provider{
		config: c.Public(), client: client, api: strings.TrimSuffix(c.APIURL, "/"), issuer: base + issuerPath,
		oauth: &oauth2.Config{
			ClientID: c.ClientID, ClientSecret: c.ClientSecret, RedirectURL: c.RedirectURI, Scopes: c.Scopes,
			Endpoint: oauth2.Endpoint{AuthURL: c.AuthURL, TokenURL: c.TokenURL, AuthStyle: c.AuthStyle(oauth2.AuthStyleInParams)},
		},
	}, nil
}

// origin returns the scheme and host of an address that CheckURL took.
func origin(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

func (p *provider) Config() providers.Config { return p.config }

// Issuer never requires iss, because GitHub advertises nothing; where it is sent, it must be right (RFC 9207 §2.4).
func (p *provider) Issuer(context.Context) (string, bool, error) { return p.issuer, false, nil }

func (p *provider) AuthURL(_ context.Context, f providers.Flow) (string, error) {
	params := map[string]string{"login": f.LoginHint}
	// GitHub knows no other prompt. To be asked again which account to use is the nearest to signing in again.
	if f.Prompt == "select_account" || f.Prompt == "login" {
		params["prompt"] = "select_account"
	}
	return providers.AuthCodeURL(p.oauth, f, params)
}

// Exchange spends the code for an access token, asks with it who came, and forgets it.
func (p *provider) Exchange(ctx context.Context, f providers.Flow, query url.Values) (providers.Result, error) {
	token, err := providers.Redeem(ctx, p.client, p.oauth, query.Get("code"), f.Verifier)
	if err != nil {
		return providers.Result{}, err
	}
	user, err := providers.GetObject(ctx, p.client, "the GitHub account", p.api+"/user", token.AccessToken)
	if err != nil {
		return providers.Result{}, err
	}
	subject, ok := accountNumber(user["id"])
	if !ok {
		return providers.Result{}, providers.Invalid(nil, "GitHub's account has no id that is a positive whole number.")
	}
	email, err := p.email(ctx, token.AccessToken)
	if err != nil {
		return providers.Result{}, err
	}
	// A mapping rule on the address must not see the unproven one of the profile.
	delete(user, "notification_email")
	user["email"], user["email_verified"] = email, email != ""
	unasked := p.groups(ctx, token, user)
	return providers.Result{Identity: users.Identity{
		Provider: p.config.ID, Namespace: p.config.Namespace, Subject: subject,
		Email: email, EmailVerified: email != "",
		Handle: providers.Line(user["login"]), Name: providers.Line(user["name"]), Picture: p.config.PictureURL(user["avatar_url"]),
		Claims: user, Unasked: unasked,
	}}, nil
}

// accountNumber takes a whole number in JSON and nothing that a lenient reader could take for another one.
func accountNumber(v any) (string, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return "", false
	}
	id, err := strconv.ParseInt(n.String(), 10, 64)
	if err != nil || id <= 0 {
		return "", false
	}
	return strconv.FormatInt(id, 10), true
}

// email returns the primary address if GitHub has verified it, "" if there is none or the token may not read it. The address in /user is
// the one a person chose to show and proves nothing.
func (p *provider) email(ctx context.Context, token string) (string, error) {
	v, err := providers.Get(ctx, p.client, "the addresses of the GitHub account", p.api+"/user/emails?per_page=100", token)
	if refused, ok := errors.AsType[*providers.StatusError](err); ok && scopeMissing(refused) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	list, ok := v.([]any)
	if !ok {
		return "", providers.Invalid(nil, "GitHub's addresses are not a list.")
	}
	for _, v := range list {
		entry, ok := v.(map[string]any)
		if !ok {
			return "", providers.Invalid(nil, "One of GitHub's addresses is not an object.")
		}
		if entry["primary"] == true && entry["verified"] == true {
			return providers.Address(entry["email"]), nil
		}
	}
	return "", nil
}

// scopeMissing tells a token without the scope user:email from one that has used up its calls, which GitHub also answers with 403: without
// the address the person would get a second account.
func scopeMissing(e *providers.StatusError) bool {
	limited := e.Header.Get("X-RateLimit-Remaining") == "0" || e.Header.Get("Retry-After") != ""
	return e.Status == http.StatusNotFound || (e.Status == http.StatusForbidden && !limited)
}
