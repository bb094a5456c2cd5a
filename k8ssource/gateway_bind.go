package k8ssource

import (
	"reflect"
	"slices"

	hostname "github.com/caddy-llm/gateway/internal/host"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// binding is a table that a route is in, with its hosts there.
type binding struct {
	table string
	// from is the gateway whose rules these are.
	from  string
	hosts []string
	// also are further gateways by which requests for these hosts come in.
	also []string
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
				out = append(out, binding{table: server.Table, from: table, hosts: hosts, own: true})
			}
		}
		if len(out) == before && len(b.t.bound[table]) > 0 {
			b.warn(object.ReasonHostNotServed, "spec.host: no server of Gateway %s has this host for namespace %s; use a host of one of its servers, or add a server", table, b.object.Namespace)
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
			if both := hostname.Intersect(host, at.name); both != "" && !seen[both] {
				seen[both] = true
				out = append(out, both)
			}
		}
	}
	return out
}

// enter puts a claim into the tables where it has hosts. Those in one table are one
// route, unless there are other rules for another gateway.
func (t *translation) enter(c *claim) {
	type place struct{ table, from string }
	var places []place
	hosts, gateways := make(map[place][]string, len(c.in)), make(map[place][]string, len(c.in))
	for _, in := range c.in {
		at := place{in.table, in.from}
		for _, other := range places {
			if other.table == in.table && (other.from == in.from || reflect.DeepEqual(t.rulesAt(c, other.from), t.rulesAt(c, in.from))) {
				at = other
				break
			}
		}
		if hosts[at] == nil {
			places = append(places, at)
			gateways[at] = []string{at.from}
		}
		hosts[at] = append(hosts[at], in.hosts...)
		for _, gateway := range in.also {
			if !slices.Contains(gateways[at], gateway) {
				gateways[at] = append(gateways[at], gateway)
			}
		}
	}
	for i, at := range places {
		origin := c.Stable()
		if slices.ContainsFunc(places[:i], func(p place) bool { return p.table == at.table }) {
			origin += " at " + at.from
		}
		t.state.Tables[at.table] = append(t.state.Tables[at.table], c.entry(at.table, gateways[at], origin, hosts[at]))
	}
}

// rulesAt are the rules that a claim has for what comes in by a gateway.
func (t *translation) rulesAt(c *claim, gateway string) []*spec.Rule {
	return t.policies.ThroughGateways(c.builder.rulesFor(gateway), []string{gateway})
}
