package main

import (
	"context"
	"net/http"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"example.com/broker/verify"
)

// The client that most Go programs use, unpatched: discovery, code + PKCE, ID token, userinfo, refresh.
func TestGoOIDCSignsPeopleIn(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		alice := w.person("alice", "editor")
		ctx := oidc.ClientContext(t.Context(), http.DefaultClient)
		provider, err := oidc.NewProvider(ctx, w.issuer)
		if err != nil {
			t.Fatal(err)
		}
		rp := oauth2.Config{
			ClientID: "web", ClientSecret: webSecret, Endpoint: provider.Endpoint(), RedirectURL: appRedirect,
			Scopes: []string{oidc.ScopeOpenID, "profile", "email", "roles", oidc.ScopeOfflineAccess},
		}
		verifier := oauth2.GenerateVerifier()
		a, b := w.app("web", webSecret), w.browser()
		a.state = "state-of-the-client"
		p := b.open(rp.AuthCodeURL(a.state, oauth2.S256ChallengeOption(verifier), oidc.Nonce("n-1")))
		p = b.submit(p, "signin-form", map[string][]string{"username": {alice.Username}, "password": {w.password}})
		token, err := rp.Exchange(ctx, a.code(p), oauth2.VerifierOption(verifier))
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := token.Extra("id_token").(string)
		id, err := provider.Verifier(&oidc.Config{ClientID: "web"}).Verify(ctx, raw)
		if err != nil {
			t.Fatalf("the ID token does not verify: %v", err)
		}
		if id.Subject != alice.ID || id.Nonce != "n-1" || id.VerifyAccessToken(token.AccessToken) != nil {
			t.Errorf("the ID token says %+v", id)
		}
		info, err := provider.UserInfo(ctx, rp.TokenSource(ctx, token))
		if err != nil || info.Subject != alice.ID || info.Email != alice.Email || !info.EmailVerified {
			t.Errorf("userinfo says %+v, %v", info, err)
		}
		expired := *token
		expired.AccessToken, expired.Expiry = "", token.Expiry.AddDate(-1, 0, 0)
		next, err := rp.TokenSource(ctx, &expired).Token()
		if err != nil || next.AccessToken == token.AccessToken || next.RefreshToken == token.RefreshToken {
			t.Errorf("refreshing gave %v, %v", next, err)
		}
	})
}

// Two APIs with audiences of their own, each with nothing but the JWKS address.
func TestEachAPITakesOnlyTheTokensMeantForIt(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		alice := w.person("alice", "editor")
		api := func(audience string) *verify.Verifier {
			set, err := verify.Remote(w.issuer+"/jwks", verify.RemoteOptions{})
			if err != nil {
				t.Fatal(err)
			}
			v, err := verify.New(verify.Config{Issuer: w.issuer, Audience: audience, Keys: set})
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		a, b := w.app("spa", ""), w.browser()
		q := b.signInByPassword(a, alice.Username, "scope", "openid orders:read stock:read", "resource", ordersAPI)
		orders := a.redeem(a.code(q)).str("access_token")
		stock := a.redeem(a.code(b.open(a.authorizeURL("scope", "stock:read", "resource", stockAPI)))).str("access_token")
		own := a.redeem(a.code(b.open(a.authorizeURL()))).str("access_token")
		for _, c := range []struct {
			name, token string
			opens       map[string]bool
		}{
			{"orders", orders, map[string]bool{ordersAPI: true}},
			{"stock", stock, map[string]bool{stockAPI: true}},
			{"the broker's own", own, map[string]bool{"/me": true}},
		} {
			for _, audience := range []string{ordersAPI, stockAPI} {
				if _, err := api(audience).Verify(context.WithoutCancel(t.Context()), c.token); (err == nil) != c.opens[audience] {
					t.Errorf("the token for %s at %s: %v", c.name, audience, err)
				}
			}
			if got := w.get("/me", "Authorization", "Bearer "+c.token).StatusCode; (got == http.StatusOK) != c.opens["/me"] {
				t.Errorf("the token for %s at /me: %d", c.name, got)
			}
		}
	})
}
