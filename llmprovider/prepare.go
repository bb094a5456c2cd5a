package llmprovider

import (
	"net/http"

	"github.com/caddy-llm/gateway/internal/hopbyhop"
	"github.com/caddy-llm/gateway/internal/host"
)

// Prepare makes a request ready to be judged and routed, so that both see the same.
// It removes the headers that Connection names. It returns an error for a host that
// could be read in two ways, one with brackets or several colons that is no IPv6
// address; for one that is longer than a name can be; for a request without a host, which a
// route for all hosts would take and no policy on hosts would match; for a request target that
// is neither a path nor a URL with a host, such as x:http://host/path, in which others would
// read another path; and for a request that is in a loop, as CheckLoop does.
// Call it before anything looks at the request; a second call changes nothing.
func Prepare(r *http.Request) *Error {
	hopbyhop.RemoveNamed(r.Header)
	if r.URL.Opaque != "" {
		return &Error{
			Status: http.StatusBadRequest, Type: TypeInvalidRequest, Code: "invalid_path",
			Message: "the request target is neither a path nor a URL with a host; send one of these",
		}
	}
	switch name, ok := host.Name(r.Host); {
	case !ok:
		return errHost("the request's host has brackets or several colons and is not an IPv6 address, or has more than 255 characters; write a name, or an address as in [2001:db8::1]:8080")
	case name == "":
		return errHost("the request names no host; send a Host header with the name that is called")
	}
	return CheckLoop(r.Header)
}

func errHost(message string) *Error {
	return &Error{Status: http.StatusBadRequest, Type: TypeInvalidRequest, Code: "invalid_host", Message: message}
}
