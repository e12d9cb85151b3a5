package web

import (
	"net"
	"net/netip"
	"strings"

	"github.com/gin-gonic/gin"
)

// ClientAddress returns the caller's network address. ok is false where it cannot be told: a forwarded address came from a peer that
// is not among trusted_proxies, so that a limit per address would hit everybody behind an unknown proxy; that is warned of once.
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
	peer = peer.Unmap()
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
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			return netip.Addr{}, false
		}
		if hop = hop.Unmap(); !e.trusted(hop) || i == 0 {
			return hop, true
		}
	}
	return peer, true
}

func (e *Edge) trusted(a netip.Addr) bool {
	for _, p := range e.o.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
