// Package hopbyhop holds the headers of one connection (RFC 9110, section 7.6.1):
// the one list of them, and the removal of those that a message's own Connection
// header names.
package hopbyhop

import (
	"net/http"
	"net/textproto"
	"strings"
)

// headers are the headers of one connection that need not be named in Connection.
var headers = map[string]bool{
	"Connection": true, "Http2-Settings": true, "Keep-Alive": true, "Proxy-Authenticate": true, "Proxy-Connection": true, "Te": true, "Trailer": true,
	"Transfer-Encoding": true, "Upgrade": true,
}

// Is reports whether a header is always one of a connection. The name is in
// canonical form.
func Is(name string) bool { return headers[name] }

// RemoveNamed removes the headers that Connection names. It is called once, before
// anything looks at a request's headers, so that all readers see the same ones.
//
// Those of Is stay, since handlers of this hop need them, such as Upgrade. So does
// what describes the body, which would be read as another one without (reading it
// rejects such a request), and what tells of the client behind a proxy: a client that
// could have it removed would pass for the proxy (Envoy rejects such a request). The
// mark of loops stays too (RFC 8586).
func RemoveNamed(h http.Header) {
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			if name = textproto.TrimString(name); name == "" {
				continue
			}
			if name = http.CanonicalHeaderKey(name); !headers[name] && !isKept(name) {
				delete(h, name)
			}
		}
	}
}

func isKept(name string) bool {
	return name == "Content-Type" || name == "Content-Encoding" || name == "Cdn-Loop" || name == "Forwarded" || strings.HasPrefix(name, "X-Forwarded-")
}

// Remove removes all headers of the connection: those of Is and those that
// Connection names.
func Remove(h http.Header) {
	RemoveNamed(h)
	for name := range headers {
		delete(h, name)
	}
}
