package main

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"example.com/broker/clients"
	"example.com/broker/config"
	"example.com/broker/internal/secret"
	"example.com/broker/oauth"
)

// coded is a person who stands before the redemption of a code.
func (w *world) coded(client, clientSecret string, extra ...string) (a *app, code string, who localUser) {
	w.Helper()
	a, who = w.app(client, clientSecret), w.person("alice")
	return a, a.code(w.browser().signInByPassword(a, who.Username, extra...)), who
}

func attacksOnCodes() []attack {
	return []attack{
		{ID: "C01", Kind: "T", Rule: "a code is redeemed once, and its second use takes everything of the first along", Run: func(t *testing.T, w *world) {
			a, code, _ := w.coded("spa", "")
			first := a.redeem(code)
			w.alive("the token", first.str("access_token"))
			a.redeem(code).fails(t, http.StatusBadRequest, "invalid_grant")
			w.dead("the access token of a replayed code", first.str("access_token"))
			a.refresh(first.str("refresh_token")).fails(t, http.StatusBadRequest, "invalid_grant")
			a.redeem(code).fails(t, http.StatusBadRequest, "invalid_grant")
		}},
		{ID: "C01", Kind: "T", Rule: "a replay that proves nothing harms nobody", Run: func(t *testing.T, w *world) {
			a, code, _ := w.coded("spa", "")
			first := a.redeem(code)
			a.redeem(code, "code_verifier", strings.Repeat("x", 43)).fails(t, http.StatusBadRequest, "invalid_grant")
			a.redeem(code, "redirect_uri", "https://app.example.com/cb").fails(t, http.StatusBadRequest, "invalid_grant")
			a.redeem(code[:37]+strings.Repeat("A", len(code)-37)).fails(t, http.StatusBadRequest, "invalid_grant")
			other := w.app("web", webSecret)
			other.verifier = a.verifier
			other.redeem(code).fails(t, http.StatusBadRequest, "invalid_grant")
			w.alive("the token after replays that prove nothing", first.str("access_token"))
		}},
		{ID: "C01", Kind: "T", Rule: "a second redemption after half a minute ends the grant too", Here: needsClock, Alone: alone, Run: func(t *testing.T, w *world) {
			a, code, _ := w.coded("spa", "")
			first := a.redeem(code)
			w.clock.advance(31 * time.Second)
			w.poll()
			a.redeem(code).fails(t, http.StatusBadRequest, "invalid_grant")
			w.dead("the access token of a code replayed late", first.str("access_token"))
			// And a day later, when a sweep may have taken the row, it is still no good.
			w.clock.advance(24 * time.Hour)
			w.poll()
			a.redeem(code).fails(t, http.StatusBadRequest, "invalid_grant")
		}},
		{ID: "C02", Kind: "T", Rule: "a code older than a minute is refused", Here: needsClock, Alone: alone, Run: func(t *testing.T, w *world) {
			a, code, _ := w.coded("spa", "")
			w.clock.advance(61 * time.Second)
			w.poll()
			a.redeem(code).fails(t, http.StatusBadRequest, "invalid_grant")
			w.clock.advance(-time.Hour)
			w.poll()
			a.redeem(code).fails(t, http.StatusBadRequest, "invalid_grant")
		}},
		{ID: "C03", Kind: "C", Rule: "fifty redemptions at once give one set of tokens", Run: func(t *testing.T, w *world) {
			a, code, _ := w.coded("spa", "")
			oneWins(t, raceOf(50, func(int) reply { return a.redeem(code) }))
		}},
		{ID: "C03", Kind: "C", Rule: "fifty redemptions at two replicas give one set of tokens", Here: needsTwo, Alone: alone, Run: func(t *testing.T, w *world) {
			second := w.replica()
			a, code, _ := w.coded("spa", "")
			b := *a
			b.world = second
			oneWins(t, raceOf(50, func(i int) reply { return []*app{a, &b}[i%2].redeem(code) }))
		}},
		{ID: "C04", Kind: "T", Rule: "a code is for the client it was given to, whoever asks", Run: func(t *testing.T, w *world) {
			a, code, _ := w.coded("spa", "")
			for id, key := range map[string]string{"web": webSecret, "third": "", "native": ""} {
				b := w.app(id, key)
				b.verifier = a.verifier
				b.redeem(code).fails(t, http.StatusBadRequest, "invalid_grant")
			}
			if r := a.redeem(code); r.StatusCode != http.StatusOK {
				t.Errorf("the owner of the code got %d %s", r.StatusCode, r.raw)
			}
		}},
		{ID: "C05", Kind: "T", Rule: "a code needs the redirect address it was asked for with", Run: func(t *testing.T, w *world) {
			a, code, _ := w.coded("spa", "")
			for _, address := range []string{"", "https://app.example.com/cb", appRedirect + "/", appRedirect + "?", "http://127.0.0.1:10/callback", strings.ToUpper(appRedirect)} {
				a.redeem(code, "redirect_uri", address).fails(t, http.StatusBadRequest, "invalid_grant")
			}
			if r := a.redeem(code); r.StatusCode != http.StatusOK {
				t.Errorf("with the right address %d %s", r.StatusCode, r.raw)
			}
		}},
		{ID: "C06", Kind: "T", Rule: "a code needs the verifier of its challenge", Run: func(t *testing.T, w *world) {
			a, code, _ := w.coded("spa", "")
			for _, v := range []string{
				"", a.verifier[:42], a.verifier + "x", strings.ToUpper(a.verifier), strings.Repeat("x", 128), strings.Repeat("x", 129), strings.Repeat("x", 10000),
				a.verifier[:42] + "+", a.verifier[:42] + "é", a.verifier + "\x00",
			} {
				r := a.redeem(code, "code_verifier", v)
				if r.StatusCode != http.StatusBadRequest || (r.str("error") != "invalid_grant" && r.str("error") != "invalid_request") {
					t.Errorf("verifier %q was answered %d %s", v[:min(len(v), 60)], r.StatusCode, r.raw)
				}
			}
			// The challenge itself is no verifier: that would be plain.
			a.redeem(code, "code_verifier", mustQuery(t, a.authorizeURL()).Get("code_challenge")).fails(t, http.StatusBadRequest, "invalid_grant")
			if r := a.redeem(code); r.StatusCode != http.StatusOK {
				t.Errorf("with the right verifier %d %s", r.StatusCode, r.raw)
			}
		}},
		{ID: "C06", Kind: "T", Rule: "a made-up code is refused in one voice", Run: func(t *testing.T, w *world) {
			a, code, _ := w.coded("spa", "")
			var said string
			for _, forged := range []string{
				"x", ".", code[:len(code)-1], code + "A", code[:36], "." + code[37:], strings.ToUpper(code), "00000000-0000-7000-8000-000000000000." + code[37:],
				"rt_" + code, strings.Repeat("a", 5000), "{$ne:null}", "' OR 1=1 --", code[:37] + secret.New(32).Reveal(),
			} {
				r := a.redeem(forged)
				r.fails(t, http.StatusBadRequest, "invalid_grant")
				if said == "" {
					said = r.raw
				}
				if r.raw != said {
					t.Errorf("%q is told apart: %s", forged[:min(len(forged), 60)], r.raw)
				}
			}
		}},
		{ID: "C07", Kind: "T", Rule: "a user who is disabled after authorizing gets nothing for the code", Run: func(t *testing.T, w *world) {
			a, code, who := w.coded("spa", "")
			first := a.redeem(code)
			code = a.code(w.browser().signInByPassword(a, who.Username))
			w.disable(who, first.str("access_token"))
			a.redeem(code).fails(t, http.StatusBadRequest, "invalid_grant")
		}},
		{ID: "C07", Kind: "T", Rule: "signing out before the redemption ends the code of an online grant", Run: func(t *testing.T, w *world) {
			a, who, b := w.app("spa", ""), w.person("alice"), w.browser()
			code := a.code(b.signInByPassword(a, who.Username))
			b.do(http.MethodPost, w.issuer+"/logout", url.Values{})
			a.redeem(code).fails(t, http.StatusBadRequest, "invalid_grant")
		}},
		{ID: "C08", Kind: "T", Rule: "roles are those of the redemption, not those of the authorization", Here: needsStore, Run: func(t *testing.T, w *world) {
			a, code, who := w.coded("spa", "")
			if _, err := w.users.RevokeRole(t.Context(), who.ID, "viewer"); err != nil {
				t.Fatal(err)
			}
			if got := claims(t, a.redeem(code).str("access_token"))["roles"]; len(got.([]any)) != 0 {
				t.Errorf("the token has the roles %v", got)
			}
		}},
	}
}

