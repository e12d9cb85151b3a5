package local_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"example.com/broker/providers/local"
)

func githubAuthURL(server *httptest.Server, changes ...string) string {
	query := with(url.Values{
		"client_id": {clientID}, "redirect_uri": {callback}, "scope": {"read:user user:email"}, "state": {"st"},
	}, changes...)
	return server.URL + local.GitHubAuthorizePath + "?" + query.Encode()
}

func githubForm(code string, changes ...string) url.Values {
	return with(url.Values{"client_id": {clientID}, "client_secret": {clientSecret}, "code": {code}}, changes...)
}

func githubExchange(t testing.TB, server *httptest.Server, form url.Values) map[string]any {
	t.Helper()
	req := formRequest(t, server.URL+local.GitHubTokenPath, form)
	req.Header.Set("Accept", "application/json")
	got := do(t, req)
	if got.status != http.StatusOK {
		t.Fatalf("token endpoint: status %d, want 200 for everything\n%s", got.status, got.body)
	}
	return got.json(t)
}

// githubToken signs in as login with scopes and returns the access token.
func githubToken(t testing.TB, server *httptest.Server, login, scopes string) string {
	t.Helper()
	code := pick(t, githubAuthURL(server, "scope", scopes), login).Get("code")
	token, _ := githubExchange(t, server, githubForm(code))["access_token"].(string)
	if token == "" {
		t.Fatal("no access_token")
	}
	return token
}

func githubAPI(t testing.TB, server *httptest.Server, path, authorization string) reply {
	t.Helper()
	req := request(t, http.MethodGet, server.URL+path, nil)
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	return do(t, req)
}

