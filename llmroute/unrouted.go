package llmroute

import (
	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/internal/host"
	"github.com/caddy-llm/gateway/llmroute/capture"
	"github.com/caddy-llm/gateway/llmroute/listen"
)

// captureAt is what captured connections need to know of the listener at an address.
type captureAt struct {
	app     *App
	address string
}

// CaptureAt implements capture.App.
func (a *App) CaptureAt(address string) capture.Gateway { return captureAt{a, address} }

// HasRoute implements capture.Gateway.
func (c captureAt) HasRoute(host string) bool {
	snap := c.app.snapshot()
	return c.app.running != nil && snap.state == nil || snap.hasRoute(c.address, host)
}

// Policy implements capture.Gateway.
func (c captureAt) Policy() string {
	if l := c.app.snapshot().listeners[c.address]; l != nil {
		return l.Outbound
	}
	return capture.OutboundAllowAny // it is being closed
}

// Count implements capture.Gateway.
func (c captureAt) Count(outcome, reason string) {
	c.app.metrics.Captured(outcome, reason)
}

// Outbound implements capture.Gateway.
func (c captureAt) Outbound() *capture.Outbound { return c.app.outbound }

// Logger implements capture.Gateway.
func (c captureAt) Logger() *zap.Logger { return c.app.logger }

// hasRoute reports whether a listener has a route for the host. It has one for a host that
// has no normal form, which the handler rejects: another server may read it as one that
// has a route.
func (s *snapshot) hasRoute(address, sent string) bool {
	if _, ok := host.Name(sent); !ok {
		return true
	}
	l := s.listeners[address]
	if l == nil {
		return true // it is being closed, and its handler says so
	}
	server := l.Find(sent)
	if server == nil || s.tables[server.Table] == nil {
		return false
	}
	return s.tables[server.Table].Find(sent) != nil
}

// unrouted returns where a request for a host without a route at a sidecar was meant to go,
// nil for others.
func (g *gatewayHandler) unrouted(x *exchange, l *listen.Live) *capture.Destination {
	if l.Outbound == "" || g.route.app.running != nil && x.snap.state == nil || x.snap.hasRoute(g.Address, x.r.Host) {
		return nil
	}
	return capture.Meant(x.r)
}

// pass passes a request on.
func (x *exchange) pass(to *capture.Destination, policy string) error {
	if refused := capture.Refusal(x.r, policy); refused != nil {
		return x.refuse(refused)
	}
	x.leaveSnapshot()
	x.start(&x.first)
	defer x.finish(&x.first)
	x.w.Header().Del("Server") // which is not ours here
	if failure := x.h.app.outbound.Pass(x.w, x.r.WithContext(x.first.ctx), to); failure != nil {
		return x.refuse(capture.Unreachable(x.r, failure))
	}
	return nil
}

// Interface guards
var (
	_ capture.App     = (*App)(nil)
	_ capture.Gateway = captureAt{}
)
