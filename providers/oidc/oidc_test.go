package oidc_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"example.com/broker/internal/fault"
	"example.com/broker/providers"
	"example.com/broker/providers/local"
)

const (
	clientID     = "client-of-the-broker"
	clientSecret = "a-secret-with-%-and-more-than-32-bytes"
	redirectURI  = "http://127.0.0.1:8080/callback/upstream"
)

// signingKey is shared because making one is slow.
var signingKey = sync.OnceValue(newKey)

func newKey() crypto.Signer {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

// clock is driven by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// google is a local Google on a port of its own, and the adapter under test before it.
type google struct {
	*local.Google
	provider providers.Provider
	clock    *clock
	url      string
}

type factory = func(providers.Config) (providers.Provider, error)

func startGoogle(t testing.TB, build factory, edit func(*providers.Config)) *google {
	t.Helper()
	g := &google{clock: newClock()}
	g.Google = local.NewGoogle(local.GoogleOptions{ClientID: clientID, ClientSecret: clientSecret, Now: g.clock.Now, Key: signingKey()})
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	g.url = server.URL
	g.provider = newProvider(t, build, server.URL, g.clock, edit)
	return g
}

func newProvider(t testing.TB, build factory, issuer string, c *clock, edit func(*providers.Config)) providers.Provider {
	t.Helper()
	config := providers.Config{
		ID: "upstream", Kind: "oidc", Name: "Upstream", Issuer: issuer, ClientID: clientID, ClientSecret: clientSecret,
		AllowPrivate: true, RedirectURI: redirectURI, Now: c.Now, Client: &http.Client{Transport: newTransport(t), Timeout: hangs},
	}
	if edit != nil {
		edit(&config)
	}
	p, err := build(config)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// hangs is how long an upstream that hangs is waited for in these tests; that it is 10 seconds by default is a test of HTTPClient.
const hangs = 2 * time.Second

// newTransport has connections of its own, so that none outlives its server.
func newTransport(t testing.TB) *http.Transport {
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

func newFlow() providers.Flow {
	return providers.Flow{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier()}
}

// signIn does what a browser does for person and returns what the adapter makes of it.
func signIn(t testing.TB, p providers.Provider, person string) (providers.Result, error) {
	t.Helper()
	f := newFlow()
	return p.Exchange(t.Context(), f, pick(t, p, f, person))
}

// pick sends the browser away and returns the query it comes back with.
func pick(t testing.TB, p providers.Provider, f providers.Flow, person string) url.Values {
	t.Helper()
	to, err := p.AuthURL(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	back, err := local.Pick(t.Context(), nil, to, person)
	if err != nil {
		t.Fatal(err)
	}
	return back.Query()
}

func wantFault(t testing.TB, err error, code string) {
	t.Helper()
	if got := fault.CodeOf(err); err == nil || got != code {
		t.Fatalf("error %v has code %q, want %q", err, got, code)
	}
}
