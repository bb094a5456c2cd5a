package llmroute

import (
	"strings"

	"github.com/caddy-llm/gateway/internal/host"
)

// meshTable is the table of what sources say for no gateway in particular.
const meshTable = "mesh"

// hostIndex finds what belongs to a request's host: the exact name before the
// longest suffix before any host. Of two entries for one host the first stays.
type hostIndex[T any] struct {
	exact  map[string]*T
	suffix map[string]*T // by what follows the star, the dot included
	any    *T
}

func newHostIndex[T any](size int) hostIndex[T] {
	return hostIndex[T]{exact: make(map[string]*T, size), suffix: make(map[string]*T)}
}

func (x *hostIndex[T]) add(pattern string, entry *T) {
	name, ok := host.Name(pattern)
	switch {
	case !ok: // no request has it
	case name == "*":
		if x.any == nil {
			x.any = entry
		}
	case strings.HasPrefix(name, "*."):
		if x.suffix[name[1:]] == nil {
			x.suffix[name[1:]] = entry
		}
	case x.exact[name] == nil:
		x.exact[name] = entry
	}
}

// get returns the entry that was added for a host, or nil.
func (x *hostIndex[T]) get(pattern string) *T {
	switch name, _ := host.Name(pattern); {
	case name == "*":
		return x.any
	case strings.HasPrefix(name, "*."):
		return x.suffix[name[1:]]
	default:
		return x.exact[name]
	}
}

// find returns the entry for the host of a request or a handshake, or nil.
func (x *hostIndex[T]) find(sent string) *T {
	name, ok := host.Name(sent)
	if !ok {
		return nil
	}
	return x.lookup(name)
}

// lookup returns the entry for a normalized host, or nil.
func (x *hostIndex[T]) lookup(host string) *T {
	if e := x.exact[host]; e != nil {
		return e
	}
	if len(x.suffix) > 0 {
		for rest := host; ; {
			i := strings.IndexByte(rest, '.')
			if i < 0 {
				break
			}
			if e := x.suffix[rest[i:]]; e != nil && i > 0 {
				return e
			}
			rest = rest[i+1:]
		}
	}
	return x.any
}

// table is the routes of one table.
type table struct {
	hostIndex[routeEntry]
	entries []*routeEntry // all, in order of precedence
}

// routeEntry is a route with its backends resolved in one snapshot.
type routeEntry struct {
	*Route
	targets [][]target // as Rules
}

func newTable(entries []*routeEntry) *table {
	t := &table{hostIndex: newHostIndex[routeEntry](len(entries)), entries: entries}
	for _, e := range entries {
		for _, host := range e.Hosts {
			t.add(host, e)
		}
	}
	return t
}
