package web

import (
	"net"
	"net/netip"
	"strings"

	"github.com/gin-gonic/gin"
)

// ClientAddress returns the caller's network address, IPv4 never mapped into IPv6. ok is false where it cannot be told: a trusted proxy
// named none, or a forwarded address came from a peer that is not among trusted_proxies, so that a limit per address would hit everybody
// behind an unknown proxy; that is warned of once.
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
		e.warnOnce.Do(func() {
			e.o.Log.Warn("a forwarded address came from a peer that is not trusted; the limit per address is off for such requests",
				"peer", peer.String(), "fix", "trusted_proxies: ["+peer.String()+"]")
		})
		return netip.Addr{}, false
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
