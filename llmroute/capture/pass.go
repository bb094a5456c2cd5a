package capture

import (
	"fmt"
	"net"
	"net/http"

	"github.com/caddy-llm/gateway/llmprovider"
)

// Destination is where a request for a host without a route was meant to go.
type Destination struct {
	Address  string // to connect to
	Absolute bool   // whether that is a proxy, which takes absolute targets
}

// Meant returns where a request was meant to go, if that is not the gateway: a captured
// connection has a destination, and the client of a proxy names one. It is nil for others.
func Meant(r *http.Request) *Destination {
	absolute := r.URL.Scheme != ""
	if to, captured := DestinationOf(r); captured {
		return &Destination{Address: to, Absolute: absolute}
	}
	if !absolute {
		return nil
	}
	address := r.Host
	if r.URL.Port() == "" {
		address = net.JoinHostPort(r.URL.Hostname(), "80")
	}
	return &Destination{Address: address}
}

// Refusal is why a request for a host without a route is not passed on, nil if it is. policy
// is the listener's outbound_traffic_policy.
func Refusal(r *http.Request, policy string) *llmprovider.Error {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	_, captured := DestinationOf(r)
	switch {
	case policy == OutboundRegistryOnly:
		return errRegistryOnly(r)
	case !captured && !IsLocal(local):
		return errNotLocal()
	case !captured && r.URL.Scheme != "http":
		return errProxyScheme()
	}
	return nil
}

func errRegistryOnly(r *http.Request) *llmprovider.Error {
	return &llmprovider.Error{
		Status: http.StatusBadGateway, Type: llmprovider.TypeInvalidRequest, Code: "registry_only",
		Message: fmt.Sprintf("there is no LLM route for host %q, and outbound_traffic_policy is %s; ask the gateway's operator for a route, or for %s",
			llmprovider.Bounded(r.Host), OutboundRegistryOnly, OutboundAllowAny),
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

// Unreachable is the error for a request that Outbound.Pass could not pass on.
func Unreachable(r *http.Request, err error) *llmprovider.Error {
	return &llmprovider.Error{
		Status: http.StatusBadGateway, Type: llmprovider.TypeServer, Code: "destination_unreachable",
		Message: fmt.Sprintf("%q could not be reached or broke off; there is no LLM route for it", llmprovider.Bounded(r.Host)), Cause: err,
	}
}
