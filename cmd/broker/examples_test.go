package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/broker/config"
	"example.com/broker/oauth"
)

// example is an API below examples/ that runs as a process of its own. All of them have the same three routes: GET path for anyone,
// POST path for editors and admins, DELETE path/1 for the scope API:write.
type example struct {
	folder, api string
	// prepare builds or installs it and returns how to start a process of it, without an environment. It skips what cannot be had here.
	prepare func(t *testing.T, folder string) func(ctx context.Context) *exec.Cmd
}

var examples = []example{
	{"orders-api", "orders", goExample},
	{"gin-api", "stock", goExample},
	{"fastapi-api", "invoices", pythonExample},
	{"node-api", "tickets", nodeExample},
}

func (e example) audience() string { return audienceOf(e.api) }
func (e example) path() string     { return "/" + e.api }

func audienceOf(api string) string { return "https://" + api + ".example.com/" }

const exampleStart = 60 * time.Second

func TestExamplesTrustTheBrokerAndNothingElse(t *testing.T) {
	t.Parallel()
	w, purses := exampleWorld(t)
	for _, e := range examples {
		t.Run(e.folder, func(t *testing.T) {
			t.Parallel()
			process := e.prepare(t, filepath.Join("..", "..", "examples", e.folder))
			t.Run("tokens", func(t *testing.T) {
				t.Parallel()
				e.takesOnlyItsTokens(t, startExample(t, process, "ISSUER="+w.issuer, "AUDIENCE="+e.audience()), purses[e.api])
			})
			t.Run("ID tokens", func(t *testing.T) {
				t.Parallel()
				// Everything but the type speaks for the ID token where the API has the name of a client.
				address := startExample(t, process, "ISSUER="+w.issuer, "AUDIENCE=spa")
				got := askExample(t, http.MethodGet, address+e.path(), purses[e.api].idToken)
				if got.status != http.StatusUnauthorized || !strings.Contains(got.detail(), "at+jwt") && !strings.Contains(got.detail(), "typ") {
					t.Errorf("an ID token with the right audience: %+v", got)
				}
			})
			t.Run("issuer", func(t *testing.T) {
				t.Parallel()
				address := startExample(t, process, "ISSUER="+w.issuer+"/other", "AUDIENCE="+e.audience(), "JWKS_URL="+w.issuer+"/jwks")
				if got := askExample(t, http.MethodGet, address+e.path(), purses[e.api].editor); got.status != http.StatusUnauthorized {
					t.Errorf("the token of another issuer with the same keys: %+v", got)
				}
			})
			t.Run("outage", func(t *testing.T) {
				t.Parallel()
				l := listen(t, "127.0.0.1:0")
				nobody := "http://" + l.Addr().String() + "/jwks"
				_ = l.Close()
				address := startExample(t, process, "ISSUER="+w.issuer, "AUDIENCE="+e.audience(), "JWKS_URL="+nobody)
				got := askExample(t, http.MethodGet, address+e.path(), purses[e.api].editor)
				if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" || got.header.Get("WWW-Authenticate") != "" {
					t.Errorf("without keys: %+v", got)
				}
			})
			t.Run("settings", func(t *testing.T) {
				t.Parallel()
				for _, env := range [][]string{
					{"ISSUER=" + w.issuer},
					{"AUDIENCE=" + e.audience()},
					{"ISSUER=http://broker.example.com", "AUDIENCE=" + e.audience()},
				} {
					cmd, said := exampleProcess(t, process, env...)
					if err := cmd.Run(); err == nil || !regexp.MustCompile(`ISSUER|not https`).MatchString(said.String()) {
						t.Errorf("with %q alone: %v\n%s", env, err, said)
					}
				}
			})
		})
	}
}

