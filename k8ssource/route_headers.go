package k8ssource

import (
	"slices"

	"github.com/caddy-llm/gateway/k8ssource/header"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/listen"
)

// matching is a route with the headers that it matches by, and where it is in use.
type matching struct {
	headers []header.Matched
	in      []binding
	lost    func(object.Fault) // takes what is to be said of a header that will not arrive
}

// expectHeaders makes the listeners expect the headers that their routes and
// policies look at, and reports those that will not arrive.
func (t *translation) expectHeaders() {
	listeners := make(map[string]*listen.Listener) // by table
	for _, l := range t.state.Listeners {
		for _, server := range l.Servers {
			listeners[server.Table] = l
		}
	}
	kept := make(header.Kept)
	t.authorization.KeepHeaders(t.governed(), kept)
	for _, m := range t.matching {
		for _, in := range m.in {
			if l := listeners[in.table]; l != nil {
				for i := range m.headers {
					kept.Keep(l, &m.headers[i])
				}
			}
		}
	}
	for _, m := range t.matching {
		var lost map[string]bool
		for _, in := range m.in {
			for _, h := range m.headers {
				l := listeners[in.table]
				switch {
				case !h.Dropped(), !in.own && len(t.bound[in.from]) > 0:
				case l == nil || !kept.MayExpect(l, &h):
					if lost == nil {
						lost = make(map[string]bool)
					}
					lost[h.Path] = true
				case !slices.Contains(l.Headers, h.Name):
					l.Headers = append(l.Headers, h.Name)
				}
			}
		}
		for _, h := range m.headers {
			if lost[h.Path] {
				m.lost(header.NeverArrives(h.Path, "routes", ""))
			}
		}
	}
	t.authorization.ExpectHeaders(t.governed(), kept)
	for _, l := range t.state.Listeners {
		slices.Sort(l.Headers)
	}
}

// governed are the listeners whose requests are held to policies: those of
// Gateways.
func (t *translation) governed() []*listen.Listener {
	var out []*listen.Listener
	for _, l := range t.state.Listeners {
		if slices.ContainsFunc(l.Servers, func(s *listen.Server) bool { return s.Gateway != MeshTable }) {
			out = append(out, l)
		}
	}
	return out
}