// oneWins demands one set of tokens; that the other requests ended its grant is as it should be: they were otherwise valid.
func oneWins(t *testing.T, answers []reply) {
	t.Helper()
	won := 0
	for _, r := range answers {
		switch {
		case r.StatusCode == http.StatusOK && r.str("access_token") != "":
			won++
		default:
			r.fails(t, http.StatusBadRequest, "invalid_grant")
		}
	}
	if won != 1 {
		t.Errorf("%d of %d redemptions got tokens, want 1", won, len(answers))
	}
}

func mustQuery(t *testing.T, address string) url.Values {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

func basicHeader(id, key string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(key)))
}

func attacksOnTheTokenEndpoint() []attack {
	return []attack{
		{ID: "D01", Kind: "T", Rule: "a client that proves nothing is refused, with a challenge where it used Basic", Run: func(t *testing.T, w *world) {
			form := func(pairs ...string) url.Values {
				v := url.Values{"grant_type": {"client_credentials"}}
				for i := 0; i < len(pairs); i += 2 {
					v.Set(pairs[i], pairs[i+1])
				}
				return v
			}
			for what, header := range map[string]string{
				"wrong secret": basicHeader("service", serviceSecret+"x"), "empty secret": basicHeader("service", ""), "no colon": "Basic " + base64.StdEncoding.EncodeToString([]byte("service")),
				"no base64": "Basic !!!", "unknown client": basicHeader("nobody", serviceSecret), "another client's secret": basicHeader("service", auditSecret),
				"public client with a secret": basicHeader("cli", "x"), "the hash of the secret": basicHeader("service", secret.Hash(secret.Value(serviceSecret))),
				"a client registered for post": basicHeader("odd", oddSecret), "a client switched off": basicHeader("off", ""), "another scheme": "Digest x", "bearer": "Bearer x",
				"bad percent encoding": "Basic " + base64.StdEncoding.EncodeToString([]byte("service:%zz")),
			} {
				r := w.post("/token", form(), "Authorization", header)
				r.fails(t, http.StatusUnauthorized, "invalid_client")
				if !strings.HasPrefix(r.Header.Get("WWW-Authenticate"), "Basic") {
					t.Errorf("%s: no Basic challenge but %q", what, r.Header.Get("WWW-Authenticate"))
				}
			}
			for _, f := range []url.Values{
				form("client_id", "service"), form("client_id", "service", "client_secret", ""), form("client_id", "service", "client_secret", serviceSecret),
				form("client_id", "odd", "client_secret", oddSecret+"x"), form("client_id", "odd"), form("client_id", "nobody", "client_secret", "x"), form("client_id", "off"),
				form("client_id", "cli", "client_secret", "x"),
			} {
				w.post("/token", f).fails(t, http.StatusUnauthorized, "invalid_client")
			}
			w.post("/token", form("client_id", "service", "client_secret", serviceSecret), "Authorization", basicHeader("service", serviceSecret)).fails(t, http.StatusBadRequest, "invalid_request")
			w.post("/token", form("client_id", "auditor"), "Authorization", basicHeader("service", serviceSecret)).fails(t, http.StatusBadRequest, "invalid_request")
			w.post("/token?client_id=service&client_secret="+serviceSecret, form()).fails(t, http.StatusBadRequest, "invalid_request")
		}},
		{ID: "D01", Kind: "T", Rule: "a secret that is stored empty opens nothing", Here: needsStore, Run: func(t *testing.T, w *world) {
			hollow := clients.Client{ID: "hollow", AuthMethod: oauth.AuthClientSecretBasic, GrantTypes: []string{oauth.GrantClientCredentials}, SecretHashes: []string{""}, V: 1}
			if err := w.stores.Clients.InsertClient(t.Context(), hollow); err != nil {
				t.Fatal(err)
			}
			for _, header := range []string{basicHeader("hollow", ""), "Basic " + base64.StdEncoding.EncodeToString([]byte("hollow:"))} {
				w.post("/token", url.Values{"grant_type": {"client_credentials"}}, "Authorization", header).fails(t, http.StatusUnauthorized, "invalid_client")
			}
			w.post("/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {"hollow"}}).fails(t, http.StatusUnauthorized, "invalid_client")
			cfg := w.cfg
			cfg.Clients = map[string]config.Client{"hollow": {AuthMethod: oauth.AuthClientSecretBasic, GrantTypes: []string{oauth.GrantClientCredentials}}}
			if !config.Failed(config.Validate(cfg, true)) {
				t.Error("the configuration takes a confidential client without a secret")
			}
		}},
		{ID: "D04", Kind: "T", Rule: "another media type, a repeated parameter, an unknown grant, a grant the client may not use", Run: func(t *testing.T, w *world) {
			auth := []string{"Authorization", basicHeader("service", serviceSecret)}
			for _, kind := range []string{"application/json", "multipart/form-data; boundary=x", "", "text/plain", "application/x-www-form-urlencoded2"} {
				for _, body := range []string{"grant_type=client_credentials", `{"grant_type":"client_credentials"}`} {
					r := w.call(http.MethodPost, "/token", kind, body, auth...)
					r.fails(t, http.StatusBadRequest, "invalid_request")
				}
			}
			for _, body := range []string{
				"grant_type=client_credentials&grant_type=client_credentials", "grant_type=client_credentials&scope=orders%3Aread&scope=orders%3Awrite", "", "grant_type=", "scope=x",
				"grant_type=client_credentials&scope=%ff", "grant_type=client_credentials&x=%00", "grant_type=client_credentials;scope=x", "%zz",
			} {
				w.call(http.MethodPost, "/token", "application/x-www-form-urlencoded", body, auth...).fails(t, http.StatusBadRequest, "invalid_request")
			}
			for _, grant := range []string{"implicit", "Client_Credentials", "client_credentials ", "urn:ietf:params:oauth:grant-type:jwt-bearer", "urn:ietf:params:oauth:grant-type:device_code", strings.Repeat("x", 10000)} {
				w.post("/token", url.Values{"grant_type": {grant}}, auth...).fails(t, http.StatusBadRequest, "unsupported_grant_type")
			}
			for _, grant := range []string{"authorization_code", "refresh_token", "password"} {
				w.post("/token", url.Values{"grant_type": {grant}, "code": {"x"}, "refresh_token": {"x"}, "username": {"x"}, "password": {"x"}}, auth...).fails(t, http.StatusBadRequest, "unauthorized_client")
			}
			for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodPatch} {
				if r := w.call(method, "/token", "", "", auth...); r.StatusCode != http.StatusMethodNotAllowed {
					t.Errorf("%s /token answered %d", method, r.StatusCode)
				}
			}
		}},
		{ID: "D06", Kind: "T", Rule: "a client assertion, which is not offered, authenticates nobody", Run: func(t *testing.T, w *world) {
			r := w.post("/token", url.Values{
				"grant_type": {"client_credentials"}, "client_id": {"service"}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
				"client_assertion": {"eyJhbGciOiJub25lIn0.eyJpc3MiOiJzZXJ2aWNlIiwic3ViIjoic2VydmljZSJ9."},
			})
			r.fails(t, http.StatusUnauthorized, "invalid_client")
		}},
		{ID: "D08", Kind: "T", Rule: "an API that was not granted is no target", Run: func(t *testing.T, w *world) {
			a, code, _ := w.coded("spa", "", "resource", ordersAPI, "scope", "openid orders:read")
			for _, resource := range []string{stockAPI, "https://evil.example/", w.issuer, "stock"} {
				a.redeem(code, "resource", resource).fails(t, http.StatusBadRequest, "invalid_target")
			}
			r := a.redeem(code, "resource", ordersAPI)
			if r.StatusCode != http.StatusOK || claims(t, r.str("access_token"))["aud"] != ordersAPI {
				t.Fatalf("the granted API got %d %s: a refused target must not spend the code", r.StatusCode, r.raw)
			}
			a.refresh(r.str("refresh_token"), "resource", stockAPI).fails(t, http.StatusBadRequest, "invalid_target")
			if r := a.refresh(r.str("refresh_token")); claims(t, r.str("access_token"))["aud"] != ordersAPI {
				t.Errorf("refreshed for %s", r.raw)
			}
			auth := []string{"Authorization", basicHeader("service", serviceSecret)}
			w.post("/token", url.Values{"grant_type": {"client_credentials"}, "resource": {stockAPI}}, auth...).fails(t, http.StatusBadRequest, "invalid_target")
			w.post("/token", url.Values{"grant_type": {"client_credentials"}, "resource": {ordersAPI, ordersAPI}}, auth...).fails(t, http.StatusBadRequest, "invalid_target")
			if r := w.post("/token", url.Values{"grant_type": {"client_credentials"}, "resource": {""}}, auth...); r.StatusCode != http.StatusOK {
				t.Errorf("a resource without a value, which counts as left out: %d %s", r.StatusCode, r.raw)
			}
			w.post("/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"stock:read"}}, auth...).fails(t, http.StatusBadRequest, "invalid_scope")
		}},
		{ID: "D09", Kind: "T", Rule: "introspection tells nobody about tokens that are none of their business", Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "", "resource", ordersAPI, "scope", "openid orders:read")
			ask := func(token string, header ...string) reply {
				return w.post("/introspect", url.Values{"token": {token}}, header...)
			}
			ask(s.access()).fails(t, http.StatusUnauthorized, "invalid_client")
			ask(s.access(), "Authorization", s.bearer()).fails(t, http.StatusUnauthorized, "invalid_client")
			ask(s.access(), "Authorization", basicHeader("service", "wrong")).fails(t, http.StatusUnauthorized, "invalid_client")
			w.post("/introspect", url.Values{"token": {s.access()}, "client_id": {"spa"}}).fails(t, http.StatusUnauthorized, "invalid_client")
			w.post("/introspect", url.Values{}, "Authorization", basicHeader("service", serviceSecret)).fails(t, http.StatusBadRequest, "invalid_request")
			parts := strings.Split(s.access(), ".")
			for what, token := range map[string]string{
				"another API's":     s.access(),
				"the refresh token": s.refresh(),
				"nonsense":          "x",
				"empty parts":       "..",
				"broken":            parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])),
				"an ID token":       s.tokens.str("id_token"),
				"NUL":               "a b",
			} {
				r := ask(token, "Authorization", basicHeader("auditor", auditSecret))
				if r.StatusCode != http.StatusOK || r.raw != `{"active":false}` {
					t.Errorf("a stranger is told about %s: %d %s", what, r.StatusCode, r.raw)
				}
			}
			if r := ask(s.tokens.str("id_token"), "Authorization", basicHeader("service", serviceSecret)); r.raw != `{"active":false}` {
				t.Errorf("an ID token is active: %s", r.raw)
			}
		}},
		{ID: "D09", Kind: "T", Rule: "what has expired is inactive though it is stored", Here: needsClock, Alone: alone, Run: func(t *testing.T, w *world) {
			s := w.signIn("web", webSecret)
			ask := func(token string) reply {
				return w.post("/introspect", url.Values{"token": {token}}, "Authorization", basicHeader("web", webSecret))
			}
			if r := ask(s.access()); r.json["active"] != true {
				t.Fatalf("a live token is %s", r.raw)
			}
			if r := ask(s.refresh()); r.json["active"] != true {
				t.Fatalf("a live refresh token is %s", r.raw)
			}
			w.clock.advance(16 * time.Minute)
			w.poll()
			if r := ask(s.access()); r.raw != `{"active":false}` {
				t.Errorf("an expired access token is %s", r.raw)
			}
			w.clock.advance(12 * time.Hour)
			w.poll()
			if r := ask(s.refresh()); r.raw != `{"active":false}` {
				t.Errorf("an expired refresh token is %s", r.raw)
			}
		}},
		{ID: "D11", Kind: "T", Rule: "token exchange is not for clients that do not list it", Run: func(t *testing.T, w *world) {
			s := w.signIn("web", webSecret)
			r := w.post("/token", url.Values{
				"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {s.access()}, "subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
			}, "Authorization", basicHeader("web", webSecret))
			if code := r.str("error"); r.StatusCode != http.StatusBadRequest || (code != "unsupported_grant_type" && code != "unauthorized_client") {
				t.Errorf("answered %d %s", r.StatusCode, r.raw)
			}
		}},
		{ID: "D12", Kind: "T", Rule: "the password grant is for first-party clients that list it, and names no accounts", Run: func(t *testing.T, w *world) {
			alice := w.person("alice")
			form := func(client, name, password string) url.Values {
				return url.Values{"grant_type": {"password"}, "client_id": {client}, "username": {name}, "password": {password}}
			}
			for _, client := range []string{"spa", "third", "native"} {
				w.post("/token", form(client, alice.Username, w.password)).fails(t, http.StatusBadRequest, "unauthorized_client")
			}
			wrong := w.post("/token", form("cli", alice.Username, "wrong password of alice"))
			unknown := w.post("/token", form("cli", "nobody"+secret.New(8).Reveal(), "wrong password of alice"))
			wrong.fails(t, http.StatusBadRequest, "invalid_grant")
			unknown.fails(t, http.StatusBadRequest, "invalid_grant")
			if wrong.raw != unknown.raw {
				t.Errorf("an unknown name is told apart: %s and %s", wrong.raw, unknown.raw)
			}
			w.post("/token", form("cli", "", "x")).fails(t, http.StatusBadRequest, "invalid_request")
			w.post("/token", form("cli", "x", "")).fails(t, http.StatusBadRequest, "invalid_request")
			if r := w.post("/token", url.Values{"grant_type": {"password"}, "username": {alice.Username}, "password": {w.password}}); r.StatusCode != http.StatusOK || r.str("token_type") != "bearer" {
				t.Errorf("the default client got %d %s", r.StatusCode, r.raw)
			}
		}},
	}
}
