package llmroute

import "strings"

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

func (x *hostIndex[T]) add(host string, entry *T) {
	switch host = normalizeHost(host); {
	case host == "*":
		if x.any == nil {
			x.any = entry
		}
	case strings.HasPrefix(host, "*."):
		if x.suffix[host[1:]] == nil {
			x.suffix[host[1:]] = entry
		}
	case x.exact[host] == nil:
		x.exact[host] = entry
	}
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

// normalizeHost is a request's host without port and trailing dot, in lower
// case.
func normalizeHost(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && strings.IndexByte(host[i:], ']') < 0 {
		host = host[:i]
	}
	host = strings.TrimSuffix(host, ".")
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	}
	return strings.ToLower(host) // allocates only if there is something to change
}
