package local

import (
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// codeLife is how long an authorization code works at both providers.
	codeLife = 10 * time.Minute
	// maxBody caps a request body in bytes.
	maxBody = 64 << 10
	// maxCounted bounds how many distinct paths Calls remembers.
	maxCounted = 1_000
)

// upstream is what the local GitHub and the local Google have in common: one
// registered client, one list of addresses it may be sent back to, the hooks
// that make endpoints misbehave.
type upstream struct {
	name         string // of the provider, as pages show it
	baseURL      string // scheme and host; empty: those of each request
	apiPrefix    string // a second place where the API is mounted
	clientID     string
	clientSecret string
	redirectURIs []string
	app          string
	banner       string
	omitIss      bool
	now          func() time.Time
	random       io.Reader
	mux          *http.ServeMux
	origin       *http.CrossOriginProtection

	mu       sync.Mutex
	faults   map[string]http.HandlerFunc
	calls    map[string]int
	response func(url.Values)
}

// setup panics on what only a programmer can get wrong.
func (u *upstream) setup() {
	switch {
	case u.now == nil:
		panic("local: Now is required")
	case u.clientID == "" || u.clientSecret == "":
		panic("local: ClientID and ClientSecret are required")
	}
	if u.baseURL != "" {
		parsed, err := url.Parse(u.baseURL)
		if err != nil || parsed.Host == "" || u.baseURL != parsed.Scheme+"://"+parsed.Host {
			panic(fmt.Sprintf("local: %q is not a scheme and a host, without path or trailing slash", u.baseURL))
		}
	}
	if u.app == "" {
		u.app = u.clientID
	}
	if u.banner == "" {
		u.banner = "This is a local stand-in for " + u.name + ". Nobody is asked for a password and nothing leaves this computer."
	}
	u.mux = http.NewServeMux()
	u.origin = http.NewCrossOriginProtection()
	u.faults = make(map[string]http.HandlerFunc)
	u.calls = make(map[string]int)
	u.mux.HandleFunc("GET "+stylePath, serveStyle)
	u.mux.HandleFunc("GET /favicon.ico", serveAvatar)
}

// ServeHTTP answers a request, by the fault set for its path if there is one.
// A Host that is neither loopback nor the configured one gets 421: a name that
// an attacker points at 127.0.0.1 must not reach a provider without passwords.
func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, u.apiPrefix)
	fault := u.arrive(path)
	switch {
	case !u.serves(r.Host):
		http.Error(w, "this local "+u.name+" answers only on loopback, not as "+hostname(r.Host), http.StatusMisdirectedRequest)
	case fault != nil:
		fault(w, r)
	default:
		u.Genuine(w, r)
	}
}

// Genuine answers as if no fault were set. A fault calls it to pass a request
// on, for instance after the first one, or to edit the honest answer.
func (u *upstream) Genuine(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	u.mux.ServeHTTP(w, r)
}

// SetFault replaces every answer of the endpoint at path by fault; nil heals
// it. A GitHub API path names both places where the API is mounted. Safe to
// call while requests are served.
func (u *upstream) SetFault(path string, fault http.HandlerFunc) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if fault == nil {
		delete(u.faults, path)
		return
	}
	u.faults[path] = fault
}

// ClearFaults heals every endpoint and ends TamperResponse.
func (u *upstream) ClearFaults() {
	u.mu.Lock()
	defer u.mu.Unlock()
	clear(u.faults)
	u.response = nil
}

// Calls says how many requests have arrived at path, whatever they were
// answered: a test shows with it that an endpoint was left alone.
func (u *upstream) Calls(path string) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.calls[path]
}

// TamperResponse lets edit change the parameters of every authorization
// response (code or error, state, iss, …) before the browser carries them
// back; nil ends it. Concurrent requests may call edit at once.
func (u *upstream) TamperResponse(edit func(response url.Values)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.response = edit
}

func (u *upstream) arrive(path string) http.HandlerFunc {
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, known := u.calls[path]; known || len(u.calls) < maxCounted {
		u.calls[path]++
	}
	return u.faults[path]
}

func (u *upstream) serves(host string) bool {
	if loopback(hostname(host)) {
		return true
	}
	configured, err := url.Parse(u.baseURL)
	return err == nil && configured.Host != "" && configured.Host == host
}

