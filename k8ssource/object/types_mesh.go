package object

import (
	"bytes"
	"encoding/json"
)

// ExtAuthzHTTP is an external authorization service over HTTP, as
// envoyExtAuthzHttp of an entry of extensionProviders in the mesh's
// configuration (MeshConfig).
type ExtAuthzHTTP struct {
	Service                         string            `json:"service,omitempty"`
	Port                            TextNumber        `json:"port,omitempty"`
	Timeout                         string            `json:"timeout,omitempty"`
	PathPrefix                      string            `json:"pathPrefix,omitempty"`
	FailOpen                        bool              `json:"failOpen,omitempty"`
	StatusOnError                   TextNumber        `json:"statusOnError,omitempty"`
	IncludeHeadersInCheck           []string          `json:"includeHeadersInCheck,omitempty"` // what the next one was called before
	IncludeRequestHeadersInCheck    []string          `json:"includeRequestHeadersInCheck,omitempty"`
	IncludeAdditionalHeadersInCheck map[string]string `json:"includeAdditionalHeadersInCheck,omitempty"`
	IncludeRequestBodyInCheck       *ExtAuthzBody     `json:"includeRequestBodyInCheck,omitempty"`
	HeadersToUpstreamOnAllow        []string          `json:"headersToUpstreamOnAllow,omitempty"`
	HeadersToDownstreamOnAllow      []string          `json:"headersToDownstreamOnAllow,omitempty"`
	HeadersToDownstreamOnDeny       []string          `json:"headersToDownstreamOnDeny,omitempty"`

	// Routes are not looked up before the check, so this changes nothing.
	ClearRouteCache bool `json:"clearRouteCache,omitempty"`
}

// ExtAuthzBody is what of a request's body a service gets.
type ExtAuthzBody struct {
	MaxRequestBytes     TextNumber `json:"maxRequestBytes,omitempty"`
	AllowPartialMessage bool       `json:"allowPartialMessage,omitempty"`

	// Only for services over gRPC.
	PackAsBytes bool `json:"packAsBytes,omitempty"`
}

// TextNumber is a number that may also be written as text, in quotes, as Istio's
// own examples have it.
type TextNumber string

// UnmarshalJSON implements json.Unmarshaler.
func (n *TextNumber) UnmarshalJSON(data []byte) error {
	if bytes.HasPrefix(data, []byte(`"`)) {
		return json.Unmarshal(data, (*string)(n))
	}
	var number json.Number
	err := json.Unmarshal(data, &number)
	*n = TextNumber(number)
	return err
}
