package k8ssource

import (
	"reflect"
	"strings"

	"github.com/caddy-llm/gateway/llmroute"
)

// binding is a table that a route is in, with its hosts there.
type binding struct {
	table string
	// from is the gateway whose rules these are.
	from  string
	hosts []string
	// own tells that requests come through a listener of the gateway's own, and
	// not through a site that may or may not route by the table.
	own bool
}

// bindings are all the places where the route is used: the tables that it names,
// and those of the servers that its Gateways have here.
func (b *routeBuilder) bindings() []binding {
	var out []binding
	for _, table := range b.tables() {
		out = append(out, binding{table: table, from: table, hosts: b.hosts(table)})
		before := len(out)
		for _, server := range b.t.bound[table] {
			if hosts := b.hostsAt(table, server); len(hosts) > 0 {
				out = append(out, binding{server.Table, table, hosts, true})
			}
		}
		if len(out) == before && len(b.t.bound[table]) > 0 {
			b.warn(ReasonHostNotServed, "spec.host: no server of Gateway %s has the host %s for namespace %s; use a host of one of its servers, or add a server", table, bounded(b.object.Spec.Host), b.object.Namespace)
		}
	}
	return out
}

// hostsAt are the hosts of the route that a server serves.
func (b *routeBuilder) hostsAt(table string, server *boundServer) []string {
	var out []string
	seen := make(map[string]bool)
	for _, host := range b.hosts(table) {
		for _, at := range server.hosts {
			if at.namespace != "" && at.namespace != b.object.Namespace {
				continue
			}
			if both := intersect(host, at.name); both != "" && !seen[both] {
				seen[both] = true
				out = append(out, both)
			}
		}
	}
	return out
}

// intersect returns the hosts that are in both of two patterns, or nothing.
func intersect(a, b string) string {
	switch {
	case covers(a, b):
		return b
	case covers(b, a):
		return a
	}
	return ""
}

// covers tells whether all hosts of narrow are in wide.
func covers(wide, narrow string) bool {
	suffix, ok := strings.CutPrefix(wide, "*")
	return wide == narrow || ok && strings.HasSuffix(narrow, suffix) && narrow != suffix
}

// enter puts the hosts of a claim into a table. They are one route with those
// that are there already, unless the claim has other rules for another gateway.
func (t *translation) enter(c *claim, in binding, hosts []string) {
	route := c.route(in.from, hosts)
	list := t.state.Tables[in.table]
	if n := len(list); n > 0 && list[n-1].Origin == route.Origin {
		if reflect.DeepEqual(list[n-1].Rules, route.Rules) {
			list[n-1].Hosts = append(list[n-1].Hosts, hosts...)
			return
		}
		route.Origin += " at " + in.from
	}
	t.state.Tables[in.table] = append(list, route)
}

// route is what a claim says for hosts of a table, with its rules for a gateway.
func (c *claim) route(gateway string, hosts []string) *llmroute.Route {
	route := &llmroute.Route{Hosts: hosts, Origin: c.stable(), Unusable: c.unusable}
	if c.unusable == "" {
		route.Rules = c.builder.rulesFor(gateway)
	}
	return route
}
