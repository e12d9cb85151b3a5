package local_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"example.com/broker/providers/local"
)

func googleAuthURL(server *httptest.Server, changes ...string) string {
	query := with(url.Values{
		"client_id": {clientID}, "redirect_uri": {callback}, "response_type": {"code"},
		"scope": {"openid email profile"}, "state": {"st"}, "nonce": {"n-1"},
	}, changes...)
	return server.URL + local.GoogleAuthorizePath + "?" + query.Encode()
}

func googleForm(code string, changes ...string) url.Values {
	return with(url.Values{
		"grant_type": {"authorization_code"}, "client_id": {clientID}, "client_secret": {clientSecret},
		"code": {code}, "redirect_uri": {callback},
	}, changes...)
}

// googleTokens signs in as handle and returns the token answer.
func googleTokens(t testing.TB, server *httptest.Server, handle string, changes ...string) map[string]any {
	t.Helper()
	code := pick(t, googleAuthURL(server, changes...), handle).Get("code")
	got := do(t, formRequest(t, server.URL+local.GoogleTokenPath, googleForm(code)))
	if got.status != http.StatusOK {
		t.Fatalf("token endpoint: %d %s", got.status, got.body)
	}
	return got.json(t)
}

func payload(t testing.TB, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("token %q has %d parts", token, len(parts))
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(raw, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestGoogleSignInWithOIDCClient(t *testing.T) {
	people := map[string]map[string]any{
		"wren": {"sub": "110169484474386270001", "email": "wren@example.org", "email_verified": true, "hd": "example.org", "name": "Wren Example"},
		"gil":  {"sub": "110169484474386270002", "email": "gil@example.com", "email_verified": true, "name": "Gil Example"},
		"uli":  {"sub": "110169484474386270003", "email": "uli@example.com", "email_verified": false, "name": "Uli Example"},
		"ada":  {"sub": "110169484474386270004", "email": "ada@example.com", "email_verified": true, "name": "Ada Example"},
	}
	for handle, want := range people {
		t.Run(handle, func(t *testing.T) {
			_, server := startGoogle(t, nil)
			provider, err := oidc.NewProvider(t.Context(), server.URL)
			if err != nil {
				t.Fatal(err)
			}
			config := oauth2.Config{
				ClientID: clientID, ClientSecret: clientSecret, RedirectURL: callback,
				Endpoint: provider.Endpoint(), Scopes: []string{"openid", "email", "profile"},
			}
			verifier := oauth2.GenerateVerifier()
			answer := pick(t, config.AuthCodeURL("st\r\n", oidc.Nonce("n-1"), oauth2.S256ChallengeOption(verifier)), handle)
			if answer.Get("state") != "st\r\n" || answer.Get("iss") != server.URL {
				t.Errorf("answer %v: want state verbatim and iss %q", answer, server.URL)
			}
			token, err := config.Exchange(t.Context(), answer.Get("code"), oauth2.VerifierOption(verifier))
			if err != nil {
				t.Fatal(err)
			}
			raw, _ := token.Extra("id_token").(string)
			idToken, err := provider.Verifier(&oidc.Config{ClientID: clientID}).Verify(t.Context(), raw)
			if err != nil {
				t.Fatal(err)
			}
			if idToken.Nonce != "n-1" {
				t.Errorf("nonce %q, want n-1", idToken.Nonce)
			}
			if err := idToken.VerifyAccessToken(token.AccessToken); err != nil {
				t.Errorf("at_hash: %v", err)
			}
			if idToken.Expiry.Sub(idToken.IssuedAt) != time.Hour {
				t.Errorf("the ID token lives for %v, want 1h", idToken.Expiry.Sub(idToken.IssuedAt))
			}
			var claims map[string]any
			if err := idToken.Claims(&claims); err != nil {
				t.Fatal(err)
			}
			if claims["azp"] != clientID {
				t.Errorf("azp %v, want %v", claims["azp"], clientID)
			}
			info, err := provider.UserInfo(t.Context(), config.TokenSource(t.Context(), token))
			if err != nil {
				t.Fatal(err)
			}
			var userinfo map[string]any
			if err := info.Claims(&userinfo); err != nil {
				t.Fatal(err)
			}
			for source, got := range map[string]map[string]any{"ID token": claims, "userinfo": userinfo} {
				for _, name := range []string{"sub", "email", "email_verified", "hd", "name"} {
					if got[name] != want[name] {
						t.Errorf("%s: %s %v, want %v", source, name, got[name], want[name])
					}
				}
			}
		})
	}
}

func TestGoogleDiscovery(t *testing.T) {
	for _, omit := range []bool{false, true} {
		_, server := startGoogle(t, func(o *local.GoogleOptions) { o.OmitIss = omit })
		got := get(t, server.URL+local.GoogleDiscoveryPath).json(t)
		want := map[string]any{
			"issuer":                                server.URL,
			"authorization_endpoint":                server.URL + "/o/oauth2/v2/auth",
			"token_endpoint":                        server.URL + "/token",
			"userinfo_endpoint":                     server.URL + "/userinfo",
			"jwks_uri":                              server.URL + "/certs",
			"response_types_supported":              []any{"code"},
			"response_modes_supported":              []any{"query"},
			"subject_types_supported":               []any{"public"},
			"id_token_signing_alg_values_supported": []any{"RS256"},
			"scopes_supported":                      []any{"openid", "email", "profile"},
			"token_endpoint_auth_methods_supported": []any{"client_secret_post", "client_secret_basic"},
			"claims_supported": []any{
				"aud", "email", "email_verified", "exp", "family_name", "given_name", "iat", "iss", "name", "picture", "sub",
			},
			"code_challenge_methods_supported":               []any{"S256"},
			"grant_types_supported":                          []any{"authorization_code"},
			"authorization_response_iss_parameter_supported": true,
		}
		if omit {
			delete(want, "authorization_response_iss_parameter_supported")
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("OmitIss %t (-want +got):\n%s", omit, diff)
		}
		if got := pick(t, googleAuthURL(server), ""); got.Has("iss") == omit {
			t.Errorf("OmitIss %t: answer %v", omit, got)
		}
	}
}

func TestGoogleFixedIssuer(t *testing.T) {
	const issuer = "https://accounts.dev.example"
	_, server := startGoogle(t, func(o *local.GoogleOptions) { o.Issuer = issuer })
	if got := get(t, server.URL+local.GoogleDiscoveryPath).json(t)["issuer"]; got != issuer {
		t.Errorf("issuer %v, want %v whatever the request says", got, issuer)
	}
	if got := payload(t, googleTokens(t, server, "gil")["id_token"].(string))["iss"]; got != issuer {
		t.Errorf("iss %v, want %v", got, issuer)
	}
}

func TestGoogleAuthorizeErrors(t *testing.T) {
	registered := func(o *local.GoogleOptions) { o.RedirectURIs = []string{callback} }
	challenge := challengeOf("x")
	tests := []struct {
		name    string
		edit    func(*local.GoogleOptions)
		changes []string
		status  int
		code    string
	}{
		{"an unknown client", nil, []string{"client_id", "other"}, 401, "invalid_client"},
		{"a missing client", nil, []string{"client_id", ""}, 400, "invalid_request"},
		{"a missing redirect_uri", nil, []string{"redirect_uri", ""}, 400, "invalid_request"},
		{"a foreign redirect_uri", nil, []string{"redirect_uri", "https://evil.example/cb"}, 400, "redirect_uri_mismatch"},
		{"a path below the registered one", registered, []string{"redirect_uri", callback + "/sub"}, 400, "redirect_uri_mismatch"},
		{"another port than the registered one", registered, []string{"redirect_uri", "http://127.0.0.1:1/callback/upstream"}, 400, "redirect_uri_mismatch"},
		{"a missing response_type", nil, []string{"response_type", ""}, 400, "invalid_request"},
		{"an implicit response_type", nil, []string{"response_type", "id_token"}, 400, "unsupported_response_type"},
		{"a response_mode other than query", nil, []string{"response_mode", "form_post"}, 400, "invalid_request"},
		{"no scope", nil, []string{"scope", ""}, 400, "invalid_request"},
		{"an unknown scope", nil, []string{"scope", "openid roles"}, 400, "invalid_scope"},
		{"PKCE plain", nil, []string{"code_challenge", challenge, "code_challenge_method", "plain"}, 400, "invalid_request"},
		{"PKCE without a method", nil, []string{"code_challenge", challenge}, 400, "invalid_request"},
		{"a malformed challenge", nil, []string{"code_challenge", challenge + "=", "code_challenge_method", "S256"}, 400, "invalid_request"},
		{"an unknown prompt", nil, []string{"prompt", "create"}, 400, "invalid_request"},
		{"prompt none with another", nil, []string{"prompt", "none consent"}, 400, "invalid_request"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, server := startGoogle(t, test.edit)
			for _, got := range []reply{
				get(t, googleAuthURL(server, test.changes...)),
				do(t, formRequest(t, googleAuthURL(server, test.changes...), url.Values{"person": {"ada"}})),
			} {
				if got.status != test.status || !strings.Contains(got.body, test.code) || got.header.Get("Location") != "" {
					t.Errorf("status %d, Location %q, want %d with %q on a page\n%s", got.status, got.header.Get("Location"), test.status, test.code, got.body)
				}
			}
		})
	}

	t.Run("a parameter sent twice", func(t *testing.T) {
		_, server := startGoogle(t, nil)
		if got := get(t, googleAuthURL(server)+"&state=other"); got.status != http.StatusBadRequest {
			t.Errorf("status %d, want 400", got.status)
		}
	})
}

func TestGooglePromptNone(t *testing.T) {
	_, server := startGoogle(t, nil)
	got := get(t, googleAuthURL(server, "prompt", "none"))
	want := url.Values{"error": {"login_required"}, "state": {"st"}, "iss": {server.URL}}
	if diff := cmp.Diff(want, got.location(t).Query()); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
}

func TestGoogleCancel(t *testing.T) {
	_, server := startGoogle(t, nil)
	want := url.Values{"error": {"access_denied"}, "state": {"st"}, "iss": {server.URL}}
	if diff := cmp.Diff(want, pick(t, googleAuthURL(server), "")); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
}

func TestGoogleTokenErrors(t *testing.T) {
	verifier := oauth2.GenerateVerifier()
	pkce := []string{"code_challenge", challengeOf(verifier), "code_challenge_method", "S256"}
	tests := []struct {
		name   string
		asked  []string
		form   []string
		status int
		code   string
	}{
		{"no client", nil, []string{"client_id", ""}, 400, "invalid_request"},
		{"an unknown client", nil, []string{"client_id", "other"}, 401, "invalid_client"},
		{"a wrong secret", nil, []string{"client_secret", "wrong"}, 401, "invalid_client"},
		{"a missing secret", nil, []string{"client_secret", ""}, 401, "invalid_client"},
		{"no grant type", nil, []string{"grant_type", ""}, 400, "unsupported_grant_type"},
		{"another grant type", nil, []string{"grant_type", "refresh_token"}, 400, "unsupported_grant_type"},
		{"no code", nil, []string{"code", ""}, 400, "invalid_request"},
		{"a code of another shape", nil, []string{"code", "abc"}, 400, "invalid_grant"},
		{"an unknown code", nil, []string{"code", "4/0Aabc"}, 400, "invalid_grant"},
		{"another redirect_uri", nil, []string{"redirect_uri", callback + "/sub"}, 400, "redirect_uri_mismatch"},
		{"no redirect_uri", nil, []string{"redirect_uri", ""}, 400, "redirect_uri_mismatch"},
		{"PKCE with its verifier", pkce, []string{"code_verifier", verifier}, 200, ""},
		{"PKCE without its verifier", pkce, nil, 400, "invalid_grant"},
		{"PKCE with another verifier", pkce, []string{"code_verifier", oauth2.GenerateVerifier()}, 400, "invalid_grant"},
		{"a verifier where no challenge was sent", nil, []string{"code_verifier", verifier}, 400, "invalid_grant"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, server := startGoogle(t, nil)
			code := pick(t, googleAuthURL(server, test.asked...), "ada").Get("code")
			got := do(t, formRequest(t, server.URL+local.GoogleTokenPath, googleForm(code, test.form...)))
			answer := got.json(t)
			if got.status != test.status || test.code != "" && answer["error"] != test.code {
				t.Errorf("%d %v, want %d %q", got.status, answer, test.status, test.code)
			}
			if _, described := answer["error_description"]; test.code != "" && !described {
				t.Errorf("answer %v has no error_description", answer)
			}
			if got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("Cache-Control %q, want no-store", got.header.Get("Cache-Control"))
			}
		})
	}
}

