// Package headername judges headers by their names: which carry a credential or say
// who is calling, which a provider gets of a client's, and which are the gateway's own.
// It knows nothing of requests. Begin with ClassOf.
package headername

import (
	"strings"

	"github.com/caddy-llm/gateway/internal/hopbyhop"
)

// The headers of the gateway's own, in canonical form.
const (
	// Loop carries the names of the proxies that a request has come through
	// (RFC 8586).
	Loop = "Cdn-Loop"
	// Translation is the header in which a client asks for a translation without loss,
	// by the value strict. It reaches no provider.
	Translation = "Llm-Translation"
)

// Class is why a client's header is, or is not, sent to a provider.
type Class uint8

// The classes of headers.
const (
	// Sent is sent.
	Sent Class = iota
	// Own belongs to one connection (RFC 9110, section 7.6.1), or the gateway
	// writes it itself. forward_headers cannot let it through.
	Own
	// Hidden carries a credential or says who is calling.
	Hidden
	// Path tells of the way that the request came: addresses, proxies, the page
	// that sent it, traces.
	Path
	// Signed covers parts of the request that the gateway always changes.
	Signed
	// Digest is of the body as the client sent it.
	Digest
	// Method asks the provider for another method than the one that was judged.
	Method
	// Picker tells an endpoint picker what a request is worth and where it may go.
	Picker
	// Account names an account that only the client's own key belongs to.
	Account
)

// IsOwn reports whether a header, its name in canonical form, is written by
// the gateway itself, so that no configuration can set it.
func IsOwn(name string) bool {
	switch name {
	case "Host", "Content-Length", "Accept-Encoding", "Expect", Loop, Translation:
		return true
	}
	return hopbyhop.Is(name)
}

// IsMessage reports whether a header, its name in canonical form, says how the
// message that carries it is sent, or what its body is. What tokens and external
// authorization make of a request sets none of them.
func IsMessage(name string) bool {
	return IsOwn(name) || strings.HasPrefix(name, "Content-")
}

// IsMesh reports whether a header, its name in canonical form, is what the proxies of a mesh say
// to each other, such as who the peer is: nobody is to believe a client in it, as with Envoy.
func IsMesh(name string) bool {
	return name == "X-Forwarded-Client-Cert" || strings.HasPrefix(name, "X-Envoy-")
}

// IsConnection reports whether a header, its name in canonical form, says how a message is
// sent, and is not for who gets it from the gateway. Those that the message's Connection
// header names are removed before (hopbyhop.RemoveNamed).
func IsConnection(name string) bool {
	switch name {
	case "Content-Length", "Expect", "Host", "Proxy-Authorization":
		return true
	}
	return hopbyhop.Is(name)
}

// commonHeaders holds the classes of headers that most clients send, so that
// their names are not taken apart for each request. It is not changed.
var commonHeaders = classifyAll(
	"Accept", "Accept-Encoding", "Accept-Language", "Authorization", "Cache-Control", "Connection", "Content-Encoding", "Content-Language", "Content-Length",
	"Content-Type", "Cookie", "Dnt", "Expect", "Http-Referer", "Idempotency-Key", "Origin", "Pragma", "Priority", "Referer", "Sec-Ch-Ua", "Sec-Ch-Ua-Mobile",
	"Sec-Ch-Ua-Platform", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-Fetch-User", "Te", "Traceparent", "Tracestate", "Transfer-Encoding",
	"User-Agent", "User-Type", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Proto", "X-Real-Ip", "X-Request-Id", "X-Title",

	"Openai-Beta", "Openai-Organization", "Openai-Project", "X-Api-Key", "Api-Key", "X-Goog-Api-Key", "X-Goog-Api-Client", "Anthropic-Beta", "Anthropic-Version",
	"Anthropic-Dangerous-Direct-Browser-Access", "X-App", "X-Client-Request-Id", "X-Ms-Client-Request-Id", "X-Stainless-Arch", "X-Stainless-Async",
	"X-Stainless-Helper-Method", "X-Stainless-Lang", "X-Stainless-Os", "X-Stainless-Package-Version", "X-Stainless-Raw-Response", "X-Stainless-Read-Timeout",
	"X-Stainless-Retry-Count", "X-Stainless-Runtime", "X-Stainless-Runtime-Version", "X-Stainless-Timeout",
)

func classifyAll(names ...string) map[string]Class {
	classes := make(map[string]Class, len(names))
	for _, name := range names {
		classes[name] = classify(name)
	}
	return classes
}

