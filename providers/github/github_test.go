package github_test

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/oauth2"

	"example.com/broker/internal/fault"
	"example.com/broker/providers"
	"example.com/broker/providers/github"
	"example.com/broker/providers/local"
	"example.com/broker/users"
)

const (
	clientID     = "client-of-the-broker"
	clientSecret = "a-secret-with-%-and-more-than-32-bytes"
	redirectURI  = "http://127.0.0.1:8080/callback/github"
	// hangs is how long an upstream that hangs is waited for here; that it is 10 seconds by default is a test of HTTPClient.
	hangs = 2 * time.Second
)

func now() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) }

// upstream is a local GitHub on a port of its own, and the adapter under test before it.
type upstream struct {
	*local.GitHub
	provider providers.Provider
	url      string
}

func start(t testing.TB, edit func(*providers.Config)) *upstream {
	t.Helper()
	u := &upstream{GitHub: local.NewGitHub(local.GitHubOptions{ClientID: clientID, ClientSecret: clientSecret, Now: now})}
	server := httptest.NewServer(u)
	t.Cleanup(server.Close)
	u.url = server.URL
	c := configFor(server.URL)
	transport := &http.Transport{} // its connections must not outlive the server
	t.Cleanup(transport.CloseIdleConnections)
	c.Client = &http.Client{Transport: transport, Timeout: hangs}
	if edit != nil {
		edit(&c)
	}
	p, err := github.New(c)
	if err != nil {
		t.Fatal(err)
	}
	u.provider = p
	return u
}

func configFor(base string) providers.Config {
	return providers.Config{
		ID: "github", Kind: "github", Name: "GitHub", ClientID: clientID, ClientSecret: clientSecret,
		AuthURL: base + local.GitHubAuthorizePath, TokenURL: base + local.GitHubTokenPath, APIURL: base + local.GitHubAPIPrefix,
		Namespace: "local:github", AllowPrivate: true, RedirectURI: redirectURI, Now: now,
	}
}

func newFlow() providers.Flow {
	return providers.Flow{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier()}
}

