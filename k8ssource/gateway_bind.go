package k8ssource

import (
	"reflect"
	"slices"
	"strings"
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
			b.warn(ReasonHostNotServed, "spec.host: no server of Gateway %s has this host for namespace %s; use a host of one of its servers, or add a server", table, b.object.Namespace)
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

// covers reports whether all hosts of narrow are in wide.
func covers(wide, narrow string) bool {
	suffix, ok := strings.CutPrefix(wide, "*")
	return wide == narrow || ok && strings.HasSuffix(narrow, suffix) && narrow != suffix
}

// enter puts a claim into the tables where it has hosts. Those in one table are one
// route, unless there are other rules for another gateway.
func (t *translation) enter(c *claim) {
	type place struct{ table, from string }
	var places []place
	hosts := make(map[place][]string, len(c.in))
	for _, in := range c.in {
		at := place{in.table, in.from}
		for _, other := range places {
			if other.table == in.table && (other.from == in.from || reflect.DeepEqual(c.builder.rulesFor(other.from), c.builder.rulesFor(in.from))) {
				at = other
				break
			}
		}
		if hosts[at] == nil {
			places = append(places, at)
		}
		hosts[at] = append(hosts[at], in.hosts...)
	}
	for i, at := range places {
		origin := c.stable()
		if slices.ContainsFunc(places[:i], func(p place) bool { return p.table == at.table }) {
			origin += " at " + at.from
		}
		t.state.Tables[at.table] = append(t.state.Tables[at.table], c.entry(at.table, at.from, origin, hosts[at]))
	}
}
