package upstream

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"
)

// notPublic are the prefixes in which no server on the internet is: those of the
// registries of special-purpose addresses (RFC 6890), and multicast.
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.0.0.0/24"), netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"), netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("224.0.0.0/3"),
	netip.MustParsePrefix("2001::/23"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("3fff::/20"),
}

// globalPrefix has all addresses of IPv6 that are given out to networks of the internet.
var globalPrefix = netip.MustParsePrefix("2000::/3")

// Public reports whether an address is one of a server on the internet: neither of a
// private network nor special in any other way. An IPv6 address that stands for an IPv4 one
// is judged as that one, too.
func Public(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	switch {
	case Internal(addr, 0) != "", slices.ContainsFunc(notPublic, func(p netip.Prefix) bool { return p.Contains(addr) }):
		return false
	case addr.Is4():
		return true
	case !globalPrefix.Contains(addr) && !nat64Prefix.Contains(addr):
		return false
	}
	return !slices.ContainsFunc(embedded(addr.As16()), func(inside netip.Addr) bool { return !Public(inside) })
}

var errNotPublic = errors.New("the address is not public")

// PublicDialer is a dialer that connects to public addresses alone, whatever a name stands
// for: each address is judged before there is a connection.
func PublicDialer() *net.Dialer {
	return &net.Dialer{ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil || !Public(to.Addr()) {
			return errNotPublic
		}
		return nil
	}}
}
