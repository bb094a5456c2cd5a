package header

import (
	"strings"

	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmprovider/headername"
	"github.com/caddy-llm/gateway/llmroute/listen"
)

// Matched is a header that a route matches by.
type Matched struct {
	Path string // of the field that names it
	Name string // in lower case
}

// Dropped reports whether Caddy drops headers of that name, for the sake of
// backends that take `_` and `.` in a name for a dash, unless a server expects it.
func (h *Matched) Dropped() bool { return strings.ContainsAny(h.Name, "_.") }

// dashed is the name that Caddy drops in exchange where this one is expected.
func (h *Matched) dashed() string {
	return strings.NewReplacer("_", "-", ".", "-").Replace(h.Name)
}

// needed are headers with dashes that requests of other routes may have to keep.
var needed = map[string]bool{
	"accept-encoding": true, "accept-language": true, "content-encoding": true, "content-length": true, "content-type": true, "idempotency-key": true,
	"proxy-connection": true, "transfer-encoding": true, "user-agent": true, "x-forwarded-for": true, "x-forwarded-host": true, "x-forwarded-proto": true,
	"x-idempotency-key": true, "x-real-ip": true, "x-request-id": true,
}

// Kept are the headers with dashes that must go on arriving at listeners, since routes or policies
// match by them.
type Kept map[*listen.Listener]map[string]bool

// Keep adds a header that something at the listener matches by. One that Caddy drops anyway changes
// nothing.
func (k Kept) Keep(l *listen.Listener, h *Matched) {
	if h.Dropped() {
		return
	}
	if k[l] == nil {
		k[l] = make(map[string]bool)
	}
	k[l][h.Name] = true
}

// MayExpect reports whether the listener can expect a header that Caddy drops otherwise: not if
// requests need the one with dashes that Caddy drops then.
func (k Kept) MayExpect(l *listen.Listener, h *Matched) bool {
	name := h.dashed()
	return !headername.IsCredential(name) && !needed[name] && !k[l][name]
}

// NeverArrives says that Caddy drops the header at a path before those who match by it see it, and
// what holds meanwhile.
func NeverArrives(path, who, meanwhile string) object.Fault {
	return *object.Warningf(object.ReasonDroppedHeader, "%s: Caddy drops headers with _ or . in their name before %s see them, because the name with dashes is needed as well or the "+
		"listener is a site's; use a name with dashes, or list this one in the site's expected_underscore_headers or expected_dot_headers%s", path, who, meanwhile)
}

// UnlessExpected reports a header that an object's limit looks at and Caddy drops: a limit does not have
// a server expect it.
func (h *Matched) UnlessExpected() []object.Fault {
	if !h.Dropped() {
		return nil
	}
	return []object.Fault{*object.Warningf(object.ReasonDroppedHeader, "%s: Caddy drops headers with _ or . in their name unless a server expects them; use a name with dashes", h.Path)}
}