// takesOnlyItsTokens asks with every token there is.
func (e example) takesOnlyItsTokens(t *testing.T, address string, p purse) {
	rows := []struct {
		rule, method, token string
		status              int
	}{
		{"a person's token", "GET", p.editor, 200},
		{"a token bought with a password and the API's name", "GET", p.password, 200},
		{"a program's own token", "GET", p.service, 200},
		{"a token of a broker whose clock is a little ahead", "GET", p.at(t, 20*time.Second), 200},
		{"a token that ended a moment ago, by this clock", "GET", p.at(t, -15*time.Minute-3*time.Second), 200},
		{"an editor where editors may", "POST", p.editor, 201},
		{"the scope where it is asked for", "DELETE", p.editor, 200},

		{"a viewer where editors may", "POST", p.viewer, 403},
		{"a program without roles where editors may", "POST", p.service, 403},
		{"another scope than the one asked for", "DELETE", p.reader, 403},

		{"no token", "GET", "", 401},
		{"nonsense", "GET", "a.b.c", 401},
		{"a token for another API", "GET", p.other, 401},
		{"a token for the broker", "GET", p.broker, 401},
		{"an expired token", "GET", p.at(t, -16*time.Minute), 401},
		{"a token of the future", "GET", p.at(t, time.Hour), 401},
		{"an ID token", "GET", p.idToken, 401},
		{"a refresh token", "GET", p.refresh, 401},
		{"roles that nobody signed", "POST", forged(t, p.viewer, nil, map[string]any{"roles": []string{"admin"}}, nil), 401},
		{"a signature that is none", "GET", p.editor[:len(p.editor)-8] + "AAAAAAAA", 401},
		{"no signature", "GET", forged(t, p.editor, map[string]any{"alg": "none"}, nil, []byte{}), 401},
		{"a signature with a secret", "GET", forged(t, p.editor, map[string]any{"alg": "HS256"}, nil, []byte("secret")), 401},
		{"a key that the issuer does not have", "GET", forged(t, p.editor, map[string]any{"kid": "made-up"}, nil, nil), 401},
	}
	for _, r := range rows {
		t.Run(r.rule, func(t *testing.T) {
			path := e.path()
			if r.method == "DELETE" {
				path += "/1"
			}
			got := askExample(t, r.method, address+path, r.token)
			if got.status != r.status {
				t.Fatalf("got %+v, want %d", got, r.status)
			}
			challenge := got.header.Get("WWW-Authenticate")
			if got.status >= 400 && !strings.HasPrefix(challenge, `Bearer realm="`+e.audience()+`"`) {
				t.Errorf("got the challenge %q", challenge)
			}
			switch {
			case got.status < 300:
				caller, _ := got.body["caller"].(map[string]any)
				sub := claims(t, r.token)["sub"]
				if kind := map[bool]string{true: "client", false: "user"}[sub == "service"]; caller["id"] != sub || caller["kind"] != kind || caller["client_id"] != claims(t, r.token)["client_id"] {
					t.Errorf("the caller is %v", caller)
				}
			case r.method == "POST" && got.status == 403:
				if want := []any{"editor", "admin"}; !slices.Equal(list(got.body["required_roles"]), want) || !strings.Contains(got.detail(), "editor, admin") ||
					!strings.Contains(challenge, `error="insufficient_scope"`) {
					t.Errorf("403 must name the roles that would do: %v, %s", got.body, challenge)
				}
			case got.status == 403:
				if scope := e.api + ":write"; got.body["required_scope"] != scope || !strings.Contains(challenge, `scope="`+scope+`"`) {
					t.Errorf("403 must name the scope that would do: %v, %s", got.body, challenge)
				}
			// RFC 6750 §3.1: a request without a token learns no error code.
			case (r.token == "") == strings.Contains(challenge, `error="invalid_token"`):
				t.Errorf("got the challenge %q", challenge)
			}
		})
	}
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

// purse holds the tokens that one API is shown.
type purse struct {
	editor, viewer, reader, password, service string // good
	other, broker, idToken, refresh           string
	// at makes a good one by a clock that is ahead of the API's.
	at func(t *testing.T, ahead time.Duration) string
}

// exampleWorld is a broker with an API for each example. It has the control socket that `broker token` talks to, and is an hour old, so
// that its keys could sign tokens that have expired.
func exampleWorld(t *testing.T) (*world, map[string]purse) {
	t.Helper()
	l := listen(t, "127.0.0.1:0")
	_, port, _ := net.SplitHostPort(l.Addr().String())
	w := surroundings(t, "sqlite", "http://localhost:"+port)
	w.cfg.APIs = map[string]config.API{}
	for _, e := range examples {
		w.cfg.APIs[e.api] = config.API{Audience: e.audience(), Scopes: []string{e.api + ":read", e.api + ":write"}}
	}
	for _, id := range []string{"cli", "service", "spa"} {
		c := w.cfg.Clients[id]
		c.APIs = slices.Sorted(maps.Keys(w.cfg.APIs))
		w.cfg.Clients[id] = c
	}
	w.clock.advance(-time.Hour)
	w.start(l)
	w.ledger.watch(w)
	dir := t.TempDir()
	control, err := w.listenControl(t.Context(), socketIn(dir))
	if err != nil {
		t.Fatal(err)
	}
	server := newServer(control.handler, w.program.log)
	go func() { _ = server.Serve(control.on) }()
	t.Cleanup(func() { _ = server.Close() })

	w.clock.advance(time.Hour)
	if err := w.follow.Poll(t.Context()); err != nil { // for the clock, the last one was an hour ago
		t.Fatal(err)
	}
	token := func(t *testing.T, args ...string) string {
		t.Helper()
		code, out, talk := here(t, "", append([]string{"token", "--data", dir, "--client", "cli"}, args...)...)
		if code != exitDone {
			t.Fatalf("broker token %q: %d %s", args, code, talk)
		}
		w.ledger.keep(strings.TrimSpace(out))
		return strings.TrimSpace(out)
	}
	alice, bob := w.person("alice", "editor").Username, w.person("bob").Username
	a := w.app("spa", "")
	signedIn := a.redeem(a.code(w.browser().signInByPassword(a, alice)))
	purses := map[string]purse{}
	var clock sync.Mutex
	for i, e := range examples {
		purses[e.api] = purse{
			editor: token(t, alice, "--api", e.api), viewer: token(t, bob, "--api", e.audience()),
			reader: token(t, alice, "--api", e.api, "--scope", e.api+":read"),
			other:  token(t, alice, "--api", examples[(i+1)%len(examples)].api), broker: token(t, alice),
			idToken: signedIn.str("id_token"), refresh: signedIn.str("refresh_token"),
			password: w.post("/token", url.Values{
				"grant_type": {oauth.GrantPassword}, "client_id": {"cli"}, "username": {alice}, "password": {w.password}, "resource": {e.audience()},
			}).str("access_token"),
			service: w.app("service", serviceSecret).post("/token", url.Values{
				"grant_type": {oauth.GrantClientCredentials}, "resource": {e.audience()},
			}).str("access_token"),
			at: func(t *testing.T, ahead time.Duration) string {
				clock.Lock()
				defer clock.Unlock()
				w.clock.advance(ahead)
				defer w.clock.advance(-ahead)
				return token(t, alice, "--api", e.api)
			},
		}
	}
	return w, purses
}

// forged changes a token's header and claims. It keeps the signature, unless secret is given: then it is signed with that by HS256, or,
// where that is empty, not at all.
func forged(t *testing.T, raw string, header, payload map[string]any, secret []byte) string {
	t.Helper()
	parts := strings.Split(raw, ".")
	for i, change := range []map[string]any{header, payload} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		var members map[string]any
		if err := json.Unmarshal(text, &members); err != nil {
			t.Fatal(err)
		}
		maps.Copy(members, change)
		if text, err = json.Marshal(members); err != nil {
			t.Fatal(err)
		}
		parts[i] = base64.RawURLEncoding.EncodeToString(text)
	}
	switch {
	case len(secret) > 0:
		sum := hmac.New(sha256.New, secret)
		sum.Write([]byte(parts[0] + "." + parts[1]))
		parts[2] = base64.RawURLEncoding.EncodeToString(sum.Sum(nil))
	case secret != nil:
		parts[2] = ""
	}
	return strings.Join(parts, ".")
}

