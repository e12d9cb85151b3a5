package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"example.com/broker/web"
)

func TestClientAddress(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("192.0.2.1/32")}
	var got string
	routes := []web.Route{{Method: "GET", Path: "/", Lane: web.Browser, Handle: func(c *gin.Context) error {
		a, ok := web.ClientAddress(c)
		got = "unknown"
		if ok {
			got = a.String()
		}
		return nil
	}}}
	const (
		off     = `"fix":"trusted_proxies: [`
		ignored = "name the networks of your proxies"
	)
	forged := []header{{"X-Forwarded-For", "198.51.100.1"}}
	for _, row := range []struct {
		rule, peer string
		headers    []header
		want       string
		warning    string // which of the two is given, once
	}{
		{"nobody in between", "203.0.113.7:5", nil, "203.0.113.7", ""},
		{"IPv6", "[2001:db8::7]:5", nil, "2001:db8::7", ""},
		{"IPv4 mapped into IPv6", "[::ffff:203.0.113.7]:5", nil, "203.0.113.7", ""},
		{"a link-local address without its zone", "[fe80::1%eth0]:5", nil, "fe80::1", ""},
		{"a socket without addresses", "@", nil, "unknown", ""},

		{"a forged header from a stranger is ignored", "203.0.113.7:5", forged, "203.0.113.7", ignored},
		{"a forged header from a stranger that names a proxy", "203.0.113.7:5", []header{{"X-Forwarded-For", "10.0.0.1"}}, "203.0.113.7", ignored},
		{"the standard's header from a stranger", "203.0.113.7:5", []header{{"Forwarded", "for=198.51.100.1"}}, "203.0.113.7", ignored},
		{"both, and empty", "203.0.113.7:5", []header{{"X-Forwarded-For", ""}, {"Forwarded", ""}}, "203.0.113.7", ignored},
		{"a stranger by IPv6", "[2001:db8::7]:5", forged, "2001:db8::7", ignored},
		{"a stranger whose address is mapped into IPv6", "[::ffff:203.0.113.7]:5", forged, "203.0.113.7", ignored},
		{"just below the private networks", "[::ffff:172.15.255.255]:5", forged, "172.15.255.255", ignored},
		{"just above them", "172.32.0.0:5", forged, "172.32.0.0", ignored},
		{"just below the shared network", "100.63.255.255:5", forged, "100.63.255.255", ignored},
		{"just above it", "100.128.0.0:5", forged, "100.128.0.0", ignored},

		{"a proxy on the same machine that nobody configured", "127.0.0.1:5", forged, "unknown", off + "127.0.0.1]"},
		{"by IPv6", "[::1]:5", forged, "unknown", off + "::1]"},
		{"with the standard's header", "127.0.0.1:5", []header{{"Forwarded", "for=198.51.100.1"}}, "unknown", off + "127.0.0.1]"},
		{"one in a private network", "172.31.255.255:5", forged, "unknown", off + "172.31.255.255]"},
		{"in another", "192.168.1.2:5", forged, "unknown", off + "192.168.1.2]"},
		{"mapped into IPv6", "[::ffff:192.168.1.2]:5", forged, "unknown", off + "192.168.1.2]"},
		{"in a private network by IPv6", "[fc00::2]:5", forged, "unknown", off + "fc00::2]"},
		{"on the same link", "169.254.1.2:5", forged, "unknown", off + "169.254.1.2]"},
		{"on the same link by IPv6", "[fe80::2%eth0]:5", forged, "unknown", off + "fe80::2]"},
		{"in a shared network", "100.64.0.1:5", forged, "unknown", off + "100.64.0.1]"},
		{"at its other end", "100.127.255.255:5", forged, "unknown", off + "100.127.255.255]"},
		{"somebody nearby who sends no header", "192.168.1.2:5", nil, "192.168.1.2", ""},
		{"other headers say nothing", "203.0.113.7:5", []header{{"X-Real-IP", "198.51.100.1"}, {"CF-Connecting-IP", "198.51.100.1"}, {"True-Client-IP", "198.51.100.1"}}, "203.0.113.7", ""},

		{"a proxy", "10.1.2.3:5", []header{{"X-Forwarded-For", "203.0.113.7"}}, "203.0.113.7", ""},
		{"a proxy that is mapped into IPv6", "[::ffff:10.1.2.3]:5", []header{{"X-Forwarded-For", "203.0.113.7"}}, "203.0.113.7", ""},
		{"a proxy by IPv6", "[fd00::1]:5", []header{{"X-Forwarded-For", "2001:db8::7"}}, "2001:db8::7", ""},
		{"what the caller wrote before is hearsay", "10.1.2.3:5", []header{{"X-Forwarded-For", "198.51.100.1, 203.0.113.7"}}, "203.0.113.7", ""},
		{"what the caller wrote in a header of its own is hearsay", "10.1.2.3:5", []header{{"X-Forwarded-For", "198.51.100.1"}, {"X-Forwarded-For", "203.0.113.7"}}, "203.0.113.7", ""},
		{"a caller that claims to be a proxy", "10.1.2.3:5", []header{{"X-Forwarded-For", "10.9.9.9, 203.0.113.7"}}, "203.0.113.7", ""},
		{"garbage from the caller", "10.1.2.3:5", []header{{"X-Forwarded-For", "'; drop, 203.0.113.7"}}, "203.0.113.7", ""},
		{"several proxies", "10.1.2.3:5", []header{{"X-Forwarded-For", "198.51.100.1, 203.0.113.7, 192.0.2.1, 10.4.4.4"}}, "203.0.113.7", ""},
		{"a proxy beside a trusted address", "10.1.2.3:5", []header{{"X-Forwarded-For", "203.0.113.7, 192.0.2.2"}}, "192.0.2.2", ""},
		{"all of them ours: somebody within", "10.1.2.3:5", []header{{"X-Forwarded-For", "10.7.7.7, 10.4.4.4"}}, "10.7.7.7", ""},
		{"an address with a port", "10.1.2.3:5", []header{{"X-Forwarded-For", "203.0.113.7:49152"}}, "203.0.113.7", ""},
		{"an IPv6 address with a port", "10.1.2.3:5", []header{{"X-Forwarded-For", "[2001:db8::7]:49152"}}, "2001:db8::7", ""},
		{"an IPv6 address in brackets", "10.1.2.3:5", []header{{"X-Forwarded-For", "[2001:db8::7]"}}, "2001:db8::7", ""},
		{"no address from the proxy", "10.1.2.3:5", []header{{"X-Forwarded-For", "unknown"}}, "unknown", ""},
		{"an empty header from the proxy", "10.1.2.3:5", []header{{"X-Forwarded-For", ""}}, "unknown", ""},
		{"a short address, which nobody writes", "10.1.2.3:5", []header{{"X-Forwarded-For", "127.1"}}, "unknown", ""},
		{"a proxy that only speaks the standard's header", "10.1.2.3:5", []header{{"Forwarded", "for=203.0.113.7"}}, "unknown", ""},
		{"a request of the proxy itself", "10.1.2.3:5", nil, "10.1.2.3", ""},
	} {
		t.Run(row.rule, func(t *testing.T) {
			log := &lines{}
			o := options(t, "https://b.example", log)
			o.TrustedProxies = proxies
			e, err := web.New(o, routes)
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
				r.RemoteAddr = row.peer
				for _, h := range row.headers {
					r.Header.Add(h.name, h.value)
				}
				e.ServeHTTP(httptest.NewRecorder(), r)
				if got != row.want {
					t.Errorf("got %s, want %s", got, row.want)
				}
			}
			for _, warning := range []string{off, ignored} {
				want := 0
				if row.warning != "" && strings.HasPrefix(row.warning, warning) {
					want, warning = 1, row.warning
				}
				if n := strings.Count(log.String(), warning); n != want {
					t.Errorf("%d warnings that say %q, want %d:\n%s", n, warning, want, log)
				}
			}
		})
	}
}

// A stranger must not be able to use up the warning that speaks of a proxy.
func TestTheWarningsAboutForwardedAddressesAreIndependent(t *testing.T) {
	log := &lines{}
	e, err := web.New(options(t, "https://b.example", log), []web.Route{{Method: "GET", Path: "/", Lane: web.Browser, Handle: func(c *gin.Context) error {
		web.ClientAddress(c)
		return nil
	}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, peer := range []string{"203.0.113.7:5", "198.51.100.7:5", "192.168.1.2:5", "192.168.1.3:5"} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.RemoteAddr = peer
		r.Header.Set("X-Forwarded-For", "10.0.0.1")
		e.ServeHTTP(httptest.NewRecorder(), r)
	}
	for peer, want := range map[string]int{"203.0.113.7": 1, "198.51.100.7": 0, "192.168.1.2": 1, "192.168.1.3": 0} {
		if n := strings.Count(log.String(), `"peer":"`+peer+`"`); n != want {
			t.Errorf("%d warnings name %s, want %d", n, peer, want)
		}
	}
}
