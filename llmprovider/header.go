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

// withheld holds the client headers that are not sent to a provider: those of
// one connection (RFC 9110, section 7.6.1), those the gateway writes itself,
// those that tell of the way the request came, and credentials. Names are in
// canonical form; X-Forwarded-* are withheld as well. A provider's
// forward_headers can let the last two kinds through.
var withheld = map[string]bool{
	"Connection": true, "Proxy-Connection": true, "Keep-Alive": true, "Te": true, "Trailer": true,
	"Transfer-Encoding": true, "Upgrade": true, "Http2-Settings": true, "Expect": true,

	"Host": true, "Content-Length": true,
	// An answer in the client's favourite compression could not be read.
	"Accept-Encoding": true,

	"X-Real-Ip": true, "Forwarded": true, "Via": true,
	// Those of all the formats that OTEL_PROPAGATORS may name.
	"Traceparent": true, "Tracestate": true, "Baggage": true, "B3": true, "X-B3-Traceid": true, "X-B3-Spanid": true, "X-B3-Parentspanid": true,
	"X-B3-Sampled": true, "X-B3-Flags": true, "Uber-Trace-Id": true, "X-Amzn-Trace-Id": true, "Ot-Tracer-Traceid": true, "Ot-Tracer-Spanid": true,
	"Ot-Tracer-Sampled": true,

	"Authorization": true, "Proxy-Authorization": true, "Proxy-Authenticate": true, "Cookie": true, "Api-Key": true, "X-Api-Key": true,
	"X-Goog-Api-Key": true, "X-Amz-Security-Token": true,
}

// neverForwarded holds those that forward_headers cannot let through.
var neverForwarded = map[string]bool{
	"Connection": true, "Proxy-Connection": true, "Keep-Alive": true, "Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
	"Http2-Settings": true, "Expect": true, "Host": true, "Content-Length": true, "Accept-Encoding": true,
}

// IsCredentialHeader tells whether a header of this name carries a credential,
// so that its value is neither logged nor written into a configuration.
func IsCredentialHeader(name string) bool {
	switch name = strings.ToLower(name); name {
	case "authorization", "proxy-authorization", "cookie", "set-cookie":
		return true
	}
	for _, word := range []string{"apikey", "token", "secret", "password", "auth"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	// Ocp-Apim-Subscription-Key, x-functions-key and the like
	return (strings.HasSuffix(name, "-key") || strings.HasSuffix(name, "_key")) && name != "idempotency-key" && name != "x-idempotency-key"
}

// outboundHeader is the header map of an attempt: the client's without what is
// withheld, with room for the provider's own. The values are shared with the
// client's map, which nobody changes while the request is served.
func outboundHeader(client http.Header, forward map[string]bool, extra int) http.Header {
	out := make(http.Header, len(client)+extra+1)
	for name, values := range client {
		if (withheld[name] || strings.HasPrefix(name, "X-Forwarded-")) && !forward[name] {
			continue
		}
		out[name] = values
	}
	for _, value := range client["Connection"] {
		for _, name := range strings.Split(value, ",") {
			if name = textproto.TrimString(name); name != "" {
				delete(out, http.CanonicalHeaderKey(name))
			}
		}
	}
	if _, ok := out["User-Agent"]; !ok {
		out["User-Agent"] = noUserAgent
	}
	return out
}

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
	if neverForwarded[http.CanonicalHeaderKey(name)] {
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
