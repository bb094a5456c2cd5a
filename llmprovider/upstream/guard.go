package upstream

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
)

// fetchMode has Caddy's admin endpoint refuse a request, at whatever address and port it
// is: it takes none that a web page sends around the same-origin policy, whatever other
// headers there are. Providers have no use for the header.
var fetchMode = []string{"no-cors"}

// RefuseAdmin sets the header with which Caddy's admin endpoint refuses a request.
func RefuseAdmin(header http.Header) { header["Sec-Fetch-Mode"] = fetchMode }

// DialFunc is http.Transport's DialContext.
type DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// GuardDial returns a dialer that gives up connections that a name has led to an
// internal address, before anything is sent. An address that was written as such was
// checked where it was read, or is that of a proxy.
func GuardDial(dial DialFunc) DialFunc {
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
			return nil, fmt.Errorf("the name %s resolves to %s, which is %s", host, remote, what)
		}
		return conn, nil
	}
}