func TestGoogleTokenAuthentication(t *testing.T) {
	_, server := startGoogle(t, nil)
	exchange := func(id, secret string, changes ...string) reply {
		code := pick(t, googleAuthURL(server), "ada").Get("code")
		form := googleForm(code, append([]string{"client_id", "", "client_secret", ""}, changes...)...)
		req := formRequest(t, server.URL+local.GoogleTokenPath, form)
		req.SetBasicAuth(id, secret)
		return do(t, req)
	}
	if got := exchange(url.QueryEscape(clientID), url.QueryEscape(clientSecret)); got.status != http.StatusOK {
		t.Errorf("form-encoded Basic: %d %s, want 200", got.status, got.body)
	}
	if got := exchange(clientID, "wrong"); got.status != http.StatusUnauthorized || got.header.Get("WWW-Authenticate") == "" {
		t.Errorf("a wrong secret by Basic: status %d, WWW-Authenticate %q", got.status, got.header.Get("WWW-Authenticate"))
	}
	if got := exchange(clientID, "%zz"); got.status != http.StatusBadRequest {
		t.Errorf("broken encoding: status %d, want 400", got.status)
	}
	if got := exchange(url.QueryEscape(clientID), url.QueryEscape(clientSecret), "client_secret", clientSecret); got.status != http.StatusBadRequest {
		t.Errorf("two methods at once: status %d, want 400", got.status)
	}

	req := request(t, http.MethodPost, server.URL+local.GoogleTokenPath, strings.NewReader("{}"))
	req.Header.Set("Content-Type", "application/json")
	if got := do(t, req); got.status != http.StatusBadRequest || got.json(t)["error"] != "invalid_request" {
		t.Errorf("a JSON body: %d %s, want invalid_request", got.status, got.body)
	}
	body := googleForm("4/0Aabc").Encode() + "&code=4/0Axyz"
	req = request(t, http.MethodPost, server.URL+local.GoogleTokenPath, strings.NewReader(body))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if got := do(t, req); got.status != http.StatusBadRequest || got.json(t)["error"] != "invalid_request" {
		t.Errorf("a parameter sent twice: %d %s, want invalid_request", got.status, got.body)
	}
}