// base is the scheme and host under which this upstream names itself.
func (u *upstream) base(r *http.Request) string {
	switch {
	case u.baseURL != "":
		return u.baseURL
	case r.TLS != nil:
		return "https://" + r.Host
	default:
		return "http://" + r.Host
	}
}

// respond sends the browser back with an authorization response. Empty
// parameters are left out.
func (u *upstream) respond(w http.ResponseWriter, r *http.Request, redirectURI, issuer string, response url.Values) {
	if !u.omitIss {
		response.Set("iss", issuer) // RFC 9207 section 2: in errors too
	}
	for name, values := range response {
		if len(values) == 1 && values[0] == "" {
			delete(response, name)
		}
	}
	u.mu.Lock()
	edit := u.response
	u.mu.Unlock()
	if edit != nil {
		edit(response)
	}
	target := redirectURI
	switch {
	case strings.HasSuffix(target, "?"):
	case strings.Contains(target, "?"):
		target += "&"
	default:
		target += "?"
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	// RFC 9700 section 4.12: after a POST only 303 surely drops the body.
	w.Header().Set("Location", target+response.Encode())
	w.WriteHeader(http.StatusSeeOther)
}

// secret returns n random bytes in hexadecimal.
func (u *upstream) secret(n int) string {
	raw := make([]byte, n)
	if _, err := io.ReadFull(u.random, raw); err != nil {
		panic(fmt.Sprintf("local: read random bytes: %v", err))
	}
	return hex.EncodeToString(raw)
}

// credentials are how a client introduced itself at a token endpoint.
type credentials struct {
	id, secret string
	basic      bool
}

var errTwoMethods = errors.New("the client authenticated both by header and in the body")

// readCredentials reads client_secret_basic or client_secret_post.
func readCredentials(r *http.Request) (credentials, error) {
	id, secret, basic := r.BasicAuth()
	if !basic {
		return credentials{id: r.PostForm.Get("client_id"), secret: r.PostForm.Get("client_secret")}, nil
	}
	// RFC 6749 section 2.3: one method in each request.
	if r.PostForm.Has("client_secret") {
		return credentials{}, errTwoMethods
	}
	// RFC 6749 section 2.3.1: both parts are form-encoded first.
	var err error
	if id, err = url.QueryUnescape(id); err != nil {
		return credentials{}, fmt.Errorf("decode client_id of the Authorization header: %w", err)
	}
	if secret, err = url.QueryUnescape(secret); err != nil {
		return credentials{}, fmt.Errorf("decode client_secret of the Authorization header: %w", err)
	}
	return credentials{id: id, secret: secret, basic: true}, nil
}

func (u *upstream) rightSecret(secret string) bool {
	return subtle.ConstantTimeCompare([]byte(secret), []byte(u.clientSecret)) == 1
}

// parseForm reads a form-encoded body and nothing else: RFC 6749 section 3.2.
func parseForm(r *http.Request) error {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		return fmt.Errorf("the body is %q, not application/x-www-form-urlencoded", r.Header.Get("Content-Type"))
	}
	return r.ParseForm()
}

// bearer returns the token of an Authorization header with one of schemes.
func bearer(r *http.Request, schemes ...string) (token string, found bool) {
	scheme, token, found := strings.Cut(r.Header.Get("Authorization"), " ")
	known := slices.ContainsFunc(schemes, func(s string) bool { return strings.EqualFold(s, scheme) })
	if !found || !known {
		return "", false
	}
	return strings.TrimSpace(token), true
}

func loopback(host string) bool {
	return host == "127.0.0.1" || host == "::1" || host == "localhost"
}

// hostname is host without port and without the brackets of IPv6.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.Trim(host, "[]")
}

// parseRedirect accepts an absolute http or https address that holds neither
// credentials nor a fragment (RFC 6749 section 3.1.2).
func parseRedirect(raw string) (*url.URL, bool) {
	parsed, err := url.Parse(raw)
	if err != nil || parsed.Opaque != "" || parsed.Host == "" || parsed.User != nil || strings.Contains(raw, "#") {
		return nil, false
	}
	return parsed, parsed.Scheme == "http" || parsed.Scheme == "https"
}

// loopbackRedirect says whether raw leads back to this computer.
func loopbackRedirect(raw string) bool {
	parsed, ok := parseRedirect(raw)
	return ok && loopback(parsed.Hostname())
}
