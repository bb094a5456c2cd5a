package picker

import (
	"net/http"
	"slices"
	"strings"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"golang.org/x/net/http/httpguts"

	"github.com/caddy-llm/gateway/llmprovider/headername"
)

// requestHeaders are what a picker is told of a request: no credential is among it.
func requestHeaders(r *http.Request) []*core.HeaderValue {
	out := make([]*core.HeaderValue, 0, len(r.Header)+5)
	add := func(name, value string) { out = append(out, &core.HeaderValue{Key: name, RawValue: []byte(value)}) }
	add(":method", r.Method)
	add(":path", r.URL.RequestURI())
	add(":authority", r.Host)
	add(":scheme", r.URL.Scheme)
	for name, values := range r.Header {
		if headername.IsHidden(name) {
			continue
		}
		for _, value := range values {
			if value != "" {
				add(strings.ToLower(name), value)
			}
		}
	}
	return out
}

// responseHeaders are what a picker is told of a response.
func responseHeaders(res *http.Response) []*core.HeaderValue {
	out := make([]*core.HeaderValue, 0, len(res.Header)+1)
	out = append(out, &core.HeaderValue{Key: ":status", RawValue: []byte(statusText(res.StatusCode))})
	for name, values := range res.Header {
		if headername.IsHidden(name) {
			continue
		}
		for _, value := range values {
			out = append(out, &core.HeaderValue{Key: strings.ToLower(name), RawValue: []byte(value)})
		}
	}
	return out
}

func statusText(code int) string {
	return string([]byte{'0' + byte(code/100%10), '0' + byte(code/10%10), '0' + byte(code%10)})
}

// valueOf is the value of a header in a message, in either of its forms.
func valueOf(h *core.HeaderValue) string {
	if len(h.GetRawValue()) > 0 {
		return string(h.GetRawValue())
	}
	return h.GetValue()
}

// mutate makes the changes of a message. Pickers may send all headers back: those that are
// the gateway's own, or carry a credential, stay as they are.
func mutate(header http.Header, m *extproc.HeaderMutation) {
	for _, name := range m.GetRemoveHeaders() {
		if name = http.CanonicalHeaderKey(name); changeable(name) {
			delete(header, name)
		}
	}
	var set map[string]bool // in this message
	for _, option := range m.GetSetHeaders() {
		name, value := http.CanonicalHeaderKey(option.GetHeader().GetKey()), valueOf(option.GetHeader())
		if !changeable(name) || !httpguts.ValidHeaderFieldValue(value) {
			continue
		}
		appends := option.GetAppend().GetValue() || option.GetAppendAction() == core.HeaderValueOption_ADD_IF_ABSENT //nolint:staticcheck // pickers may still use it
		switch {
		case option.GetAppendAction() == core.HeaderValueOption_ADD_IF_ABSENT && len(header[name]) > 0 && !set[name]:
			continue
		case set[name] && slices.Contains(header[name], value): // set, and sent back as well
		case appends || set[name]:
			header[name] = append(header[name][:len(header[name]):len(header[name])], value)
		default:
			header[name] = []string{value}
		}
		if set == nil {
			set = make(map[string]bool)
		}
		set[name] = true
	}
}

// changeable reports whether a picker may change a header, its name in canonical form. With
// Sec-Fetch-Mode the gateway has Caddy's admin endpoint refuse requests.
func changeable(name string) bool {
	return httpguts.ValidHeaderFieldName(name) && !headername.IsMessage(name) && !headername.IsHidden(name) &&
		name != "Sec-Fetch-Mode" && !strings.EqualFold(name, destinationHeader)
}
