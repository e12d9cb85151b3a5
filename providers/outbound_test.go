package providers_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"example.com/broker/providers"
	"example.com/broker/providers/local"
)

// proxied counts what arrives at the proxy that the environment of this test names.
var proxied atomic.Int32

func TestMain(m *testing.M) {
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { proxied.Add(1) }))
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		_ = os.Setenv(name, proxy.URL) // net/http reads it once, so no test can do this
	}
	_ = os.Unsetenv("NO_PROXY")
	_ = os.Unsetenv("no_proxy")
	code := m.Run()
	proxy.Close()
	os.Exit(code)
}

func newClient(t testing.TB, c providers.Config) *http.Client {
	t.Helper()
	client, err := providers.HTTPClient(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

func get(t testing.TB, client *http.Client, target string) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err == nil {
		t.Cleanup(func() { _ = resp.Body.Close() })
	}
	return resp, err
}

// attacks.md M01: by the address that a connection would go to, not by how it is spelled.
func TestHTTPClientRefusesAddresses(t *testing.T) {
	for _, row := range []struct{ rule, target string }{
		{"loopback", "https://127.0.0.1/"},
		{"IPv6 loopback", "https://[::1]/"},
		{"private", "https://10.0.0.1/"},
		{"private written as mapped", "https://[::ffff:10.0.0.1]/"},
		{"private behind a NAT64", "https://[64:ff9b::a00:1]/"},
		{"unique local", "https://[fd00::1]/"},
		{"carrier-grade NAT", "https://100.64.0.1/"},
		{"the metadata service", "https://169.254.169.254/latest/meta-data/"},
		{"unspecified", "https://0.0.0.0/"},
		{"multicast", "https://224.0.0.1/"},
		{"plain http", "http://example.com/"},
		{"another scheme", "ftp://example.com/"},
		{"credentials in the address", "https://user:pass@example.com/"},
	} {
		t.Run(row.rule, func(t *testing.T) {
			if _, err := get(t, newClient(t, providers.Config{}), row.target); !errors.Is(err, providers.ErrAddress) {
				t.Errorf("error %v, want ErrAddress", err)
			}
		})
	}
}

func TestAllowPrivate(t *testing.T) {
	server := httptest.NewServer(local.Answer(http.StatusOK, "application/json", `{}`))
	t.Cleanup(server.Close)
	byName := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	for _, row := range []struct {
		rule, target string
		allow, want  bool
	}{
		{"this computer is reached where it is allowed", server.URL, true, true},
		{"and by its name", byName, true, true},
		{"not where it is not", server.URL, false, false},
		{"link-local stays refused", "https://169.254.169.254/", true, false},
		{"unspecified stays refused", "https://0.0.0.0/", true, false},
		{"http to another computer stays refused", "http://10.0.0.1/", true, false},
	} {
		t.Run(row.rule, func(t *testing.T) {
			_, err := get(t, newClient(t, providers.Config{AllowPrivate: row.allow}), row.target)
			if row.want && err != nil || !row.want && !errors.Is(err, providers.ErrAddress) {
				t.Errorf("error %v, want success: %v", err, row.want)
			}
		})
	}
}

// attacks.md M01: names that are harmless to read and lead inside.
func TestHTTPClientRefusesNamesThatLeadInside(t *testing.T) {
	server := httptest.NewTLSServer(local.Answer(http.StatusOK, "application/json", `{}`))
	t.Cleanup(server.Close)
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	dns := startDNS(t)
	for _, row := range []struct {
		rule, host string
		answers    []string // one for each look-up, the last one for all that follow
		alias      string
	}{
		{"a name that resolves to loopback", "inside.test", []string{"127.0.0.1"}, ""},
		{"a name that resolves to the metadata service", "metadata.test", []string{"169.254.169.254"}, ""},
		{"a name whose IPv6 address is a mapped one", "mapped.test", []string{"::ffff:127.0.0.1"}, ""},
		{"a name whose IPv6 address is loopback", "six.test", []string{"::1"}, ""},
		{"an alias of a name that resolves to loopback", "alias.test", []string{"127.0.0.1"}, "inner.test"},
		{"rebinding: reserved at the first look-up, loopback at the second", "rebind.test", []string{"203.0.113.1", "127.0.0.1"}, ""},
		{"loopback spelled short", "127.1", []string{"127.0.0.1"}, ""},
		{"loopback spelled as a number", "2130706433", []string{"127.0.0.1"}, ""},
		{"loopback spelled in hexadecimal", "0x7f.1", []string{"127.0.0.1"}, ""},
	} {
		t.Run(row.rule, func(t *testing.T) {
			dns.set(row.host, row.alias, row.answers)
			client := newClient(t, providers.Config{})
			for range 2 {
				if _, err := get(t, client, "https://"+net.JoinHostPort(row.host, port)+"/"); err == nil {
					t.Fatal("answered")
				} else if _, lookup := errors.AsType[*net.DNSError](err); !lookup && !errors.Is(err, providers.ErrAddress) {
					t.Errorf("error %v, want ErrAddress, or a name that does not resolve", err)
				}
			}
		})
	}
	if n := proxied.Load(); n > 0 {
		t.Errorf("%d requests went to the proxy of the environment", n)
	}
}

// resolver is a DNS server on loopback.
type resolver struct {
	mu      sync.Mutex
	answers map[string][]string
	aliases map[string]string
}

// startDNS makes this process resolve names by a server of its own.
func startDNS(t testing.TB) *resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &resolver{answers: map[string][]string{}, aliases: map[string]string{}}
	var done sync.WaitGroup
	done.Go(func() { r.serve(conn) })
	old := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	t.Cleanup(func() {
		net.DefaultResolver = old
		_ = conn.Close()
		done.Wait()
	})
	return r
}

