package upstream

import (
	"net/netip"
	"slices"
	"strings"
)

// adminPort is the port of Caddy's admin endpoint unless it is moved.
const adminPort = 2019

// metadataAddresses are where clouds serve credentials to their machines, beside
// link-local addresses: Azure, Alibaba Cloud, Oracle Cloud, and Google Cloud over IPv6.
// Those of AWS that are best known are here for translated addresses, see embedded.
var metadataAddresses = []netip.Addr{
	netip.MustParseAddr("168.63.129.16"), netip.MustParseAddr("100.100.100.200"), netip.MustParseAddr("192.0.0.192"), netip.MustParseAddr("fd20:ce::254"),
	netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("169.254.170.2"), netip.MustParseAddr("169.254.170.23"),
}

// metadataPrefix is where AWS has its services for a machine over IPv6.
var metadataPrefix = netip.MustParsePrefix("fd00:ec2::/32")

// metadataNames are the names of metadata services, which resolvers of their clouds know.
var metadataNames = []string{"metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal", "metadata.tencentyun.com"}

// InternalHost is Internal for a host as it is written. What a name stands for is seen
// when it is connected to.
func InternalHost(host string, port int) string {
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	switch {
	case slices.Contains(metadataNames, host):
		return "a cloud's metadata service"
	case host == "localhost" || strings.HasSuffix(host, ".localhost"):
		host = "127.0.0.1"
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return ""
	}
	return Internal(addr, port)
}

// Internal says what is at an address if requests to it would reach the gateway's
// own secrets, or nothing. An IPv6 address that is translated or tunnelled to an IPv4
// one is judged as that one, too.
func Internal(addr netip.Addr, port int) string {
	addr = addr.Unmap().WithZone("")
	if what := internal(addr, port); what != "" || addr.Is4() {
		return what
	}
	for _, inside := range embedded(addr.As16()) {
		if what := internal(inside, port); what != "" {
			return what
		}
	}
	// A network may translate by a prefix of its own.
	last := addr.As16()
	if slices.Contains(metadataAddresses, netip.AddrFrom4([4]byte(last[12:]))) {
		return "an address of a cloud's metadata service"
	}
	return ""
}

func internal(addr netip.Addr, port int) string {
	switch {
	case addr.IsLinkLocalUnicast() || slices.Contains(metadataAddresses, addr) || metadataPrefix.Contains(addr):
		return "an address of a cloud's metadata service"
	case addr.IsMulticast() || addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "not the address of one machine"
	case (addr.IsLoopback() || addr.IsUnspecified() || addr.Is4() && addr.As4()[0] == 0) && port == adminPort:
		return "the gateway's admin endpoint"
	}
	return ""
}

var (
	nat64Prefix      = netip.MustParsePrefix("64:ff9b::/96")    // RFC 6052
	localNAT64Prefix = netip.MustParsePrefix("64:ff9b:1::/48")  // RFC 8215
	sixToFourPrefix  = netip.MustParsePrefix("2002::/16")       // RFC 3056
	teredoPrefix     = netip.MustParsePrefix("2001::/32")       // RFC 4380
	compatiblePrefix = netip.MustParsePrefix("::/96")           // RFC 4291, 2.5.5.1
	translatedPrefix = netip.MustParsePrefix("::ffff:0:0:0/96") // RFC 2765
)

// embedded are the IPv4 addresses that an IPv6 one stands for, by all of the forms that
// hold one.
func embedded(a [16]byte) []netip.Addr {
	at := func(i, j, k, l int) netip.Addr { return netip.AddrFrom4([4]byte{a[i], a[j], a[k], a[l]}) }
	addr := netip.AddrFrom16(a)
	var out []netip.Addr
	switch {
	case nat64Prefix.Contains(addr), compatiblePrefix.Contains(addr), translatedPrefix.Contains(addr):
		out = append(out, at(12, 13, 14, 15))
	case localNAT64Prefix.Contains(addr): // for prefixes of 48, 56, 64 and 96 bits; byte 8 is left out
		out = append(out, at(6, 7, 9, 10), at(7, 9, 10, 11), at(9, 10, 11, 12), at(12, 13, 14, 15))
		// Which of them is meant is not known. None connects to many machines.
		out = slices.DeleteFunc(out, func(a netip.Addr) bool { return a.As4()[0] >= 224 })
	case sixToFourPrefix.Contains(addr):
		out = append(out, at(2, 3, 4, 5))
	case teredoPrefix.Contains(addr): // the server, and the client, whose bits are turned over
		out = append(out, at(4, 5, 6, 7), netip.AddrFrom4([4]byte{^a[12], ^a[13], ^a[14], ^a[15]}))
	}
	if a[8]&^2 == 0 && a[9] == 0 && a[10] == 0x5e && a[11] == 0xfe { // ISATAP, RFC 5214
		out = append(out, at(12, 13, 14, 15))
	}
	return out
}
