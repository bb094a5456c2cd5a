package llmroute

import (
	"fmt"
	"maps"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/internal/host"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/headername"
	"github.com/caddy-llm/gateway/llmroute/accesslog"
	"github.com/caddy-llm/gateway/llmroute/crosssite"
	"github.com/caddy-llm/gateway/llmroute/listen"
)

func init() {
	caddy.RegisterModule(new(gatewayHandler))
}

// gatewayHandler serves a listener of the gateway's own: it finds the server for
// the request's host, and routes by that server's table. The app makes it; it is
// not meant for configurations.
type gatewayHandler struct {
	// The address of the listener.
	Address string `json:"address,omitempty"`

	route     Handler
	accessLog *zap.Logger // nil without one
}

// CaddyModule returns the Caddy module information.
func (*gatewayHandler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.llm_gateway",
		New: func() caddy.Module { return new(gatewayHandler) },
	}
}

// Provision sets up the handler.
func (g *gatewayHandler) Provision(ctx caddy.Context) error {
	if err := g.route.Provision(ctx); err != nil {
		return err
	}
	var err error
	if g.route.origins, err = crosssite.ParseOrigins(g.route.app.AllowedOrigins); err != nil {
		return err
	}
	g.route.keys = g.route.app.Keys
	if g.route.app.AccessLog {
		g.accessLog = ctx.Logger(accesslog.Name(""))
	}
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (g *gatewayHandler) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	if tracing := g.route.app.tracing; tracing != nil {
		return tracing.ServeHTTP(w, r, caddyhttp.HandlerFunc(g.answer))
	}
	return g.answer(w, r)
}

// answer returns no error: Caddy would log it with the whole request, credentials
// included.
func (g *gatewayHandler) answer(w http.ResponseWriter, r *http.Request) error {
	x := newExchange(&g.route, w, r)
	var err error
	if g.accessLog != nil {
		line := accesslog.NewLine(g.accessLog, w, r)
		x.w = line.Recorder // itself, so that its Flush is found
		defer func() { line.Write(err, append(x.traced.LogFields(), zap.Inline(&x.Outcome))) }()
	}
	if err = g.serve(x); err != nil {
		if c := g.route.logger.Check(zap.DebugLevel, "request ended with an error"); c != nil {
			c.Write(zap.Error(err))
		}
	}
	return nil
}

func (g *gatewayHandler) serve(x *exchange) error {
	l := x.snap.listeners[g.Address]
	if l == nil {
		return g.route.serve(x, func() error { return x.refuse(errNoRoute(x.r)) }) // it is being closed
	}
	if p := g.unrouted(x, l); p != nil && x.r.URL.Opaque == "" {
		x.refused = nil // it is passed on as it is
		return g.route.serve(x, func() error { return x.pass(p, l.Outbound) })
	}
	x.live, x.ports, x.governs = l, l.PortsOf(x.r.Host), l.Governs
	if l.Governs {
		maps.DeleteFunc(x.r.Header, func(name string, _ []string) bool { return headername.IsMesh(name) })
	}
	server := l.Find(x.r.Host)
	if server != nil {
		x.table = server.Table // before policies, which hold for its rules
	}
	var asked *listen.Server // of the handshake
	if x.r.TLS != nil {
		if asked = l.Find(x.r.TLS.ServerName); asked != nil {
			x.r.TLS = asked.Identified(x.r.TLS)
		}
	}
	return g.route.serve(x, func() error {
		switch refused := misdirected(l, x.r, server, asked); {
		case refused != nil && refused.Status == http.StatusMisdirectedRequest:
			x.w.Header().Set("Connection", "close")
			return x.refuse(refused)
		case refused != nil:
			return x.refuse(refused)
		case server.HTTPSRedirect && x.r.TLS == nil:
			name, _ := host.Name(x.r.Host)
			http.Redirect(x.w, x.r, "https://"+host.InURL(name)+x.r.URL.RequestURI(), http.StatusMovedPermanently)
			return nil
		}
		if server.Gateway != listen.MeshTable {
			x.gateway = server.Gateway
		}
		return x.serve()
	})
}

// misdirected reports why a request is not for the server of its host, nil if it is. asked is
// the one whose name the client asked for in its handshake, nil without one.
func misdirected(l *listen.Live, r *http.Request, server, asked *listen.Server) *llmprovider.Error {
	switch {
	case server == nil:
		return errNoRoute(r)
	case l.TLS != (r.TLS != nil), r.TLS != nil && (asked != server || !server.Admits(r.TLS)):
		// What the handshake was held to, such as the client's certificate, says
		// nothing about another server (RFC 9110, section 15.5.20), nor about this
		// one if it asks for something else by now.
		return errMisdirected(r)
	}
	return nil
}

func errMisdirected(r *http.Request) *llmprovider.Error {
	return &llmprovider.Error{
		Status: http.StatusMisdirectedRequest, Type: llmprovider.TypeInvalidRequest, Code: "misdirected_request",
		Message: fmt.Sprintf("this connection may not be used for host %q, or not any more; open another one", llmprovider.Bounded(r.Host)),
	}
}

// Interface guards
var (
	_ caddy.Provisioner           = (*gatewayHandler)(nil)
	_ caddyhttp.MiddlewareHandler = (*gatewayHandler)(nil)
)