func (r *resolver) set(name, alias string, answers []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers[name+"."], r.aliases[name+"."] = answers, alias
}

func (r *resolver) serve(conn net.PacketConn) {
	buf := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		var query dnsmessage.Message
		if query.Unpack(buf[:n]) != nil {
			continue
		}
		reply := r.answer(query)
		if packed, err := reply.Pack(); err == nil {
			_, _ = conn.WriteTo(packed, from)
		}
	}
}

func (r *resolver) answer(query dnsmessage.Message) dnsmessage.Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	q := query.Questions[0]
	reply := dnsmessage.Message{Header: dnsmessage.Header{ID: query.ID, Response: true, RecursionAvailable: true}, Questions: query.Questions}
	asked := q.Name.String()
	answers, known := r.answers[asked]
	if !known {
		reply.RCode = dnsmessage.RCodeNameError
		return reply
	}
	header := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET}
	if alias := r.aliases[asked]; alias != "" {
		target := dnsmessage.MustNewName(alias + ".")
		reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.CNAMEResource{CNAME: target}})
		header.Name = target
	}
	a := netip.MustParseAddr(answers[0])
	switch {
	case q.Type == dnsmessage.TypeA && a.Is4():
		reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: a.As4()}})
		if len(answers) > 1 {
			r.answers[asked] = answers[1:]
		}
	case q.Type == dnsmessage.TypeAAAA && a.Is6():
		reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
	}
	return reply
}

// authority signs the certificates of test servers.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{key: newECKey(t), file: filepath.Join(t.TempDir(), "ca.pem")}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(a.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

func newECKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue returns a certificate for 127.0.0.1 that is good now, unless edit says otherwise.
func (a *authority) issue(t testing.TB, edit func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if edit != nil {
		edit(template)
	}
	key := newECKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// attacks.md M04: fail closed.
func TestHTTPClientVerifiesTLS(t *testing.T) {
	known, stranger := newAuthority(t), newAuthority(t)
	good := known.issue(t, nil)
	for _, row := range []struct {
		rule   string
		server *tls.Config
		ca     string
		want   bool
	}{
		{"a certificate of the added authority", &tls.Config{Certificates: []tls.Certificate{good}}, known.file, true},
		{"TLS 1.2", &tls.Config{Certificates: []tls.Certificate{good}, MaxVersion: tls.VersionTLS12}, known.file, true},
		{"TLS 1.1", &tls.Config{Certificates: []tls.Certificate{good}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, known.file, false},
		{"an authority that was not added", &tls.Config{Certificates: []tls.Certificate{good}}, "", false},
		{"self-signed, or an unknown authority", &tls.Config{Certificates: []tls.Certificate{stranger.issue(t, nil)}}, known.file, false},
		{"expired", &tls.Config{Certificates: []tls.Certificate{known.issue(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })}}, known.file, false},
		{"not valid yet", &tls.Config{Certificates: []tls.Certificate{known.issue(t, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) })}}, known.file, false},
		{"for another name", &tls.Config{Certificates: []tls.Certificate{known.issue(t, func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"example.com"} })}}, known.file, false},
	} {
		t.Run(row.rule, func(t *testing.T) {
			var calls atomic.Int32
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				local.Answer(http.StatusOK, "application/json", `{}`)(w, r)
			}))
			server.TLS = row.server
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.StartTLS()
			t.Cleanup(server.Close)
			_, err := get(t, newClient(t, providers.Config{AllowPrivate: true, CAFile: row.ca}), server.URL)
			if (err == nil) != row.want || (calls.Load() == 1) != row.want {
				t.Errorf("error %v and %d requests, want success: %v", err, calls.Load(), row.want)
			}
		})
	}
}

func TestHTTPClientNamesABadCAFile(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for rule, file := range map[string]string{"a file that does not exist": empty + "x", "a file without a certificate": empty} {
		t.Run(rule, func(t *testing.T) {
			if _, err := providers.HTTPClient(providers.Config{CAFile: file}); err == nil || !strings.Contains(err.Error(), "ca_file") || !strings.Contains(err.Error(), file) {
				t.Errorf("error %v, want one that names ca_file and the file", err)
			}
		})
	}
}

