package cache

import (
	"net/http"
	"slices"
	"strings"
)

// headers writes the client's headers that the provider gets, but for those that say
// nothing to a model: what is not known may change the response.
func (h *hasher) headers(header http.Header, forwards func(name string) bool) {
	var room [32]string
	names := room[:0]
	for name := range header {
		if !isAside(name) && forwards(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	h.number(len(names))
	for _, name := range names {
		h.text(name)
		h.texts(header[name])
	}
}

// isAside reports whether a header, its name in canonical form, is about the program that
// sends the request, about this one request, its trace, or about caches.
func isAside(name string) bool {
	switch name {
	case "User-Agent", "X-Request-Id", "X-Client-Request-Id", "X-Ms-Client-Request-Id", "X-Correlation-Id", "Idempotency-Key",
		"Traceparent", "Tracestate", "X-Amzn-Trace-Id", "X-Cloud-Trace-Context", "Cache-Control", "Pragma", "Priority", "Date", "Dnt", "Content-Length":
		return true
	}
	return strings.HasPrefix(name, "X-Stainless-")
}
