package web

import (
	"net"
	"net/netip"
	"strings"

	"github.com/gin-gonic/gin"
)

// ClientAddress returns the caller's network address, IPv4 never mapped into IPv6. ok is false where it cannot be told: a trusted proxy
// named none, or a forwarded address came from a peer nearby that is not among trusted_proxies. That is what a proxy of ours looks like
// which nobody has configured, and a limit per address would hit everybody behind it. A header from a peer with a public address is
// ignored: anybody can send one, and the limit must not be theirs to switch off (docs/adr/0006). Each is warned of once.
func ClientAddress(c *gin.Context) (addr netip.Addr, ok bool) {
	e := edgeOf(c)
	host, _, err := net.SplitHostPort(c.Request.RemoteAddr)
	if err != nil {
		host = c.Request.RemoteAddr
	}
	peer, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}, false
	}
	peer = peer.Unmap().WithZone("")
	forwarded := c.Request.Header.Values("X-Forwarded-For")
	if len(forwarded) == 0 && c.GetHeader("Forwarded") == "" {
		return peer, true
	}
	if !e.trusted(peer) {
		return e.untrusted(peer)
	}
	// The rightmost address that no trusted proxy has is the caller; everything to its left is hearsay.
	hops := strings.Split(strings.Join(forwarded, ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, ok := parseHop(hops[i])
		if !ok {
			return netip.Addr{}, false
		}
		if !e.trusted(hop) || i == 0 {
			return hop, true
		}
	}
	return netip.Addr{}, false
}

// untrusted decides about a peer that sends a forwarded address and is not to be believed.
func (e *Edge) untrusted(peer netip.Addr) (netip.Addr, bool) {
	if nearby(peer) {
		e.nearbyOnce.Do(func() {
			e.o.Log.Warn("a forwarded address came from a peer that is not trusted; the limit per address is off for such requests",
				"peer", peer.String(), "fix", "trusted_proxies: ["+peer.String()+"]")
		})
		return netip.Addr{}, false
	}
	// The peer is not proposed for the setting: it may be anybody.
	e.strangerOnce.Do(func() {
		e.o.Log.Warn("a forwarded address came from a public peer that is not trusted; it was ignored, and the limit per address counts the peer",
			"peer", peer.String(), "fix", "if this is a proxy of yours, name the networks of your proxies in trusted_proxies")
	})
	return peer, true
}

// shared is the address space between a carrier and its customers (RFC 6598), which container and mesh networks use too.
var shared = netip.MustParsePrefix("100.64.0.0/10")

// nearby reports whether an address is one that no stranger on the internet has: loopback, private (RFC 1918, RFC 4193), link-local, or
// shared.
func nearby(a netip.Addr) bool {
	return a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || shared.Contains(a)
}

// parseHop reads an address as proxies write it: bare, or with a port, IPv6 then in brackets.
func parseHop(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	if err != nil {
		withPort, err := netip.ParseAddrPort(text)
		if err != nil {
			return netip.Addr{}, false
		}
		a = withPort.Addr()
	}
	return a.Unmap().WithZone(""), true
}

func (e *Edge) trusted(a netip.Addr) bool {
	for _, p := range e.o.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
