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

// Dashed is the name that Caddy drops in exchange where this one is expected.
func (h *Matched) Dashed() string {
	return strings.NewReplacer("_", "-", ".", "-").Replace(h.Name)
}

// Expectable reports whether a listener can expect the header. Caddy drops the one
// with dashes then, which must not be one that requests need.
func (h *Matched) Expectable() bool {
	name := h.Dashed()
	return !headername.IsCredential(name) && !needed[name]
}

// needed are headers with dashes that requests of other routes may have to keep.
var needed = map[string]bool{
	"accept-encoding": true, "accept-language": true, "content-encoding": true, "content-length": true, "content-type": true, "idempotency-key": true,
	"proxy-connection": true, "transfer-encoding": true, "user-agent": true, "x-forwarded-for": true, "x-forwarded-host": true, "x-forwarded-proto": true,
	"x-idempotency-key": true, "x-real-ip": true, "x-request-id": true,
}

// Use is a header with dashes that routes or policies of a listener look at.
type Use struct {
	Listener *listen.Listener
	Header   string
}

// Lost says that a header never arrives at those who look at it.
func Lost(path, who, meanwhile string) object.Fault {
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
