package llmroute

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/caddy-llm/gateway/llmprovider"
)

// proxy passes single requests on: those of clients that use the sidecar as
// their HTTP proxy, and those for another host on a connection that began with a
// routed one.
type proxy struct{ *httputil.ReverseProxy }

// passKey is where the context of a request has its *passedRequest.
type passKey struct{}

// passedRequest is where a request goes.
type passedRequest struct {
	address  string // to connect to
	absolute bool   // whether that is a proxy, which takes absolute targets
	failed   func(error)
}

func newProxy(o *outbound) proxy {
	return proxy{&httputil.ReverseProxy{
		Transport: &http.Transport{
			DialContext: o.dial,
			Proxy: func(r *http.Request) (*url.URL, error) {
				if p := r.Context().Value(passKey{}).(*passedRequest); p.absolute {
					return &url.URL{Scheme: "http", Host: p.address}, nil
				}
				return nil, nil
			},
			DisableCompression: true, MaxIdleConnsPerHost: 64, MaxIdleConns: 1024, IdleConnTimeout: 30 * time.Second,
		},
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
		Rewrite:       rewrite,
		ErrorHandler: func(_ http.ResponseWriter, r *http.Request, err error) {
			r.Context().Value(passKey{}).(*passedRequest).failed(err)
		},
	}}
}

func (p proxy) close() { p.Transport.(*http.Transport).CloseIdleConnections() }

// rewrite undoes what ReverseProxy changes, but for what concerns one connection
// only.
func rewrite(r *httputil.ProxyRequest) {
	p := r.In.Context().Value(passKey{}).(*passedRequest)
	r.Out.URL.Scheme, r.Out.URL.Host, r.Out.URL.RawQuery = "http", p.address, r.In.URL.RawQuery
	names := []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"}
	if p.absolute {
		r.Out.URL.Host = r.In.Host
		names = append(names, "Proxy-Authorization")
	}
	for _, name := range names {
		if values, ok := r.In.Header[name]; ok {
			r.Out.Header[name] = values
		}
	}
	r.Out.Host = r.In.Host
}

// unrouted reports whether a request is for a host without a route at a sidecar,
// and where it was meant to go: a captured connection has a destination, and the
// client of a proxy names one.
func (g *gatewayHandler) unrouted(x *exchange, l *liveListener) *passedRequest {
	if l.Outbound == "" || g.route.app.runner != nil && x.snap.state == nil || x.snap.hasRoute(g.Address, x.r.Host) {
		return nil
	}
	absolute := x.r.URL.Scheme != ""
	if to, captured := x.r.Context().Value(destinationKey).(string); captured {
		return &passedRequest{address: to, absolute: absolute}
	}
	if !absolute {
		return nil
	}
	address := x.r.Host
	if x.r.URL.Port() == "" {
		address = net.JoinHostPort(x.r.URL.Hostname(), "80")
	}
	return &passedRequest{address: address}
}

// pass passes a request on.
func (x *exchange) pass(p *passedRequest, policy string) error {
	local, _ := x.r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	_, captured := x.r.Context().Value(destinationKey).(string)
	switch {
	case policy == OutboundRegistryOnly:
		return x.refuse(errOutbound(x.r))
	case !captured && !isLocal(local):
		return x.refuse(errNotLocal())
	case !captured && x.r.URL.Scheme != "http":
		return x.refuse(errProxyScheme())
	}
	var failure error
	p.failed = func(err error) { failure = err }
	x.leaveSnapshot()
	x.start(&x.first)
	defer x.finish(&x.first)
	x.w.Header().Del("Server") // which is not ours here
	x.h.app.outbound.proxy.ServeHTTP(x.w, x.r.WithContext(context.WithValue(x.first.ctx, passKey{}, p)))
	if failure != nil {
		return x.refuse(errDestination(x.r, failure))
	}
	return nil
}

func errOutbound(r *http.Request) *llmprovider.Error {
	return &llmprovider.Error{
		Status: http.StatusBadGateway, Type: llmprovider.TypeInvalidRequest, Code: "registry_only",
		Message: fmt.Sprintf("there is no LLM route for host %q, and outbound_traffic_policy is %s; ask the gateway's operator for a route, or for %s",
			bounded(r.Host), OutboundRegistryOnly, OutboundAllowAny),
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
		Message: fmt.Sprintf("%q could not be reached or broke off; there is no LLM route for it", bounded(r.Host)), Cause: err,
	}
}
