package llmroute

import "strings"

// meshTable is the table of what sources say for no gateway in particular.
const meshTable = "mesh"

// table is the host index of the routes of one table.
type table struct {
	exact  map[string]*routeEntry
	suffix map[string]*routeEntry // by what follows the star, the dot included
	any    *routeEntry

	entries []*routeEntry // all, in order of precedence
}

// routeEntry is a route with its backends resolved in one snapshot.
type routeEntry struct {
	*Route
	targets [][]target // as Rules
}

func newTable(entries []*routeEntry) *table {
	t := &table{exact: make(map[string]*routeEntry, len(entries)), suffix: make(map[string]*routeEntry), entries: entries}
	for _, e := range entries {
		for _, host := range e.Hosts {
			switch host = normalizeHost(host); {
			case host == "*":
				if t.any == nil {
					t.any = e
				}
			case strings.HasPrefix(host, "*."):
				if t.suffix[host[1:]] == nil {
					t.suffix[host[1:]] = e
				}
			case t.exact[host] == nil:
				t.exact[host] = e
			}
		}
	}
	return t
}

// lookup returns the route for a normalized host: the exact one, else that of
// the longest suffix, else the one for any host, else nil.
func (t *table) lookup(host string) *routeEntry {
	if e := t.exact[host]; e != nil {
		return e
	}
	if len(t.suffix) > 0 {
		for rest := host; ; {
			i := strings.IndexByte(rest, '.')
			if i < 0 {
				break
			}
			if e := t.suffix[rest[i:]]; e != nil && i > 0 {
				return e
			}
			rest = rest[i+1:]
		}
	}
	return t.any
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
