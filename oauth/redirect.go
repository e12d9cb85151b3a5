package oauth

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// MatchRedirect reports whether requested is one of the registered redirect addresses. The comparison is of bytes (RFC 9700 §4.1.3);
// the one exception is RFC 8252 §7.3: a registered http address on 127.0.0.1 or [::1] matches with any port. `localhost` gets no
// such freedom: it is matched byte for byte.
//
// An empty address matches nothing. What the registered addresses may look like is the business of CheckRedirectURI.
func MatchRedirect(registered []string, requested string) bool {
	if requested == "" {
		return false
	}
	for _, r := range registered {
		if requested == r || sameLoopback(r, requested) {
			return true
		}
	}
	return false
}

func sameLoopback(registered, requested string) bool {
	rest, ok := cutLoopback(registered)
	if !ok {
		return false
	}
	got, ok := cutLoopback(requested)
	return ok && got == rest
}

// cutLoopback returns "http://127.0.0.1:1234/cb?x" without its port, as "http://127.0.0.1/cb?x". ok is false where the address is not
// on a loopback host, or where what follows the host is no port from 1 to 65535 and then a path, a query or the end.
func cutLoopback(u string) (string, bool) {
	for _, host := range []string{"http://127.0.0.1", "http://[::1]"} {
		rest, ok := strings.CutPrefix(u, host)
		if !ok {
			continue
		}
		if port, found := strings.CutPrefix(rest, ":"); found {
			digits := len(port) - len(strings.TrimLeft(port, "0123456789"))
			if n, err := strconv.ParseUint(port[:digits], 10, 16); err != nil || n == 0 {
				return "", false
			}
			rest = port[digits:]
		}
		if rest != "" && rest[0] != '/' && rest[0] != '?' {
			return "", false
		}
		return host + rest, true
	}
	return "", false
}

// CheckRedirectURI says why an address may not be registered as a redirect address, nil if it may: an absolute URI without fragment,
// user information, wildcard or a character that RFC 3986 does not know; http on 127.0.0.1, [::1] and localhost only; a scheme of one's
// own must be a reverse domain name (RFC 8252 §7.1), which keeps javascript: and data: out.
func CheckRedirectURI(raw string) error {
	switch {
	case raw == "":
		return fmt.Errorf("is empty; give an absolute address such as https://app.example.com/callback")
	case len(raw) > 2048:
		return fmt.Errorf("has %d bytes, at most 2048 are allowed", len(raw))
	case strings.Contains(raw, "*"):
		return fmt.Errorf("%q: wildcards not allowed; list each address", raw)
	case strings.ContainsFunc(raw, func(r rune) bool { return r <= 0x20 || r >= 0x7f || strings.ContainsRune("\\\"<>^`{|}", r) }):
		return fmt.Errorf("%q: has a character that is not allowed in a URI", raw)
	case strings.Contains(raw, "#"):
		return fmt.Errorf("%q: must not have a fragment", raw)
	}
	u, err := url.Parse(raw)
	if err != nil {
		return fmt.Errorf("%q: is not a URI", raw)
	}
	if u.User != nil {
		return fmt.Errorf("%q: must not have user information", raw)
	}
	switch u.Scheme {
	case "https", "http":
		if u.Host == "" || u.Hostname() == "" {
			return fmt.Errorf("%q: has no host", raw)
		}
		if u.Scheme == "http" && !isCallbackHost(u.Hostname()) {
			return fmt.Errorf("%q: http is allowed on 127.0.0.1, [::1] and localhost only; use https", raw)
		}
		return nil
	case "":
		return fmt.Errorf("%q: is not absolute; start with https://", raw)
	}
	if !strings.Contains(u.Scheme, ".") {
		return fmt.Errorf("%q: a scheme of your own must be a reverse domain name such as com.example.app", raw)
	}
	return nil
}

// isCallbackHost reports whether a native app may listen there: the addresses RFC 8252 §7.3 names, and the name people use for them.
func isCallbackHost(host string) bool {
	return host == "127.0.0.1" || host == "::1" || host == "localhost"
}

// IsLoopbackHost reports whether host (without port) is localhost or a loopback address in its canonical spelling.
func IsLoopbackHost(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback() && a.Zone() == ""
}

// Origin returns the serialized origin of an http(s) address (RFC 6454 §6.2), "" for any other. A wildcard is not an origin.
func Origin(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || strings.Contains(u.Host, "*") || (u.Scheme != "https" && u.Scheme != "http") {
		return ""
	}
	host, port := strings.ToLower(u.Hostname()), u.Port()
	if (u.Scheme == "https" && port == "443") || (u.Scheme == "http" && port == "80") {
		port = ""
	}
	if port != "" {
		host = net.JoinHostPort(host, port)
	} else if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return u.Scheme + "://" + host
}

// MatchLocalhost reports whether requested is a registered http address on localhost but for the port. It is for a client of
// `broker dev` alone: RFC 8252 §7.3 gives free ports to loopback addresses, not to the name.
func MatchLocalhost(registered []string, requested string) bool {
	const host = "http://localhost"
	cut := func(u string) (string, bool) {
		rest, ok := strings.CutPrefix(u, host)
		if !ok {
			return "", false
		}
		return cutLoopback("http://127.0.0.1" + rest)
	}
	got, ok := cut(requested)
	if !ok {
		return false
	}
	for _, r := range registered {
		if want, ok := cut(r); ok && got == want {
			return true
		}
	}
	return false
}