// ClassOf returns the class of a header whose name is in canonical form.
func ClassOf(name string) Class {
	if class, ok := commonHeaders[name]; ok {
		return class
	}
	return classify(name)
}

func classify(name string) Class {
	if IsOwn(name) {
		return Own
	}
	switch name {
	case "X-Goog-User-Project", "Openai-Organization", "Openai-Project":
		return Account
	}
	if len(name) > maxName {
		return Hidden
	}
	var text [64]byte
	var starts [16]int
	words := splitName(text[:0], starts[:0], name)
	switch {
	case words.kind() != plainName:
		return Hidden
	case words.isPath(name), words.isTrace(name):
		return Path
	case words.isMethod():
		return Method
	case words.isPicker():
		return Picker
	}
	return words.integrity()
}

// isPath reports whether a header tells of the way that the request came.
func (w *nameWords) isPath(name string) bool {
	switch name {
	case "Origin", "Referer", "Via", "Max-Forwards", "Access-Control-Request-Method", "Access-Control-Request-Headers",
		"X-Host", "X-Scheme", "X-Url-Scheme", "Front-End-Https", "X-Rewrite-Url", "Disguised-Host", "Was-Default-Hostname", "X-Site-Deployment-Id",
		"X-Amz-Cf-Id":
		return true
	}
	first := 0
	if w.is(0, "x") {
		first = 1
	}
	switch string(w.at(first)) {
	case "forwarded", "forward", "original", "real", "proxy", "proxied", "ssl", "tls", // in general
		"cf", "envoy", "istio", "cloudfront", "fastly", "fly", "akamai", "azure", "arr", "waws", "appservice", "appengine", "vercel", "nf", "cdn":
		return true
	case "sec":
		return w.is(1, "fetch")
	case "remote", "client":
		switch string(w.at(first + 1)) {
		case "ip", "addr", "address", "host", "port":
			return true
		}
	}
	for i := range w.len() {
		switch string(w.at(i)) {
		case "ip", "clientip", "realip", "remoteip", "socketip", "sourceip", "userip", "remoteaddr", "xff":
			return true
		}
	}
	return false
}

// isTrace reports whether a header carries a trace's context, in any of the formats
// that OTEL_PROPAGATORS may name or that are in wide use.
func (w *nameWords) isTrace(name string) bool {
	switch name {
	case "Tracestate", "Baggage", "B3", "Uber-Trace-Id", "X-Amzn-Trace-Id", "X-Cloud-Trace-Context", "Grpc-Trace-Bin", "Sentry-Trace", "Newrelic",
		"X-Dynatrace", "Correlation-Context", "X-Ot-Span-Context":
		return true
	}
	first := 0
	if w.is(0, "x") {
		first = 1
	}
	switch string(w.at(first)) {
	case "b3", "datadog", "newrelic", "uberctx", "ottracer":
		return true
	case "ot":
		return w.is(first+1, "tracer") || w.is(first+1, "baggage")
	}
	return w.is(w.len()-1, "traceparent")
}

// isPicker reports whether a header is one of the Endpoint Picker Protocol or of llm-d: a
// client could buy priority with them, or pick an endpoint.
func (w *nameWords) isPicker() bool {
	switch {
	case !w.is(0, "x"):
		return false
	case w.is(1, "gateway"):
		return w.is(2, "inference") || w.is(2, "model") || w.is(2, "destination")
	}
	return w.is(1, "llm") && w.is(2, "d")
}

// isMethod reports whether a header overrides the request's method.
func (w *nameWords) isMethod() bool {
	for i := range w.len() {
		if w.is(i, "method") && (w.is(i-1, "http") || w.is(i+1, "override") || w.is(i-1, "override")) {
			return true
		}
	}
	return false
}

// integrity returns the class of a header that is to prove the request unchanged:
// a digest of its body, such as RFC 9530's, or a signature, such as RFC 9421's, which
// covers the host or the path as well.
func (w *nameWords) integrity() Class {
	if w.is(0, "want") { // of the response
		return Sent
	}
	class := Sent
	for i := range w.len() {
		switch string(w.at(i)) {
		case "signature", "signatures", "hmac":
			return Signed
		case "digest", "md5", "sha1", "sha256", "sha384", "sha512", "checksum", "crc32", "crc32c", "crc64nvme":
			class = Digest
		}
	}
	return class
}
