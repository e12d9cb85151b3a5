// Package oidc owns the adapter to OpenID providers, Google among them: discovery, the authorization request, the exchange of a code for
// an ID token that is verified whole, and userinfo. What an upstream is and how it is reached is left to providers; who the person is
// here, to users.
package oidc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/oauth2"

	"example.com/broker/providers"
)

// Provider is one OpenID provider. It is safe for concurrent use.
type Provider struct {
	config providers.Config
	secret string
	client *http.Client
	google bool
	found  *kept[*metadata]
}

var _ providers.Provider = (*Provider)(nil)

// New is the providers.Factory of the kind oidc. It makes no network call: discovery happens when it is first needed.
func New(c providers.Config) (providers.Provider, error) {
	if len(c.HostedDomains) > 0 {
		return nil, errors.New("hosted_domains is for google")
	}
	return build(c)
}

// changing are claims that hold something which a person can be given after another one had it.
var changing = []string{"email", "preferred_username", "upn", "unique_name", "name", "nickname", "phone_number"}

func build(c providers.Config) (*Provider, error) {
	problems := c.Check()
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if c.Issuer == "" {
		bad("issuer is missing")
	} else if err := c.CheckURL(c.Issuer); err != nil {
		bad("issuer: %w", err)
	} else if strings.Contains(c.Issuer, "?") { // OpenID Connect Discovery 1.0 §3
		bad("issuer: %.200q has a query", c.Issuer)
	}
	if c.AuthURL != "" || c.TokenURL != "" || c.APIURL != "" {
		bad("auth_url, token_url and api_url are for github: an OpenID provider is discovered at its issuer")
	}
	if slices.Contains(changing, c.SubjectClaim) {
		bad("subject_claim %q can pass to another person: choose one that never changes hands", c.SubjectClaim)
	}
	client, err := providers.HTTPClient(c)
	if err != nil {
		problems = append(problems, err)
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	c.Namespace = cmp.Or(c.Namespace, c.Issuer)
	c.SubjectClaim = cmp.Or(c.SubjectClaim, "sub")
	switch {
	case len(c.Scopes) == 0:
		c.Scopes = []string{"openid", "profile", "email"}
	case !slices.Contains(c.Scopes, "openid"): // OpenID Connect Core 1.0 §3.1.2.1: without it there is no ID token
		c.Scopes = append([]string{"openid"}, c.Scopes...)
	}
	p := &Provider{config: c.Public(), secret: c.ClientSecret, client: client}
	p.found = &kept[*metadata]{fetch: p.discover, now: c.Now}
	return p, nil
}

// Config returns the configuration with its defaults, without the secret.
func (p *Provider) Config() providers.Config { return p.config }

// Refresh runs discovery again at once. If it fails, the old document stays in use; fault.Upstream as in Exchange.
func (p *Provider) Refresh(ctx context.Context) error {
	_, err := p.found.renew(ctx)
	return err
}

// Issuer returns the configured issuer, and whether the discovery document says that responses carry iss (RFC 9207 §3).
func (p *Provider) Issuer(ctx context.Context) (string, bool, error) {
	m, err := p.found.get(ctx)
	if err != nil {
		return "", false, err
	}
	return p.config.Issuer, m.issInResponse, nil
}

// AuthURL builds the authorization request. fault.Upstream if discovery fails.
func (p *Provider) AuthURL(ctx context.Context, f providers.Flow) (string, error) {
	m, err := p.found.get(ctx)
	if err != nil {
		return "", err
	}
	params := map[string]string{
		"nonce": f.Nonce, "login_hint": f.LoginHint, "prompt": f.Prompt,
		"ui_locales": f.UILocales, "display": f.Display, "acr_values": strings.Join(f.ACRValues, " "),
	}
	if f.MaxAge != nil {
		params["max_age"] = strconv.Itoa(*f.MaxAge)
	}
	if p.google {
		p.googleParams(params)
	}
	return providers.AuthCodeURL(p.oauth(m), f, params)
}

func (p *Provider) oauth(m *metadata) *oauth2.Config {
	return &oauth2.Config{
		ClientID: p.config.ClientID, ClientSecret: p.secret, RedirectURL: p.config.RedirectURI, Scopes: p.config.Scopes,
		Endpoint: oauth2.Endpoint{AuthURL: m.authorization, TokenURL: m.token, AuthStyle: p.config.AuthStyle(oauth2.AuthStyleInHeader)},
	}
}

// Exchange spends the code, verifies the ID token whole, and only then asks userinfo, where there is one. The tokens are forgotten.
func (p *Provider) Exchange(ctx context.Context, f providers.Flow, query url.Values) (providers.Result, error) {
	m, err := p.found.get(ctx)
	if err != nil {
		return providers.Result{}, err
	}
	code := query.Get("code")
	token, err := providers.Redeem(ctx, p.client, p.oauth(m), code, f.Verifier)
	if err != nil {
		return providers.Result{}, err
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := p.verify(ctx, m, raw, evidence{flow: f, code: code, accessToken: token.AccessToken})
	if err != nil {
		return providers.Result{}, err
	}
	if p.google {
		if err := p.checkHostedDomain(id); err != nil {
			return providers.Result{}, err
		}
	}
	var info claims
	if m.userinfo != "" {
		if info, err = p.userinfo(ctx, m, token.AccessToken, id); err != nil {
			return providers.Result{}, err
		}
	}
	return providers.Result{Identity: p.identity(id, info), AMR: id.amr(), AuthTime: id.authTime()}, nil
}

// userinfo returns what the userinfo endpoint says about the person of the ID token.
func (p *Provider) userinfo(ctx context.Context, m *metadata, accessToken string, id claims) (claims, error) {
	info, err := providers.GetObject(ctx, p.client, "userinfo", m.userinfo, accessToken)
	if err != nil {
		return nil, err
	}
	// OpenID Connect Core 1.0 §5.3.2: the access token may have been swapped for another person's.
	if sub, ok := info["sub"].(string); !ok || sub != id["sub"] {
		return nil, providers.Invalid(nil, "The sub of userinfo is not the sub of the ID token.")
	}
	return info, nil
}
