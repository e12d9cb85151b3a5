package verify_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/broker/verify"
)

// metaServer is an issuer whose RFC 8414 metadata a test chooses, with keys, and an introspection endpoint that says what it is told.
type metaServer struct {
	issuer string
	signer signer

	mu            sync.Mutex
	meta          members
	introspection func(w http.ResponseWriter, r *http.Request)
	asked         int
}

func newMetaServer(t *testing.T) *metaServer {
	t.Helper()
	m := &metaServer{signer: ecSigner("ec-1", 1)}
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	m.issuer = server.URL + "/auth"
	mux.HandleFunc("GET /.well-known/oauth-authorization-server/auth", func(w http.ResponseWriter, _ *http.Request) {
		m.mu.Lock()
		defer m.mu.Unlock()
		_, _ = io.WriteString(w, members{
			"issuer": m.issuer, "jwks_uri": m.issuer + "/jwks", "introspection_endpoint": m.issuer + "/introspect",
			"revocation_feed_endpoint": m.issuer + "/revocations", "revocation_mode": "blocklist",
		}.with(m.meta).text(t))
	})
	mux.HandleFunc("GET /auth/jwks", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, jwks(t, jwkOf(t, m.signer, nil)))
	})
	mux.HandleFunc("GET /auth/revocations", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	mux.HandleFunc("GET /auth/clients-only", func(w http.ResponseWriter, r *http.Request) {
		status := http.StatusUnauthorized
		if _, _, ok := r.BasicAuth(); ok {
			status = http.StatusForbidden
		}
		w.WriteHeader(status)
	})
	mux.HandleFunc("POST /auth/introspect", func(w http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.asked++
		m.introspection(w, r)
	})
	return m
}

func (m *metaServer) publish(meta members) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.meta = meta
}

func (m *metaServer) answer(f func(w http.ResponseWriter, r *http.Request)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.introspection = f
}

func TestDiscover(t *testing.T) {
	withClient := verify.DiscoverOptions{ClientID: "orders", ClientSecret: "secret"}
	tests := []struct {
		rule    string
		meta    members
		options verify.DiscoverOptions
		want    string // of "feed", "introspection", or of the error
	}{
		{"a blocklist is followed", nil, verify.DiscoverOptions{}, "feed"},
		{"a blocklist is followed as a client", nil, withClient, "feed"},
		{"an issuer that names no mode", members{"revocation_mode": nil}, withClient, "feed"},
		{"no feed", members{"revocation_feed_endpoint": nil}, withClient, "publishes no revocation_feed_endpoint"},
		{"a feed over plain http", members{"revocation_feed_endpoint": "http://broker.example/revocations"}, withClient, "not https"},
		{"an allowlist is asked", members{"revocation_mode": "allowlist"}, withClient, "introspection"},
		{"an allowlist without a client", members{"revocation_mode": "allowlist"}, verify.DiscoverOptions{}, "give ClientID and ClientSecret"},
		{"an allowlist without a secret", members{"revocation_mode": "allowlist"}, verify.DiscoverOptions{ClientID: "orders"}, "both needed"},
		{"an allowlist that nobody can ask", members{"revocation_mode": "allowlist", "introspection_endpoint": nil}, withClient, "absolute URL"},
		{"a mode of a later version", members{"revocation_mode": "oracle"}, withClient, "does not know"},
		{"another issuer", members{"issuer": "https://other.example"}, withClient, "that of the issuer"},
		{"no keys", members{"jwks_uri": nil}, withClient, "neither its address"},
		{"stale before the next poll", nil, verify.DiscoverOptions{MaxStaleness: time.Second}, "MaxStaleness"},
	}
	m := newMetaServer(t)
	for rule, options := range map[string]verify.DiscoverOptions{"give ClientID": {}, "check its id": withClient} {
		m.publish(members{"revocation_feed_endpoint": m.issuer + "/clients-only"})
		if _, err := verify.Discover(t.Context(), m.issuer, options); err == nil || !strings.Contains(err.Error(), rule) {
			t.Errorf("a feed that is for others: %v, want %q", err, rule)
		}
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			m.publish(tt.meta)
			found, err := verify.Discover(t.Context(), m.issuer, tt.options)
			if err != nil {
				if !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got error %v, want %q", err, tt.want)
				}
				return
			}
			got := "feed"
			if _, ok := found.Revocations().(*verify.Introspection); ok {
				got = "introspection"
			}
			if got != tt.want || (found.Feed == nil) != (got != "feed") || found.Name != m.issuer || found.Keys == nil {
				t.Errorf("got %q (%+v), want %q", got, found, tt.want)
			}
		})
	}
	for rule, issuer := range map[string]string{"an issuer over plain http": "http://broker.example", "an issuer that is not there": m.issuer + "/else"} {
		if _, err := verify.Discover(t.Context(), issuer, withClient); err == nil {
			t.Errorf("%s is discovered", rule)
		}
	}
}

