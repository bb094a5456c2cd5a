// Package converse is Amazon Bedrock's Converse API
// (https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html):
// requests written and responses read. No client speaks it to the gateway. It imports
// dialect. Begin with API; frames.go cuts the binary stream.
package converse

import "github.com/caddy-llm/gateway/llmprovider/dialect"

// API is Amazon Bedrock's Converse API.
var API = &dialect.API{
	Name:              "converse",
	WriteRequest:      writeRequest,
	NewResponseReader: newResponseReader,
}
