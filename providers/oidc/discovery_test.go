package oidc_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/broker/internal/fault"
	"example.com/broker/providers"
	"example.com/broker/providers/local"
	"example.com/broker/providers/oidc"
	"example.com/broker/users"
)

func TestDiscoveryDocument(t *testing.T) {
	type object = map[string]any
	for _, row := range []struct {
		rule string
		edit object // nil takes a member out
		want bool
	}{
		{"honest", object{}, true},
		{"another issuer", object{"issuer": "https://accounts.example.com"}, false},
		{"the issuer with a slash more", object{"issuer": "SELF/"}, false},
		{"no issuer", object{"issuer": nil}, false},
		{"the issuer under a name in another case", object{"issuer": nil, "Issuer": "SELF"}, false},
		{"no authorization endpoint", object{"authorization_endpoint": nil}, false},
		{"no token endpoint", object{"token_endpoint": nil}, false},
		{"no keys", object{"jwks_uri": nil}, false},
		{"no userinfo", object{"userinfo_endpoint": nil}, true},
		{"userinfo that is no address", object{"userinfo_endpoint": 5}, false},
		{"an empty userinfo address", object{"userinfo_endpoint": ""}, false},
		{"a token endpoint on http elsewhere", object{"token_endpoint": "http://example.com/token"}, false},
		{"keys on http elsewhere", object{"jwks_uri": "http://example.com/keys"}, false},
		{"keys in a file", object{"jwks_uri": "file:///etc/passwd"}, false},
		{"no signature algorithm that is taken", object{"id_token_signing_alg_values_supported": []string{"HS256", "none"}}, false},
		{"an authorization endpoint that is a script", object{"authorization_endpoint": "javascript:alert(1)"}, false},
		{"an authorization endpoint that sets our parameters", object{"authorization_endpoint": "SELF/auth?redirect_uri=https://evil.example"}, false},
		{"an authorization endpoint with a parameter of its own", object{"authorization_endpoint": "SELF/auth?tenant=1"}, true},
	} {
		t.Run(row.rule, func(t *testing.T) {
			g := startGoogle(t, oidc.New, nil)
			g.SetFault(local.GoogleDiscoveryPath, g.edited(func(doc map[string]any) {
				change(doc, row.edit)
				for name, value := range doc {
					if s, ok := value.(string); ok {
						doc[name] = strings.ReplaceAll(s, "SELF", g.url)
					}
				}
			}))
			_, err := g.provider.AuthURL(t.Context(), newFlow())
			if row.want && err != nil {
				t.Fatal(err)
			}
			if !row.want {
				wantFault(t, err, "upstream_invalid")
			}
		})
	}
}

func TestWithoutUserinfo(t *testing.T) {
	g := startGoogle(t, oidc.New, nil)
	g.SetFault(local.GoogleDiscoveryPath, g.edited(func(doc map[string]any) { delete(doc, "userinfo_endpoint") }))
	got, err := signIn(t, g.provider, "ada")
	if err != nil || got.Identity.Email != "ada@example.com" || g.Calls(local.GoogleUserinfoPath) != 0 {
		t.Errorf("identity %+v, error %v, %d calls of userinfo", got.Identity, err, g.Calls(local.GoogleUserinfoPath))
	}
}

// An issuer on https is not held by a document that sends us, or a person, back to http, not even on this computer.
func TestDiscoveryDoesNotDowngrade(t *testing.T) {
	for _, endpoint := range []string{"", "authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri"} {
		t.Run("http for "+endpoint, func(t *testing.T) {
			g := &google{clock: newClock()}
			g.Google = local.NewGoogle(local.GoogleOptions{ClientID: clientID, ClientSecret: clientSecret, Now: g.clock.Now, Key: signingKey()})
			server := httptest.NewTLSServer(g)
			t.Cleanup(server.Close)
			p := newProvider(t, oidc.New, server.URL, g.clock, func(c *providers.Config) { c.Client = server.Client() })
			g.SetFault(local.GoogleDiscoveryPath, g.edited(func(doc map[string]any) {
				if endpoint != "" {
					doc[endpoint] = strings.Replace(doc[endpoint].(string), "https://", "http://", 1)
				}
			}))
			_, err := p.AuthURL(t.Context(), newFlow())
			if endpoint == "" && err != nil {
				t.Fatal(err)
			}
			if endpoint != "" {
				wantFault(t, err, "upstream_invalid")
			}
		})
	}
}

