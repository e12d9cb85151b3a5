package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/dev"
	"example.com/broker/providers/local"
)

// devProcess is `broker dev` in this process.
type devProcess struct {
	dir       string
	about     dev.Description
	out, talk *logBuffer
	// stop ends it and returns the exit code.
	stop func() int
}

// startDev runs the verb with a data folder and free ports, and waits for dev.json.
func startDev(t *testing.T, dir string, args ...string) *devProcess {
	t.Helper()
	p := &devProcess{dir: dir, out: &logBuffer{}, talk: &logBuffer{}}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	code := make(chan int, 1)
	go func() { code <- run(ctx, devArgs(dir, args...), strings.NewReader(""), p.out, p.talk) }()
	p.stop = sync.OnceValue(func() int {
		cancel()
		return <-code
	})
	t.Cleanup(func() {
		if got := p.stop(); got != exitDone {
			t.Errorf("the exit code is %d, want 0:\n%s", got, p.talk)
		}
	})
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		// The banner comes last; dev.json may be there from an earlier run.
		if text, err := os.ReadFile(filepath.Join(dir, "dev.json")); err == nil && strings.Contains(p.out.String(), "your app") {
			if err := json.Unmarshal(text, &p.about); err != nil {
				t.Fatal(err)
			}
			return p
		}
		select {
		case got := <-code:
			code <- got
			t.Fatalf("ended with %d:\n%s", got, p.talk)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("not ready:\n%s", p.talk)
		}
	}
}

func devArgs(dir string, args ...string) []string {
	return append([]string{"dev", "--data", dir, "--listen", "127.0.0.1:0", "--demo-listen", "127.0.0.1:0"}, args...)
}

// refusedDev runs the verb, which is to end by itself, and returns the exit code and what it said.
func refusedDev(t *testing.T, args ...string) (code int, talk string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var out, said bytes.Buffer
	code = run(ctx, args, strings.NewReader(""), &out, &said)
	if ctx.Err() != nil {
		t.Fatalf("it runs, want it to end:\n%s%s", &out, &said)
	}
	return code, said.String()
}

// broker.yaml of a test.
func devConfig(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "broker.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func (p *devProcess) post(t *testing.T, address string, form url.Values) (status int, answer map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return fetch(t, http.DefaultClient, req)
}

func fetch(t *testing.T, c *http.Client, req *http.Request) (status int, answer map[string]any) {
	t.Helper()
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = json.Unmarshal(text, &answer) // a page is no JSON
	return resp.StatusCode, answer
}

// password buys an access token with the password of a user.
func (p *devProcess) password(t *testing.T, username, resource string) string {
	t.Helper()
	i := slices.IndexFunc(p.about.Users, func(a dev.Account) bool { return a.Username == username })
	form := url.Values{"grant_type": {"password"}, "username": {username}, "password": {p.about.Users[i].Password}}
	if resource != "" {
		form.Set("resource", resource)
	}
	status, answer := p.post(t, p.about.Issuer+"/token", form)
	token, _ := answer["access_token"].(string)
	if status != http.StatusOK || token == "" {
		t.Fatalf("token for %s: %d %v", username, status, answer)
	}
	return token
}

