package llmroute

import (
	"cmp"
	"slices"

	"github.com/caddyserver/caddy/v2"
)

// liveListener is a listener in a snapshot.
type liveListener struct {
	*Listener
	hostIndex[Server]

	// The ports that clients know the servers of a host by, first that of the server
	// which takes requests. There are several if servers with different ports share
	// the address and have the same host.
	ports hostIndex[[]int]

	// Whether policies hold for requests to it: those of a sidecar are its own
	// application's.
	governs bool
}

// newLiveListener returns a listener without servers.
func newLiveListener(l *Listener) *liveListener {
	own := *l
	own.Servers = nil
	return &liveListener{Listener: &own, hostIndex: newHostIndex[Server](len(l.Servers)), ports: newHostIndex[[]int](len(l.Servers))}
}

// addServer adds a server. port is that of its listener as clients know it, 0 for
// that of the address. governed reports whether the source's policies hold for a
// table; nil for none.
func (l *liveListener) addServer(server *Server, port int, governed func(table string) bool) {
	l.Servers = append(l.Servers, server)
	l.governs = l.governs || server.Gateway != "" && server.Gateway != meshTable || governed != nil && governed(server.Table)
	port = cmp.Or(server.Port, port, addressPort(l.Address))
	for _, host := range server.Hosts {
		l.add(host, server)
		if port == 0 {
			continue
		}
		ports := l.ports.get(host)
		if ports == nil {
			ports = new([]int)
			l.ports.add(host, ports)
		}
		if !slices.Contains(*ports, port) {
			*ports = append(*ports, port)
		}
	}
}

// portsOf returns the ports that clients know the servers of a request's host by,
// none if that is the port which the request came in at.
func (l *liveListener) portsOf(host string) []int {
	if ports := l.ports.find(host); ports != nil {
		return *ports
	}
	if l.Port != 0 {
		return []int{l.Port}
	}
	return nil
}

// addressPort returns the port of an address, 0 if it has none or several.
func addressPort(address string) int {
	a, err := caddy.ParseNetworkAddress(address)
	if err != nil || a.IsUnixNetwork() || a.PortRangeSize() != 1 {
		return 0
	}
	return int(a.StartPort)
}

// PortsOf returns the ports that policies compare for a request to a host at one of
// the listeners. port is the one that the client calls: that of a server as clients
// know it, or else that of an address. Where nothing listens, it is the only one.
func PortsOf(listeners []*Listener, host string, port int) []int {
	address := ""
	for _, l := range listeners {
		for _, server := range l.Servers {
			if address == "" && cmp.Or(server.Port, l.Port) == port {
				address = l.Address
			}
		}
	}
	var live *liveListener
	for _, l := range listeners {
		if l.Address != address && (address != "" || addressPort(l.Address) != port) {
			continue
		}
		if live == nil {
			live = newLiveListener(l)
		}
		for _, server := range l.Servers {
			live.addServer(server, l.Port, nil)
		}
	}
	if live != nil {
		if ports := live.portsOf(host); ports != nil {
			return ports
		}
	}
	return []int{port}
}