func TestIssuer(t *testing.T) {
	for _, required := range []any{true, false, nil, "true"} {
		g := startGoogle(t, oidc.New, nil)
		g.SetFault(local.GoogleDiscoveryPath, g.edited(func(doc map[string]any) {
			change(doc, map[string]any{"authorization_response_iss_parameter_supported": required})
		}))
		issuer, got, err := g.provider.Issuer(t.Context())
		if err != nil || issuer != g.url || got != (required == true) {
			t.Errorf("supported = %v: Issuer() = %q, %v, %v", required, issuer, got, err)
		}
	}
}

func TestNewMakesNoCall(t *testing.T) {
	g := startGoogle(t, oidc.New, nil)
	if n := g.Calls(local.GoogleDiscoveryPath); n != 0 {
		t.Errorf("discovery was called %d times", n)
	}
}

func TestOneFetchForAllWhoAskAtOnce(t *testing.T) {
	for range 20 {
		g := startGoogle(t, oidc.New, nil)
		var all sync.WaitGroup
		gate := make(chan struct{})
		for range 50 {
			all.Go(func() {
				<-gate
				if _, err := g.provider.AuthURL(t.Context(), newFlow()); err != nil {
					t.Error(err)
				}
			})
		}
		close(gate)
		all.Wait()
		if n := g.Calls(local.GoogleDiscoveryPath); n != 1 {
			t.Fatalf("50 who asked at once cost %d fetches, want 1", n)
		}
	}
}

func TestDiscoveryIsKeptForAnHour(t *testing.T) {
	g := startGoogle(t, oidc.New, nil)
	check := func(want int) {
		t.Helper()
		for range 3 {
			if _, err := g.provider.AuthURL(t.Context(), newFlow()); err != nil {
				t.Fatal(err)
			}
		}
		if got := g.Calls(local.GoogleDiscoveryPath); got != want {
			t.Errorf("discovery was called %d times, want %d", got, want)
		}
	}
	check(1)
	g.clock.Advance(time.Hour - time.Second)
	check(1)
	g.clock.Advance(time.Second)
	check(2)
}

func TestDiscoveryOutage(t *testing.T) {
	g := startGoogle(t, oidc.New, nil)
	g.SetFault(local.GoogleDiscoveryPath, local.Reset)
	_, err := g.provider.AuthURL(t.Context(), newFlow())
	wantFault(t, err, "upstream_unavailable")

	g.ClearFaults() // nothing is kept of a failure
	if _, err := signIn(t, g.provider, "ada"); err != nil {
		t.Fatal(err)
	}

	// Not a reset: net/http repeats a GET by itself where a connection it had kept breaks.
	g.SetFault(local.GoogleDiscoveryPath, local.Answer(http.StatusServiceUnavailable, "application/json", `{}`))
	g.clock.Advance(2 * time.Hour)
	before := g.Calls(local.GoogleDiscoveryPath)
	for range 3 {
		if _, err := signIn(t, g.provider, "ada"); err != nil {
			t.Fatalf("an old document was not used: %v", err)
		}
	}
	if n := g.Calls(local.GoogleDiscoveryPath) - before; n != 1 {
		t.Errorf("an outage cost %d attempts within a minute, want 1", n)
	}

	g.SetFault(local.GoogleDiscoveryPath, local.Answer(http.StatusOK, "application/json", `{"issuer": "https://evil.example"}`))
	g.clock.Advance(time.Minute)
	if _, err := signIn(t, g.provider, "ada"); err != nil {
		t.Fatalf("a wrong document replaced the old one: %v", err)
	}

	g.ClearFaults()
	g.clock.Advance(time.Minute)
	before = g.Calls(local.GoogleDiscoveryPath)
	if _, err := signIn(t, g.provider, "ada"); err != nil || g.Calls(local.GoogleDiscoveryPath) != before+1 {
		t.Errorf("after the outage: error %v, %d attempts", err, g.Calls(local.GoogleDiscoveryPath)-before)
	}
}

func TestRefresh(t *testing.T) {
	g := startGoogle(t, oidc.New, nil)
	refresh := g.provider.(interface{ Refresh(context.Context) error }).Refresh
	if _, required, err := g.provider.Issuer(t.Context()); err != nil || !required {
		t.Fatal(required, err)
	}
	g.SetFault(local.GoogleDiscoveryPath, g.edited(func(doc map[string]any) { delete(doc, "authorization_response_iss_parameter_supported") }))
	if err := refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, required, err := g.provider.Issuer(t.Context()); err != nil || required {
		t.Errorf("after a refresh: required %v, error %v", required, err)
	}
	g.SetFault(local.GoogleDiscoveryPath, local.Answer(http.StatusServiceUnavailable, "application/json", `{}`))
	wantFault(t, refresh(t.Context()), "upstream_unavailable")
	if _, err := g.provider.AuthURL(t.Context(), newFlow()); err != nil {
		t.Errorf("after a failed refresh: %v", err)
	}
}