func authURL(t testing.TB, p providers.Provider, f providers.Flow) string {
	t.Helper()
	to, err := p.AuthURL(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	return to
}

func pick(t testing.TB, p providers.Provider, f providers.Flow, person string) url.Values {
	t.Helper()
	back, err := local.Pick(t.Context(), nil, authURL(t, p, f), person)
	if err != nil {
		t.Fatal(err)
	}
	return back.Query()
}

// signIn does what a browser does for person and returns what the adapter makes of it.
func signIn(t testing.TB, p providers.Provider, person string) (providers.Result, error) {
	t.Helper()
	f := newFlow()
	return p.Exchange(t.Context(), f, pick(t, p, f, person))
}

func wantFault(t testing.TB, err error, code string) {
	t.Helper()
	if !fault.Is(err, fault.Upstream) || fault.CodeOf(err) != code {
		t.Fatalf("error %v, want fault.Upstream %q", err, code)
	}
}

func TestEveryPerson(t *testing.T) {
	u := start(t, nil)
	for _, row := range []struct {
		rule, person string
		want         users.Identity
	}{
		{"a primary, verified address counts", "octavia", users.Identity{Subject: "583231", Handle: "octavia", Name: "Octavia Example", Email: "octavia@example.com", EmailVerified: true}},
		{"of several the primary one, not the public one", "ada", users.Identity{Subject: "900000001", Handle: "ada", Name: "Ada Example", Email: "ada@example.com", EmailVerified: true}},
		{"an unverified primary address is none, and no other takes its place", "noor", users.Identity{Subject: "900000002", Handle: "noor", Name: "Noor Example"}},
		{"a private address counts too", "sam", users.Identity{Subject: "900000003", Handle: "sam", Name: "Sam Example", Email: "sam@example.org", EmailVerified: true}},
		{"before a rename", "robin-before", users.Identity{Subject: "900000004", Handle: "robin-before", Name: "Robin Example", Email: "robin@example.com", EmailVerified: true}},
		{"a rename changes the handle, not the subject", "robin-after", users.Identity{Subject: "900000004", Handle: "robin-after", Name: "Robin Example", Email: "robin@example.com", EmailVerified: true}},
	} {
		t.Run(row.rule, func(t *testing.T) {
			got, err := signIn(t, u.provider, row.person)
			if err != nil {
				t.Fatal(err)
			}
			row.want.Provider, row.want.Namespace = "github", "local:github"
			row.want.Picture = u.url + "/u/" + row.want.Subject + "?v=4"
			if diff := cmp.Diff(providers.Result{Identity: row.want}, got, cmpopts.IgnoreFields(users.Identity{}, "Claims", "Unasked")); diff != "" {
				t.Error(diff)
			}
			if got := got.Identity.Claims["email"]; got != row.want.Email {
				t.Errorf("mapping rules see the address %q, want %q", got, row.want.Email)
			}
		})
	}
}

func TestCancel(t *testing.T) {
	u := start(t, nil)
	back := pick(t, u.provider, newFlow(), "")
	if got := back.Get("error"); got != "access_denied" {
		t.Errorf("error %q, want access_denied", got)
	}
}

func TestIssuer(t *testing.T) {
	u := start(t, nil)
	got, required, err := u.provider.Issuer(t.Context())
	if err != nil || required || got != pick(t, u.provider, newFlow(), "ada").Get("iss") {
		t.Errorf("Issuer() = %q, %v, %v; want the iss of a response, not required", got, required, err)
	}
	c := configFor("")
	c.AuthURL, c.TokenURL, c.APIURL, c.Namespace = "", "", "", ""
	p, err := github.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if got, required, err := p.Issuer(t.Context()); got != "https://github.com/login/oauth" || required || err != nil {
		t.Errorf("Issuer() of github.com = %q, %v, %v", got, required, err)
	}
	if got := p.Config().Namespace; got != github.Namespace {
		t.Errorf("namespace of github.com is %q, want %q", got, github.Namespace)
	}
}

// attacks.md A12.
func TestAuthURL(t *testing.T) {
	u := start(t, nil)
	f := newFlow()
	f.LoginHint, f.UILocales = "ada&state=evil&redirect_uri=https://evil.example", "de"
	f.Prompt = "login"
	to, err := url.Parse(authURL(t, u.provider, f))
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{
		"response_type": {"code"}, "client_id": {clientID}, "redirect_uri": {redirectURI}, "scope": {"read:user user:email"},
		"state": {f.State}, "code_challenge": {oauth2.S256ChallengeFromVerifier(f.Verifier)}, "code_challenge_method": {"S256"},
		"prompt": {"select_account"}, "login": {f.LoginHint},
	}
	if diff := cmp.Diff(want, to.Query()); diff != "" {
		t.Error(diff)
	}
}

func TestAuthURLRefusesAFlowThatProtectsNothing(t *testing.T) {
	u := start(t, nil)
	for rule, edit := range map[string]func(*providers.Flow){
		"no state":         func(f *providers.Flow) { f.State = "" },
		"no nonce":         func(f *providers.Flow) { f.Nonce = "" },
		"a short verifier": func(f *providers.Flow) { f.Verifier = f.Verifier[:42] },
		"a long verifier":  func(f *providers.Flow) { f.Verifier = strings.Repeat("v", 129) },
	} {
		t.Run(rule, func(t *testing.T) {
			f := newFlow()
			edit(&f)
			if to, err := u.provider.AuthURL(t.Context(), f); err == nil {
				t.Errorf("built %s", to)
			}
		})
	}
}

func TestAuthURLRefusesAnEndpointThatSetsOurParameters(t *testing.T) {
	for _, name := range []string{"state", "scope", "redirect_uri", "code_challenge"} {
		u := start(t, func(c *providers.Config) { c.AuthURL += "?" + name + "=mine" })
		_, err := u.provider.AuthURL(t.Context(), newFlow())
		wantFault(t, err, "upstream_invalid")
	}
}

// attacks.md A14.
func TestBadAnswers(t *testing.T) {
	endpoints := []string{local.GitHubTokenPath, local.GitHubUserPath, local.GitHubEmailsPath}
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	t.Cleanup(elsewhere.Close)
	for _, row := range []struct {
		rule   string
		answer http.HandlerFunc
		want   string
	}{
		{"an HTML page", local.Answer(http.StatusOK, "text/html", "<p>maintenance</p>"), "upstream_unavailable"},
		{"an HTML page with status 404", local.Answer(http.StatusNotFound, "text/html", "<p>not here</p>"), "upstream_unavailable"},
		{"a redirect", local.Redirect(elsewhere.URL), "upstream_unavailable"},
		{"10 MB", local.Flood(10 << 20), "upstream_unavailable"},
		{"a gzip bomb", local.GzipBomb(10 << 20), "upstream_unavailable"},
		{"a reset", local.Reset, "upstream_unavailable"},
		{"a hang", local.Hang, "upstream_unavailable"},
		{"a server error", local.Answer(http.StatusInternalServerError, "application/json", `{"access_token": "x", "id": 1}`), "upstream_unavailable"},
		{"too many requests", local.Answer(http.StatusTooManyRequests, "application/json", `{"error": "slow_down"}`), "upstream_unavailable"},
		{"a form", local.Answer(http.StatusOK, "application/x-www-form-urlencoded", "access_token=x&token_type=bearer&id=1"), "upstream_invalid"},
		{"an error with status 200", local.Answer(http.StatusOK, "application/json", `{"error": "bad_verification_code"}`), "upstream_invalid"},
		{"JSON cut short", local.Answer(http.StatusOK, "application/json", `{"access_token": "x", "id": 1`), "upstream_invalid"},
		{"another JSON value", local.Answer(http.StatusOK, "application/json", `"x"`), "upstream_invalid"},
	} {
		for _, endpoint := range endpoints {
			t.Run(row.rule+" at "+endpoint, func(t *testing.T) {
				t.Parallel() // some of them wait
				u := start(t, nil)
				u.SetFault(endpoint, row.answer)
				_, err := signIn(t, u.provider, "ada")
				wantFault(t, err, row.want)
			})
		}
	}
}

func TestToken(t *testing.T) {
	u := start(t, nil)
	for _, row := range []struct{ rule, answer, want string }{
		{"a token of another type", `{"access_token": "x", "token_type": "mac"}`, "upstream_invalid"},
		{"no token", `{"token_type": "bearer"}`, "upstream_invalid"},
		{"a token and an error", `{"access_token": "x", "token_type": "bearer", "error": "bad_verification_code"}`, "upstream_invalid"},
	} {
		t.Run(row.rule, func(t *testing.T) {
			u.SetFault(local.GitHubTokenPath, local.Answer(http.StatusOK, "application/json", row.answer))
			before := u.Calls(local.GitHubUserPath)
			_, err := signIn(t, u.provider, "ada")
			wantFault(t, err, row.want)
			if u.Calls(local.GitHubUserPath) != before {
				t.Error("the API was called all the same")
			}
		})
	}
}

func TestCodeIsSpentOnce(t *testing.T) {
	u := start(t, nil)
	f := newFlow()
	back := pick(t, u.provider, f, "ada")
	if _, err := u.provider.Exchange(t.Context(), f, back); err != nil {
		t.Fatal(err)
	}
	_, err := u.provider.Exchange(t.Context(), f, back)
	wantFault(t, err, "upstream_invalid")
	if !strings.Contains(err.Error(), "bad_verification_code") {
		t.Errorf("error %v does not tell the log GitHub's code", err)
	}
}

func TestCodeOfAnotherFlow(t *testing.T) {
	u := start(t, nil)
	back := pick(t, u.provider, newFlow(), "ada")
	_, err := u.provider.Exchange(t.Context(), newFlow(), back)
	wantFault(t, err, "upstream_invalid")
}

// Each request that fails is one request: a probe with another authentication method would spend the code.
func TestAuthenticationIsNeverProbed(t *testing.T) {
	for method, inHeader := range map[string]bool{"": false, providers.SecretPost: false, providers.SecretBasic: true} {
		t.Run("auth_method "+method, func(t *testing.T) {
			u := start(t, func(c *providers.Config) { c.AuthMethod = method })
			var mu sync.Mutex
			var headers, forms []bool
			u.SetFault(local.GitHubTokenPath, func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				_, _, ok := r.BasicAuth()
				headers, forms = append(headers, ok), append(forms, r.PostFormValue("client_secret") != "")
				local.Answer(http.StatusUnauthorized, "application/json", `{"error": "invalid_client"}`)(w, r)
			})
			_, err := signIn(t, u.provider, "ada")
			wantFault(t, err, "upstream_invalid")
			if !slices.Equal(headers, []bool{inHeader}) || !slices.Equal(forms, []bool{!inHeader}) {
				t.Errorf("secret in header %v, in form %v; want it once, in the header: %v", headers, forms, inHeader)
			}
			u.ClearFaults()
			if _, err := signIn(t, u.provider, "ada"); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAccount(t *testing.T) {
	u := start(t, nil)
	for _, row := range []struct{ rule, answer, want string }{
		{"a whole number", `{"id": 42, "login": "x"}`, "42"},
		{"no id", `{"login": "x"}`, ""},
		{"a string", `{"id": "42"}`, ""},
		{"a fraction", `{"id": 42.0}`, ""},
		{"an exponent", `{"id": 42e0}`, ""},
		{"zero", `{"id": 0}`, ""},
		{"negative", `{"id": -42}`, ""},
		{"beyond 64 bits", `{"id": 18446744073709551658}`, ""},
		{"null", `{"id": null}`, ""},
		{"twice", `{"id": 42, "id": 43}`, ""},
		{"another case", `{"ID": 42}`, ""},
		{"a list", `[{"id": 42}]`, ""},
	} {
		t.Run(row.rule, func(t *testing.T) {
			u.SetFault(local.GitHubUserPath, local.Answer(http.StatusOK, "application/json", row.answer))
			got, err := signIn(t, u.provider, "ada")
			if row.want == "" {
				wantFault(t, err, "upstream_invalid")
			} else if err != nil || got.Identity.Subject != row.want {
				t.Errorf("subject %q, error %v; want %q", got.Identity.Subject, err, row.want)
			}
		})
	}
}

// attacks.md G03.
func TestAddresses(t *testing.T) {
	u := start(t, nil)
	answer := func(body string) http.HandlerFunc { return local.Answer(http.StatusOK, "application/json", body) }
	for _, row := range []struct {
		rule       string
		answer     http.HandlerFunc
		want, code string
	}{
		{"primary and verified", answer(`[{"email": "a@b.c", "primary": true, "verified": true}]`), "a@b.c", ""},
		{"verified, but not primary", answer(`[{"email": "a@b.c", "primary": false, "verified": true}]`), "", ""},
		{"primary, but not verified", answer(`[{"email": "a@b.c", "primary": true, "verified": false}]`), "", ""},
		{"verified absent", answer(`[{"email": "a@b.c", "primary": true}]`), "", ""},
		{"verified null", answer(`[{"email": "a@b.c", "primary": true, "verified": null}]`), "", ""},
		{"verified as a string", answer(`[{"email": "a@b.c", "primary": true, "verified": "true"}]`), "", ""},
		{"verified as a number", answer(`[{"email": "a@b.c", "primary": true, "verified": 1}]`), "", ""},
		{"verified in another case", answer(`[{"email": "a@b.c", "primary": true, "Verified": true}]`), "", ""},
		{"an address that is none", answer(`[{"email": "a b", "primary": true, "verified": true}]`), "", ""},
		{"an address that is a number", answer(`[{"email": 5, "primary": true, "verified": true}]`), "", ""},
		{"no addresses", answer(`[]`), "", ""},
		{"the token may not read them (404)", local.Answer(http.StatusNotFound, "application/json", `{}`), "", ""},
		{"the token may not read them (403)", local.Answer(http.StatusForbidden, "application/json", `{}`), "", ""},
		{"no calls are left (403)", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-RateLimit-Remaining", "0")
			local.Answer(http.StatusForbidden, "application/json", `{}`)(w, r)
		}, "", "upstream_unavailable"},
		{"too many calls at once (403)", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "60")
			local.Answer(http.StatusForbidden, "application/json", `{}`)(w, r)
		}, "", "upstream_unavailable"},
		{"the token is bad (401)", local.Answer(http.StatusUnauthorized, "application/json", `{}`), "", "upstream_unavailable"},
		{"verified twice", answer(`[{"email": "a@b.c", "primary": true, "verified": false, "verified": true}]`), "", "upstream_invalid"},
		{"not a list", answer(`{"email": "a@b.c"}`), "", "upstream_invalid"},
		{"a list of strings", answer(`["a@b.c"]`), "", "upstream_invalid"},
	} {
		t.Run(row.rule, func(t *testing.T) {
			u.SetFault(local.GitHubEmailsPath, row.answer)
			got, err := signIn(t, u.provider, "ada")
			if row.code != "" {
				wantFault(t, err, row.code)
				return
			}
			if err != nil || got.Identity.Email != row.want || got.Identity.EmailVerified != (row.want != "") || got.Identity.Authoritative {
				t.Errorf("identity %+v, error %v; want the address %q", got.Identity, err, row.want)
			}
		})
	}
}

func TestWithoutTheScopeForAddresses(t *testing.T) {
	u := start(t, func(c *providers.Config) { c.Scopes = []string{"read:user"} })
	got, err := signIn(t, u.provider, "octavia")
	if err != nil || got.Identity.Subject != "583231" || got.Identity.Email != "" || got.Identity.Claims["email"] != "" {
		t.Errorf("identity %+v, error %v; want octavia without the address of her profile", got.Identity, err)
	}
}

// An upstream that echoes what it was sent, with a code and a secret in each place an error could come from.
func TestErrorsTellNoSecrets(t *testing.T) {
	u := start(t, nil)
	for rule, answer := range map[string]func(code string) http.HandlerFunc{
		"as error code": func(s string) http.HandlerFunc { return local.Answer(200, "application/json", `{"error": "`+s+`"}`) },
		"as description": func(s string) http.HandlerFunc {
			return local.Answer(400, "application/json", `{"error": "x", "error_description": "`+s+`"}`)
		},
		"without an error code": func(s string) http.HandlerFunc { return local.Answer(400, "application/json", `{"message": "`+s+`"}`) },
		"as text":               func(s string) http.HandlerFunc { return local.Answer(400, "text/plain", s) },
		"as broken JSON":        func(s string) http.HandlerFunc { return local.Answer(200, "application/json", s) },
		"as expires_in": func(s string) http.HandlerFunc {
			return local.Answer(200, "application/json", `{"access_token": "x", "expires_in": "`+s+`"}`)
		},
		"in a redirect":          func(s string) http.HandlerFunc { return local.Redirect("https://evil.example/" + s) },
		"in a header of a reset": func(string) http.HandlerFunc { return local.Reset },
	} {
		t.Run(rule, func(t *testing.T) {
			f := newFlow()
			back := pick(t, u.provider, f, "ada")
			secrets := []string{back.Get("code"), clientSecret, f.Verifier}
			for _, s := range secrets {
				u.SetFault(local.GitHubTokenPath, answer(s))
				_, err := u.provider.Exchange(t.Context(), f, back)
				if err == nil {
					t.Fatal("no error")
				}
				for _, s := range secrets {
					if strings.Contains(err.Error(), s) || strings.Contains(err.Error(), url.QueryEscape(s)) {
						t.Errorf("error %v tells %q", err, s)
					}
				}
			}
		})
	}
}

func TestNewNamesEveryProblem(t *testing.T) {
	for _, row := range []struct {
		rule string
		edit func(*providers.Config)
		want []string
	}{
		{"nothing set", func(c *providers.Config) { *c = providers.Config{} }, []string{"id is", "client_id", "client_secret", "redirect_uri", "clock"}},
		{"one address replaced", func(c *providers.Config) { c.TokenURL, c.APIURL = "", "" }, []string{"all three or none"}},
		{"an address on http", func(c *providers.Config) { c.TokenURL = "http://ghe.example/token" }, []string{"token_url", "http://ghe.example/token"}},
		{"this computer, not allowed", func(c *providers.Config) { c.AllowPrivate = false }, []string{local.GitHubAuthorizePath, local.GitHubTokenPath, local.GitHubAPIPrefix}},
		{"a method there is not", func(c *providers.Config) { c.AuthMethod = "private_key_jwt" }, []string{"auth_method", "private_key_jwt"}},
		{"the namespace of local login names", func(c *providers.Config) { c.Namespace = users.LocalNamespace }, []string{"namespace"}},
		{"github.com's namespace for another server", func(c *providers.Config) { c.Namespace = github.Namespace }, []string{"namespace", "github.com"}},
		{"hosted domains", func(c *providers.Config) { c.HostedDomains = []string{"example.com"} }, []string{"hosted_domains"}},
		{"a subject claim", func(c *providers.Config) { c.SubjectClaim = "login" }, []string{"subject_claim"}},
		{"a certificate file that is not there", func(c *providers.Config) { c.CAFile = "/nowhere.pem" }, []string{"ca_file", "/nowhere.pem"}},
	} {
		t.Run(row.rule, func(t *testing.T) {
			c := configFor("http://127.0.0.1:1")
			row.edit(&c)
			_, err := github.New(c)
			for _, want := range row.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want it to name %q", err, want)
				}
			}
		})
	}
}