func TestGoogleCodeWorksOnce(t *testing.T) {
	_, server := startGoogle(t, nil)
	code := pick(t, googleAuthURL(server), "ada").Get("code")
	wins := race(t.Context(), 20, func(ctx context.Context) bool {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+local.GoogleTokenPath, strings.NewReader(googleForm(code).Encode()))
		if err != nil {
			return false
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode == http.StatusOK
	})
	if wins != 1 {
		t.Errorf("%d of 20 exchanges got tokens, want 1", wins)
	}
}

func TestGoogleTimes(t *testing.T) {
	clock := newClock()
	_, server := startGoogle(t, func(o *local.GoogleOptions) { o.Now = clock.Now })
	tokens := googleTokens(t, server, "gil")
	if got := tokens["expires_in"]; got != 3599.0 {
		t.Errorf("expires_in %v, want 3599", got)
	}
	userinfo := func() int {
		req := request(t, http.MethodGet, server.URL+local.GoogleUserinfoPath, nil)
		req.Header.Set("Authorization", "Bearer "+tokens["access_token"].(string))
		return do(t, req).status
	}
	code := pick(t, googleAuthURL(server), "gil").Get("code")
	clock.Advance(10 * time.Minute)
	got := do(t, formRequest(t, server.URL+local.GoogleTokenPath, googleForm(code)))
	if got.status != http.StatusBadRequest || got.json(t)["error"] != "invalid_grant" {
		t.Errorf("a code ten minutes old: %d %s, want invalid_grant", got.status, got.body)
	}
	if got := userinfo(); got != http.StatusOK {
		t.Errorf("a token ten minutes old: %d, want 200", got)
	}
	clock.Advance(50 * time.Minute)
	if got := userinfo(); got != http.StatusUnauthorized {
		t.Errorf("a token one hour old: %d, want 401", got)
	}
}

