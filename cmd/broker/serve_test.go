package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	serveKey    = "qL6r0k9vHTeeVZ5yP0b2mJ8n1mC7dQ4sXw3uYt6oGzE="
	serveSecret = "kX2-9fQ7vLr4Ws8ZpYt1uHc6Ne3Gd5Bm"
)

// serveEnv is a small configuration of serve.
func serveEnv(more ...string) []string {
	return append([]string{
		"BROKER_ISSUER=https://auth.example.com", "BROKER_KEYS__ENCRYPTION=" + serveKey, "BROKER_LISTEN=127.0.0.1:0", "BROKER_OPS__LISTEN=127.0.0.1:0",
	}, more...)
}

// started is what serve says once it serves.
type started struct {
	Listen, Ops, Version, Issuer, Store, Config string
	TLS                                         bool
}

// startServe starts the broker in dir and waits for its line. The logs may be read once the process has ended.
func startServe(t *testing.T, dir string, env []string) (*process, started) {
	t.Helper()
	p := newProcess(t.Context(), t, dir, env, "serve")
	logs := &logBuffer{}
	p.Stderr = io.MultiWriter(&p.talk, logs)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Process.Kill()
		_ = p.Wait()
	})
	return p, serving(t, logs)
}

func serving(t *testing.T, logs *logBuffer) started {
	t.Helper()
	for range 400 {
		for line := range strings.Lines(logs.String()) {
			var s struct {
				Msg string
				started
			}
			if json.Unmarshal([]byte(line), &s) == nil && s.Msg == "the broker serves" {
				return s.started
			}
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Fatalf("the broker does not serve:\n%s", logs)
	return started{}
}

func get(t *testing.T, client *http.Client, url string) (int, string) {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestServeStartsSaysSoAndEndsGracefully(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p, s := startServe(t, dir, serveEnv("BROKER_CLIENTS__JOB__CLIENT_SECRET="+serveSecret, "BROKER_CLIENTS__JOB__GRANT_TYPES=client_credentials"))
	if s.Version != version || s.Issuer != "https://auth.example.com" || s.Store != "sqlite "+filepath.Join(dir, "broker.db") || s.TLS {
		t.Errorf("the line of the start says %+v", s)
	}
	if code, _ := get(t, http.DefaultClient, "http://"+s.Ops+"/readyz"); code != http.StatusOK {
		t.Errorf("/readyz answers %d", code)
	}
	if code, body := get(t, http.DefaultClient, "http://"+s.Listen+"/.well-known/openid-configuration"); code != http.StatusOK || !strings.Contains(body, `"issuer":"https://auth.example.com"`) {
		t.Errorf("discovery answers %d %s", code, body)
	}
	if info, err := os.Stat(filepath.Join(dir, controlFile)); err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("the control socket has mode %v, %v", info.Mode(), err)
	}
	began := time.Now()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.finish(t); code != exitDone || time.Since(began) > shutdownGrace {
		t.Errorf("exit code %d after %s\n%s", code, time.Since(began), p.talk.String())
	}
	if got, want := names(t, dir), []string{"broker.db", "broker.db.lock"}; !cmp.Equal(got, want) {
		t.Errorf("the folder holds %q, want %q", got, want)
	}
	if p.out.Len() > 0 {
		t.Errorf("stdout holds %q", p.out.String())
	}
	if strings.Contains(p.talk.String(), serveSecret) || strings.Contains(p.talk.String(), serveKey) {
		t.Errorf("the log holds secrets:\n%s", p.talk.String())
	}
	for line := range strings.Lines(p.talk.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("the log has a line that is not JSON: %q", line)
		}
	}
}

func TestServeSpeaksTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pool := certificate(t, dir)
	_, s := startServe(t, dir, serveEnv("BROKER_TLS__CERT_FILE=cert.pem", "BROKER_TLS__KEY_FILE=key.pem"))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}}
	resp, err := client.Get("https://" + s.Listen + "/.well-known/openid-configuration")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 || !s.TLS {
		t.Errorf("answer %s %s", resp.Proto, resp.Status)
	}
}

// certificate writes cert.pem and key.pem for 127.0.0.1 and returns who to trust.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(cert)
	return pool
}

func TestASecondBrokerOnOneStoreIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	startServe(t, dir, serveEnv())
	code, _, talk := broker(t, dir, serveEnv(), "serve")
	if code != exitFailed || !strings.Contains(talk, "is open in another broker") {
		t.Errorf("exit code %d, stderr %s", code, talk)
	}
	// Another file in the same folder would take the socket away.
	code, _, talk = broker(t, dir, serveEnv("BROKER_STORE__SQLITE__PATH=other.db"), "serve")
	if code != exitFailed || !strings.Contains(talk, "give each SQLite file a folder of its own") {
		t.Errorf("exit code %d, stderr %s", code, talk)
	}
}

func TestAnAddressInUseStopsTheStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, s := startServe(t, dir, serveEnv())
	other := t.TempDir()
	code, _, talk := broker(t, other, serveEnv(), "serve", "--ops-listen", s.Listen)
	if code != exitFailed || !strings.Contains(talk, "ops.listen: ") || slices.Contains(names(t, other), controlFile) {
		t.Errorf("exit code %d, stderr %s", code, talk)
	}
}

func TestAKilledBrokerLeavesNothingThatStopsTheNext(t *testing.T) {
	t.Parallel()
	for _, long := range []bool{false, true} {
		dir := t.TempDir()
		if long {
			if dir = filepath.Join(dir, strings.Repeat("long-", 30)); os.Mkdir(dir, 0o700) != nil {
				t.Fatal("no folder")
			}
		}
		temp := "TMPDIR=" + t.TempDir()
		p, _ := startServe(t, dir, serveEnv(temp))
		if err := p.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		p.finish(t)
		if !slices.Contains(names(t, dir), controlFile) {
			t.Fatal("a killed broker has removed its socket")
		}
		// The store is opened where nobody answers on the socket.
		if code, _, talk := broker(t, dir, serveEnv(temp), "user", "create", "--username", "alice"); code != exitDone {
			t.Errorf("long %v: a verb ends with %d: %s", long, code, talk)
		}
		p, _ = startServe(t, dir, serveEnv(temp))
		code, out, talk := broker(t, dir, serveEnv(temp), "user", "list")
		if code != exitDone || !strings.Contains(out, "alice") {
			t.Errorf("long %v: a verb ends with %d: %s", long, code, talk)
		}
		if err := p.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		p.finish(t)
		if left := names(t, strings.TrimPrefix(temp, "TMPDIR=")); len(left) > 0 || slices.Contains(names(t, dir), controlFile) {
			t.Errorf("long %v: left %q and %q", long, left, names(t, dir))
		}
	}
}

// serveHere runs serve in this process, in dir, until the test ends or stop is called.
func serveHere(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	logs := &logBuffer{}
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, []string{"serve"}, strings.NewReader(""), io.Discard, logs) }()
	serving(t, logs)
	done := false
	stop = func() {
		if cancel(); done {
			return
		}
		done = true
		if code := <-ended; code != exitDone {
			t.Errorf("serve ended with %d:\n%s", code, logs)
		}
	}
	t.Cleanup(stop)
	return stop
}

// here runs a command in this process.
func here(t *testing.T, in string, args ...string) (code int, out, talk string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(in), &o, &e)
	return code, o.String(), e.String()
}
