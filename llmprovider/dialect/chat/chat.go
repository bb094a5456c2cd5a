// Package chat is OpenAI's Chat Completions API
// (https://platform.openai.com/docs/api-reference/chat), with the extensions that
// compatible providers and gateways share: requests and responses, read and
// written. It imports dialect. Begin with API; requests are in request_read.go and
// request_write.go, responses in response_read.go, stream_read.go and response_write.go.
package chat

import "github.com/caddy-llm/gateway/llmprovider/dialect"

// API is OpenAI's Chat Completions API.
var API = &dialect.API{
	Name:              "chat",
	RequestIDHeader:   "X-Request-Id",
	Path:              path,
	Paths:             paths,
	CallID:            "messages[].tool_calls[].id",
	ReadRequest:       readRequest,
	WriteRequest:      writeRequest,
	MaxToolName:       64,
	NewResponseReader: newResponseReader,
	NewResponseWriter: newResponseWriter,
}

func path(*dialect.Request, *dialect.Target) (path, query string) { return "/chat/completions", "" }

var paths = map[dialect.Concept]string{
	dialect.CMaxOutput:        "max_completion_tokens",
	dialect.CTemperature:      "temperature",
	dialect.CTopP:             "top_p",
	dialect.CTopK:             "top_k",
	dialect.CPresencePenalty:  "presence_penalty",
	dialect.CFrequencyPenalty: "frequency_penalty",
	dialect.CLogitBias:        "logit_bias",
	dialect.CSeed:             "seed",
	dialect.CCandidates:       "n",
	dialect.CLogProbs:         "logprobs",
	dialect.CStop:             "stop",
	dialect.CVerbosity:        "verbosity",
	dialect.CUser:             "user",
	dialect.CMetadata:         "metadata",
	dialect.CServiceTier:      "service_tier",
	dialect.CStore:            "store",
	dialect.CCacheKey:         "prompt_cache_key",
	dialect.CCache:            "messages[].content[].cache_control",
	dialect.CEffort:           "reasoning_effort",
	dialect.CFormat:           "response_format",
	dialect.CFormatName:       "response_format.json_schema.name",
	dialect.CStrict:           "tools[].function.strict",
	dialect.CSystem:           "messages[].role",
	dialect.CTurnName:         "messages[].name",
	dialect.CText:             "messages[].content",
	dialect.CRefusal:          "messages[].refusal",
	dialect.CReasoning:        "messages[].reasoning_content",
	dialect.CSignature:        "messages[].tool_calls[].extra_content",
	dialect.CArguments:        "messages[].tool_calls[].function.arguments",
	dialect.CToolResult:       "messages[].tool_call_id",
	dialect.CImage:            "messages[].content[].image_url",
	dialect.CImageURL:         "messages[].content[].image_url.url",
	dialect.CImageDetail:      "messages[].content[].image_url.detail",
	dialect.CAudio:            "messages[].content[].input_audio",
	dialect.CVideo:            "messages[].content[].video_url",
	dialect.CDocument:         "messages[].content[].file",
	dialect.CDocumentName:     "messages[].content[].file.filename",
	dialect.CFileID:           "messages[].content[].file.file_id",
	dialect.CTool:             "tools",
	dialect.CToolName:         "tools[].function.name",
	dialect.CToolSchema:       "tools[].function.parameters",
	dialect.CCustomTool:       "tools[].custom",
	dialect.CGrammar:          "tools[].custom.format",
	dialect.CHostedTool:       "web_search_options",
	dialect.CChoice:           "tool_choice",
	dialect.CChoiceSubset:     "tool_choice.allowed_tools",
	dialect.CParallel:         "parallel_tool_calls",
	dialect.CPrefill:          "messages",
	dialect.CModalities:       "modalities",
	dialect.CPrediction:       "prediction",
	dialect.CModeration:       "moderation",
	dialect.CFinish:           "choices[].finish_reason",
}
