package llmprovider

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

// adminPort is the port of Caddy's admin endpoint unless it is moved.
const adminPort = 2019

// metadataAddresses are where clouds serve credentials to their machines, other
// than link-local.
var metadataAddresses = map[string]bool{"100.100.100.200": true, "192.0.0.192": true, "fd00:ec2::254": true, "fd20:ce::254": true}

// Internal says what is at an address if requests to it would reach the gateway's
// own secrets, or nothing.
func Internal(addr netip.Addr, port int) string {
	addr = addr.Unmap()
	switch {
	case addr.IsLinkLocalUnicast() || metadataAddresses[addr.WithZone("").String()]:
		return "an address of a cloud's metadata service"
	case addr.IsMulticast() || addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "not the address of one machine"
	case (addr.IsLoopback() || addr.IsUnspecified()) && port == adminPort:
		return "the gateway's admin endpoint"
	}
	return ""
}

// dialFunc is http.Transport's DialContext.
type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// guarded gives up connections that a name has led to an internal address, before
// anything is sent. An address that was written as such was checked where it was
// read, or is that of a proxy.
func guarded(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			_ = conn.Close()
			return nil, err
		}
		remote, ok := conn.RemoteAddr().(*net.TCPAddr)
		if _, err := netip.ParseAddr(host); err == nil || !ok {
			return conn, nil
		}
		if what := Internal(remote.AddrPort().Addr(), remote.Port); what != "" {
			_ = conn.Close()
			return nil, fmt.Errorf("the name %s stands for %s, which is %s", host, remote, what)
		}
		return conn, nil
	}
}