// exampleAnswer is what an example answered.
type exampleAnswer struct {
	status int
	header http.Header
	body   map[string]any
}

func (a exampleAnswer) detail() string {
	s, _ := a.body["detail"].(string)
	return s
}

func askExample(t *testing.T, method, address, token string) exampleAnswer {
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
	defer func() { _ = resp.Body.Close() }()
	out := exampleAnswer{status: resp.StatusCode, header: resp.Header}
	text, err := io.ReadAll(resp.Body)
	if err == nil {
		err = json.Unmarshal(text, &out.body) // one value: a handler that runs on after a refusal adds its own
	}
	if err != nil {
		t.Fatalf("%s %s answered %d with no JSON: %v\n%s", method, address, resp.StatusCode, err, text)
	}
	return out
}

// exampleProcess prepares a process with nothing in its environment but what a person has and env.
func exampleProcess(t *testing.T, process func(context.Context) *exec.Cmd, env ...string) (*exec.Cmd, *logBuffer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 5*time.Minute)
	t.Cleanup(cancel)
	cmd, said := process(ctx), &logBuffer{}
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = said, said, 5*time.Second
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "LISTEN=127.0.0.1:0", "PYTHONDONTWRITEBYTECODE=1"}, env...)
	return cmd, said
}

var exampleAddress = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// startExample starts a process, waits until it says where it listens, and ends it with the test.
func startExample(t *testing.T, process func(context.Context) *exec.Cmd, env ...string) (address string) {
	t.Helper()
	cmd, said := exampleProcess(t, process, env...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // how a process ends that is told to is its own affair
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
	})
	for deadline := time.Now().Add(exampleStart); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if address = exampleAddress.FindString(said.String()); address != "" {
			return address
		}
		select {
		case <-ended:
			t.Fatalf("it ended:\n%s", said)
		default:
		}
	}
	t.Fatalf("it says no address:\n%s", said)
	return ""
}