func TestIntrospection(t *testing.T) {
	m := newMetaServer(t)
	m.publish(members{"revocation_mode": "allowlist"})
	found, err := verify.Discover(t.Context(), m.issuer, verify.DiscoverOptions{ClientID: "orders", ClientSecret: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	v, err := verify.New(verify.Config{Issuer: found.Name, Audience: audience, Keys: found.Keys, Revocations: found.Revocations(), Now: frozen})
	if err != nil {
		t.Fatal(err)
	}
	token := m.signer.token(t, nil, members{"iss": m.issuer})
	says := func(status int, body string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			id, secret, _ := r.BasicAuth()
			if got := r.PostFormValue("token"); got != token || id != "orders" || secret != "secret" {
				t.Errorf("asked about %.20q by %q %q", got, id, secret)
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	tests := []struct {
		rule   string
		status int
		body   string
		want   string
	}{
		{"a token in force", 200, `{"active":true}`, ""},
		{"one that is not", 200, `{"active":false}`, verify.CodeInvalidToken},
		{"an answer that does not say", 200, `{}`, verify.CodeUnavailable},
		{"an answer that is none", 200, `active`, verify.CodeUnavailable},
		{"an endless answer", 200, strings.Repeat(" ", 1<<20) + `{"active":true}`, verify.CodeUnavailable},
		{"credentials that are refused", 401, `{"active":true}`, verify.CodeUnavailable},
		{"a redirect", 307, "", verify.CodeUnavailable},
		{"an outage", 503, "", verify.CodeUnavailable},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			m.answer(says(tt.status, tt.body))
			before := m.asked
			got, err := v.Verify(t.Context(), token)
			if tt.want == "" {
				if err != nil {
					t.Errorf("got error %v", err)
				}
			} else {
				wantRefusal(t, got, err, tt.want, "")
			}
			if m.asked != before+1 {
				t.Errorf("asked %d times, want once for each request", m.asked-before)
			}
		})
	}
	t.Run("what is bad anyway is not asked about", func(t *testing.T) {
		m.answer(func(http.ResponseWriter, *http.Request) { t.Error("asked") })
		_, err := v.Verify(t.Context(), m.signer.token(t, nil, members{"iss": m.issuer, "aud": "https://other.example"}))
		wantRefusal(t, nil, err, verify.CodeInvalidToken, "audience")
	})
	t.Run("wrapped it cannot tell", func(t *testing.T) {
		wrapped := revocationsFunc(found.Introspection.Check)
		v := newVerifier(t, func(c *verify.Config) { c.Issuer, c.Keys, c.Revocations = m.issuer, found.Keys, wrapped })
		_, err := v.Verify(t.Context(), token)
		wantRefusal(t, nil, err, verify.CodeUnavailable, "")
	})
}

func ExampleDiscover() {
	http.HandleFunc("/orders", func(w http.ResponseWriter, r *http.Request) {
		caller, _ := verify.SubjectFrom(r.Context())
		_, _ = fmt.Fprintln(w, "Hello,", caller.ID)
	})
	serve := func(r *http.Request) error {
		broker, err := verify.Discover(r.Context(), "https://auth.example.com", verify.DiscoverOptions{ClientID: "orders-api", ClientSecret: "…"})
		if err != nil {
			return err // an API that cannot know what was revoked does not start
		}
		guard, err := verify.New(verify.Config{
			Issuer: broker.Name, Audience: "https://orders.example.com", Keys: broker.Keys, Revocations: broker.Revocations(),
		})
		if err != nil {
			return err
		}
		go func() { _ = broker.Run(r.Context()) }() // it ends with the context
		return http.ListenAndServe("127.0.0.1:8090", guard.Middleware(http.DefaultServeMux))
	}
	_ = serve
}
