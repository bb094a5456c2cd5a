package k8ssource

import (
	"slices"
	"strings"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// The reasons of ConditionProgrammed where no request can reach an LLMRoute, beside
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

// ways are those into each table. gateways are the Gateways that have any.
type ways struct {
	tables   map[string][]way
	gateways map[string]bool
	// routes are the tables that have a route, by its origin.
	routes map[string][]string
}

func waysIn(state *spec.State, unbound map[string]bool) *ways {
	w := &ways{tables: make(map[string][]way), gateways: make(map[string]bool), routes: make(map[string][]string)}
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

// missing is why no request can reach a route. Those of sidecars are reached where
// they are: at a listener, or a site that the objects say nothing of.
func (t *translation) missing(route *v1beta1.LLMRoute, o object.Origin, w *ways, edge bool) unreachable {
	named := t.tablesOf(route)
	if slices.Contains(named, MeshTable) && !edge {
		return unreachable{}
	}
	var found []way
	for _, table := range w.routes[o.Stable()] {
		for _, way := range w.tables[table] {
			if slices.Contains(named, way.gateway) {
				found = append(found, way)
			}
		}
	}
	for _, way := range found {
		if way.certificate && way.listening {
			return unreachable{}
		}
	}
	switch {
	case slices.ContainsFunc(found, func(w way) bool { return !w.certificate && w.listening }):
		return unreachable{ReasonNoCertificate, "the servers that have the route's host have no certificate that can be used; the findings about their Gateway say why"}
	case len(found) > 0:
		return unreachable{ReasonNotListening, "the gateway cannot listen at the ports of the servers that have the route's host; its log says why"}
	}
	selected, served := false, false
	for _, table := range named {
		selected = selected || t.gateways[table] != nil && t.serves(table)
		served = served || w.gateways[table]
	}
	switch {
	case served:
		return unreachable{object.ReasonHostNotServed, "no server of the route's Gateways has its host for its namespace"}
	case selected:
		return unreachable{ReasonGatewayNotUsed, "the route's Gateways have no server that is used; the findings about them say why"}
	}
	return unreachable{object.ReasonGatewayNotFound, "none of the route's Gateways is there"}
}
