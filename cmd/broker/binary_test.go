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
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"example.com/broker/config"
	"example.com/broker/users"
)

// newBinaryWorld starts `broker serve` in a process of its own, with TLS, and the same clients, APIs and upstreams as in process.
func newBinaryWorld(t testing.TB, kind string, edit ...func(*config.Config)) *world {
	t.Helper()
	port := freePort(t)
	w := surroundings(t, kind, "https://localhost:"+port)
	dir := t.TempDir()
	pool := localhostCertificate(t, dir)
	w.cfg.Listen, w.cfg.Ops.Listen = "127.0.0.1:"+port, "127.0.0.1:0"
	w.cfg.TLS = config.TLS{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}
	for _, e := range edit {
		e(&w.cfg)
	}
	w.transport = dialingTLS("127.0.0.1:"+port, pool)
	s := &server{dir: dir, file: writeConfig(t, dir, w.cfg)}
	w.operator = s
	s.start(t, w.logs)
	w.ledger.watch(w)
	return w
}

// server is a broker in a process of its own, and what its operator does by the command line.
type server struct {
	dir, file string
	process   *exec.Cmd
	ended     chan error
}

// start runs it and waits until it serves; it ends with the test.
func (s *server) start(t testing.TB, logs *logBuffer, args ...string) {
	t.Helper()
	from := len(logs.String())
	s.process = s.command(t, append([]string{"serve", "--config", s.file}, args...)...)
	s.process.Stderr = logs
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	s.ended = make(chan error, 1)
	go func() { s.ended <- s.process.Wait() }()
	t.Cleanup(sync.OnceFunc(func() { s.kill() }))
	for limit := time.Now().Add(30 * time.Second); !strings.Contains(logs.String()[from:], `"the broker serves"`); time.Sleep(10 * time.Millisecond) {
		select {
		case err := <-s.ended:
			s.ended <- err
			t.Fatalf("the broker ended: %v\n%s", err, logs.String()[from:])
		default:
		}
		if time.Now().After(limit) {
			t.Fatalf("the broker does not start:\n%s", logs.String()[from:])
		}
	}
}

// command is the broker with arguments: this test binary, which TestMain makes the broker.
func (s *server) command(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(context.WithoutCancel(t.Context()), exe, args...)
	c.Dir, c.Env = s.dir, []string{actAsBroker + "=1", "HOME=" + s.dir}
	c.WaitDelay = 5 * time.Second
	return c
}

// kill ends it as a power cut does.
func (s *server) kill() {
	_ = s.process.Process.Kill()
	err := <-s.ended
	s.ended <- err
}

// terminate ends it as an operator does, and returns how.
func (s *server) terminate(t testing.TB) (took time.Duration) {
	t.Helper()
	began := time.Now()
	if err := s.process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	err := <-s.ended
	s.ended <- err
	if err != nil {
		t.Errorf("after SIGTERM the broker ended with %v", err)
	}
	return time.Since(began)
}

// cli runs a verb and decodes its JSON into out, if that is not nil.
func (s *server) cli(t testing.TB, stdin string, out any, args ...string) {
	t.Helper()
	c := s.command(t, append(args, "--config", s.file, "-o", "json")...)
	var said, talk bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(stdin), &said, &talk
	if err := c.Run(); err != nil {
		t.Fatalf("broker %s: %v\n%s", strings.Join(args, " "), err, talk.String())
	}
	if out != nil {
		if err := json.Unmarshal(said.Bytes(), out); err != nil {
			t.Fatalf("broker %s said %s", strings.Join(args, " "), said.String())
		}
	}
}

func (s *server) create(t testing.TB, n users.NewUser) string {
	t.Helper()
	args := []string{"user", "create", "--username", n.Username, "--name", n.Name, "--email", n.Email, "--password-stdin"}
	for _, r := range n.Roles {
		args = append(args, "--role", r)
	}
	var u struct{ ID string }
	s.cli(t, n.Password.Reveal()+"\n", &u, args...)
	return u.ID
}

func (s *server) disable(t testing.TB, id string) {
	t.Helper()
	s.cli(t, "", nil, "user", "disable", id)
}

func (s *server) enable(t testing.TB, id string) { t.Helper(); s.cli(t, "", nil, "user", "enable", id) }

func (s *server) grant(t testing.TB, id, role string) {
	t.Helper()
	s.cli(t, "", nil, "user", "grant", id, role)
}

// writeConfig writes a configuration as a file. JSON is YAML.
func writeConfig(t testing.TB, dir string, cfg config.Config) string {
	t.Helper()
	b, err := json.MarshalIndent(asMap(reflect.ValueOf(cfg)), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "broker.yaml")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// asMap is a value as the file has it: members by their koanf names, those that are not set left out.
func asMap(v reflect.Value) any {
	if d, ok := v.Interface().(time.Duration); ok {
		return d.String()
	}
	switch v.Kind() {
	case reflect.Pointer:
		return asMap(v.Elem())
	case reflect.Struct:
		out := map[string]any{}
		for i := range v.NumField() {
			if name := v.Type().Field(i).Tag.Get("koanf"); name != "" && name != "-" && !v.Field(i).IsZero() {
				out[name] = asMap(v.Field(i))
			}
		}
		return out
	case reflect.Map:
		out := map[string]any{}
		for _, k := range v.MapKeys() {
			out[k.String()] = asMap(v.MapIndex(k))
		}
		return out
	default:
		return v.Interface()
	}
}

// freePort is a port that nobody listens at. It is below those that the system hands out by itself, and is given once: no other test
// gets it before its broker listens.
func freePort(t testing.TB) string {
	t.Helper()
	const lowest, many = 12_000, 20_000
	for range many {
		port := strconv.Itoa(lowest + int(portsGiven.Add(1)%many))
		if l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:"+port); err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}

// portsGiven begins anywhere, for others who run the same tests here.
var portsGiven = func() *atomic.Uint32 {
	var n atomic.Uint32
	n.Store(mathrand.Uint32N(1 << 30))
	return &n
}()

// localhostCertificate writes cert.pem and key.pem for localhost and returns who to trust.
func localhostCertificate(t testing.TB, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true}
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

func dialingTLS(address string, pool *x509.CertPool) *http.Transport {
	t := dialing(address)
	t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return t
}

func TestAttacksOnTheBinary(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	for _, kind := range storeKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			runAttacks(t, newBinaryWorld(t, kind), func(t *testing.T, edit []func(*config.Config)) *world { return newBinaryWorld(t, kind, edit...) })
		})
	}
}
