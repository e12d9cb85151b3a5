package main

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/config"
	"example.com/broker/tokens"
	"example.com/broker/verify"
)

func TestTokens(t *testing.T) { runFlows(t, flowsOfTokens()) }

func introspection(w *world, token, client, clientSecret string) reply {
	w.Helper()
	return w.post("/introspect", url.Values{"token": {token}}, "Authorization", basicHeader(client, clientSecret))
}

func flowsOfTokens() []flow {
	return []flow{
		{Rule: "userinfo by GET, by POST with the header, by POST with the form", Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "", "scope", "openid profile email roles")
			want := map[string]any{
				"sub": s.who.ID, "name": s.who.Name, "preferred_username": s.who.Username, "email": s.who.Email, "email_verified": true, "roles": []any{"viewer"},
			}
			for what, r := range map[string]reply{
				"GET":         w.userinfo(s.access()),
				"POST":        w.call(http.MethodPost, "/userinfo", "", "", "Authorization", s.bearer()),
				"POST a form": w.post("/userinfo", url.Values{"access_token": {s.access()}}),
				"lower case":  w.get("/userinfo", "Authorization", "bearer "+s.access()),
			} {
				delete(r.json, "updated_at")
				if diff := cmp.Diff(want, r.json); r.StatusCode != http.StatusOK || diff != "" {
					t.Errorf("%s answered %d (-want +got):\n%s", what, r.StatusCode, diff)
				}
			}
			if r := w.get("/userinfo"); r.StatusCode != http.StatusUnauthorized || r.Header.Get("WWW-Authenticate") != `Bearer realm="broker"` {
				t.Errorf("without a token %d %q", r.StatusCode, r.Header.Get("WWW-Authenticate"))
			}
		}},
		{Rule: "introspection: by the client it was issued to, by one that may call its API, by one that may ask about any", Run: func(t *testing.T, w *world) {
			own, orders := w.signIn("web", webSecret, "scope", "openid offline_access"), w.signIn("spa", "", "resource", stockAPI, "scope", "openid stock:read")
			r := introspection(w, own.access(), "web", webSecret)
			if r.json["active"] != true || r.str("sub") != own.who.ID || r.str("client_id") != "web" || r.str("token_type") != "Bearer" || r.str("aud") != ordersAPI {
				t.Errorf("its own client is told %s", r.raw)
			}
			r = introspection(w, own.refresh(), "web", webSecret)
			if r.json["active"] != true || r.str("sub") != own.who.ID || r.str("scope") != "openid offline_access" {
				t.Errorf("its own client is told about the refresh token %s", r.raw)
			}
			if r := introspection(w, orders.access(), "auditor", auditSecret); r.json["active"] != true || r.str("aud") != stockAPI {
				t.Errorf("the API's client is told %s", r.raw)
			}
			for what, token := range map[string]string{"a person's token": own.access(), "an API's": orders.access(), "a refresh token": orders.refresh(), "a client's own": w.clientToken("auditor", auditSecret).str("access_token")} {
				if r := introspection(w, token, "service", serviceSecret); r.json["active"] != true {
					t.Errorf("who may ask about any is told about %s: %s", what, r.raw)
				}
			}
			for what, r := range map[string]reply{
				"a stranger": introspection(w, own.access(), "auditor", auditSecret), "a stranger about a refresh token": introspection(w, own.refresh(), "auditor", auditSecret),
				"a spent refresh token": func() reply { own.app.refresh(own.refresh()); return introspection(w, own.refresh(), "web", webSecret) }(),
			} {
				if r.raw != `{"active":false}` {
					t.Errorf("%s is told %s", what, r.raw)
				}
			}
			// client_secret_post, for the client registered so.
			if r := w.post("/introspect", url.Values{"token": {"x"}, "client_id": {"odd"}, "client_secret": {oddSecret}, "token_type_hint": {"access_token"}}); r.raw != `{"active":false}` {
				t.Errorf("by form: %d %s", r.StatusCode, r.raw)
			}
		}},
		{Rule: "revocation: an access token alone, a refresh token with all that was bought with it, nothing of others", Run: func(t *testing.T, w *world) {
			revoke := func(token, client string) reply {
				return w.post("/revoke", url.Values{"token": {token}, "client_id": {client}})
			}
			s := w.signIn("spa", "")
			second := s.app.refresh(s.refresh())
			for what, r := range map[string]reply{
				"another client's access token": revoke(s.access(), "native"), "another's refresh token": revoke(second.str("refresh_token"), "native"),
				"no token": revoke("x", "spa"), "an ID token": revoke(s.tokens.str("id_token"), "spa"),
			} {
				if r.StatusCode != http.StatusOK || r.raw != "" {
					t.Errorf("%s answered %d %s", what, r.StatusCode, r.raw)
				}
			}
			w.alive("the token after strangers tried", s.access())
			if r := revoke(s.access(), "spa"); r.StatusCode != http.StatusOK {
				t.Errorf("revoking answered %d", r.StatusCode)
			}
			w.dead("a revoked token", s.access())
			w.alive("its sibling", second.str("access_token"))
			if r := revoke(s.access(), "spa"); r.StatusCode != http.StatusOK {
				t.Errorf("revoking again answered %d", r.StatusCode)
			}
			third := s.app.refresh(second.str("refresh_token"))
			revoke(third.str("refresh_token"), "spa")
			w.dead("an access token of a revoked family", second.str("access_token"))
			w.dead("the newest", third.str("access_token"))
			s.app.refresh(third.str("refresh_token")).fails(t, http.StatusBadRequest, "invalid_grant")
			w.post("/revoke", url.Values{"client_id": {"spa"}}).fails(t, http.StatusBadRequest, "invalid_request")
			w.post("/revoke", url.Values{"token": {"x"}}).fails(t, http.StatusUnauthorized, "invalid_client")
			w.post("/revoke", url.Values{"token": {"x"}, "client_id": {"web"}}).fails(t, http.StatusUnauthorized, "invalid_client")
			confidential := w.signIn("web", webSecret)
			confidential.app.post("/revoke", url.Values{"token": {confidential.refresh()}, "token_type_hint": {"access_token"}})
			w.dead("a token of a confidential client", confidential.access())
		}},
		{Rule: "client_secret_basic is percent-decoded, client_secret_post is taken as it is", Run: func(t *testing.T, w *world) {
			s := w.signIn("percent", oddSecret) // app.post encodes both parts, as RFC 6749 §2.3.1 demands
			if r := s.app.refresh(s.refresh()); r.StatusCode != http.StatusOK {
				t.Errorf("refreshing answered %d %s", r.StatusCode, r.raw)
			}
			raw := "Basic " + encode("percent:"+oddSecret)
			w.post("/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}}, "Authorization", raw).fails(t, http.StatusUnauthorized, "invalid_client")
			spaced := "basic  " + encode("percent:"+url.QueryEscape(oddSecret))
			w.post("/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}}, "Authorization", spaced).fails(t, http.StatusBadRequest, "invalid_grant")

			a, b, alice := w.app("odd", ""), w.browser(), w.person("alice")
			code := a.code(b.signInByPassword(a, alice.Username))
			a.redeem(code).fails(t, http.StatusUnauthorized, "invalid_client")
			r := a.redeem(code, "client_secret", oddSecret)
			if r.StatusCode != http.StatusOK || header(t, r.str("id_token"))["alg"] != "ES256" {
				t.Errorf("client_secret_post got %d %s", r.StatusCode, r.raw)
			}
		}},
		{Rule: "two APIs refuse each other's tokens, and neither's opens the broker", Run: func(t *testing.T, w *world) {
			set, err := verify.Remote(w.issuer+"/jwks", verify.RemoteOptions{})
			if err != nil {
				t.Fatal(err)
			}
			apis := map[string]*verify.Verifier{}
			for _, aud := range []string{ordersAPI, stockAPI, w.issuer} {
				if apis[aud], err = verify.New(verify.Config{Issuer: w.issuer, Audience: aud, Keys: set}); err != nil {
					t.Fatal(err)
				}
			}
			tokens := map[string]string{
				ordersAPI: w.signIn("spa", "", "resource", ordersAPI, "scope", "openid orders:read").access(),
				stockAPI:  w.signIn("spa", "", "resource", stockAPI, "scope", "openid stock:read").access(),
				w.issuer:  w.signIn("spa", "").access(),
			}
			for aud, token := range tokens {
				for at, api := range apis {
					got, err := api.Verify(t.Context(), token)
					if (err == nil) != (aud == at) {
						t.Errorf("the API %s answers a token for %s with %v", at, aud, err)
					}
					if err == nil && (got.Subject.Kind != verify.KindUser || !slices.Contains(got.Subject.Roles, "viewer") || got.Subject.ClientID != "spa") {
						t.Errorf("%s sees %+v", at, got.Subject)
					}
				}
				r := w.get("/me", "Authorization", "Bearer "+token)
				if (r.StatusCode == http.StatusOK) != (aud == w.issuer) {
					t.Errorf("/me answers a token for %s with %d", aud, r.StatusCode)
				}
			}
			service, err := apis[ordersAPI].Verify(t.Context(), w.clientToken("service", serviceSecret, "resource", ordersAPI, "scope", "orders:write").str("access_token"))
			if err != nil || service.Subject.Kind == verify.KindUser || service.Subject.ID != "service" || !cmp.Equal(service.Subject.Scopes, []string{"orders:write"}) {
				t.Errorf("a client's own token is %+v, %v", service, err)
			}
		}},
		{Rule: "a resource granted among several is picked at the token endpoint, and another at a refresh", Run: func(t *testing.T, w *world) {
			a, b, alice := w.app("spa", ""), w.browser(), w.person("alice")
			address := a.authorizeURL("scope", "openid orders:read stock:read") + "&" + url.Values{"resource": {ordersAPI, stockAPI}}.Encode()
			p := b.submit(b.open(address), "signin-form", url.Values{"username": {alice.Username}, "password": {w.password}})
			r := a.redeem(a.code(p), "resource", stockAPI)
			if got := claims(t, r.str("access_token"))["aud"]; got != stockAPI {
				t.Errorf("the token is for %v", got)
			}
			r = a.refresh(r.str("refresh_token"), "resource", ordersAPI)
			if got := claims(t, r.str("access_token"))["aud"]; got != ordersAPI {
				t.Errorf("the refreshed token is for %v", got)
			}
			a.refresh(r.str("refresh_token"), "resource", w.issuer).fails(t, http.StatusBadRequest, "invalid_target")
		}},
		{Rule: "an app without a resource gets its default API, or the issuer", Run: func(t *testing.T, w *world) {
			if got := claims(t, w.signIn("web", webSecret).access())["aud"]; got != ordersAPI {
				t.Errorf("with a default API the token is for %v", got)
			}
			if got := claims(t, w.signIn("spa", "").access())["aud"]; got != w.issuer {
				t.Errorf("without one it is for %v", got)
			}
		}},
		{Rule: "which claim is where", Run: claimsTable},
		{Rule: "the password grant answers as the guide says", Run: func(t *testing.T, w *world) {
			alice := w.person("alice", "editor")
			r := w.passwordGrant(alice.Username, w.password)
			want := []string{"access_token", "expires_in", "refresh_token", "scope", "token_type"}
			if got := slices.Sorted(maps.Keys(r.json)); !cmp.Equal(got, want) || r.str("token_type") != "bearer" || r.json["expires_in"] != 900.0 {
				t.Errorf("answered %s", r.raw)
			}
			r = w.post("/token", url.Values{"grant_type": {"password"}, "username": {strings.ToUpper(alice.Email)}, "password": {w.password}, "scope": {"openid orders:read"}, "resource": {ordersAPI}})
			if got := claims(t, r.str("access_token")); got["aud"] != ordersAPI || got["scope"] != "openid orders:read" || got["client_id"] != "cli" {
				t.Errorf("with scope and resource the token says %v", got)
			}
			// A refresh keeps the API; and /refresh takes JSON.
			j := w.call(http.MethodPost, "/refresh", "application/json", `{"refresh_token":"`+r.str("refresh_token")+`"}`)
			if got := claims(t, j.str("access_token")); j.StatusCode != http.StatusOK || got["aud"] != ordersAPI {
				t.Errorf("/refresh answered %d %s", j.StatusCode, j.raw)
			}
			j = w.call(http.MethodPost, "/refresh", "application/json", `{"refresh_token":"`+j.str("refresh_token")+`","client_id":"cli","scope":"openid"}`)
			if j.StatusCode != http.StatusOK || j.str("scope") != "openid" {
				t.Errorf("/refresh with less answered %d %s", j.StatusCode, j.raw)
			}
			w.call(http.MethodPost, "/refresh", "application/json", `{"refresh_token":"x"}`).fails(t, http.StatusBadRequest, "invalid_grant")
			w.call(http.MethodPost, "/refresh", "application/json", `{}`).fails(t, http.StatusBadRequest, "invalid_request")
		}},
		{Rule: "/refresh works for a confidential client too", Run: func(t *testing.T, w *world) {
			s := w.signIn("web", webSecret)
			r := w.call(http.MethodPost, "/refresh", "application/json", `{"refresh_token":"`+s.refresh()+`"}`, "Authorization", basicHeader("web", webSecret))
			if r.StatusCode != http.StatusOK {
				t.Errorf("answered %d %s", r.StatusCode, r.raw)
			}
			w.call(http.MethodPost, "/refresh", "application/json", `{"refresh_token":"`+r.str("refresh_token")+`","client_id":"web"}`).fails(t, http.StatusUnauthorized, "invalid_client")
		}},
		{Rule: "client_credentials yields a token of the client, no refresh token, no ID token", Run: func(t *testing.T, w *world) {
			r := w.clientToken("service", serviceSecret, "scope", "orders:read orders:write", "resource", ordersAPI)
			got := claims(t, r.str("access_token"))
			if got["sub"] != "service" || got["aud"] != ordersAPI || got["scope"] != "orders:read orders:write" || r.json["refresh_token"] != nil || r.json["id_token"] != nil {
				t.Errorf("answered %s", r.raw)
			}
			w.get("/me", "Authorization", "Bearer "+w.clientToken("service", serviceSecret).str("access_token")).errorLike(t, http.StatusUnauthorized)
			if r := w.userinfo(r.str("access_token")); r.StatusCode != http.StatusForbidden {
				t.Errorf("userinfo answers a client with %d", r.StatusCode)
			}
			w.clientToken("service", serviceSecret, "scope", "openid").fails(t, http.StatusBadRequest, "invalid_scope")
			w.clientToken("service", serviceSecret, "scope", "offline_access").fails(t, http.StatusBadRequest, "invalid_scope")
		}},
		{Rule: "an API may ask for another algorithm, type, life and fewer roles", Alone: []func(*config.Config){func(c *config.Config) {
			c.APIs["legacy"] = config.API{Audience: "https://legacy.example.com/", Roles: []string{"editor"}, AccessToken: config.AccessToken{Alg: "RS256", Typ: "JWT", TTL: 5 * time.Minute}}
			c.APIs["edge"] = config.API{Audience: "https://edge.example.com/", AccessToken: config.AccessToken{Alg: "EdDSA"}}
			k := c.Clients["spa"]
			k.APIs = append(k.APIs, "legacy", "edge")
			c.Clients["spa"] = k
		}}, Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "", "resource", "https://legacy.example.com/", "scope", "openid")
			h, c := header(t, s.access()), claims(t, s.access())
			if h["alg"] != "RS256" || h["typ"] != "JWT" || s.tokens.json["expires_in"] != 300.0 || c["exp"].(float64)-c["iat"].(float64) != 300 || len(c["roles"].([]any)) != 0 {
				t.Errorf("the token is %v %v", h, c)
			}
			w.alive("a plain JWT for an API registered so", s.access())
			set, err := verify.Remote(w.issuer+"/jwks", verify.RemoteOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for resource, typ := range map[string]string{"https://legacy.example.com/": "JWT", "https://edge.example.com/": "at+jwt"} {
				v, err := verify.New(verify.Config{Issuer: w.issuer, Audience: resource, Keys: set, AllowedTypes: []string{typ}})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := v.Verify(t.Context(), w.signIn("spa", "", "resource", resource, "scope", "openid").access()); err != nil {
					t.Errorf("%s: %v", resource, err)
				}
			}
			// An ID token is no access token for it either, though both are of the type JWT.
			w.refusedEverywhere("an ID token", s.tokens.str("id_token"))
		}},
	}
}

