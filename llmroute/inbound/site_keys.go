package inbound

import (
	"net/http"
	"slices"
	"sync"

	"github.com/caddy-llm/gateway/llmroute/virtualkey"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// siteKeys finds the llm_keys handlers that a request comes to after a matcher of
// its site. A matcher that reads bodies must not do so for those whom they turn
// away. Where they stand is known only when all of the server is set up.
type siteKeys struct {
	mu     sync.Mutex
	server *caddyhttp.Server // that keys were found in
	keys   []*virtualkey.Keys
}

// check reports whether llm_keys comes after the matcher, and whether it knows a
// key of the request.
func (s *siteKeys) check(r *http.Request, m *ModelMatcher) (locked, known bool) {
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return false, false
	}
	keys := s.after(server, m)
	return len(keys) > 0, slices.ContainsFunc(keys, func(k *virtualkey.Keys) bool { return k.Knows(r) })
}

// after returns the llm_keys handlers after the matcher in the server.
func (s *siteKeys) after(server *caddyhttp.Server, m *ModelMatcher) []*virtualkey.Keys {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != server {
		f := keyFinder{server: server, matcher: m}
		f.routes(server.Routes)
		s.server, s.keys = server, f.after
	}
	return s.keys
}

// keyFinder walks through routes in the order in which a request comes to them.
type keyFinder struct {
	server  *caddyhttp.Server
	matcher *ModelMatcher
	depth   int
	found   bool // the matcher
	after   []*virtualkey.Keys
}

// maxRouteDepth bounds how deep routes are walked through: named routes may invoke
// each other.
const maxRouteDepth = 32

func (f *keyFinder) routes(routes caddyhttp.RouteList) {
	if f.depth++; f.depth < maxRouteDepth {
		group := "" // of the route that the request took to the matcher
		for i := range routes {
			route := &routes[i]
			if group != "" && route.Group == group {
				continue // it is not taken as well
			}
			before := f.found
			f.found = f.found || slices.ContainsFunc(route.MatcherSets, f.hasMatcher)
			inMatcher := f.found && !before
			f.handlers(route.Handlers)
			if !before && f.found && !inMatcher { // the matcher is inside, so the route was taken
				if route.Terminal {
					break
				}
				group = route.Group
			}
		}
	}
	f.depth--
}

func (f *keyFinder) handlers(handlers []caddyhttp.MiddlewareHandler) {
	for _, handler := range handlers {
		switch h := handler.(type) {
		case *virtualkey.Keys:
			if f.found {
				f.after = append(f.after, h)
			}
		case *caddyhttp.Subroute:
			f.routes(h.Routes)
		case *caddyhttp.Invoke:
			if route := f.server.NamedRoutes[h.Name]; route != nil {
				f.routes(caddyhttp.RouteList{*route})
			}
		}
	}
}

// hasMatcher reports whether the matcher is in the set, or negated in it.
func (f *keyFinder) hasMatcher(set caddyhttp.MatcherSet) bool {
	return slices.ContainsFunc(set, func(m any) bool {
		switch m := m.(type) {
		case *ModelMatcher:
			return m == f.matcher
		case *caddyhttp.MatchNot:
			return slices.ContainsFunc(m.MatcherSets, f.hasMatcher)
		}
		return false
	})
}
