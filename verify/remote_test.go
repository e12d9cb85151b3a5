package verify_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/broker/verify"
)

// keyServer is an issuer's JWKS address that counts.
type keyServer struct {
	URL      string
	requests atomic.Int32

	mu     sync.Mutex
	answer http.HandlerFunc
}

// newKeyServer returns one that is reached over loopback.
func newKeyServer(t *testing.T, answer http.HandlerFunc) *keyServer {
	t.Helper()
	s := &keyServer{answer: answer}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

func (s *keyServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)
	s.mu.Lock()
	answer := s.answer
	s.mu.Unlock()
	answer(w, r)
}

// RoundTrip answers without a network, so that synctest can tell when a fetch in the background is over.
func (s *keyServer) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Result(), nil
}

func (s *keyServer) serve(answer http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

func (s *keyServer) want(t *testing.T, n int32, why string) {
	t.Helper()
	if got := s.requests.Load(); got != n {
		t.Errorf("%s: got %d requests, want %d", why, got, n)
	}
}

// serving answers with the keys of the signers, fresh for 10 minutes.
func serving(t *testing.T, signers ...signer) http.HandlerFunc {
	t.Helper()
	var keys []members
	for _, s := range signers {
		keys = append(keys, jwkOf(t, s, nil))
	}
	doc := jwks(t, keys...)
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=600")
		_, _ = w.Write([]byte(doc))
	}
}

func failing(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }

func remote(t *testing.T, address string, opts verify.RemoteOptions) *verify.RemoteKeys {
	t.Helper()
	keys, err := verify.Remote(address, opts)
	if err != nil {
		t.Fatalf("remote: %v", err)
	}
	return keys
}

func wantKey(t *testing.T, keys verify.KeySet, s signer) {
	t.Helper()
	if _, err := keys.Key(t.Context(), s.kid, s.method.Alg()); err != nil {
		t.Errorf("key %s: got %v, want a key", s.kid, err)
	}
}

func wantUnknown(t *testing.T, keys verify.KeySet, kid string) {
	t.Helper()
	if _, err := keys.Key(t.Context(), kid, "ES256"); !errors.Is(err, verify.ErrUnknownKey) {
		t.Errorf("key %s: got %v, want ErrUnknownKey", kid, err)
	}
}

func wantUnavailable(t *testing.T, keys verify.KeySet, kid string) {
	t.Helper()
	if _, err := keys.Key(t.Context(), kid, "ES256"); err == nil || errors.Is(err, verify.ErrUnknownKey) {
		t.Errorf("key %s: got %v, want an error other than ErrUnknownKey", kid, err)
	}
}

func TestRemoteFetchesOnceForManyRequests(t *testing.T) {
	s := ecSigner("ec-1", 1)
	server := newKeyServer(t, serving(t, s))
	keys := remote(t, server.URL, verify.RemoteOptions{Now: frozen})
	server.want(t, 0, "before the first token")
	var group sync.WaitGroup
	for range 100 {
		group.Go(func() { wantKey(t, keys, s) })
	}
	group.Wait()
	for range 100 {
		wantKey(t, keys, s)
	}
	server.want(t, 1, "200 requests")
}

func TestRemoteSharesAFetchThatNobodyCanBreakOff(t *testing.T) {
	s := ecSigner("ec-1", 1)
	synctest.Test(t, func(t *testing.T) {
		var requests atomic.Int32
		release := make(chan struct{})
		document := jwks(t, jwkOf(t, s, nil))
		keys := remote(t, "https://broker.example/jwks", verify.RemoteOptions{Transport: transport(func(r *http.Request) (*http.Response, error) {
			requests.Add(1)
			select {
			case <-release:
				return answer(document), nil
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		})})
		ctx, cancel := context.WithCancel(t.Context())
		var first error
		var group sync.WaitGroup
		group.Go(func() { _, first = keys.Key(ctx, s.kid, "ES256") })
		synctest.Wait() // the first caller's fetch is under way
		for range 50 {
			group.Go(func() { wantKey(t, keys, s) })
		}
		synctest.Wait() // all wait for it
		cancel()
		synctest.Wait() // the first caller is gone
		if !errors.Is(first, context.Canceled) {
			t.Errorf("the cancelled caller: got %v, want context.Canceled", first)
		}
		close(release)
		group.Wait()
		if got := requests.Load(); got != 1 {
			t.Errorf("got %d requests, want 1", got)
		}
	})
}

func TestRemoteGivesUpAfterTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		keys := remote(t, "https://broker.example/jwks", verify.RemoteOptions{
			Timeout: time.Hour, // more than is granted
			Transport: transport(func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}),
		})
		wantUnavailable(t, keys, "ec-1")
		if got := time.Since(start); got != 10*time.Second {
			t.Errorf("gave up after %v, want 10s", got)
		}
	})
}

