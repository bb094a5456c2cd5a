package kind

import (
	"net/http"

	"github.com/caddy-llm/gateway/llmprovider"
)

// MessagesVersion is the header of Anthropic's API that names its version, and
// DefaultMessagesVersion is sent where the client names none:
// https://docs.anthropic.com/en/api/versioning.
const (
	MessagesVersion        = "Anthropic-Version"
	DefaultMessagesVersion = "2023-06-01"
)

var defaultVersion = http.Header{MessagesVersion: {DefaultMessagesVersion}}

// VersionHeader is the header to add to a client's request for Anthropic's API, nil if
// the client names a version. It is not changed.
func VersionHeader(in *llmprovider.Inbound) http.Header {
	if in.Endpoint.API == llmprovider.MessagesAPI && len(in.Header[MessagesVersion]) > 0 {
		return nil
	}
	return defaultVersion
}
