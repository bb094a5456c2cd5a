// Package gemini is Google's generateContent API
// (https://ai.google.dev/api/generate-content), which Vertex AI has too: requests and
// responses, read and written. It imports dialect. Begin with API; requests are in
// request_read.go and request_write.go, responses in response_read.go and
// response_write.go.
package gemini

import (
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// Vendor tags the state of Google's models; see dialect.Carrier.
const Vendor = "google"

// API is Google's generateContent API.
var API = &dialect.API{
	Name:              "gemini",
	Errors:            llmprovider.GeminiAPI,
	Path:              path,
	CountMember:       "totalTokens",
	CountHead:         "{",
	SignedParts:       true,
	Arrays:            true,
	Paths:             paths,
	CallID:            "contents[].parts[].functionCall.id",
	ReadRequest:       readRequest,
	WriteRequest:      writeRequest,
	MaxToolName:       128,
	NewResponseReader: newResponseReader,
	NewResponseWriter: newResponseWriter,
}

func path(r *dialect.Request, target *dialect.Target) (path, query string) {
	path = dialect.GoogleModel(target.Model)
	switch {
	case r.Count:
		return path + ":countTokens", ""
	case target.Stream:
		return path + ":streamGenerateContent", "alt=sse"
	}
	return path + ":generateContent", ""
}

var paths = map[dialect.Concept]string{
	dialect.CMaxOutput:        "generationConfig.maxOutputTokens",
	dialect.CTemperature:      "generationConfig.temperature",
	dialect.CTopP:             "generationConfig.topP",
	dialect.CTopK:             "generationConfig.topK",
	dialect.CPresencePenalty:  "generationConfig.presencePenalty",
	dialect.CFrequencyPenalty: "generationConfig.frequencyPenalty",
	dialect.CSeed:             "generationConfig.seed",
	dialect.CCandidates:       "generationConfig.candidateCount",
	dialect.CLogProbs:         "generationConfig.responseLogprobs",
	dialect.CStop:             "generationConfig.stopSequences",
	dialect.CServiceTier:      "serviceTier",
	dialect.CStore:            "store",
	dialect.CEffort:           "generationConfig.thinkingConfig.thinkingLevel",
	dialect.CBudget:           "generationConfig.thinkingConfig.thinkingBudget",
	dialect.CThinking:         "generationConfig.thinkingConfig",
	dialect.CSummary:          "generationConfig.thinkingConfig.includeThoughts",
	dialect.CFormat:           "generationConfig.responseMimeType",
	dialect.CText:             "contents[].parts[]",
	dialect.CReasoning:        "contents[].parts[].thought",
	dialect.CSignature:        "contents[].parts[].thoughtSignature",
	dialect.CArguments:        "contents[].parts[].functionCall.args",
	dialect.CToolResult:       "contents[].parts[].functionResponse",
	dialect.CImage:            "contents[].parts[].inlineData",
	dialect.CImageURL:         "contents[].parts[].fileData",
	dialect.CAudio:            "contents[].parts[].inlineData",
	dialect.CVideo:            "contents[].parts[].inlineData",
	dialect.CDocument:         "contents[].parts[].inlineData",
	dialect.CFileID:           "contents[].parts[].fileData",
	dialect.CTool:             "tools",
	dialect.CToolName:         "tools[].functionDeclarations[].name",
	dialect.CToolSchema:       "tools[].functionDeclarations[].parameters",
	dialect.CHostedTool:       "tools[]",
	dialect.CToolOption:       "tools[].functionDeclarations[]",
	dialect.CChoice:           "toolConfig.functionCallingConfig",
	dialect.CChoiceSubset:     "toolConfig.functionCallingConfig.allowedFunctionNames",
	dialect.CPrefill:          "contents",
	dialect.CModalities:       "generationConfig.responseModalities",
	dialect.CStored:           "cachedContent",
	dialect.CSafety:           "safetySettings",
	dialect.CLabels:           "labels",
	dialect.CFinish:           "candidates[].finishReason",
}
