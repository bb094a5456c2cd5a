package llmroute

import (
	"fmt"
	"net"
	"net/http"

	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/internal/host"
	"github.com/caddy-llm/gateway/llmprovider"
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

// unroutedRequest is a request for a host without a route, and where it was meant to go.
type unroutedRequest struct {
	address  string // to connect to
	absolute bool   // whether that is a proxy, which takes absolute targets
}

// unrouted reports whether a request is for a host without a route at a sidecar,
// and where it was meant to go: a captured connection has a destination, and the
// client of a proxy names one.
func (g *gatewayHandler) unrouted(x *exchange, l *listen.Live) *unroutedRequest {
	if l.Outbound == "" || g.route.app.running != nil && x.snap.state == nil || x.snap.hasRoute(g.Address, x.r.Host) {
		return nil
	}
	absolute := x.r.URL.Scheme != ""
	if to, captured := capture.DestinationOf(x.r); captured {
		return &unroutedRequest{address: to, absolute: absolute}
	}
	if !absolute {
		return nil
	}
	address := x.r.Host
	if x.r.URL.Port() == "" {
		address = net.JoinHostPort(x.r.URL.Hostname(), "80")
	}
	return &unroutedRequest{address: address}
}

// pass passes a request on.
func (x *exchange) pass(p *unroutedRequest, policy string) error {
	local, _ := x.r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	_, captured := capture.DestinationOf(x.r)
	switch {
	case policy == capture.OutboundRegistryOnly:
		return x.refuse(errOutbound(x.r))
	case !captured && !capture.IsLocal(local):
		return x.refuse(errNotLocal())
	case !captured && x.r.URL.Scheme != "http":
		return x.refuse(errProxyScheme())
	}
	x.leaveSnapshot()
	x.start(&x.first)
	defer x.finish(&x.first)
	x.w.Header().Del("Server") // which is not ours here
	if failure := x.h.app.outbound.Pass(x.w, x.r.WithContext(x.first.ctx), p.address, p.absolute); failure != nil {
		return x.refuse(errDestination(x.r, failure))
	}
	return nil
}

func errOutbound(r *http.Request) *llmprovider.Error {
	return &llmprovider.Error{
		Status: http.StatusBadGateway, Type: llmprovider.TypeInvalidRequest, Code: "registry_only",
		Message: fmt.Sprintf("there is no LLM route for host %q, and outbound_traffic_policy is %s; ask the gateway's operator for a route, or for %s",
			llmprovider.Bounded(r.Host), capture.OutboundRegistryOnly, capture.OutboundAllowAny),
	}
}

func errNotLocal() *llmprovider.Error {
	return &llmprovider.Error{
		Status: http.StatusForbidden, Type: llmprovider.TypePermission, Code: "not_a_proxy",
		Message: "the gateway is an HTTP proxy for its own pod or machine alone; connect to 127.0.0.1, or run a gateway where the application is",
	}
}

func errProxyScheme() *llmprovider.Error {
	return &llmprovider.Error{
		Status: http.StatusNotImplemented, Type: llmprovider.TypeInvalidRequest, Code: "unsupported_scheme",
		Message: "as an HTTP proxy the gateway takes http:// URLs, and CONNECT for all others",
	}
}

func errDestination(r *http.Request, err error) *llmprovider.Error {
	return &llmprovider.Error{
		Status: http.StatusBadGateway, Type: llmprovider.TypeServer, Code: "destination_unreachable",
		Message: fmt.Sprintf("%q could not be reached or broke off; there is no LLM route for it", llmprovider.Bounded(r.Host)), Cause: err,
	}
}

// Interface guards
var (
	_ capture.App     = (*App)(nil)
	_ capture.Gateway = captureAt{}
)
