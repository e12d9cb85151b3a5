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
	for _, row := range []struct {
		rule, peer string
		headers    []header
		want       string
		warned     bool
	}{
		{"nobody in between", "203.0.113.7:5", nil, "203.0.113.7", false},
		{"IPv6", "[2001:db8::7]:5", nil, "2001:db8::7", false},
		{"IPv4 mapped into IPv6", "[::ffff:203.0.113.7]:5", nil, "203.0.113.7", false},
		{"a link-local address without its zone", "[fe80::1%eth0]:5", nil, "fe80::1", false},
		{"a socket without addresses", "@", nil, "unknown", false},

		{"a forged header from a stranger", "203.0.113.7:5", []header{{"X-Forwarded-For", "198.51.100.1"}}, "unknown", true},
		{"a forged header from a stranger that names a proxy", "203.0.113.7:5", []header{{"X-Forwarded-For", "10.0.0.1"}}, "unknown", true},
		{"the standard's header from a stranger", "203.0.113.7:5", []header{{"Forwarded", "for=198.51.100.1"}}, "unknown", true},
		{"other headers say nothing", "203.0.113.7:5", []header{{"X-Real-IP", "198.51.100.1"}, {"CF-Connecting-IP", "198.51.100.1"}, {"True-Client-IP", "198.51.100.1"}}, "203.0.113.7", false},

		{"a proxy", "10.1.2.3:5", []header{{"X-Forwarded-For", "203.0.113.7"}}, "203.0.113.7", false},
		{"a proxy that is mapped into IPv6", "[::ffff:10.1.2.3]:5", []header{{"X-Forwarded-For", "203.0.113.7"}}, "203.0.113.7", false},
		{"a proxy by IPv6", "[fd00::1]:5", []header{{"X-Forwarded-For", "2001:db8::7"}}, "2001:db8::7", false},
		{"what the caller wrote before is hearsay", "10.1.2.3:5", []header{{"X-Forwarded-For", "198.51.100.1, 203.0.113.7"}}, "203.0.113.7", false},
		{"what the caller wrote in a header of its own is hearsay", "10.1.2.3:5", []header{{"X-Forwarded-For", "198.51.100.1"}, {"X-Forwarded-For", "203.0.113.7"}}, "203.0.113.7", false},
		{"a caller that claims to be a proxy", "10.1.2.3:5", []header{{"X-Forwarded-For", "10.9.9.9, 203.0.113.7"}}, "203.0.113.7", false},
		{"garbage from the caller", "10.1.2.3:5", []header{{"X-Forwarded-For", "'; drop, 203.0.113.7"}}, "203.0.113.7", false},
		{"several proxies", "10.1.2.3:5", []header{{"X-Forwarded-For", "198.51.100.1, 203.0.113.7, 192.0.2.1, 10.4.4.4"}}, "203.0.113.7", false},
		{"a proxy beside a trusted address", "10.1.2.3:5", []header{{"X-Forwarded-For", "203.0.113.7, 192.0.2.2"}}, "192.0.2.2", false},
		{"all of them ours: somebody within", "10.1.2.3:5", []header{{"X-Forwarded-For", "10.7.7.7, 10.4.4.4"}}, "10.7.7.7", false},
		{"an address with a port", "10.1.2.3:5", []header{{"X-Forwarded-For", "203.0.113.7:49152"}}, "203.0.113.7", false},
		{"an IPv6 address with a port", "10.1.2.3:5", []header{{"X-Forwarded-For", "[2001:db8::7]:49152"}}, "2001:db8::7", false},
		{"an IPv6 address in brackets", "10.1.2.3:5", []header{{"X-Forwarded-For", "[2001:db8::7]"}}, "2001:db8::7", false},
		{"no address from the proxy", "10.1.2.3:5", []header{{"X-Forwarded-For", "unknown"}}, "unknown", false},
		{"an empty header from the proxy", "10.1.2.3:5", []header{{"X-Forwarded-For", ""}}, "unknown", false},
		{"a short address, which nobody writes", "10.1.2.3:5", []header{{"X-Forwarded-For", "127.1"}}, "unknown", false},
		{"a proxy that only speaks the standard's header", "10.1.2.3:5", []header{{"Forwarded", "for=203.0.113.7"}}, "unknown", false},
		{"a request of the proxy itself", "10.1.2.3:5", nil, "10.1.2.3", false},
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
			warnings := strings.Count(log.String(), "trusted_proxies: [203.0.113.7]")
			if want := map[bool]int{true: 1, false: 0}[row.warned]; warnings != want {
				t.Errorf("%d warnings that name the setting, want %d", warnings, want)
			}
		})
	}
}
