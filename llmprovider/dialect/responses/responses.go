// Package responses is OpenAI's Responses API
// (https://platform.openai.com/docs/api-reference/responses), without the state that
// it keeps at a provider: requests and responses, read and written. It imports
// dialect. Begin with API; requests are in request_read.go and request_write.go,
// responses in response_read.go, response_write.go and stream_write.go.
package responses

import "github.com/caddy-llm/gateway/llmprovider/dialect"

// Vendor tags the state of OpenAI's models; see dialect.Carrier.
const Vendor = "openai"

// API is OpenAI's Responses API.
var API = &dialect.API{
	Name:              "responses",
	RequestIDHeader:   "X-Request-Id",
	Path:              path,
	CountMember:       "input_tokens",
	CountHead:         `{"object":"response.input_tokens",`,
	Paths:             paths,
	CallID:            "input[].call_id",
	ReadRequest:       readRequest,
	WriteRequest:      writeRequest,
	MaxToolName:       64,
	NewResponseReader: newResponseReader,
	NewResponseWriter: newResponseWriter,
}

func path(r *dialect.Request, _ *dialect.Target) (path, query string) {
	if r.Count {
		return "/responses/input_tokens", ""
	}
	return "/responses", ""
}

var paths = map[dialect.Concept]string{
	dialect.CMaxOutput:         "max_output_tokens",
	dialect.CTemperature:       "temperature",
	dialect.CTopP:              "top_p",
	dialect.CLogProbs:          "top_logprobs",
	dialect.CVerbosity:         "text.verbosity",
	dialect.CUser:              "safety_identifier",
	dialect.CMetadata:          "metadata",
	dialect.CServiceTier:       "service_tier",
	dialect.CStore:             "store",
	dialect.CCacheKey:          "prompt_cache_key",
	dialect.CCache:             "input[].content[].prompt_cache_breakpoint",
	dialect.CEffort:            "reasoning.effort",
	dialect.CSummary:           "reasoning.summary",
	dialect.CFormat:            "text.format",
	dialect.CFormatName:        "text.format.name",
	dialect.CStrict:            "tools[].strict",
	dialect.CSystem:            "input[].role",
	dialect.CText:              "input[].content",
	dialect.CRefusal:           "input[].content[].refusal",
	dialect.CReasoning:         "input[].reasoning",
	dialect.CSignature:         "input[].encrypted_content",
	dialect.CArguments:         "input[].arguments",
	dialect.CToolResult:        "input[].output",
	dialect.CImage:             "input[].content[].image_url",
	dialect.CImageURL:          "input[].content[].image_url",
	dialect.CImageDetail:       "input[].content[].detail",
	dialect.CDocument:          "input[].content[].file_data",
	dialect.CDocumentName:      "input[].content[].filename",
	dialect.CFileID:            "input[].content[].file_id",
	dialect.CCitations:         "input[].content[].annotations",
	dialect.CTool:              "tools",
	dialect.CToolName:          "tools[].name",
	dialect.CToolSchema:        "tools[].parameters",
	dialect.CCustomTool:        "tools[].custom",
	dialect.CGrammar:           "tools[].format",
	dialect.CHostedTool:        "tools[].type",
	dialect.CChoice:            "tool_choice",
	dialect.CChoiceSubset:      "tool_choice.tools",
	dialect.CParallel:          "parallel_tool_calls",
	dialect.CPrefill:           "input",
	dialect.CStored:            "previous_response_id",
	dialect.CContextManagement: "context_management",
	dialect.CTruncation:        "truncation",
	dialect.CModeration:        "moderation",
	dialect.CToolOption:        "max_tool_calls",
	dialect.CModalities:        "output[]",
	dialect.CFinish:            "incomplete_details.reason",
}