func encode(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// clientToken asks for a token of the client itself.
func (w *world) clientToken(id, key string, pairs ...string) reply {
	w.Helper()
	form := url.Values{"grant_type": {"client_credentials"}}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return w.post("/token", form, "Authorization", basicHeader(id, key))
}

// claimsTable holds what is issued against tokens.Table, and both against the golden file.
func claimsTable(t *testing.T, w *world) {
	all := "openid profile email address phone roles offline_access"
	people := map[string]signedIn{
		"code, every scope": w.signIn("web", webSecret, "scope", all, "claims", `{"id_token":{"email":null,"name":null}}`),
		"code, openid":      w.signIn("web", webSecret, "scope", "openid", "nonce", ""),
	}
	who, _ := w.somebody()
	a := w.app("web", webSecret)
	upstream := a.redeem(a.code(w.browser().signInBy(a, "google", who, "scope", all)))
	people["code by Google"] = signedIn{app: a, tokens: upstream}
	alice := w.person("alice")
	people["password"] = signedIn{tokens: w.post("/token", url.Values{"grant_type": {"password"}, "username": {alice.Username}, "password": {w.password}, "scope": {"openid email"}})}
	people["client_credentials"] = signedIn{tokens: w.clientToken("service", serviceSecret, "scope", "orders:read", "resource", ordersAPI)}
	people["refreshed"] = signedIn{tokens: people["code by Google"].app.refresh(people["code by Google"].refresh())}

	var lines []string
	rows := map[string]tokens.Row{}
	for _, r := range tokens.Table() {
		rows[r.Claim] = r
	}
	say := func(flow, where string, members map[string]any, allowed func(tokens.Row) tokens.When) {
		names := slices.Sorted(maps.Keys(members))
		lines = append(lines, fmt.Sprintf("%-20s %-14s %s", flow, where, strings.Join(names, " ")))
		for _, name := range names {
			if allowed(rows[name]) == "" {
				t.Errorf("%s: %s has %s, which the table does not know there", flow, where, name)
			}
			if v := members[name]; v == nil || v == "" {
				t.Errorf("%s: %s in %s is %v; what is not known is left out", flow, name, where, v)
			}
		}
		for claim, r := range rows {
			if _, ok := members[claim]; allowed(r) == tokens.Always && !ok {
				t.Errorf("%s: %s lacks %s", flow, where, claim)
			}
		}
	}
	for _, flow := range slices.Sorted(maps.Keys(people)) {
		r := people[flow].tokens
		if r.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %s", flow, r.StatusCode, r.raw)
		}
		access := r.str("access_token")
		say(flow, "access token", claims(t, access), func(r tokens.Row) tokens.When { return r.Access })
		if id := r.str("id_token"); id != "" {
			say(flow, "ID token", claims(t, id), func(r tokens.Row) tokens.When { return r.ID })
		}
		if info := w.userinfo(access); info.StatusCode == http.StatusOK {
			say(flow, "userinfo", info.json, func(r tokens.Row) tokens.When { return r.UserInfo })
		}
		about := introspection(w, access, "service", serviceSecret).json
		say(flow, "introspection", about, func(r tokens.Row) tokens.When { return r.Introspection })
		// Introspection says what the token says.
		for name, value := range claims(t, access) {
			if got, ok := about[name]; ok && !cmp.Equal(got, value) {
				t.Errorf("%s: introspection says %s is %v, the token %v", flow, name, got, value)
			}
		}
	}
	golden(t, "claims.golden", strings.Join(lines, "\n")+"\n")
}
