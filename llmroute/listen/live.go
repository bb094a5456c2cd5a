package listen

import (
	"cmp"
	"slices"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/internal/host"
)

// MeshTable is the table of what sources say for no gateway in particular.
const MeshTable = "mesh"

// Live is a listener in a snapshot.
type Live struct {
	*Listener
	host.Index[Server]

	// The ports that clients know the servers of a host by, first that of the server
	// which takes requests. There are several if servers with different ports share
	// the address and have the same host.
	ports host.Index[[]int]

	// The Gateways of the servers that have a host, or their tables where there are none.
	gateways host.Index[[]string]

	// Whether policies hold for requests to it: those of a sidecar are its own
	// application's.
	Governs bool
}

// NewLive returns a listener without servers.
func NewLive(l *Listener) *Live {
	own := *l
	own.Servers = nil
	return &Live{Listener: &own, Index: host.NewIndex[Server](len(l.Servers)), ports: host.NewIndex[[]int](len(l.Servers)), gateways: host.NewIndex[[]string](len(l.Servers))}
}

// Expect adds names of headers that routes match by.
func (l *Live) Expect(headers []string) { l.Headers = union(l.Headers, headers) }

// AddServer adds a server. port is that of its listener as clients know it, 0 for
// that of the address. governed reports whether the source's policies hold for a
// table; nil for none.
func (l *Live) AddServer(server *Server, port int, governed func(table string) bool) {
	l.Servers = append(l.Servers, server)
	l.Governs = l.Governs || server.Gateway != "" && server.Gateway != MeshTable || governed != nil && governed(server.Table)
	port = cmp.Or(server.Port, port, addressPort(l.Address))
	for _, name := range server.Hosts {
		l.Add(name, server)
		if gateway := cmp.Or(server.Gateway, server.Table); gateway != "" {
			note(&l.gateways, name, gateway)
		}
		if port != 0 {
			note(&l.ports, name, port)
		}
	}
}

// note adds a value to those of a host, once.
func note[T comparable](x *host.Index[[]T], name string, value T) {
	of := x.Get(name)
	if of == nil {
		of = new([]T)
		x.Add(name, of)
	}
	if !slices.Contains(*of, value) {
		*of = append(*of, value)
	}
}

// PortsOf returns the ports that clients know the servers of a request's host by,
// none if that is the port which the request came in at.
func (l *Live) PortsOf(sent string) []int {
	if ports := l.ports.Find(sent); ports != nil {
		return *ports
	}
	if l.Port != 0 {
		return []int{l.Port}
	}
	return nil
}

// GatewaysOf returns the Gateways, or the tables where there are none, by which a request to a
// host may have come in: first that of the server which takes it. Without TLS there are several
// if others share the address and have the host, too, since the routes of all apply.
func (l *Live) GatewaysOf(sent string) (gateways []string) {
	for of := range l.gateways.All(sent) {
		if l.TLS {
			return (*of)[:1]
		}
		for _, g := range *of {
			if !slices.Contains(gateways, g) {
				gateways = append(gateways, g)
			}
		}
	}
	return gateways
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
	if live := at(listeners, port); live != nil {
		if ports := live.PortsOf(host); ports != nil {
			return ports
		}
	}
	return []int{port}
}

// GatewaysOf returns the Gateways by which a request to a host may have come in at one of the
// listeners, as PortsOf does.
func GatewaysOf(listeners []*Listener, host string, port int) []string {
	if live := at(listeners, port); live != nil {
		return live.GatewaysOf(host)
	}
	return nil
}

// at returns the listener that a client gets to which calls a port, nil where nothing listens.
func at(listeners []*Listener, port int) *Live {
	address := ""
	for _, l := range listeners {
		for _, server := range l.Servers {
			if address == "" && cmp.Or(server.Port, l.Port) == port {
				address = l.Address
			}
		}
	}
	var live *Live
	for _, l := range listeners {
		if l.Address != address && (address != "" || addressPort(l.Address) != port) {
			continue
		}
		if live == nil {
			live = NewLive(l)
		}
		for _, server := range l.Servers {
			live.AddServer(server, l.Port, nil)
		}
	}
	return live
}