// A new key works at the first token that it signs, as often as it happens.
func TestKeyRotationWorksAtOnce(t *testing.T) {
	g := startGoogle(t, oidc.New, nil)
	for n := 1; n <= 3; n++ {
		if _, err := signIn(t, g.provider, "ada"); err != nil {
			t.Fatal(err)
		}
		if got := g.Calls(local.GoogleCertsPath); got != n {
			t.Errorf("the keys were fetched %d times, want %d", got, n)
		}
		g.RotateKey(newKey())
	}
}

func TestAFruitlessFetchOfKeysPausesThem(t *testing.T) {
	g := startGoogle(t, oidc.New, nil)
	if _, err := signIn(t, g.provider, "ada"); err != nil {
		t.Fatal(err)
	}
	refused := func(rule string, want int) {
		t.Helper()
		before := g.Calls(local.GoogleCertsPath)
		_, err := signIn(t, g.provider, "ada")
		wantFault(t, err, "upstream_invalid")
		if got := g.Calls(local.GoogleCertsPath) - before; got != want {
			t.Errorf("%s: the keys were fetched %d times, want %d", rule, got, want)
		}
	}
	g.SetSigning(local.SignUnknownKid)
	refused("the first unknown key", 1)
	refused("the second, at once", 0)
	g.clock.Advance(30*time.Second - 1)
	refused("just before the pause ends", 0)
	g.clock.Advance(1)
	refused("after the pause", 1)
	g.SetSigning(local.SignGenuine)
	if _, err := signIn(t, g.provider, "ada"); err != nil {
		t.Errorf("a known key during the pause: %v", err)
	}
}

func TestKeysOutage(t *testing.T) {
	g := startGoogle(t, oidc.New, nil)
	if _, err := signIn(t, g.provider, "ada"); err != nil {
		t.Fatal(err)
	}
	g.SetFault(local.GoogleCertsPath, local.Reset)
	g.clock.Advance(2 * time.Hour)
	if _, err := signIn(t, g.provider, "ada"); err != nil {
		t.Errorf("keys that are known were not used: %v", err)
	}
	g.RotateKey(newKey())
	_, err := signIn(t, g.provider, "ada")
	wantFault(t, err, "upstream_unavailable")
	g.ClearFaults()
	if _, err := signIn(t, g.provider, "ada"); err != nil {
		t.Errorf("a failed fetch counted as a fruitless one: %v", err)
	}
}

// A key that is no longer published is refused an hour later at the latest.
func TestAWithdrawnKeyIsForgotten(t *testing.T) {
	g := startGoogle(t, oidc.New, nil)
	if _, err := signIn(t, g.provider, "ada"); err != nil {
		t.Fatal(err)
	}
	g.publish(t)
	g.clock.Advance(time.Hour)
	_, err := signIn(t, g.provider, "ada")
	wantFault(t, err, "upstream_invalid")
}

func TestKeysThatMove(t *testing.T) {
	g := startGoogle(t, oidc.New, nil)
	if _, err := signIn(t, g.provider, "ada"); err != nil {
		t.Fatal(err)
	}
	g.SetFault("/moved", func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path = local.GoogleCertsPath
		g.Genuine(w, r)
	})
	g.SetFault(local.GoogleDiscoveryPath, g.edited(func(doc map[string]any) { doc["jwks_uri"] = g.url + "/moved" }))
	g.clock.Advance(time.Hour)
	if _, err := signIn(t, g.provider, "ada"); err != nil || g.Calls("/moved") != 1 {
		t.Errorf("error %v, %d fetches from the new place", err, g.Calls("/moved"))
	}
}

func TestACancelledRequestEndsAtOnceAndHarmsNobody(t *testing.T) {
	g := startGoogle(t, oidc.New, nil)
	arrived, release := make(chan struct{}), make(chan struct{})
	g.SetFault(local.GoogleDiscoveryPath, func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-release
		g.Genuine(w, r)
	})
	ctx, cancel := context.WithCancel(t.Context())
	first, second := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := g.provider.AuthURL(ctx, newFlow())
		first <- err
	}()
	<-arrived
	go func() {
		_, err := g.provider.AuthURL(t.Context(), newFlow())
		second <- err
	}()
	cancel()
	wantFault(t, <-first, "upstream_unavailable")
	close(release)
	if err := <-second; err != nil {
		t.Errorf("the other one: %v", err)
	}
}

