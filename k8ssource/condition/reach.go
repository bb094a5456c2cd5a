package condition

import (
	"slices"
	"strings"

	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// The reasons of Programmed where no request can reach an LLMRoute, beside
// those of findings.
const (
	// ReasonNoCertificate is that of a route whose servers have no certificate that
	// can be used.
	ReasonNoCertificate = "NoCertificate"
	// ReasonNotListening is that of a route at whose ports nothing could listen.
	ReasonNotListening = "NotListening"
	// ReasonGatewayNotUsed is that of a route whose Gateways have no server that is
	// used.
	ReasonGatewayNotUsed = "GatewayNotUsed"
)

// way is a server of a Gateway, by which requests reach the routes of a table.
type way struct {
	gateway     string
	certificate bool // there is one, or none is needed
	listening   bool
}

// Ways are the servers of a state by which requests come into each table. gateways are the
// Gateways that have any.
type Ways struct {
	tables   map[string][]way
	gateways map[string]bool
	// routes are the tables that have a route, by its origin.
	routes map[string][]string
}

// WaysIn returns the ways of a state. unbound has the addresses of listeners at which nothing
// could listen.
func WaysIn(state *spec.State, unbound map[string]bool) *Ways {
	w := &Ways{tables: make(map[string][]way), gateways: make(map[string]bool), routes: make(map[string][]string)}
	for _, l := range state.Listeners {
		for _, server := range l.Servers {
			w.gateways[server.Gateway] = true
			w.tables[server.Table] = append(w.tables[server.Table], way{server.Gateway, !l.TLS || server.Certificate != nil, !unbound[l.Address]})
		}
	}
	for table, routes := range state.Tables {
		for _, route := range routes {
			origin, _, _ := strings.Cut(route.Origin, " at ")
			if !slices.Contains(w.routes[origin], table) {
				w.routes[origin] = append(w.routes[origin], table)
			}
		}
	}
	return w
}

// Unreachable is why no request can reach an LLMRoute of that origin by the Gateways that it
// names. selected tells that one of them is there and selects the workload.
func (w *Ways) Unreachable(origin string, gateways []string, selected bool) Problem {
	var found []way
	for _, table := range w.routes[origin] {
		for _, way := range w.tables[table] {
			if slices.Contains(gateways, way.gateway) {
				found = append(found, way)
			}
		}
	}
	for _, way := range found {
		if way.certificate && way.listening {
			return Problem{}
		}
	}
	switch {
	case slices.ContainsFunc(found, func(w way) bool { return !w.certificate && w.listening }):
		return Problem{ReasonNoCertificate, "the servers that have the route's host have no certificate that can be used; the findings about their Gateway say why"}
	case len(found) > 0:
		return Problem{ReasonNotListening, "the gateway cannot listen at the ports of the servers that have the route's host; its log says why"}
	}
	served := slices.ContainsFunc(gateways, func(gateway string) bool { return w.gateways[gateway] })
	switch {
	case served:
		return Problem{object.ReasonHostNotServed, "no server of the route's Gateways has its host for its namespace"}
	case selected:
		return Problem{ReasonGatewayNotUsed, "the route's Gateways have no server that is used; the findings about them say why"}
	}
	return Problem{object.ReasonGatewayNotFound, "none of the route's Gateways is there"}
}
