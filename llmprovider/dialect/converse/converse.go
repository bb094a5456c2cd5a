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
	MaxToolName:       64,
	NewResponseReader: newResponseReader,
}

func path(r *dialect.Request, target *dialect.Target) (path, query string) {
	path = "/model/" + dialect.EscapeModel(target.Model)
	switch {
	case r.Count:
		return path + "/count-tokens", ""
	case target.Stream:
		return path + "/converse-stream", ""
	}
	return path + "/converse", ""
}
