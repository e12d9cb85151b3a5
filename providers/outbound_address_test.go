package providers

import (
	"net/netip"
	"testing"
)

// What a public address is can be asked only from inside: a test that connected to one would leave this computer.
func TestAddressKind(t *testing.T) {
	for _, row := range []struct {
		rule, address string
		want          kindOfAddress
	}{
		{"an IPv4 address of the internet", "140.82.112.3", public},
		{"an IPv6 address of the internet", "2606:50c0:8000::153", public},
		{"an address of the internet written as mapped", "::ffff:140.82.112.3", public},
		{"an address of the internet behind a NAT64", "64:ff9b::8c52:7003", public},
		{"loopback", "127.0.0.1", private},
		{"all of 127/8 is loopback", "127.255.255.254", private},
		{"IPv6 loopback", "::1", private},
		{"loopback written as mapped", "::ffff:127.0.0.1", private},
		{"RFC 1918, 10/8", "10.0.0.1", private},
		{"RFC 1918, the end of 172.16/12", "172.31.255.255", private},
		{"RFC 1918, 192.168/16", "192.168.1.1", private},
		{"RFC 1918 written as mapped", "::ffff:10.0.0.1", private},
		{"unique local IPv6", "fd00::1", private},
		{"carrier-grade NAT begins", "100.64.0.0", private},
		{"carrier-grade NAT ends", "100.127.255.255", private},
		{"before carrier-grade NAT", "100.63.255.255", public},
		{"after carrier-grade NAT", "100.128.0.0", public},
		{"the metadata service of a cloud", "169.254.169.254", reserved},
		{"link-local IPv6 with a zone", "fe80::1%eth0", reserved},
		{"site-local IPv6, long deprecated", "fec0::1", reserved},
		{"unspecified, which Linux connects to itself", "0.0.0.0", reserved},
		{"this network", "0.1.2.3", reserved},
		{"IPv6 unspecified", "::", reserved},
		{"multicast", "224.0.0.1", reserved},
		{"IPv6 multicast", "ff02::1", reserved},
		{"broadcast", "255.255.255.255", reserved},
		{"reserved for later", "240.0.0.1", reserved},
		{"protocol assignments", "192.0.0.170", reserved},
		{"benchmarks", "198.19.0.1", reserved},
		{"documentation", "203.0.113.1", reserved},
		{"IPv6 documentation", "2001:db8::1", reserved},
		{"a private address behind a NAT64", "64:ff9b::a00:1", reserved},
		{"loopback behind a NAT64", "64:ff9b::7f00:1", reserved},
		{"a NAT64 of one's own", "64:ff9b:1::a00:1", reserved},
		{"6to4 with a private address inside", "2002:a00:1::1", reserved},
		{"Teredo", "2001::1", reserved},
		{"IPv4-compatible IPv6, long deprecated", "::10.0.0.1", reserved},
		{"none at all", "", reserved},
	} {
		t.Run(row.rule, func(t *testing.T) {
			a, _ := netip.ParseAddr(row.address)
			if got := addressKind(a); got != row.want {
				t.Errorf("%s is %q, want %q", row.address, got, row.want)
			}
		})
	}
}
