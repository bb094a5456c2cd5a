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

// RemoveNamed removes the headers that Connection names, and their names from Connection.
// It is called before anything looks at a request's headers, so that all readers see the
// same ones. A header that is set afterwards is the gateway's own and stays, even if the
// client's Connection named it: a further call changes nothing.
//
// Those of Is stay, since handlers of this hop need them, such as Upgrade. So does
// what describes the body, which would be read as another one without (reading it
// rejects such a request), and what tells of the client behind a proxy: a client that
// could have it removed would pass for the proxy (Envoy rejects such a request). The
// mark of loops stays too (RFC 8586).
func RemoveNamed(h http.Header) {
	lines := h["Connection"]
	if !removesAny(lines) { // as in most requests
		return
	}
	var left []string
	for _, line := range lines {
		for name := range strings.SplitSeq(line, ",") {
			switch name = textproto.TrimString(name); {
			case name == "":
			case stays(http.CanonicalHeaderKey(name)):
				left = append(left, name)
			default:
				delete(h, http.CanonicalHeaderKey(name))
			}
		}
	}
	if delete(h, "Connection"); len(left) > 0 {
		h["Connection"] = []string{strings.Join(left, ", ")}
	}
}

// removesAny reports whether one of the names in Connection is of a header to remove.
func removesAny(lines []string) bool {
	for _, line := range lines {
		for name := range strings.SplitSeq(line, ",") {
			if name = textproto.TrimString(name); name != "" && !stays(http.CanonicalHeaderKey(name)) {
				return true
			}
		}
	}
	return false
}

// stays reports whether a header that Connection names is kept. Close is no header's name
// (RFC 9112, section 9.6).
func stays(name string) bool { return name == "Close" || headers[name] || isKept(name) }

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
