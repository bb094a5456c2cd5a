// Package converse is Amazon Bedrock's Converse API
// (https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html):
// requests written and responses read. No client speaks it to the gateway. It imports
// dialect. Begin with API; frames.go cuts the binary stream.
package converse

import "github.com/caddy-llm/gateway/llmprovider/dialect"

// API is Amazon Bedrock's Converse API.
var API = &dialect.API{
	Name:              "converse",
	RequestIDHeader:   "X-Amzn-Requestid",
	Path:              path,
	CountMember:       "inputTokens",
	WriteRequest:      writeRequest,
	NewResponseReader: newResponseReader,
}

func path(r *dialect.Request, target *dialect.Target) (path, query string) {
	path = "/model/" + EscapeModel(target.Model)
	switch {
	case r.Count:
		return path + "/count-tokens", ""
	case target.Stream:
		return path + "/converse-stream", ""
	}
	return path + "/converse", ""
}

// EscapeModel returns a model's id as one segment of a path, as AWS's signatures want
// it: with every byte escaped that is not unreserved in RFC 3986.
func EscapeModel(id string) string {
	const hex = "0123456789ABCDEF"
	out := make([]byte, 0, len(id)+8)
	for _, c := range []byte(id) {
		if '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '-' || c == '.' || c == '_' || c == '~' {
			out = append(out, c)
		} else {
			out = append(out, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(out)
}
