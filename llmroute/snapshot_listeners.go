package llmroute

import (
	"time"

	"github.com/caddy-llm/gateway/llmroute/listen"
	"go.uber.org/zap"
)

// addListeners adds listeners to a snapshot, without the servers whose gateway a
// site serves by itself. Those of one address share it.
func (a *App) addListeners(s *snapshot, listeners []*listen.Listener) {
	for _, l := range listeners {
		live := s.listeners[l.Address]
		if live == nil {
			live = listen.NewLive(l)
		}
		if live.TLS != l.TLS {
			a.logger.Error("address needed both with and without TLS; using the Caddy configuration's listener", zap.String("address", l.Address))
			continue
		}
		live.Expect(l.Headers)
		for _, server := range l.Servers {
			if server.Gateway != "" && a.served[server.Gateway] {
				continue
			}
			live.AddServer(server, l.Port, s.governed)
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

// ServerFor implements listen.App: the server that a listener has for a name in a handshake, or nil.
func (a *App) ServerFor(address, name string) *listen.Server {
	l := a.snapshot().listeners[address]
	if l == nil {
		return nil
	}
	return l.Find(name)
}

// listenOptions say what the gateway listens on by itself.
func (a *App) listenOptions() *listen.Options {
	return &listen.Options{
		Context: a.ctx, App: a, Logger: a.logger, StatusListen: a.StatusListen,
		Wanted: func() (map[string]*listen.Live, func(map[string]bool)) {
			snap := a.current.Load()
			if snap.state != nil && snap.state.Observer != nil {
				return snap.listeners, snap.state.Observer.Listening
			}
			return snap.listeners, nil
		},
		Drain: func() { a.outbound.Drain(time.Duration(a.DrainTimeout)) },
	}
}
