package providers

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"syscall"
	"time"

	"example.com/broker/oauth"
)

const (
	// maxAnswer caps an upstream's answer in bytes, after decompression: a thousandth of a bomb is small on the wire.
	maxAnswer = 1 << 20
	// callTimeout bounds one request, from the look-up of the name to the last byte of the answer.
	callTimeout = 10 * time.Second
	maxHeader   = 64 << 10
	// GitHub refuses requests that do not say who asks.
	userAgent = "example.com/broker"
)

// ErrAddress is in the chain of the error of a request that was refused before it left: the address it would have gone to is one that
// this provider may not reach.
var ErrAddress = errors.New("address refused")

// HTTPClient returns the client that an adapter reaches its upstream with. It follows no redirect, takes no proxy from the environment
// (the proxy would look names up, past the check of addresses), always verifies TLS (1.2 or newer; CAFile is added to the system's
// roots), and fails a request that lasts longer than 10 seconds, or whose answer is a redirect, a server error, an HTML page or larger
// than 1 MiB. Where it connects to is checked after the name is resolved; see Config.AllowPrivate. It is safe for concurrent use.
//
// c.Client, if set, is a test's way to replace the transport and to shorten the timeout; the other rules stay.
//
// It returns an error if CAFile cannot be read or holds no certificate.
func HTTPClient(c Config) (*http.Client, error) {
	client := &http.Client{
		Timeout:       callTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if c.Client != nil {
		next := c.Client.Transport
		if next == nil {
			next = http.DefaultTransport
		}
		if c.Client.Timeout > 0 {
			client.Timeout = min(client.Timeout, c.Client.Timeout)
		}
		client.Transport = &outbound{next: next, allowPrivate: c.AllowPrivate}
		return client, nil
	}
	roots, err := rootsWith(c.CAFile)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: callTimeout / 2, ControlContext: dialControl(c.AllowPrivate)}
	client.Transport = &outbound{allowPrivate: c.AllowPrivate, next: &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout:    callTimeout / 2,
		ForceAttemptHTTP2:      true, // lost by setting DialContext
		MaxResponseHeaderBytes: maxHeader,
		MaxIdleConnsPerHost:    8,
		IdleConnTimeout:        90 * time.Second,
	}}
	return client, nil
}

// rootsWith returns nil, which means the system's roots, if file is empty.
func rootsWith(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file) //nolint:gosec // the path is the operator's own setting
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("ca_file: read the system's certificates: %w", err)
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca_file: %s holds no PEM certificate", file)
	}
	return roots, nil
}

// CheckURL says whether an adapter may send a request, or a person, to the address: https anywhere, http only to this computer and only
// where AllowPrivate is set. The error names what was found and what is expected.
func (c Config) CheckURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil {
		return fmt.Errorf("%.200q is not an address", raw)
	}
	return checkURL(u, c.AllowPrivate)
}

func checkURL(u *url.URL, allowPrivate bool) error {
	host := u.Hostname()
	switch {
	case host == "" || u.Opaque != "" || u.User != nil || u.Fragment != "":
		return fmt.Errorf("%.200q is not an https:// address without credentials and fragment: %w", u.Redacted(), ErrAddress)
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && allowPrivate && oauth.IsLoopbackHost(host):
		return nil
	}
	return fmt.Errorf("%.200q does not begin with https:// (http:// is for this computer, with allow_private): %w", u.Redacted(), ErrAddress)
}

// dialControl checks the address of each connection when it is made. By then the name is resolved, so that neither its spelling nor an
// answer that changes between a check and the connection (DNS rebinding) makes a difference.
func dialControl(allowPrivate bool) func(context.Context, string, string, syscall.RawConn) error {
	return func(_ context.Context, _, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("%q: %w", address, ErrAddress)
		}
		if kind := addressKind(to.Addr()); kind != public && (kind != private || !allowPrivate) {
			return fmt.Errorf("%s is %s: %w", to.Addr(), kind, ErrAddress)
		}
		return nil
	}
}

// kindOfAddress says who may be behind an address.
type kindOfAddress string

const (
	public   kindOfAddress = "public"
	private  kindOfAddress = "private (allow_private is for that)"
	reserved kindOfAddress = "link-local, multicast or reserved"
)

var (
	// carrierNAT is RFC 6598: shared by the networks behind one provider, and by overlay networks.
	carrierNAT = netip.MustParsePrefix("100.64.0.0/10")
	// globalUnicast is all of IPv6 that IANA has handed out for it.
	globalUnicast = netip.MustParsePrefix("2000::/3")
	// translated is RFC 6052 §2.1: the last four bytes are an IPv4 address, which a NAT64 reaches for us.
	translated = netip.MustParsePrefix("64:ff9b::/96")
	// specialUse are the blocks of IANA's special-purpose registries (RFC 6890) that the methods of netip.Addr do not know.
	specialUse = []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"),
		netip.MustParsePrefix("192.0.0.0/24"),
		netip.MustParsePrefix("192.0.2.0/24"),
		netip.MustParsePrefix("192.88.99.0/24"),
		netip.MustParsePrefix("198.18.0.0/15"),
		netip.MustParsePrefix("198.51.100.0/24"),
		netip.MustParsePrefix("203.0.113.0/24"),
		netip.MustParsePrefix("240.0.0.0/4"),
		netip.MustParsePrefix("2001::/23"), // Teredo among them
		netip.MustParsePrefix("2001:db8::/32"),
		netip.MustParsePrefix("2002::/16"), // 6to4: an IPv4 address inside
		netip.MustParsePrefix("3fff::/20"),
	}
)

// addressKind never calls a link-local address private: the metadata service of a cloud is one, and no identity provider is.
func addressKind(a netip.Addr) kindOfAddress {
	a = a.Unmap().WithZone("")
	switch {
	case a.IsLoopback() || a.IsPrivate() || carrierNAT.Contains(a):
		return private
	case translated.Contains(a):
		b := a.As16()
		if addressKind(netip.AddrFrom4([4]byte(b[12:]))) == public {
			return public
		}
		return reserved
	case !a.IsValid() || a.IsMulticast() || a.IsLinkLocalUnicast() || (a.Is6() && !globalUnicast.Contains(a)):
		return reserved
	}
	for _, p := range specialUse {
		if p.Contains(a) {
			return reserved
		}
	}
	return public
}

// outbound is the transport that applies the rules of HTTPClient to each answer. It reads the answer whole, so that every failure of the
// network is an error of the request and none is met in the middle of decoding.
type outbound struct {
	next         http.RoundTripper
	allowPrivate bool
}

func (o *outbound) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := checkURL(r.URL, o.allowPrivate); err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // a RoundTripper closes it, errors included
		}
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", userAgent)
	resp, err := o.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer := resp.Body
	defer func() { _ = answer.Close() }()
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return nil, fmt.Errorf("answered with a redirect (%d), which is not followed", resp.StatusCode)
	case resp.StatusCode >= 500:
		return nil, fmt.Errorf("answered with status %d", resp.StatusCode)
	case mediaType(resp) == "text/html":
		return nil, fmt.Errorf("answered with an HTML page (status %d)", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(answer, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("answered with more than %d bytes", maxAnswer)
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp, nil
}

// mediaType returns the media type of an answer in lower case, "" if it has none that parses.
func mediaType(r *http.Response) string {
	t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return t
}
