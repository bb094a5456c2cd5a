package cloud

import (
	"net/http"
	"slices"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/dialect/messages"
)

// VersionMember is what clouds have in the body of a request in Anthropic's API, instead
// of the header anthropic-version.
const VersionMember = "anthropic_version"

// Envelope makes a request in Anthropic's API, the client's or one into which it was
// translated, that of a cloud: members, JSON with commas between them such as
// `"anthropic_version":"vertex-2023-10-16"`, takes the place of the model. With
// dropStream the member stream is left out as well. own are the names of the members that
// a client must not send itself. Errors of the cloud become those of Anthropic's API.
func Envelope(in *llmprovider.Inbound, out *llmprovider.Outgoing, members []byte, dropStream bool, own ...string) *llmprovider.Error {
	edits := llmprovider.Edits{Stream: out.Edits.Stream, Envelope: members, DropStream: dropStream}
	if out.Body != nil {
		body, err := llmprovider.Edited(out.Body, &edits)
		if err != nil { // it was written a moment ago
			return &llmprovider.Error{Status: http.StatusInternalServerError, Type: llmprovider.TypeServer, Message: "the gateway could not build the request for this provider; please report this bug", Cause: err}
		}
		out.Body = body
		return nil
	}
	for member := range jsonscan.Members(in.Body()) {
		if name := string(jsonscan.Plain(member)); slices.Contains(own, name) {
			return &llmprovider.Error{
				Status: http.StatusBadRequest, Type: llmprovider.TypeInvalidRequest, Code: "unexpected_member", Param: name, API: llmprovider.MessagesAPI,
				Message: "the gateway sets " + name + " for this provider; leave it out of the body, and send what you need as a header",
			}
		}
	}
	out.Edits = edits
	return nil
}

// MessagesErrors is a function for Outgoing.NewReader: errors of a cloud, in whatever
// shape, become those of Anthropic's API. Other responses pass as they are.
func MessagesErrors(res *http.Response, _ bool) llmprovider.Reader {
	if res.StatusCode < http.StatusBadRequest {
		return nil
	}
	return dialect.NewResponse(messages.API, messages.API, dialect.ResponseOptions{})
}