func TestGitHubSignInWithOAuth2Client(t *testing.T) {
	for _, style := range []oauth2.AuthStyle{oauth2.AuthStyleInHeader, oauth2.AuthStyleInParams} {
		t.Run("style "+strconv.Itoa(int(style)), func(t *testing.T) {
			_, server := startGitHub(t, nil)
			config := oauth2.Config{
				ClientID: clientID, ClientSecret: clientSecret, RedirectURL: callback, Scopes: []string{"user:email"},
				Endpoint: oauth2.Endpoint{
					AuthURL: server.URL + local.GitHubAuthorizePath, TokenURL: server.URL + local.GitHubTokenPath, AuthStyle: style,
				},
			}
			verifier := oauth2.GenerateVerifier()
			answer := pick(t, config.AuthCodeURL("s t&a=te\r\n\x00", oauth2.S256ChallengeOption(verifier)), "ada")
			if got, want := answer.Get("state"), "s t&a=te\r\n\x00"; got != want {
				t.Errorf("state %q, want %q: it comes back verbatim", got, want)
			}
			if got, want := answer.Get("iss"), server.URL+"/login/oauth"; got != want {
				t.Errorf("iss %q, want %q", got, want)
			}
			token, err := config.Exchange(t.Context(), answer.Get("code"), oauth2.VerifierOption(verifier))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(token.AccessToken, "gho_") || !token.Expiry.IsZero() {
				t.Errorf("token %q, expiry %v: want gho_… and no expiry", token.AccessToken, token.Expiry)
			}

			resp, err := config.Client(t.Context(), token).Get(server.URL + "/user/emails")
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			var got []local.GitHubEmail
			if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
				t.Fatal(err)
			}
			private := "private"
			want := []local.GitHubEmail{
				{Email: "ada.work@example.org", Verified: true},
				{Email: "ada@example.com", Primary: true, Verified: true, Visibility: &private},
				{Email: "ada.old@example.org"},
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("addresses (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGitHubAuthorizeErrors(t *testing.T) {
	registered := func(o *local.GitHubOptions) { o.RedirectURIs = []string{callback} }
	const mismatch = "error=redirect_uri_mismatch"
	tests := []struct {
		name     string
		edit     func(*local.GitHubOptions)
		changes  []string
		status   int
		location string // part of the address redirected to; empty: no redirect
	}{
		{"an unknown client is not found", nil, []string{"client_id", "other"}, 404, ""},
		{"a missing client is not found", nil, []string{"client_id", ""}, 404, ""},
		{"a foreign address is not redirected to", nil, []string{"redirect_uri", "https://evil.example/cb"}, 400, ""},
		{"a host that only starts like loopback is foreign", nil, []string{"redirect_uri", "http://127.0.0.1.evil.example/cb"}, 400, ""},
		{"a user name that looks like loopback is foreign", nil, []string{"redirect_uri", "http://127.0.0.1@evil.example/cb"}, 400, ""},
		{"credentials in the address are refused", nil, []string{"redirect_uri", "http://evil.example@127.0.0.1/cb"}, 400, ""},
		{"a backslash is refused", nil, []string{"redirect_uri", `http://127.0.0.1\@evil.example/cb`}, 400, ""},
		{"a fragment is refused", nil, []string{"redirect_uri", callback + "#x"}, 400, ""},
		{"an empty fragment is refused", nil, []string{"redirect_uri", callback + "#"}, 400, ""},
		{"a script is refused", nil, []string{"redirect_uri", "javascript://127.0.0.1/%0aalert(1)"}, 400, ""},
		{"a relative address is refused", nil, []string{"redirect_uri", "//127.0.0.1/cb"}, 400, ""},
		{"other spellings of loopback are foreign", nil, []string{"redirect_uri", "http://127.1/cb"}, 400, ""},
		{"no address and none registered is an error", nil, []string{"redirect_uri", ""}, 400, ""},
		{"a mismatch goes to the registered address", registered, []string{"redirect_uri", "http://127.0.0.1:8080/other"}, 303, callback + "?" + mismatch},
		{"a mismatch never goes to the one asked for", registered, []string{"redirect_uri", "https://evil.example/cb"}, 303, callback + "?" + mismatch},
		{"a sibling that starts with the path is no subdirectory", registered, []string{"redirect_uri", callback + "evil"}, 303, callback + "?" + mismatch},
		{"dots do not climb out of the path", registered, []string{"redirect_uri", callback + "/../x"}, 303, callback + "?" + mismatch},
		{"encoded dots do not climb out of the path", registered, []string{"redirect_uri", callback + "/%2e%2e/x"}, 303, callback + "?" + mismatch},
		{"backslashes do not climb out of the path", registered, []string{"redirect_uri", callback + `/x\..\..\y`}, 303, callback + "?" + mismatch},
		{"PKCE without a method means plain and is refused", nil, []string{"code_challenge", challengeOf("x")}, 303, "error=invalid_request"},
		{"PKCE plain is refused", nil, []string{"code_challenge", challengeOf("x"), "code_challenge_method", "plain"}, 303, "error=invalid_request"},
		{"a challenge of the wrong length is refused", nil, []string{"code_challenge", "short", "code_challenge_method", "S256"}, 303, "error=invalid_request"},
		{"a method without a challenge is refused", nil, []string{"code_challenge_method", "S256"}, 303, "error=invalid_request"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, server := startGitHub(t, test.edit)
			got := get(t, githubAuthURL(server, test.changes...))
			if got.status != test.status {
				t.Fatalf("status %d, want %d\n%s", got.status, test.status, got.body)
			}
			location := got.header.Get("Location")
			if test.location == "" && location != "" || !strings.Contains(location, test.location) {
				t.Fatalf("Location %q, want %q", location, test.location)
			}
			if location != "" && got.location(t).Query().Get("state") != "st" {
				t.Errorf("Location %q: an error carries state too", location)
			}
			if _, err := local.Pick(t.Context(), nil, githubAuthURL(server, test.changes...), "ada"); err == nil && test.location == "" {
				t.Error("posting the form redirected; the form is checked like the page")
			}
		})
	}
}

func TestGitHubRedirectRule(t *testing.T) {
	tests := []struct {
		name  string
		known []string
		asked string
	}{
		{"any loopback address where none is registered", nil, "http://localhost:1/x"},
		{"IPv6 loopback", nil, "http://[::1]:9999/cb?a=b"},
		{"exactly the registered one", []string{"https://app.example/cb"}, "https://app.example/cb"},
		{"a path below the registered one", []string{"https://app.example/cb"}, "https://app.example/cb/sub/dir"},
		{"another port on loopback", []string{"http://127.0.0.1/cb"}, "http://127.0.0.1:1234/cb"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, server := startGitHub(t, func(o *local.GitHubOptions) { o.RedirectURIs = test.known })
			location, err := local.Pick(t.Context(), nil, githubAuthURL(server, "redirect_uri", test.asked), "ada")
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(location.String(), test.asked) || location.Query().Get("code") == "" {
				t.Errorf("redirected to %q, want %q with a code", location, test.asked)
			}
		})
	}

	t.Run("the registered one where the request names none", func(t *testing.T) {
		_, server := startGitHub(t, func(o *local.GitHubOptions) { o.RedirectURIs = []string{callback} })
		if got := pick(t, githubAuthURL(server, "redirect_uri", ""), "ada"); got.Get("code") == "" {
			t.Errorf("answer %v, want a code", got)
		}
	})
}

func TestGitHubCancel(t *testing.T) {
	_, server := startGitHub(t, nil)
	got := pick(t, githubAuthURL(server), "")
	want := url.Values{
		"error":             {"access_denied"},
		"error_description": {"The user has denied your application access."},
		"error_uri":         {"https://docs.github.com/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-authorization-request-errors/#access-denied"},
		"state":             {"st"},
		"iss":               {server.URL + "/login/oauth"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
}

func TestGitHubOmitIss(t *testing.T) {
	_, server := startGitHub(t, func(o *local.GitHubOptions) { o.OmitIss = true })
	if got := pick(t, githubAuthURL(server, "state", ""), "ada"); got.Has("iss") || got.Has("state") {
		t.Errorf("answer %v: want neither iss nor an empty state", got)
	}
}

func TestGitHubTokenErrors(t *testing.T) {
	verifier := oauth2.GenerateVerifier()
	pkce := []string{"code_challenge", challengeOf(verifier), "code_challenge_method", "S256"}
	tests := []struct {
		name   string
		asked  []string
		form   []string
		person string
		want   string // error; empty: success
	}{
		{"a wrong secret", nil, []string{"client_secret", "wrong"}, "ada", "incorrect_client_credentials"},
		{"a missing secret", nil, []string{"client_secret", ""}, "ada", "incorrect_client_credentials"},
		{"an unknown client", nil, []string{"client_id", "other"}, "ada", "incorrect_client_credentials"},
		{"an unknown code", nil, []string{"code", "0123456789abcdef0123"}, "ada", "bad_verification_code"},
		{"a missing code", nil, []string{"code", ""}, "ada", "bad_verification_code"},
		{"another redirect_uri", nil, []string{"redirect_uri", callback + "/sub"}, "ada", "redirect_uri_mismatch"},
		{"the same redirect_uri", nil, []string{"redirect_uri", callback}, "ada", ""},
		{"another grant type", nil, []string{"grant_type", "password"}, "ada", "unsupported_grant_type"},
		{"PKCE with its verifier", pkce, []string{"code_verifier", verifier}, "ada", ""},
		{"PKCE without its verifier", pkce, nil, "ada", "bad_verification_code"},
		{"PKCE with another verifier", pkce, []string{"code_verifier", oauth2.GenerateVerifier()}, "ada", "bad_verification_code"},
		{"PKCE with the challenge as verifier", pkce, []string{"code_verifier", challengeOf(verifier)}, "ada", "bad_verification_code"},
		{"a verifier where no challenge was sent", nil, []string{"code_verifier", verifier}, "ada", "bad_verification_code"},
		{"a person whose primary address is unverified", nil, nil, "noor", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, server := startGitHub(t, nil)
			code := pick(t, githubAuthURL(server, test.asked...), test.person).Get("code")
			got := githubExchange(t, server, githubForm(code, test.form...))
			if test.want == "" {
				if got["access_token"] == nil || got["token_type"] != "bearer" {
					t.Errorf("answer %v, want a token", got)
				}
				return
			}
			description, _ := got["error_description"].(string)
			uri, _ := got["error_uri"].(string)
			if got["error"] != test.want || description == "" || !strings.HasPrefix(uri, "https://docs.github.com/") || got["access_token"] != nil {
				t.Errorf("answer %v, want error %q with description and uri", got, test.want)
			}
		})
	}

	t.Run("a person whose primary address is unverified, where the app wants it verified", func(t *testing.T) {
		_, server := startGitHub(t, func(o *local.GitHubOptions) { o.RefuseUnverifiedEmail = true })
		code := pick(t, githubAuthURL(server), "noor").Get("code")
		if got := githubExchange(t, server, githubForm(code)); got["error"] != "unverified_user_email" {
			t.Errorf("answer %v, want unverified_user_email", got)
		}
	})
}

func TestGitHubTokenAnswersAsAccepted(t *testing.T) {
	_, server := startGitHub(t, nil)
	for _, accept := range []string{"", "*/*", "application/x-www-form-urlencoded"} {
		code := pick(t, githubAuthURL(server), "ada").Get("code")
		req := formRequest(t, server.URL+local.GitHubTokenPath, githubForm(code))
		req.Header.Set("Accept", accept)
		got := do(t, req)
		values, err := url.ParseQuery(got.body)
		if err != nil {
			t.Fatal(err)
		}
		if values.Get("scope") != "read:user,user:email" || values.Get("token_type") != "bearer" || values.Get("access_token") == "" {
			t.Errorf("Accept %q: answer %q, want a form", accept, got.body)
		}
		if media := got.header.Get("Content-Type"); !strings.HasPrefix(media, "application/x-www-form-urlencoded") {
			t.Errorf("Accept %q: Content-Type %q", accept, media)
		}
	}

	req := request(t, http.MethodPost, server.URL+local.GitHubTokenPath, strings.NewReader(`{"code":"x"}`))
	req.Header.Set("Content-Type", "application/json")
	if got := do(t, req); got.status != http.StatusBadRequest {
		t.Errorf("a JSON body: status %d, want 400", got.status)
	}
}

func TestGitHubCodeWorksOnce(t *testing.T) {
	_, server := startGitHub(t, nil)
	code := pick(t, githubAuthURL(server), "ada").Get("code")
	wins := race(t.Context(), 20, func(ctx context.Context) bool {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+local.GitHubTokenPath, strings.NewReader(githubForm(code).Encode()))
		if err != nil {
			return false
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return strings.Contains(string(body), "access_token=")
	})
	if wins != 1 {
		t.Errorf("%d of 20 exchanges got a token, want 1", wins)
	}
}

func TestGitHubWrongClientDoesNotSpendTheCode(t *testing.T) {
	_, server := startGitHub(t, nil)
	code := pick(t, githubAuthURL(server), "ada").Get("code")
	githubExchange(t, server, githubForm(code, "client_secret", "wrong"))
	if got := githubExchange(t, server, githubForm(code)); got["access_token"] == nil {
		t.Errorf("answer %v, want a token", got)
	}
}

func TestGitHubTimes(t *testing.T) {
	clock := newClock()
	_, server := startGitHub(t, func(o *local.GitHubOptions) { o.Now = clock.Now })

	code := pick(t, githubAuthURL(server), "ada").Get("code")
	clock.Advance(10*time.Minute - time.Second)
	token, _ := githubExchange(t, server, githubForm(code))["access_token"].(string)
	if token == "" {
		t.Fatal("a code just below ten minutes old: no token")
	}
	code = pick(t, githubAuthURL(server), "ada").Get("code")
	clock.Advance(10 * time.Minute)
	if got := githubExchange(t, server, githubForm(code)); got["error"] != "bad_verification_code" {
		t.Errorf("a code ten minutes old: %v, want bad_verification_code", got)
	}
	if got := githubAPI(t, server, "/user", "Bearer "+token); got.status != http.StatusOK {
		t.Errorf("a token ten minutes old: status %d, want 200", got.status)
	}
	clock.Advance(8 * time.Hour)
	if got := githubAPI(t, server, "/user", "Bearer "+token); got.status != http.StatusUnauthorized {
		t.Errorf("a token eight hours old: status %d, want 401", got.status)
	}
}

func TestGitHubUser(t *testing.T) {
	tests := []struct {
		login string
		id    float64
		name  string
		email any
	}{
		{"octavia", 583231, "Octavia Example", "octavia@example.com"},
		{"ada", 900000001, "Ada Example", "ada.work@example.org"},
		{"noor", 900000002, "Noor Example", nil},
		{"sam", 900000003, "Sam Example", nil},
		{"robin-before", 900000004, "Robin Example", nil},
		{"robin-after", 900000004, "Robin Example", nil},
	}
	_, server := startGitHub(t, nil)
	for _, test := range tests {
		t.Run(test.login, func(t *testing.T) {
			token := githubToken(t, server, test.login, "")
			for path, scheme := range map[string]string{"/user": "Bearer ", "/api/v3/user": "token "} {
				got := githubAPI(t, server, path, scheme+token).json(t)
				if got["login"] != test.login || got["id"] != test.id || got["name"] != test.name || got["type"] != "User" {
					t.Errorf("%s: %v, want %+v", path, got, test)
				}
				if email, present := got["email"]; !present || email != test.email {
					t.Errorf("%s: email %v (present %t), want %v", path, email, present, test.email)
				}
				avatar, _ := got["avatar_url"].(string)
				if picture := get(t, avatar); picture.header.Get("Content-Type") != "image/png" {
					t.Errorf("%s: avatar_url %q leads to %q, want a picture", path, avatar, picture.header.Get("Content-Type"))
				}
			}
		})
	}

	t.Run("node_id", func(t *testing.T) {
		got := githubAPI(t, server, "/user", "Bearer "+githubToken(t, server, "octavia", "")).json(t)
		if want := "MDQ6VXNlcjU4MzIzMQ=="; got["node_id"] != want {
			t.Errorf("node_id %v, want %v", got["node_id"], want)
		}
	})
}

func TestGitHubScopes(t *testing.T) {
	tests := []struct {
		asked, header string
		emails        int
	}{
		{"", "", 404},
		{"read:user", "read:user", 404},
		{"user:email", "user:email", 200},
		{"user:email,read:user", "read:user, user:email", 200},
		{"user user:email read:user", "user", 200},
	}
	_, server := startGitHub(t, nil)
	for _, test := range tests {
		t.Run("scope "+test.asked, func(t *testing.T) {
			authorization := "Bearer " + githubToken(t, server, "ada", test.asked)
			for _, prefix := range []string{"", local.GitHubAPIPrefix} {
				got := githubAPI(t, server, prefix+"/user/emails", authorization)
				if got.status != test.emails {
					t.Errorf("%s/user/emails: status %d, want %d", prefix, got.status, test.emails)
				}
				if header := got.header.Get("X-OAuth-Scopes"); header != test.header {
					t.Errorf("X-OAuth-Scopes %q, want %q", header, test.header)
				}
			}
			got := githubAPI(t, server, "/user/orgs", authorization)
			if allowed := strings.HasPrefix(test.asked, "user "); allowed && (got.status != http.StatusOK || got.body != "[]") || !allowed && got.status != http.StatusForbidden {
				t.Errorf("/user/orgs: %d %s, want an empty list with the scope user and 403 without", got.status, got.body)
			}
		})
	}
}

func TestGitHubAPIRefusals(t *testing.T) {
	_, server := startGitHub(t, nil)
	token := githubToken(t, server, "ada", "user:email")
	tests := []struct {
		name, authorization, message string
	}{
		{"no token", "", "Requires authentication"},
		{"another scheme", "Basic " + token, "Requires authentication"},
		{"no scheme", token, "Requires authentication"},
		{"an unknown token", "Bearer gho_unknown", "Bad credentials"},
		{"an empty token", "Bearer ", "Requires authentication"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, path := range []string{"/user", "/user/emails", "/user/orgs", "/api/v3/user"} {
				got := githubAPI(t, server, path, test.authorization)
				if got.status != http.StatusUnauthorized || got.json(t)["message"] != test.message {
					t.Errorf("%s: %d %s, want 401 %q", path, got.status, got.body, test.message)
				}
			}
		})
	}

	req := request(t, http.MethodGet, server.URL+"/user", nil)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("User-Agent", "")
	if got := do(t, req); got.status != http.StatusForbidden {
		t.Errorf("no User-Agent: status %d, want 403", got.status)
	}
}