func TestGoogleScopes(t *testing.T) {
	tests := []struct {
		name, asked, granted string
		claims               []string // of the ID token, beside the protocol's
		idToken              bool
	}{
		{"openid alone", "openid", "openid", []string{"hd"}, true},
		{"email", "openid email", "openid https://www.googleapis.com/auth/userinfo.email", []string{"email", "email_verified", "hd"}, true},
		{"profile", "profile openid", "https://www.googleapis.com/auth/userinfo.profile openid", []string{"family_name", "given_name", "hd", "name", "picture"}, true},
		{"without openid", "email", "https://www.googleapis.com/auth/userinfo.email", nil, false},
	}
	_, server := startGoogle(t, nil)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tokens := googleTokens(t, server, "wren", "scope", test.asked)
			if tokens["scope"] != test.granted || tokens["token_type"] != "Bearer" {
				t.Errorf("answer %v, want scope %q", tokens, test.granted)
			}
			raw, present := tokens["id_token"].(string)
			if present != test.idToken {
				t.Fatalf("ID token present %t, want %t", present, test.idToken)
			}
			if !present {
				return
			}
			claims := payload(t, raw)
			want := map[string]bool{}
			for _, name := range append(test.claims, "iss", "aud", "azp", "sub", "iat", "exp", "nonce", "at_hash") {
				want[name] = true
			}
			got := map[string]bool{}
			for name := range claims {
				got[name] = true
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
		})
	}

	if got := payload(t, googleTokens(t, server, "wren", "nonce", "")["id_token"].(string)); got["nonce"] != nil {
		t.Errorf("nonce %v where none was sent", got["nonce"])
	}
}

