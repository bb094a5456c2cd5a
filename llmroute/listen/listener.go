// Package listen is what the gateway listens on by itself, beside the sites of Caddy's
// configuration: the ports of Gateways and of sidecars, and the status listener. It starts and
// stops HTTP servers while the process runs, finds the server for a host, and holds TLS
// handshakes to the certificates in use. What is served there is for handlers that it knows
// by name alone.
//
// Of the gateway it imports internal/host, llmprovider, and capture, which accepts a sidecar's
// connections. Begin with Listener, then Live and Listeners.
package listen

import (
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/llmroute/capture"
)

// Listener is an address that the gateway listens on by itself, beside the sites
// of the Caddy configuration, with the servers that share it. Its servers can be
// replaced while it serves; another address, or TLS where there was none, is
// another listener.
type Listener struct {
	// Where to listen, such as `:8080`. Required.
	Address string `json:"address,omitempty"`

	// The port as clients know it, if the address has another one.
	Port int `json:"port,omitempty"`

	// Whether connections are TLS.
	TLS bool `json:"tls,omitempty"`

	// Names of headers with `_` or `.` that routes match by. Caddy drops client
	// headers with such names unless a server expects them.
	Headers []string `json:"headers,omitempty"`

	// Makes the listener a sidecar's, and says what happens to connections that were
	// redirected here and to requests to it as an HTTP proxy, if there is no route for their
	// host: `ALLOW_ANY` passes them on to where they were meant to go, `REGISTRY_ONLY`
	// refuses them. Default: the listener is not a sidecar's.
	Outbound string `json:"outbound_traffic_policy,omitempty"`

	// The servers. Of two for the same host the first is used.
	Servers []*Server `json:"servers,omitempty"`
}

// Server is what a listener serves for some hosts.
type Server struct {
	// The hosts: exact names, `*.suffix`, or `*`. With TLS they are compared with
	// the name that the client asks for in its handshake as well.
	Hosts []string `json:"hosts,omitempty"`

	// The port as clients know it, if it is another one than the listener's, which
	// several servers share.
	Port int `json:"port,omitempty"`

	// The table to route by.
	Table string `json:"table,omitempty"`

	// The table of the gateway that the server is part of. A server is left out
	// if a site of the configuration routes by that table.
	Gateway string `json:"gateway,omitempty"`

	// Where the server comes from, such as an object's namespace and name.
	Origin string `json:"origin,omitempty"`

	// Whether requests are redirected to https instead of being served.
	HTTPSRedirect bool `json:"https_redirect,omitempty"`

	// The certificate, for a listener with TLS. Handshakes for a server without
	// one fail. Only sources supply certificates.
	Certificate *Certificate `json:"certificate,omitempty"`

	// Whether clients must have a certificate of an authority that Certificate
	// names.
	ClientAuth bool `json:"client_auth,omitempty"`

	// The lowest TLS version, as in crypto/tls. Default: TLS 1.2.
	MinVersion uint16 `json:"min_version,omitempty"`
}

// Validate tells what is wrong with a listener of the configuration, if anything.
func (l *Listener) Validate() error {
	if l.Address == "" {
		return errors.New("no address; write one such as :8080")
	}
	if _, err := caddy.ParseNetworkAddress(l.Address); err != nil {
		return fmt.Errorf("address: %w", err)
	}
	if l.TLS {
		return errors.New("listeners with TLS have their certificates from a source; write a site, or a Gateway for the source")
	}
	if l.Outbound != "" {
		if err := capture.CheckOutbound(l.Outbound); err != nil {
			return err
		}
	}
	if len(l.Servers) == 0 {
		return errors.New("no servers; write at least one with hosts and a table")
	}
	for i, s := range l.Servers {
		if len(s.Hosts) == 0 || s.Table == "" && !s.HTTPSRedirect {
			return fmt.Errorf("server %d has no hosts or no table; write both", i+1)
		}
	}
	return nil
}

// IsSidecar reports whether the listener is a sidecar's.
func (l *Listener) IsSidecar() bool { return l.Outbound != "" }