// signIn goes through a local upstream as the demo app does, and returns the subject of the ID token.
func (p *devProcess) signIn(t *testing.T, provider, person string) string {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	redirect := p.about.Clients[0].RedirectURIs[0]
	stopAt := []string{p.about.Upstreams[provider], redirect}
	c := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if slices.ContainsFunc(stopAt, func(s string) bool { return strings.HasPrefix(r.URL.String(), s) }) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	follow := func(address string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		to, err := resp.Location()
		if err != nil {
			t.Fatalf("%s answered %s and led nowhere", address, resp.Status)
		}
		return to.String()
	}
	verifier := strings.Repeat("v", 43)
	sum := sha256.Sum256([]byte(verifier))
	upstream := follow(p.about.Issuer + "/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {dev.SPAClient}, "redirect_uri": {redirect}, "scope": {"openid"}, "state": {"s"}, "idp_hint": {provider},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}.Encode())
	back, err := local.Pick(t.Context(), nil, upstream, person)
	if err != nil {
		t.Fatal(err)
	}
	arrived, err := url.Parse(follow(back.String()))
	if err != nil {
		t.Fatal(err)
	}
	status, answer := p.post(t, p.about.Issuer+"/token", url.Values{
		"grant_type": {"authorization_code"}, "client_id": {dev.SPAClient}, "code": {arrived.Query().Get("code")}, "redirect_uri": {redirect}, "code_verifier": {verifier},
	})
	token, _ := answer["id_token"].(string)
	parts := strings.Split(token, ".")
	if status != http.StatusOK || len(parts) != 3 {
		t.Fatalf("from %s: %d %v", arrived, status, answer)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct{ Sub string }
	if err := json.Unmarshal(payload, &claims); err != nil || claims.Sub == "" {
		t.Fatalf("ID token %s: %v", payload, err)
	}
	return claims.Sub
}

func TestDevIsTheSameTomorrow(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "dev")
	today := startDev(t, dir)
	octavia, wren := today.signIn(t, "github", "octavia"), today.signIn(t, "google", "wren")
	if octavia == wren {
		t.Fatal("two people are one")
	}
	if got := today.stop(); got != exitDone {
		t.Fatalf("exit code %d:\n%s", got, today.talk)
	}
	http.DefaultClient.CloseIdleConnections()

	tomorrow := startDev(t, dir)
	if diff := cmp.Diff(today.about, tomorrow.about); diff != "" {
		t.Errorf("dev.json differs: %s", diff)
	}
	if got := tomorrow.signIn(t, "github", "octavia"); got != octavia {
		t.Errorf("octavia is %s, was %s", got, octavia)
	}
	if got := tomorrow.signIn(t, "google", "wren"); got != wren {
		t.Errorf("wren is %s, was %s", got, wren)
	}
	tomorrow.password(t, "alice", "")
}

func TestDevDescribesItself(t *testing.T) {
	t.Parallel()
	p := startDev(t, filepath.Join(t.TempDir(), "dev"))
	for _, name := range []string{"dev.json", "state.json", "broker.db"} {
		if info, err := os.Stat(filepath.Join(p.dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, want mode 0600", name, info)
		}
	}
	if info, err := os.Stat(p.dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v, want mode 0700", info)
	}
	a := p.about
	roles := map[string]string{"alice": "editor", "bob": "viewer", "root": "admin"}
	for _, u := range a.Users {
		if len(u.Password) < 15 || u.Email != u.Username+"@example.com" || len(u.Roles) != 1 || u.Roles[0] != roles[u.Username] {
			t.Errorf("user %+v", u)
		}
		if !strings.Contains(p.out.String(), u.Username+" "+u.Password) {
			t.Errorf("the banner does not name the password of %s:\n%s", u.Username, p.out)
		}
		p.password(t, u.Username, "")
	}
	if len(a.Users) != len(roles) || a.PID != os.Getpid() || len(a.Clients) != 3 || a.APIs[0].Audience != a.DemoURL+"/api" {
		t.Errorf("dev.json says %+v", a)
	}
	if !strings.HasPrefix(a.Issuer, "http://localhost:") || !strings.HasPrefix(a.DemoURL, "http://127.0.0.1:") {
		t.Errorf("issuer %s and demo %s share cookies, or are of other hosts than expected", a.Issuer, a.DemoURL)
	}
	service := a.Clients[2]
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.Issuer+"/token", strings.NewReader("grant_type=client_credentials"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(service.ClientID), url.QueryEscape(service.ClientSecret))
	if status, answer := fetch(t, http.DefaultClient, req); status != http.StatusOK {
		t.Errorf("the secret of %s: %d %v", service.ClientID, status, answer)
	}
}

func TestDevDemoAPI(t *testing.T) {
	t.Parallel()
	p := startDev(t, t.TempDir())
	audience := p.about.APIs[0].Audience
	tests := []struct {
		name, method, path, token string
		want                      int
	}{
		{"its own token", http.MethodGet, "/api/hello", p.password(t, "bob", audience), http.StatusOK},
		{"the broker's token is none of its own", http.MethodGet, "/api/hello", p.password(t, "bob", ""), http.StatusUnauthorized},
		{"an editor writes", http.MethodPost, "/api/notes", p.password(t, "alice", audience), http.StatusCreated},
		{"an admin writes", http.MethodPost, "/api/notes", p.password(t, "root", audience), http.StatusCreated},
		{"a viewer does not", http.MethodPost, "/api/notes", p.password(t, "bob", audience), http.StatusForbidden},
	}
	for _, test := range tests {
		req, err := http.NewRequestWithContext(t.Context(), test.method, p.about.DemoURL+test.path, strings.NewReader(`{"text":"a note"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+test.token)
		if status, answer := fetch(t, http.DefaultClient, req); status != test.want {
			t.Errorf("%s: %d %v, want %d", test.name, status, answer, test.want)
		}
	}
	// And the broker's own routes refuse the token of the API.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.about.Issuer+"/me", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.password(t, "bob", audience))
	if status, answer := fetch(t, http.DefaultClient, req); status != http.StatusUnauthorized {
		t.Errorf("/me with a token of the demo API: %d %v, want 401", status, answer)
	}
}

func TestDevRefusesToBeReached(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"--listen", "--demo-listen"} {
		for _, address := range []string{":8080", "0.0.0.0:8080", "[::]:0", "192.168.1.5:8080", "example.com:80"} {
			dir := filepath.Join(t.TempDir(), "dev")
			code, talk := refusedDev(t, "dev", "--data", dir, flag, address)
			if code != exitUsage || !strings.Contains(talk, address) || !strings.Contains(talk, flag) || !strings.Contains(talk, "broker serve") {
				t.Errorf("%s %s: exit code %d, %q", flag, address, code, talk)
			}
			if _, err := os.Stat(dir); !os.IsNotExist(err) {
				t.Errorf("%s %s: the folder was made", flag, address)
			}
		}
	}
}

func TestDevSecondProcess(t *testing.T) {
	t.Parallel()
	p := startDev(t, t.TempDir())
	before, err := os.ReadFile(filepath.Join(p.dir, "state.json"))
	if err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"other ports": devArgs(p.dir),
		"same ports":  {"dev", "--data", p.dir, "--listen", strings.Replace(p.about.Issuer, "http://localhost", "127.0.0.1", 1)},
	} {
		code, talk := refusedDev(t, args...)
		if code != exitFailed || !strings.Contains(talk, p.dir) || !strings.Contains(talk, "another process") {
			t.Errorf("%s: exit code %d, %q", name, code, talk)
		}
	}
	after, err := os.ReadFile(filepath.Join(p.dir, "state.json"))
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the second process changed what the first remembers: %v", err)
	}
	p.password(t, "alice", "")
}

func TestDevPorts(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	for _, flag := range []string{"--listen", "--demo-listen"} {
		code, talk := refusedDev(t, "dev", "--data", t.TempDir(), flag, "127.0.0.1:"+taken)
		if code != exitFailed || !strings.Contains(talk, flag) || !strings.Contains(talk, taken) || !strings.Contains(talk, "in use") {
			t.Errorf("%s: exit code %d, %q", flag, code, talk)
		}
	}
}

func TestDevInAContainer(t *testing.T) {
	t.Parallel()
	p := startDev(t, t.TempDir(), "--container")
	for _, base := range []string{p.about.Issuer, p.about.DemoURL, p.about.OpsURL, p.about.Upstreams["github"], p.about.Upstreams["google"]} {
		u, err := url.Parse(base)
		if err != nil {
			t.Fatal(err)
		}
		for host, served := range map[string]bool{
			"localhost:" + u.Port(): true, "127.0.0.1:" + u.Port(): true, "[::1]:" + u.Port(): true, "evil.example:" + u.Port(): false, "192.168.1.5:" + u.Port(): false,
		} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/.well-known/openid-configuration", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = host
			if status, _ := fetch(t, http.DefaultClient, req); (status != http.StatusMisdirectedRequest) != served {
				t.Errorf("%s as %s: %d", base, host, status)
			}
		}
	}
	p.signIn(t, "github", "octavia")
}

func TestDevMergesAConfiguration(t *testing.T) {
	t.Parallel()
	p := startDev(t, t.TempDir(), "-c", devConfig(t, `
issuer: https://auth.example.com
product:
  name: Orders
clients:
  web:
    redirect_uris: ["http://localhost:5173/callback"]
    apis: [orders]
apis:
  orders:
    audience: https://orders.example
bootstrap:
  admins: ["github:583231"]
providers:
  github:
    name: The local one
  google:
    client_id: real-client
    client_secret: real-secret
`))
	if p.about.Upstreams["google"] != dev.Real || p.about.Upstreams["github"] == dev.Real {
		t.Errorf("upstreams %v, want the real Google and the local GitHub", p.about.Upstreams)
	}
	if !strings.Contains(p.out.String(), "github=local google=real") {
		t.Errorf("the banner says\n%s", p.out)
	}
	if !strings.Contains(p.talk.String(), "issuer is for `broker serve`") {
		t.Errorf("nothing is said of the issuer that is not used:\n%s", p.talk)
	}
	p.signIn(t, "github", "octavia")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.about.Issuer+"/authorize?client_id=web&redirect_uri="+url.QueryEscape("http://localhost:5173/else"), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	page, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(page), "the addresses registered for web") || !strings.Contains(string(page), "Orders") {
		t.Errorf("the app is not registered, or the product has another name: %v\n%s", err, page)
	}
}

func TestDevRefusesAConfiguration(t *testing.T) {
	t.Parallel()
	file := devConfig(t, `clients:
  demo-spa:
    redirect_uris: ["http://localhost:5173/callback"]
  web:
    redirect_uris: ["https://app.example.com/*"]
apis:
  demo:
    audience: https://demo.example
prodct: {}
`)
	dir := t.TempDir()
	code, talk := refusedDev(t, devArgs(dir, "-c", file)...)
	if code != exitUsage {
		t.Errorf("exit code %d, want 2", code)
	}
	for _, want := range []string{":2:3  clients.demo-spa", ":5:21  clients.web.redirect_uris[0]", ":7:3  apis.demo", ":9:1  prodct"} {
		if !strings.Contains(talk, file+want) {
			t.Errorf("nothing is said of %s:\n%s", want, talk)
		}
	}
	startDev(t, dir) // nothing was left behind
}