// attacks.md A14.
func TestHTTPClientRefusesAnswers(t *testing.T) {
	var elsewhere atomic.Int32
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	t.Cleanup(target.Close)
	for _, row := range []struct {
		rule   string
		answer http.HandlerFunc
		want   string // in the error; "" for success
	}{
		{"JSON", local.Answer(http.StatusOK, "application/json", `{}`), ""},
		{"a refusal passes: its body says why", local.Answer(http.StatusBadRequest, "application/json", `{}`), ""},
		{"exactly the cap", local.Flood(1<<20 - 2), ""},
		{"one byte more", local.Flood(1<<20 - 1), "more than 1048576 bytes"},
		{"10 MB", local.Flood(10 << 20), "more than 1048576 bytes"},
		{"a gzip bomb of 10 MB", local.GzipBomb(10 << 20), "more than 1048576 bytes"},
		{"a redirect", local.Redirect(target.URL), "redirect (307)"},
		{"a redirect that drops the body", redirect(http.StatusSeeOther, target.URL), "redirect (303)"},
		{"a server error", local.Answer(http.StatusBadGateway, "application/json", `{}`), "status 502"},
		{"an HTML page", local.Answer(http.StatusOK, "text/html; charset=utf-8", `<p>`), "HTML page (status 200)"},
		{"a reset", local.Reset, "reset"},
		{"huge headers", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) }, "header"},
	} {
		t.Run(row.rule, func(t *testing.T) {
			server := httptest.NewServer(row.answer)
			t.Cleanup(server.Close)
			resp, err := get(t, newClient(t, providers.Config{AllowPrivate: true}), server.URL)
			switch {
			case row.want == "" && err != nil:
				t.Fatalf("error %v, want success", err)
			case row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)):
				t.Fatalf("error %v, want one with %q", err, row.want)
			case err == nil:
				if _, err := io.ReadAll(resp.Body); err != nil {
					t.Error(err)
				}
			}
		})
	}
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("%d requests followed a redirect", n)
	}
}

func TestHTTPClientFollowsNothingWhateverItsTransport(t *testing.T) {
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	t.Cleanup(target.Close)
	server := httptest.NewServer(redirect(http.StatusFound, target.URL))
	t.Cleanup(server.Close)
	client := newClient(t, providers.Config{AllowPrivate: true})
	client.Transport = http.DefaultTransport
	resp, err := get(t, client, server.URL)
	if err != nil || resp.StatusCode != http.StatusFound {
		t.Errorf("answer %v, error %v; want the redirect itself", resp, err)
	}
}

func redirect(status int, target string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target, status) }
}

// quiet is a network that never answers, or answers and then stops.
type quiet struct{ head bool }

func (q quiet) RoundTrip(r *http.Request) (*http.Response, error) {
	if !q.head {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	pr, pw := io.Pipe()
	context.AfterFunc(r.Context(), func() { _ = pw.CloseWithError(r.Context().Err()) })
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: pr, Request: r}, nil
}

func TestHTTPClientGivesUpAfterTenSeconds(t *testing.T) {
	for rule, override := range map[string]*http.Client{
		"no answer":            {Transport: quiet{}},
		"a body that stops":    {Transport: quiet{head: true}},
		"a test that has time": {Transport: quiet{}, Timeout: time.Hour},
	} {
		t.Run(rule, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := newClient(t, providers.Config{Client: override})
				start := time.Now()
				_, err := get(t, client, "https://example.com/")
				if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 10*time.Second {
					t.Errorf("error %v after %v, want a timeout after 10s", err, time.Since(start))
				}
			})
		})
	}
}

func TestCheckURL(t *testing.T) {
	for _, row := range []struct {
		rule, address string
		allow, want   bool
	}{
		{"https", "https://example.com/path?q=1", false, true},
		{"http", "http://example.com", false, false},
		{"http to another computer, private allowed", "http://10.0.0.1", true, false},
		{"http to a name that only begins like this computer's", "http://localhost.example.com", true, false},
		{"http to this computer, private not allowed", "http://127.0.0.1:1", false, false},
		{"http to this computer by address", "http://127.0.0.1:1", true, true},
		{"http to this computer by IPv6 address", "http://[::1]:1", true, true},
		{"http to this computer by name", "http://localhost:1", true, true},
		{"credentials", "https://u:p@example.com", false, false},
		{"a fragment", "https://example.com/#f", false, false},
		{"no host", "https:///path", false, false},
		{"no scheme", "example.com", false, false},
		{"opaque", "https:example.com", false, false},
		{"script", "javascript:alert(1)", true, false},
		{"nothing", "", true, false},
	} {
		t.Run(row.rule, func(t *testing.T) {
			err := providers.Config{AllowPrivate: row.allow}.CheckURL(row.address)
			if (err == nil) != row.want {
				t.Errorf("CheckURL(%q) = %v, want success: %v", row.address, err, row.want)
			}
			if err != nil && strings.Contains(err.Error(), "u:p@") {
				t.Errorf("error %v tells the credentials", err)
			}
		})
	}
}
