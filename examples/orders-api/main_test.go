package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const audience = "https://orders.example"

// broker is an issuer with metadata and one key.
type broker struct {
	issuer string
	key    ed25519.PrivateKey
}

func newBroker(t *testing.T) *broker {
	t.Helper()
	b := &broker{key: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	b.issuer = server.URL
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, b.issuer, b.issuer+"/jwks")
	})
	public := base64.RawURLEncoding.EncodeToString(b.key.Public().(ed25519.PublicKey))
	mux.HandleFunc("GET /jwks", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"keys":[{"kty":"OKP","crv":"Ed25519","use":"sig","alg":"EdDSA","kid":"k","x":%q}]}`, public)
	})
	return b
}

func (b *broker) token(t *testing.T, audience string, roles ...string) string {
	t.Helper()
	now := time.Now()
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{
		"iss": b.issuer, "sub": "usr_1", "aud": audience, "client_id": "demo-spa", "jti": "j", "scope": "openid",
		"iat": now.Unix(), "nbf": now.Unix() - 30, "exp": now.Unix() + 900, "roles": roles,
	})
	token.Header["typ"], token.Header["kid"] = "at+jwt", "k"
	raw, err := token.SignedString(b.key)
	if err != nil {
		t.Fatalf("sign: %v", err)
	}
	return raw
}

// start runs the program on a free port and returns its address; it is stopped, and its end checked, with the test.
func start(t *testing.T, env map[string]string) string {
	t.Helper()
	env["LISTEN"] = "127.0.0.1:0"
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(ctx, func(name string) string { return env[name] }, w)
		_ = w.CloseWithError(io.EOF)
		done <- err
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: got %v, want a quiet end", err)
		}
	})
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatalf("the program does not start: %v", err)
	}
	return regexp.MustCompile(`http://\S+`).FindString(line)
}

func ask(t *testing.T, method, address, token string) (status int, header http.Header, body map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		t.Fatalf("read the answer: %v", err)
	}
	return resp.StatusCode, resp.Header, body
}

func TestOrders(t *testing.T) {
	b := newBroker(t)
	discovered := start(t, map[string]string{"ISSUER": b.issuer, "AUDIENCE": audience})
	configured := start(t, map[string]string{"ISSUER": b.issuer, "AUDIENCE": audience, "JWKS_URL": b.issuer + "/jwks"})
	viewer, editor, other := b.token(t, audience, "viewer"), b.token(t, audience, "editor"), b.token(t, "https://other.example", "admin")
	tests := []struct {
		rule, method, token string
		status              int
		detail              string
	}{
		{"a viewer reads", "GET", viewer, 200, ""},
		{"an editor writes", "POST", editor, 201, ""},
		{"a viewer does not write", "POST", viewer, 403, "one of editor, admin is expected"},
		{"nobody without a token", "GET", "", 401, "Authorization"},
		{"nobody with another API's token", "GET", other, 401, "audience is 'https://other.example', 'https://orders.example' is expected"},
		{"nobody with nonsense", "GET", "a.b.c", 401, "header"},
	}
	for name, address := range map[string]string{"discovered keys": discovered, "configured keys": configured} {
		for _, tt := range tests {
			t.Run(name+"/"+tt.rule, func(t *testing.T) {
				status, header, body := ask(t, tt.method, address+"/orders", tt.token)
				if status != tt.status {
					t.Fatalf("got status %d (%v), want %d", status, body, tt.status)
				}
				if status < 300 {
					if id := body["caller"].(map[string]any)["id"]; id != "usr_1" {
						t.Errorf("got caller %v, want usr_1", id)
					}
					return
				}
				if detail, _ := body["detail"].(string); !strings.Contains(detail, tt.detail) {
					t.Errorf("got detail %q, want %q in it", detail, tt.detail)
				}
				if challenge := header.Get("WWW-Authenticate"); !strings.HasPrefix(challenge, `Bearer realm="`+audience+`"`) {
					t.Errorf("got challenge %q", challenge)
				}
			})
		}
	}
}

func TestAnOutageOfTheBrokerIsA503(t *testing.T) {
	b := newBroker(t)
	address := start(t, map[string]string{"ISSUER": b.issuer, "AUDIENCE": audience, "JWKS_URL": b.issuer + "/gone"})
	status, header, _ := ask(t, "GET", address+"/orders", b.token(t, audience, "viewer"))
	if status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
		t.Errorf("got status %d, Retry-After %q, want 503 with advice", status, header.Get("Retry-After"))
	}
}

func TestItRefusesToStart(t *testing.T) {
	tests := []struct {
		rule string
		env  map[string]string
		want string
	}{
		{"without an audience", map[string]string{"ISSUER": "https://broker.example"}, "AUDIENCE"},
		{"without an issuer", map[string]string{"AUDIENCE": audience}, "ISSUER"},
		{"with keys over http", map[string]string{"ISSUER": "https://broker.example", "AUDIENCE": audience, "JWKS_URL": "http://broker:8080/jwks"}, "not https"},
		{"on an address that is none", map[string]string{"ISSUER": "https://broker.example", "AUDIENCE": audience, "LISTEN": "nowhere"}, "listen"},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			err := run(t.Context(), func(name string) string { return tt.env[name] }, io.Discard)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

// TestItUsesNothingElseOfTheBroker keeps the promise that an API gets no driver and no web framework with the guard.
func TestItUsesNothingElseOfTheBroker(t *testing.T) {
	list, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	if err != nil {
		t.Fatalf("list the imports: %v", err)
	}
	for _, path := range strings.Fields(string(list)) {
		switch {
		case path == "example.com/broker/verify", path == "example.com/broker/examples/orders-api":
		case path == "example.com/broker/internal/fingerprints": // what verify keeps of the revocation feed
		case path == "example.com/broker/oauth": // words of the protocol, on the standard library alone
		case strings.HasPrefix(path, "github.com/golang-jwt/jwt/"):
		default:
			t.Errorf("it links %s", path)
		}
	}
}