// Account numbers of another server are other people.
func TestAnotherServerHasItsOwnNamespace(t *testing.T) {
	c := configFor("https://ghe.example")
	c.Namespace = ""
	p, err := github.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Config().Namespace; got != "https://ghe.example" {
		t.Errorf("namespace %q, want https://ghe.example", got)
	}
}

func TestConfigKeepsTheSecret(t *testing.T) {
	c := start(t, nil).provider.Config()
	if c.ClientSecret != "" || c.Client != nil || c.ClientID != clientID {
		t.Errorf("Config() = %+v", c)
	}
}

func TestACancelledRequestEndsAtOnce(t *testing.T) {
	u := start(t, nil)
	f := newFlow()
	back := pick(t, u.provider, f, "ada")
	ctx, cancel := context.WithCancel(t.Context())
	u.SetFault(local.GitHubTokenPath, func(w http.ResponseWriter, r *http.Request) {
		cancel()
		local.Hang(w, r)
	})
	_, err := u.provider.Exchange(ctx, f, back)
	wantFault(t, err, "upstream_unavailable")
}

func TestConcurrentSignIns(t *testing.T) {
	u := start(t, nil)
	var all sync.WaitGroup
	for person, subject := range map[string]string{"octavia": "583231", "ada": "900000001", "noor": "900000002", "sam": "900000003"} {
		for range 5 {
			all.Go(func() {
				f := newFlow()
				to, err := u.provider.AuthURL(t.Context(), f)
				if err != nil {
					t.Error(err)
					return
				}
				back, err := local.Pick(t.Context(), nil, to, person)
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := u.provider.Exchange(t.Context(), f, back.Query()); err != nil || got.Identity.Subject != subject {
					t.Errorf("subject %q, error %v; want %q", got.Identity.Subject, err, subject)
				}
			})
		}
	}
	all.Wait()
}