func TestNewNamesEveryProblem(t *testing.T) {
	for _, row := range []struct {
		rule  string
		build factory
		edit  func(*providers.Config)
		want  []string // none for success
	}{
		{"all set", oidc.New, func(*providers.Config) {}, nil},
		{"nothing set", oidc.New, func(c *providers.Config) { *c = providers.Config{} }, []string{"id is", "client_id", "client_secret", "redirect_uri", "issuer", "clock"}},
		{"Google needs no issuer", oidc.NewGoogle, func(c *providers.Config) { c.Issuer = "" }, nil},
		{"an issuer on http", oidc.New, func(c *providers.Config) { c.Issuer = "http://example.com" }, []string{"issuer", "http://example.com"}},
		{"an issuer on this computer, not allowed", oidc.New, func(c *providers.Config) { c.Issuer, c.AllowPrivate = "http://127.0.0.1:1", false }, []string{"issuer"}},
		{"an issuer with a query", oidc.New, func(c *providers.Config) { c.Issuer = "https://example.com/?a" }, []string{"issuer", "query"}},
		{"an issuer with a fragment", oidc.New, func(c *providers.Config) { c.Issuer = "https://example.com/#a" }, []string{"issuer"}},
		{"a method there is not", oidc.New, func(c *providers.Config) { c.AuthMethod = "none" }, []string{"auth_method"}},
		{"the namespace of local login names", oidc.New, func(c *providers.Config) { c.Namespace = users.LocalNamespace }, []string{"namespace"}},
		{"a subject claim that changes hands", oidc.New, func(c *providers.Config) { c.SubjectClaim = "email" }, []string{"subject_claim", "email"}},
		{"hosted domains of a generic provider", oidc.New, func(c *providers.Config) { c.HostedDomains = []string{"a.org"} }, []string{"hosted_domains"}},
		{"an empty hosted domain", oidc.NewGoogle, func(c *providers.Config) { c.HostedDomains = []string{"a.org", ""} }, []string{"hosted_domains"}},
		{"GitHub's addresses", oidc.New, func(c *providers.Config) { c.TokenURL = "https://example.com" }, []string{"token_url"}},
		{"a certificate file that is not there", oidc.New, func(c *providers.Config) { c.CAFile, c.Client = "/nowhere.pem", nil }, []string{"ca_file"}},
	} {
		t.Run(row.rule, func(t *testing.T) {
			c := providers.Config{
				ID: "upstream", Issuer: "https://op.example", ClientID: clientID, ClientSecret: clientSecret,
				AllowPrivate: true, RedirectURI: redirectURI, Now: newClock().Now, Client: &http.Client{},
			}
			row.edit(&c)
			_, err := row.build(c)
			if len(row.want) == 0 && err != nil {
				t.Fatal(err)
			}
			for _, want := range row.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want it to name %q", err, want)
				}
			}
		})
	}
}

func TestConfig(t *testing.T) {
	g := startGoogle(t, oidc.NewGoogle, nil)
	if c := g.provider.Config(); c.ClientSecret != "" || c.Client != nil || c.Namespace != g.url || c.SubjectClaim != "sub" {
		t.Errorf("Config() = %+v", c)
	}
	g = startGoogle(t, oidc.New, func(c *providers.Config) { c.Namespace = "local:upstream" })
	got, err := signIn(t, g.provider, "ada")
	if err != nil || got.Identity.Namespace != "local:upstream" || g.provider.Config().Namespace != "local:upstream" {
		t.Errorf("namespace %q, error %v; want the configured one", got.Identity.Namespace, err)
	}
}

// An upstream on an address that the provider may not reach is as good as down.
func TestPrivateIssuerIsRefusedAtDial(t *testing.T) {
	g := &google{clock: newClock()}
	g.Google = local.NewGoogle(local.GoogleOptions{ClientID: clientID, ClientSecret: clientSecret, Now: g.clock.Now, Key: signingKey()})
	server := httptest.NewTLSServer(g)
	t.Cleanup(server.Close)
	p := newProvider(t, oidc.New, server.URL, g.clock, func(c *providers.Config) { c.AllowPrivate, c.Client = false, nil })
	_, err := p.AuthURL(t.Context(), newFlow())
	wantFault(t, err, "upstream_unavailable")
	if !fault.Is(err, fault.Upstream) || g.Calls(local.GoogleDiscoveryPath) != 0 {
		t.Errorf("error %v, %d calls", err, g.Calls(local.GoogleDiscoveryPath))
	}
}
