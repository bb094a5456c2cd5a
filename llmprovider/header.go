package llmprovider

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/textproto"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// outbound says what a provider gets of a client's headers.
type outbound struct {
	forward map[string]bool // withheld otherwise
	keyed   bool            // the gateway's own credential is sent
	changed bool            // the body is not the client's, byte for byte
	extra   int             // how many headers will be added
}

// header returns the header map of an attempt: the client's without what is
// withheld, with room for the provider's own. The values are shared with the
// client's map, which is not changed while the request is served.
func (o *outbound) header(client http.Header) http.Header {
	out := make(http.Header, len(client)+o.extra+3)
	for name, values := range client {
		if o.sends(name) {
			out[name] = values
		}
	}
	for _, value := range client["Connection"] {
		for name := range strings.SplitSeq(value, ",") {
			if name = textproto.TrimString(name); name != "" {
				delete(out, http.CanonicalHeaderKey(name))
			}
		}
	}
	if _, ok := out["User-Agent"]; !ok {
		out["User-Agent"] = noUserAgent
	}
	// A response in the client's preferred compression could not be read, and one to
	// a request that says nothing may be compressed as well (RFC 9110, section 12.5.3).
	out["Accept-Encoding"] = identityEncoding
	out[LoopHeader] = MarkLoop(client)
	return out
}

// sends reports whether a client's header is sent.
func (o *outbound) sends(name string) bool {
	switch class := classOf(name); class {
	case classSent:
		return true
	case classOwn:
		return false
	case classDigest:
		return !o.changed || o.forward[name]
	case classAccount:
		return !o.keyed || o.forward[name]
	}
	return o.forward[name]
}

var identityEncoding = []string{"identity"}

// noUserAgent keeps net/http from writing one of its own.
var noUserAgent = []string{""}

// checkHeader tells what is wrong with a configured header, if anything.
func checkHeader(name, value string) error {
	if !httpguts.ValidHeaderFieldName(name) {
		return errors.New("the name of a header is not one; write one such as X-Team")
	}
	if !httpguts.ValidHeaderFieldValue(value) {
		return fmt.Errorf("the value of header %q has characters that a header cannot hold", name)
	}
	if IsOwnHeader(http.CanonicalHeaderKey(name)) {
		return fmt.Errorf("header %q is written by the gateway itself and cannot be set", name)
	}
	return nil
}

// MediaType is a message's media type without parameters, lower case.
func MediaType(h http.Header) string {
	value := h.Get("Content-Type")
	if value == "application/json" || value == "text/event-stream" {
		return value
	}
	media, _, err := mime.ParseMediaType(value)
	if err != nil {
		media, _, _ = strings.Cut(value, ";")
		media = strings.ToLower(strings.TrimSpace(media))
	}
	return media
}