func goExample(t *testing.T, folder string) func(context.Context) *exec.Cmd {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "example")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./"+folder).CombinedOutput(); err != nil {
		t.Fatalf("build it: %v\n%s", err, out)
	}
	return func(ctx context.Context) *exec.Cmd { return exec.CommandContext(ctx, binary) }
}

func pythonExample(t *testing.T, folder string) func(context.Context) *exec.Cmd {
	t.Helper()
	about, err := exec.CommandContext(t.Context(), "python3", "-c", "import sys; assert sys.version_info >= (3, 10); print(sys.base_prefix, sys.version)").CombinedOutput()
	if err != nil {
		leaveOutExample(t, "the example in Python: it needs Python 3.10 or newer (%v)", err)
	}
	dir := installedOnce(t, "python", string(about), []string{filepath.Join(folder, "requirements.txt")}, func(ctx context.Context, dir string) error {
		if err := install(ctx, dir, "python3", "-m", "venv", "."); err != nil {
			return err
		}
		return install(ctx, dir, filepath.Join(dir, "bin", "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "-r", "requirements.txt")
	})
	return func(ctx context.Context) *exec.Cmd {
		cmd := exec.CommandContext(ctx, filepath.Join(dir, "bin", "python"), "-m", "uvicorn", "main:app", "--port", "0")
		cmd.Dir = folder
		return cmd
	}
}

func nodeExample(t *testing.T, folder string) func(context.Context) *exec.Cmd {
	t.Helper()
	about, err := exec.CommandContext(t.Context(), "node", "-e", "if (process.versions.node.split('.')[0] < 20) process.exit(1)").CombinedOutput()
	if err != nil {
		leaveOutExample(t, "the example on Node.js: it needs Node.js 20 or newer with npm (%v)", err)
	}
	pins := []string{filepath.Join(folder, "package.json"), filepath.Join(folder, "package-lock.json"), filepath.Join(folder, ".npmrc")}
	dir := installedOnce(t, "node", string(about), pins, func(ctx context.Context, dir string) error {
		return install(ctx, dir, "npm", "ci", "--no-audit", "--no-fund")
	})
	// Modules are looked for beside the program: it runs from a copy, so that the checkout stays as it is.
	at := t.TempDir()
	for _, name := range []string{"package.json", "guard.mjs", "server.mjs"} {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(at, name), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(dir, "node_modules"), filepath.Join(at, "node_modules")); err != nil {
		t.Fatal(err)
	}
	return func(ctx context.Context) *exec.Cmd {
		return exec.CommandContext(ctx, "node", filepath.Join(at, "server.mjs"))
	}
}

// leaveOutExample skips a test, or fails it with CI=true, which allows nothing to be left out.
func leaveOutExample(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format+"; CI=true allows nothing to be left out", args...)
	}
	t.Skipf(format, args...)
}

// installedOnce returns a folder in the user's cache where do has installed what the files pin, with the tool that about tells apart
// from others. The first to ask does it and others wait; later ones, in later runs too, find it there.
func installedOnce(t *testing.T, tool, about string, files []string, do func(ctx context.Context, dir string) error) string {
	t.Helper()
	dir, err := func() (string, error) {
		sum := sha256.New()
		fmt.Fprintf(sum, "%q", about)
		texts := map[string][]byte{}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(sum, "%q", text)
			texts[filepath.Base(f)] = text
		}
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		dir := filepath.Join(cache, "broker-test", "examples", tool+"-"+hex.EncodeToString(sum.Sum(nil))[:16])
		if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
			return "", err
		}
		unlock, err := lockFile(dir + ".lock")
		if err != nil {
			return "", err
		}
		defer unlock()
		complete := filepath.Join(dir, "complete")
		if _, err := os.Stat(complete); err == nil {
			return dir, nil
		}
		if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700)); err != nil {
			return "", err
		}
		for name, text := range texts {
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
				return "", err
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		if err := do(ctx, dir); err != nil {
			return "", err
		}
		return dir, os.WriteFile(complete, nil, 0o600)
	}()
	if err != nil {
		leaveOutExample(t, "an example: its packages for %s cannot be installed: %v", tool, err)
	}
	return dir
}

func install(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	// One line, since it is the reason of a skipped test.
	said := bytes.Join(bytes.Fields(out), []byte(" "))
	return fmt.Errorf("%s %s: %w: %s", filepath.Base(name), strings.Join(args[:min(2, len(args))], " "), err, said[max(0, len(said)-300):])
}
