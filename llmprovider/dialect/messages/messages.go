// Package messages is Anthropic's Messages API
// (https://docs.anthropic.com/en/api/messages): requests and responses, read and
// written. Vertex AI and Bedrock's InvokeModel have the same one in another
// envelope. It imports dialect. Begin with API; requests are in request_read.go and
// request_write.go, responses in response_read.go and response_write.go.
package messages

import (
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// Vendor tags the state of Anthropic's models; see dialect.Carrier.
const Vendor = "anthropic"

// API is Anthropic's Messages API.
var API = &dialect.API{
	Name:              "messages",
	Errors:            llmprovider.MessagesAPI,
	RequestIDHeader:   "Request-Id",
	Path:              path,
	CountMember:       "input_tokens",
	CountHead:         "{",
	Paths:             paths,
	CallID:            "messages[].content[].id",
	ReadRequest:       readRequest,
	WriteRequest:      writeRequest,
	MaxToolName:       128,
	NewResponseReader: newResponseReader,
	NewResponseWriter: newResponseWriter,
}

func path(r *dialect.Request, _ *dialect.Target) (path, query string) {
	if r.Count {
		return "/messages/count_tokens", ""
	}
	return "/messages", ""
}

var paths = map[dialect.Concept]string{
	dialect.CMaxOutput:         "max_tokens",
	dialect.CTemperature:       "temperature",
	dialect.CTopP:              "top_p",
	dialect.CTopK:              "top_k",
	dialect.CStop:              "stop_sequences",
	dialect.CUser:              "metadata.user_id",
	dialect.CMetadata:          "metadata",
	dialect.CServiceTier:       "service_tier",
	dialect.CCache:             "cache_control",
	dialect.CEffort:            "output_config.effort",
	dialect.CBudget:            "thinking.budget_tokens",
	dialect.CThinking:          "thinking",
	dialect.CSummary:           "thinking.display",
	dialect.CFormat:            "output_config.format",
	dialect.CStrict:            "tools[].strict",
	dialect.CSystem:            "messages[].role",
	dialect.CText:              "messages[].content[]",
	dialect.CReasoning:         "messages[].content[].thinking",
	dialect.CSignature:         "messages[].content[].signature",
	dialect.CArguments:         "messages[].content[].input",
	dialect.CToolResult:        "messages[].content[].tool_result",
	dialect.CToolError:         "messages[].content[].is_error",
	dialect.CImage:             "messages[].content[].image",
	dialect.CImageURL:          "messages[].content[].source.url",
	dialect.CDocument:          "messages[].content[].document",
	dialect.CDocumentName:      "messages[].content[].title",
	dialect.CFileID:            "messages[].content[].source.file_id",
	dialect.CCitations:         "messages[].content[].citations",
	dialect.CTool:              "tools",
	dialect.CToolName:          "tools[].name",
	dialect.CToolSchema:        "tools[].input_schema",
	dialect.CHostedTool:        "tools[].type",
	dialect.CToolOption:        "tools[]",
	dialect.CChoice:            "tool_choice",
	dialect.CParallel:          "tool_choice.disable_parallel_tool_use",
	dialect.CPrefill:           "messages",
	dialect.CStored:            "container",
	dialect.CContainer:         "container",
	dialect.CContextManagement: "context_management",
	dialect.CSafety:            "fallbacks",
	dialect.CModalities:        "content[]",
	dialect.CFinish:            "stop_reason",
}
