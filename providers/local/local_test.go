package local_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"example.com/broker/providers/local"
)

const (
	clientID     = "client-of-the-broker"
	clientSecret = "a-secret-with-%-and-more-than-32-bytes"
	callback     = "http://127.0.0.1:8080/callback/upstream"
)

// signingKey is shared because making one is slow.
var signingKey = sync.OnceValue(func() crypto.Signer { return newKey() })

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

func newClock() *clock { return &clock{now: time.Now()} }

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

func startGitHub(t testing.TB, edit func(*local.GitHubOptions)) (*local.GitHub, *httptest.Server) {
	t.Helper()
	options := local.GitHubOptions{ClientID: clientID, ClientSecret: clientSecret, Now: newClock().Now}
	if edit != nil {
		edit(&options)
	}
	github := local.NewGitHub(options)
	server := httptest.NewServer(github)
	t.Cleanup(server.Close)
	return github, server
}

func startGoogle(t testing.TB, edit func(*local.GoogleOptions)) (*local.Google, *httptest.Server) {
	t.Helper()
	options := local.GoogleOptions{ClientID: clientID, ClientSecret: clientSecret, Now: newClock().Now, Key: signingKey()}
	if edit != nil {
		edit(&options)
	}
	google := local.NewGoogle(options)
	server := httptest.NewServer(google)
	t.Cleanup(server.Close)
	return google, server
}

// reply is an answer read to its end.
type reply struct {
	status int
	header http.Header
	body   string
}

func (r reply) json(t testing.TB) map[string]any {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal([]byte(r.body), &members); err != nil {
		t.Fatalf("answer %d is no JSON object: %v\n%s", r.status, err, r.body)
	}
	return members
}

func (r reply) location(t testing.TB) *url.URL {
	t.Helper()
	location, err := url.Parse(r.header.Get("Location"))
	if err != nil || r.header.Get("Location") == "" {
		t.Fatalf("status %d, Location %q: want a redirect", r.status, r.header.Get("Location"))
	}
	return location
}

// do sends a request and follows no redirect.
func do(t testing.TB, req *http.Request) reply {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{status: resp.StatusCode, header: resp.Header, body: string(body)}
}

func request(t testing.TB, method, target string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func get(t testing.TB, target string) reply {
	t.Helper()
	return do(t, request(t, http.MethodGet, target, nil))
}

func formRequest(t testing.TB, target string, form url.Values) *http.Request {
	t.Helper()
	req := request(t, http.MethodPost, target, strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return req
}

// with returns base changed by the name and value pairs of changes; an empty
// value removes the name.
func with(base url.Values, changes ...string) url.Values {
	changed := url.Values{}
	for name, values := range base {
		changed[name] = append([]string(nil), values...)
	}
	for i := 0; i < len(changes); i += 2 {
		changed.Del(changes[i])
		if changes[i+1] != "" {
			changed.Set(changes[i], changes[i+1])
		}
	}
	return changed
}

// pick presses a button and returns the authorization response.
func pick(t testing.TB, authURL, person string) url.Values {
	t.Helper()
	location, err := local.Pick(t.Context(), nil, authURL, person)
	if err != nil {
		t.Fatal(err)
	}
	if got := location.Scheme + "://" + location.Host + location.Path; got != callback {
		t.Fatalf("redirected to %q, want %q", got, callback)
	}
	return location.Query()
}

func challengeOf(verifier string) string { return oauth2.S256ChallengeFromVerifier(verifier) }

// race runs attempt in n goroutines that start together and counts successes.
func race(ctx context.Context, n int, attempt func(context.Context) bool) int {
	var ready, done sync.WaitGroup
	var mu sync.Mutex
	gate := make(chan struct{})
	wins := 0
	for range n {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-gate
			if attempt(ctx) {
				mu.Lock()
				wins++
				mu.Unlock()
			}
		})
	}
	ready.Wait()
	close(gate)
	done.Wait()
	return wins
}