func TestGoogleUserinfoRefusals(t *testing.T) {
	_, server := startGoogle(t, nil)
	for _, authorization := range []string{"", "Bearer ya29.unknown", "Basic eDp5"} {
		req := request(t, http.MethodGet, server.URL+local.GoogleUserinfoPath, nil)
		req.Header.Set("Authorization", authorization)
		got := do(t, req)
		if got.status != http.StatusUnauthorized || !strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Bearer ") {
			t.Errorf("Authorization %q: %d, WWW-Authenticate %q", authorization, got.status, got.header.Get("WWW-Authenticate"))
		}
	}
}

// TestGoogleForgeries shows that each way of signing is what it says: go-oidc
// takes the genuine one and, where one key is published, the one without kid.
func TestGoogleForgeries(t *testing.T) {
	tests := []struct {
		name    string
		signing local.Signing
		header  map[string]any // what the JOSE header says about alg and kid
		refused bool
	}{
		{"genuine", local.SignGenuine, map[string]any{"alg": "RS256", "kid": "published"}, false},
		{"none", local.SignNone, map[string]any{"alg": "none"}, true},
		{"HS256 by the client secret", local.SignHS256Secret, map[string]any{"alg": "HS256"}, true},
		{"HS256 by the public key", local.SignHS256PublicKey, map[string]any{"alg": "HS256", "kid": "published"}, true},
		{"another key", local.SignOtherKey, map[string]any{"alg": "RS256", "kid": "published"}, true},
		{"a changed signature", local.SignBroken, map[string]any{"alg": "RS256", "kid": "published"}, true},
		{"no kid", local.SignWithoutKid, map[string]any{"alg": "RS256"}, false},
		{"an unknown kid", local.SignUnknownKid, map[string]any{"alg": "RS256", "kid": "0000000000000000000000000000000000000000"}, true},
	}
	google, server := startGoogle(t, nil)
	provider, err := oidc.NewProvider(t.Context(), server.URL)
	if err != nil {
		t.Fatal(err)
	}
	var certs struct {
		Keys []struct{ Kid, Alg, Use, Kty string }
	}
	if err := json.Unmarshal([]byte(get(t, server.URL+local.GoogleCertsPath).body), &certs); err != nil {
		t.Fatal(err)
	}
	if len(certs.Keys) != 1 || certs.Keys[0].Alg != "RS256" || certs.Keys[0].Use != "sig" || certs.Keys[0].Kty != "RSA" {
		t.Fatalf("certs %+v, want one RS256 key", certs)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			google.SetSigning(test.signing)
			raw := googleTokens(t, server, "gil")["id_token"].(string)
			head, err := base64.RawURLEncoding.DecodeString(strings.Split(raw, ".")[0])
			if err != nil {
				t.Fatal(err)
			}
			var header map[string]any
			if err := json.Unmarshal(head, &header); err != nil {
				t.Fatal(err)
			}
			if test.header["kid"] == "published" {
				test.header["kid"] = certs.Keys[0].Kid
			}
			delete(header, "typ")
			if diff := cmp.Diff(test.header, header); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
			_, err = provider.Verifier(&oidc.Config{ClientID: clientID}).Verify(t.Context(), raw)
			if refused := err != nil; refused != test.refused {
				t.Errorf("go-oidc: %v, want refused %t", err, test.refused)
			}
		})
	}
}

