package upstream

import (
	"errors"
	"fmt"
	"net/http"

	"golang.org/x/net/http/httpguts"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/headername"
)

// outbound says what a provider gets of a client's headers.
type outbound struct {
	forward map[string]bool // withheld otherwise
	keyed   bool            // the gateway's own credential is sent
	changed bool            // the body is not the client's, byte for byte
	extra   int             // how many headers will be added
}

// header returns the header map of an attempt: the client's without what is
// withheld, with room for the provider's own. Those that its Connection header named are
// gone already (llmprovider.Prepare). The values are shared with the client's map, which is
// not changed while the request is served.
func (o *outbound) header(client http.Header) http.Header {
	out := make(http.Header, len(client)+o.extra+3)
	for name, values := range client {
		if o.sends(name) {
			out[name] = values
		}
	}
	if _, ok := out["User-Agent"]; !ok {
		out["User-Agent"] = noUserAgent
	}
	// A response in the client's preferred compression could not be read, and one to
	// a request that says nothing may be compressed as well (RFC 9110, section 12.5.3).
	out["Accept-Encoding"] = identityEncoding
	out[headername.Loop] = llmprovider.MarkLoop(client)
	return out
}

// sends reports whether a client's header is sent.
func (o *outbound) sends(name string) bool {
	switch class := headername.ClassOf(name); class {
	case headername.Sent:
		return true
	case headername.Own:
		return false
	case headername.Digest:
		return !o.changed || o.forward[name]
	case headername.Account:
		return !o.keyed || o.forward[name]
	}
	return o.forward[name]
}

// Forwards reports whether what a client's header says may reach the provider, so that the
// response depends on it. name is in canonical form; keyed reports whether the provider is sent
// a key of its own.
func (c *Connection) Forwards(name string, keyed bool) bool {
	o := outbound{forward: c.to.forward, keyed: keyed || c.to.keyed}
	return o.sends(name)
}

var identityEncoding = []string{"identity"}

// noUserAgent keeps net/http from writing one of its own.
var noUserAgent = []string{""}

// checkHeader reports what is wrong with a configured header, if anything.
func checkHeader(name, value string) error {
	if !httpguts.ValidHeaderFieldName(name) {
		return errors.New("this is not a header name; write one such as X-Team")
	}
	if !httpguts.ValidHeaderFieldValue(value) {
		return fmt.Errorf("the value of header %q has characters that a header cannot hold", name)
	}
	if headername.IsOwn(http.CanonicalHeaderKey(name)) {
		return fmt.Errorf("header %q is set by the gateway itself and cannot be configured", name)
	}
	return nil
}
