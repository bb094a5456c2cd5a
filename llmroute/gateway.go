package llmroute

import (
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
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

	// Makes the listener a sidecar's, and says what becomes of connections that
	// were led here and of requests to it as an HTTP proxy, if there is no route for
	// their host: `ALLOW_ANY` passes them on to where they were meant to go,
	// `REGISTRY_ONLY` refuses them. Default: the listener is no sidecar's.
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

func (l *Listener) validate() error {
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
		if err := CheckOutbound(l.Outbound); err != nil {
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

// isSidecar reports whether the listener is a sidecar's.
func (l *Listener) isSidecar() bool { return l.Outbound != "" }

// addListeners adds listeners to a snapshot, without the servers whose gateway a
// site serves by itself. Those of one address share it.
func (a *App) addListeners(s *snapshot, listeners []*Listener) {
	for _, l := range listeners {
		live := s.listeners[l.Address]
		if live == nil {
			live = newLiveListener(l)
		}
		if live.TLS != l.TLS {
			a.logger.Error("an address is to be listened at with TLS and without; the one of the configuration is used", zap.String("address", l.Address))
			continue
		}
		live.Headers = union(live.Headers, l.Headers)
		for _, server := range l.Servers {
			if server.Gateway != "" && a.served[server.Gateway] {
				continue
			}
			live.addServer(server, l.Port, s.governed)
		}
		if len(live.Servers) > 0 {
			s.listeners[l.Address] = live
		}
	}
}

// listensFor reports whether a listener routes by the table.
func (s *snapshot) listensFor(table string) bool {
	for _, l := range s.listeners {
		for _, server := range l.Servers {
			if server.Table == table {
				return true
			}
		}
	}
	return false
}