func TestGoogleTamperClaims(t *testing.T) {
	google, server := startGoogle(t, nil)
	google.TamperClaims(func(claims map[string]any) {
		claims["iss"] = "https://evil.example"
		claims["aud"] = []string{clientID, "other"}
		claims["email_verified"] = "false"
		delete(claims, "exp")
	})
	got := payload(t, googleTokens(t, server, "gil")["id_token"].(string))
	if got["iss"] != "https://evil.example" || got["exp"] != nil || got["email_verified"] != "false" || len(got["aud"].([]any)) != 2 {
		t.Errorf("claims %v are not as told", got)
	}
	google.ClearFaults()
	if got := payload(t, googleTokens(t, server, "gil")["id_token"].(string)); got["iss"] != server.URL {
		t.Errorf("iss %v after ClearFaults, want %v", got["iss"], server.URL)
	}
}

func TestGoogleRotateKey(t *testing.T) {
	google, server := startGoogle(t, nil)
	provider, err := oidc.NewProvider(t.Context(), server.URL)
	if err != nil {
		t.Fatal(err)
	}
	verifier := provider.Verifier(&oidc.Config{ClientID: clientID})
	before := googleTokens(t, server, "gil")["id_token"].(string)
	if _, err := verifier.Verify(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	google.RotateKey(newKey())
	after := googleTokens(t, server, "gil")["id_token"].(string)
	for name, token := range map[string]string{"signed before": before, "signed after": after} {
		if _, err := verifier.Verify(t.Context(), token); err != nil {
			t.Errorf("a token %s the turn: %v", name, err)
		}
	}
	if got := google.Calls(local.GoogleCertsPath); got != 2 {
		t.Errorf("certs fetched %d times, want once more for the new kid", got)
	}
}