func TestAStormOfUnknownKidsCostsOneFetchPerCoolDown(t *testing.T) {
	s, clock := ecSigner("ec-1", 1), newClock()
	server := newKeyServer(t, serving(t, s))
	keys := remote(t, server.URL, verify.RemoteOptions{Now: clock.Now, CoolDown: 10 * time.Second})
	storm := func() {
		var group sync.WaitGroup
		for i := range 50 {
			group.Go(func() { wantUnknown(t, keys, fmt.Sprintf("made-up-%d", i)) })
		}
		group.Wait()
	}
	storm()
	server.want(t, 1, "a storm before the first good token")
	wantKey(t, keys, s)
	clock.Advance(9 * time.Second)
	storm()
	server.want(t, 1, "a storm within the pause")
	clock.Advance(time.Second)
	storm()
	server.want(t, 2, "a storm after the pause")
	wantKey(t, keys, s)
}

func TestAKnownKidUnderAnotherAlgorithmCausesNoFetch(t *testing.T) {
	s := ecSigner("ec-1", 1)
	server := newKeyServer(t, serving(t, s))
	keys := remote(t, server.URL, verify.RemoteOptions{Now: frozen})
	wantKey(t, keys, s)
	if _, err := keys.Key(t.Context(), s.kid, "RS256"); !errors.Is(err, verify.ErrUnknownKey) {
		t.Errorf("got %v, want ErrUnknownKey", err)
	}
	server.want(t, 1, "a wrong algorithm")
}

func TestRotationIsSeenAtOnceAndRetirementByAge(t *testing.T) {
	old, next := ecSigner("old", 1), ecSigner("next", 2)
	synctest.Test(t, func(t *testing.T) {
		clock, server := newClock(), &keyServer{answer: serving(t, old)}
		keys := remote(t, "https://broker.example/jwks", verify.RemoteOptions{Now: clock.Now, Transport: server})
		wantKey(t, keys, old)

		server.serve(serving(t, old, next))
		wantKey(t, keys, next) // the first fetch brought what it was made for: no pause
		server.want(t, 2, "a new key")

		server.serve(serving(t, next))
		clock.Advance(10*time.Minute - 1)
		wantKey(t, keys, old)
		synctest.Wait()
		server.want(t, 2, "within max-age")
		clock.Advance(1)
		wantKey(t, keys, old) // answered from what is held, while the set is fetched again
		synctest.Wait()
		server.want(t, 3, "after max-age")
		wantUnknown(t, keys, "old")
		wantKey(t, keys, next)
	})
}

func TestAnOutageIsSurvivedUntilTheKeysAreTooOld(t *testing.T) {
	s := ecSigner("ec-1", 1)
	synctest.Test(t, func(t *testing.T) {
		clock, server := newClock(), &keyServer{answer: serving(t, s)}
		keys := remote(t, "https://broker.example/jwks",
			verify.RemoteOptions{Now: clock.Now, Transport: server, MaxStale: time.Hour})
		wantKey(t, keys, s)

		server.serve(failing)
		clock.Advance(30 * time.Minute)
		wantKey(t, keys, s)
		synctest.Wait()
		server.want(t, 2, "a refresh that fails")
		wantUnavailable(t, keys, "new") // it may exist: not known is not the same as unknown
		clock.Advance(9 * time.Second)
		wantKey(t, keys, s)
		synctest.Wait()
		server.want(t, 2, "the pause after it")
		clock.Advance(time.Second)
		wantKey(t, keys, s)
		synctest.Wait()
		server.want(t, 3, "after the pause")

		clock.Advance(30 * time.Minute)
		wantUnavailable(t, keys, s.kid)
		wantUnavailable(t, keys, s.kid)
		server.want(t, 4, "keys too old to be used")

		server.serve(serving(t, s))
		clock.Advance(time.Second)
		wantKey(t, keys, s)
		server.want(t, 5, "after the outage")
	})
}

