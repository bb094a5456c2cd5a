package k8ssource

import (
	"slices"
	"strings"

	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmprovider/headername"
	"github.com/caddy-llm/gateway/llmroute/listen"
)

// matchedHeader is a header that a route matches by.
type matchedHeader struct {
	path string // of the field that names it
	name string // in lower case
}

// dropped reports whether Caddy drops headers of that name, for the sake of
// backends that take `_` and `.` in a name for a dash, unless a server expects it.
func (h *matchedHeader) dropped() bool { return strings.ContainsAny(h.name, "_.") }

// dashed is the name that Caddy drops in exchange where this one is expected.
func (h *matchedHeader) dashed() string {
	return strings.NewReplacer("_", "-", ".", "-").Replace(h.name)
}

// expectable reports whether a listener can expect the header. Caddy drops the one
// with dashes then, which must not be one that requests need.
func (h *matchedHeader) expectable() bool {
	name := h.dashed()
	return !headername.IsCredential(name) && !needed[name]
}

// needed are headers with dashes that requests of other routes may have to keep.
var needed = map[string]bool{
	"accept-encoding": true, "accept-language": true, "content-encoding": true, "content-length": true, "content-type": true, "idempotency-key": true,
	"proxy-connection": true, "transfer-encoding": true, "user-agent": true, "x-forwarded-for": true, "x-forwarded-host": true, "x-forwarded-proto": true,
	"x-idempotency-key": true, "x-real-ip": true, "x-request-id": true,
}

// headerUse is a header with dashes that routes or policies of a listener look at.
type headerUse struct {
	listener *listen.Listener
	header   string
}

// matching is a route with the headers that it matches by, and where it is in use.
type matching struct {
	headers []matchedHeader
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
	dashed := make(map[headerUse]bool)
	t.authorization.dashed(t.governed(), dashed)
	for _, m := range t.matching {
		for _, in := range m.in {
			for _, h := range m.headers {
				if l := listeners[in.table]; l != nil && !h.dropped() {
					dashed[headerUse{l, h.name}] = true
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
				case !h.dropped(), !in.own && len(t.bound[in.from]) > 0:
				case l == nil || !h.expectable() || dashed[headerUse{l, h.dashed()}]:
					if lost == nil {
						lost = make(map[string]bool)
					}
					lost[h.path] = true
				case !slices.Contains(l.Headers, h.name):
					l.Headers = append(l.Headers, h.name)
				}
			}
		}
		for _, h := range m.headers {
			if lost[h.path] {
				m.lost(droppedHeader(h.path, "routes", ""))
			}
		}
	}
	t.expectPolicyHeaders(dashed)
	for _, l := range t.state.Listeners {
		slices.Sort(l.Headers)
	}
}

// droppedHeader says that a header never arrives at those who look at it.
func droppedHeader(path, who, meanwhile string) object.Fault {
	return *object.Warningf(object.ReasonDroppedHeader, "%s: Caddy drops headers with _ or . in their name before %s see them, because the name with dashes is needed as well or the "+
		"listener is a site's; use a name with dashes, or list this one in the site's expected_underscore_headers or expected_dot_headers%s", path, who, meanwhile)
}

// unlessExpected reports a header that an object's limit looks at and Caddy drops: a limit does not have
// a server expect it.
func (h *matchedHeader) unlessExpected() []object.Fault {
	if !h.dropped() {
		return nil
	}
	return []object.Fault{*object.Warningf(object.ReasonDroppedHeader, "%s: Caddy drops headers with _ or . in their name unless a server expects them; use a name with dashes", h.path)}
}
