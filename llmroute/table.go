package llmroute

import (
	"github.com/caddy-llm/gateway/internal/host"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// table is the routes of one table.
type table struct {
	host.Index[routeEntry]
	entries []*routeEntry // all, in order of precedence
	handles bool          // one of them does
}

// routeEntry is a route with its backends resolved in one snapshot.
type routeEntry struct {
	*spec.Route
	targets [][]target // as Rules
	handles bool       // one of the rules has a handler
}

func newTable(entries []*routeEntry) *table {
	t := &table{Index: host.NewIndex[routeEntry](len(entries)), entries: entries}
	for _, e := range entries {
		e.handles = spec.AnyHandles(e.Rules)
		t.handles = t.handles || e.handles
		for _, name := range e.Hosts {
			t.Add(name, e)
		}
	}
	return t
}