func TestAFailedFirstFetchIsRetriedAfterASecond(t *testing.T) {
	s, clock := ecSigner("ec-1", 1), newClock()
	server := newKeyServer(t, failing)
	keys := remote(t, server.URL, verify.RemoteOptions{Now: clock.Now})
	for range 20 {
		wantUnavailable(t, keys, s.kid)
	}
	server.want(t, 1, "20 requests during an outage")
	server.serve(serving(t, s))
	clock.Advance(time.Second)
	wantKey(t, keys, s)
}

func TestABadAnswerKeepsTheOldKeys(t *testing.T) {
	s := ecSigner("ec-1", 1)
	elsewhere := newKeyServer(t, serving(t, ecSigner("new", 2)))
	tests := []struct {
		rule   string
		answer http.HandlerFunc
	}{
		{"a redirect is not followed", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusFound)
		}},
		{"more than 1 MiB", func(w http.ResponseWriter, r *http.Request) {
			serving(t, ecSigner("new", 2))(w, r)
			_, _ = w.Write([]byte(strings.Repeat(" ", 1<<20)))
		}},
		{"a set without keys", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[]}`)) }},
		{"a page", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }},
		{"a server error", failing},
		{"not found", http.NotFound},
		{"no content", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }},
		{"a broken connection", func(w http.ResponseWriter, r *http.Request) {
			serving(t, ecSigner("new", 2))(w, r)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			server := newKeyServer(t, serving(t, s))
			keys := remote(t, server.URL, verify.RemoteOptions{Now: frozen})
			wantKey(t, keys, s)
			server.serve(tt.answer)
			wantUnavailable(t, keys, "new")
			wantUnavailable(t, keys, "new")
			wantKey(t, keys, s)
			server.want(t, 2, "one fetch, then a pause")
		})
	}
	elsewhere.want(t, 0, "the address of the redirect")
}

func TestAnEndlessAnswerIsCutOff(t *testing.T) {
	body := &endless{}
	keys := remote(t, "https://broker.example/jwks", verify.RemoteOptions{Transport: transport(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(body)}, nil
	})})
	_, err := keys.Key(t.Context(), "ec-1", "ES256")
	if err == nil || !strings.Contains(err.Error(), "more than 1048576 bytes") {
		t.Errorf("got %v, want an error with the bound", err)
	}
	if body.read > 1<<20+1 {
		t.Errorf("read %d bytes, want at most 1 MiB and one", body.read)
	}
}

// endless is a body of spaces that gives up long after it should have been left alone.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	if e.read > 8<<20 {
		return 0, io.EOF
	}
	for i := range p {
		p[i] = ' '
	}
	e.read += len(p)
	return len(p), nil
}

func TestFreshnessIsKeptWithinBounds(t *testing.T) {
	s := ecSigner("ec-1", 1)
	tests := []struct {
		header string
		want   time.Duration
	}{
		{"", 5 * time.Minute},
		{"public", 5 * time.Minute},
		{"max-age=600", 10 * time.Minute},
		{`Public, Max-Age="600"`, 10 * time.Minute},
		{"max-age=0", time.Minute},
		{"no-store", time.Minute},
		{"max-age=600, no-cache", time.Minute},
		{"max-age=86400", time.Hour},
		{"max-age=99999999999999999999", 5 * time.Minute},
		{"max-age=-1", 5 * time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.header, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				clock, server := newClock(), &keyServer{answer: func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Cache-Control", tt.header)
					_, _ = w.Write([]byte(jwks(t, jwkOf(t, s, nil))))
				}}
				keys := remote(t, "https://broker.example/jwks", verify.RemoteOptions{Now: clock.Now, Transport: server})
				wantKey(t, keys, s)
				clock.Advance(tt.want - 1)
				wantKey(t, keys, s)
				synctest.Wait()
				server.want(t, 1, "while fresh")
				clock.Advance(1)
				wantKey(t, keys, s)
				synctest.Wait()
				server.want(t, 2, "when no longer fresh")
			})
		})
	}
}

func TestTheAddressIsDiscoveredFromTheIssuer(t *testing.T) {
	s := ecSigner("ec-1", 1)
	server := newKeyServer(t, nil)
	metadata := func(issuer, jwksURI string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(members{"issuer": issuer, "jwks_uri": jwksURI}.text(t)))
		}
	}
	const oauth, openID = "/.well-known/oauth-authorization-server/auth", "/auth/.well-known/openid-configuration"
	good := metadata(server.URL+"/auth", server.URL+"/keys")
	tests := []struct {
		rule   string
		routes map[string]http.HandlerFunc
		want   string // "" means a key
	}{
		{"RFC 8414 metadata", map[string]http.HandlerFunc{oauth: good, openID: failing}, ""},
		{"OpenID discovery where there is no RFC 8414", map[string]http.HandlerFunc{openID: good}, ""},
		{"no OpenID discovery after another failure", map[string]http.HandlerFunc{oauth: failing, openID: good}, "answers 502"},
		{"neither", nil, "404"},
		{"metadata of another issuer", map[string]http.HandlerFunc{oauth: metadata(server.URL, server.URL+"/keys")}, "is expected"},
		{"no address", map[string]http.HandlerFunc{oauth: metadata(server.URL+"/auth", "")}, "use jwks_uri"},
		{"an address that is not https", map[string]http.HandlerFunc{oauth: metadata(server.URL+"/auth", "http://keys.example/")}, "not https"},
		{"a page", map[string]http.HandlerFunc{oauth: func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }}, "read the metadata"},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			mux := http.NewServeMux()
			mux.HandleFunc("/keys", serving(t, s))
			for path, handler := range tt.routes {
				mux.HandleFunc(path, handler)
			}
			server.serve(mux.ServeHTTP)
			keys := remote(t, "", verify.RemoteOptions{Issuer: server.URL + "/auth", Now: frozen})
			_, err := keys.Key(t.Context(), s.kid, "ES256")
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestRemoteRefusesAnUnsafeAddress(t *testing.T) {
	tests := []struct {
		rule, address string
		opts          verify.RemoteOptions
		want          string // "" means it is accepted
	}{
		{"https", "https://broker.example/jwks", verify.RemoteOptions{}, ""},
		{"http to localhost", "http://localhost:8080/jwks", verify.RemoteOptions{}, ""},
		{"http to 127.0.0.1", "http://127.0.0.1:8080/jwks", verify.RemoteOptions{}, ""},
		{"http to ::1", "http://[::1]:8080/jwks", verify.RemoteOptions{}, ""},
		{"http elsewhere", "http://broker:8080/jwks", verify.RemoteOptions{}, "not https"},
		{"http elsewhere by option", "http://broker:8080/jwks", verify.RemoteOptions{InsecureHTTP: true}, ""},
		{"http to a name that begins like loopback", "http://127.0.0.1.example/jwks", verify.RemoteOptions{}, "not https"},
		{"issuer by http elsewhere", "", verify.RemoteOptions{Issuer: "http://broker:8080"}, "not https"},
		{"file", "file:///etc/keys", verify.RemoteOptions{InsecureHTTP: true}, "not an absolute URL"},
		{"other scheme", "ftp://broker.example/jwks", verify.RemoteOptions{InsecureHTTP: true}, "not https"},
		{"no host", "/jwks", verify.RemoteOptions{}, "not an absolute URL"},
		{"user", "https://u:p@broker.example/jwks", verify.RemoteOptions{}, "'https://u:xxxxx@broker.example/jwks' is not"},
		{"no URL", "https://broker.example/%zz", verify.RemoteOptions{}, "read the address"},
		{"nothing", "", verify.RemoteOptions{}, "neither its address nor an issuer"},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			_, err := verify.Remote(tt.address, tt.opts)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestAVerifierOnRemoteKeysAnswers503NotA401DuringAnOutage(t *testing.T) {
	s := ecSigner("ec-1", 1)
	server := newKeyServer(t, failing)
	v := newVerifier(t, func(c *verify.Config) { c.Keys = remote(t, server.URL, verify.RemoteOptions{Now: frozen}) })
	token, err := v.Verify(t.Context(), s.token(t, nil, nil))
	wantRefusal(t, token, err, verify.CodeUnavailable, "keys of the issuer")
}

// transport is an http.RoundTripper made of a function, for tests in which time stands still until all wait.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(body string) *http.Response {
	w := httptest.NewRecorder()
	_, _ = w.WriteString(body)
	return w.Result()
}
