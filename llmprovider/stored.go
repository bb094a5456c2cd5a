package llmprovider

import (
	"iter"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-llm/gateway/internal/jsonscan"
)

// ResponsesSuffix is the path of the Responses API below a provider's base path.
const ResponsesSuffix = "/responses"

// maxResponseID bounds the ID of a stored response, in bytes.
const maxResponseID = 256

// storedQuery are the parameters of requests for stored responses that providers are sent:
// https://platform.openai.com/docs/api-reference/responses/get and its neighbours.
var storedQuery = []string{"after", "before", "include", "include[]", "include_obfuscation", "limit", "order", "starting_after", "stream"}

// storedEndpoint reads a path that names a response which the provider has stored: the
// response itself, what was sent for it, and what cancels it.
func storedEndpoint(method string, u *url.URL, path string) (Endpoint, bool) {
	i := strings.LastIndex(path, ResponsesSuffix+"/")
	if i < 0 {
		return Endpoint{}, false
	}
	id, rest, nested := strings.Cut(path[i+len(ResponsesSuffix)+1:], "/")
	switch {
	case !nested && (method == http.MethodGet || method == http.MethodDelete):
	case nested && rest == "input_items" && method == http.MethodGet:
	case nested && rest == "cancel" && method == http.MethodPost:
	default:
		return Endpoint{}, false
	}
	if !isResponseID(id) {
		return Endpoint{}, false
	}
	if deployment, ok := rootOf(path[:i], false); !ok || deployment != "" {
		return Endpoint{}, false
	}
	return Endpoint{Operation: StoredResponse, Suffix: path[i:], Method: method, Query: sentQuery(u)}, true
}

// isResponseID reports whether a segment of a path can be the ID of a response.
func isResponseID(segment string) bool {
	if segment == "" || len(segment) > maxResponseID {
		return false
	}
	for _, c := range []byte(segment) {
		if c != '_' && c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

// sentQuery returns what of a request's query a provider is sent, re-escaped.
func sentQuery(u *url.URL) string {
	if u.RawQuery == "" {
		return ""
	}
	all, sent := u.Query(), make(url.Values)
	for _, name := range storedQuery {
		if values, ok := all[name]; ok {
			sent[name] = values
		}
	}
	return sent.Encode()
}

// storedStates are the members of requests that name what a provider has stored, by their
// folded names.
var storedStates = map[string]string{"previousresponseid": "previous_response_id", "conversation": "conversation", "prompt": "prompt"}

// StoredState returns what of a request names something that a provider has stored, such as
// previous_response_id, so that no other provider can serve it; empty without it. The body must have been read.
func (in *Inbound) StoredState() string {
	for name, value := range in.responsesMembers() {
		if state := storedStates[string(name)]; state != "" && !jsonscan.IsNull(value) {
			return state
		}
		if string(name) != "input" {
			continue
		}
		for item := range jsonscan.Elements(value) {
			if item[0] == '{' && isReference(item) {
				return "item_reference"
			}
		}
	}
	return ""
}

// isReference reports whether an item of an input is one that the provider has stored.
func isReference(item []byte) bool {
	for key, value := range jsonscan.Members(item) {
		if string(jsonscan.Folded(jsonscan.Plain(key))) == "type" && string(jsonscan.Plain(value)) == "item_reference" {
			return true
		}
	}
	return false
}

// Background reports whether a request's response is only to be stored, and fetched later.
// The body must have been read.
func (in *Inbound) Background() bool {
	for name, value := range in.responsesMembers() {
		if string(name) == "background" && !jsonscan.IsNull(value) && string(value) != "false" {
			return true
		}
	}
	return false
}

// responsesMembers returns an iterator over the members of a request of the Responses API,
// none of another one. Their names are folded: some providers read them so.
func (in *Inbound) responsesMembers() iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		if in.Endpoint.Operation != Responses || !in.isJSON {
			return
		}
		for key, value := range jsonscan.Members(in.Body()) {
			if !yield(jsonscan.Folded(jsonscan.Plain(key)), value) {
				return
			}
		}
	}
}
