package upstream

import (
	"net/http"
	"slices"

	"go.opentelemetry.io/contrib/propagators/autoprop"
	"go.opentelemetry.io/otel/propagation"
)

// tracePropagator returns what writes the trace headers, in the formats of
// OTEL_PROPAGATORS as Caddy's handler tracing does; nil if none of them is to be
// forwarded.
func tracePropagator(forward map[string]bool) propagation.TextMapPropagator {
	if len(forward) == 0 {
		return nil
	}
	p := autoprop.NewTextMapPropagator()
	if !slices.ContainsFunc(p.Fields(), func(name string) bool { return forward[http.CanonicalHeaderKey(name)] }) {
		return nil
	}
	return p
}

// traceHeader takes the trace headers of an attempt, in place of the client's,
// if they are to be forwarded.
type traceHeader struct {
	http.Header
	forward map[string]bool
}

// Get implements propagation.TextMapCarrier.
func (h traceHeader) Get(name string) string { return h.Header.Get(name) }

// Set implements propagation.TextMapCarrier.
func (h traceHeader) Set(name, value string) {
	if name = http.CanonicalHeaderKey(name); h.forward[name] {
		h.Header[name] = []string{value}
	}
}

// Keys implements propagation.TextMapCarrier.
func (h traceHeader) Keys() []string { return propagation.HeaderCarrier(h.Header).Keys() }

// Interface guards
var _ propagation.TextMapCarrier = traceHeader{}
