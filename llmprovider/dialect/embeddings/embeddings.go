// Package embeddings translates requests for embeddings between OpenAI's API
// (https://platform.openai.com/docs/api-reference/embeddings), Google's
// (https://ai.google.dev/api/embeddings), those of Vertex AI, and the models of Amazon and
// of Cohere at Bedrock, which have bodies of their own. They are APIs like those of the
// packages beside it, for dialect.Read, dialect.Translate and dialect.NewResponse. It
// imports dialect. Start reading at OpenAI; requests are in request_read.go and
// request_write.go, responses in response_read.go and response_write.go.
package embeddings

import (
	"strings"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// OpenAI is OpenAI's API of embeddings.
var OpenAI = &dialect.API{
	Name:              "embeddings",
	RequestIDHeader:   "X-Request-Id",
	Path:              func(*dialect.Request, *dialect.Target) (path, query string) { return "/embeddings", "" },
	Paths:             paths,
	ReadRequest:       readOpenAI,
	WriteRequest:      writeOpenAI,
	NewResponseReader: newReader(readData),
	NewResponseWriter: newOpenAIWriter,
}

// Gemini is Google's API of embeddings: for clients both embedContent and
// batchEmbedContents, to providers the latter.
var Gemini = &dialect.API{
	Name:              "gemini embeddings",
	Errors:            llmprovider.GeminiAPI,
	Path:              geminiPath,
	Paths:             geminiPaths,
	ReadRequest:       readGemini,
	WriteRequest:      writeGemini,
	NewResponseReader: newReader(readGeminiVectors),
	NewResponseWriter: newGeminiWriter,
}

// Predict is the body of embedding models at Vertex AI's predict, which most of Google's
// own have there. No client speaks it
// (https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api).
var Predict = &dialect.API{
	Name:              "vertex embeddings",
	Errors:            llmprovider.GeminiAPI,
	Path:              predictPath,
	WriteRequest:      writePredict,
	NewResponseReader: newReader(readPredictions),
}

// EmbedContent is the body of Vertex AI's embedContent, which takes one input. Clients
// that speak it speak Gemini.
var EmbedContent = &dialect.API{
	Name:              "vertex embedContent",
	Errors:            llmprovider.GeminiAPI,
	Path:              embedContentPath,
	WriteRequest:      writeEmbedContent,
	NewResponseReader: newReader(readContentVector),
}

// Titan is the body of Amazon's Titan models at Bedrock's InvokeModel, which take one
// input. No client speaks it
// (https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html).
var Titan = &dialect.API{
	Name:              "titan embeddings",
	RequestIDHeader:   "X-Amzn-Requestid",
	InputTokensHeader: inputTokens,
	Path:              invokePath,
	WriteRequest:      writeTitan,
	NewResponseReader: newReader(readTitan),
}

// Cohere is the body of Cohere's models at Bedrock's InvokeModel. No client speaks it
// (https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html).
var Cohere = &dialect.API{
	Name:              "cohere embeddings",
	RequestIDHeader:   "X-Amzn-Requestid",
	InputTokensHeader: inputTokens,
	Path:              invokePath,
	WriteRequest:      writeCohere,
	NewResponseReader: newReader(readCohere),
}

// inputTokens is the header in which InvokeModel says how long the prompt is.
const inputTokens = "X-Amzn-Bedrock-Input-Token-Count"

// All are the APIs of embeddings.
var All = []*dialect.API{OpenAI, Gemini, Predict, EmbedContent, Titan, Cohere}

// Vertex returns the API of a model at Vertex AI, as Google's own client tells them apart
// (https://github.com/googleapis/go-genai/blob/main/transformer.go).
func Vertex(model string) *dialect.API {
	if strings.Contains(model, "gemini") && model != "gemini-embedding-001" || strings.Contains(model, "maas") {
		return EmbedContent
	}
	return Predict
}

// Bedrock returns the API of a model at Bedrock, nil if it is known to have none for
// embeddings.
func Bedrock(model string) *dialect.API {
	switch {
	case strings.Contains(model, "amazon.titan-embed-"):
		return Titan
	case strings.Contains(model, "cohere.embed"):
		return Cohere
	}
	return nil
}

func geminiPath(_ *dialect.Request, target *dialect.Target) (path, query string) {
	return dialect.GoogleModel(target.Model) + ":batchEmbedContents", ""
}

func predictPath(_ *dialect.Request, target *dialect.Target) (path, query string) {
	return dialect.GoogleModel(target.Model) + ":predict", ""
}

func embedContentPath(_ *dialect.Request, target *dialect.Target) (path, query string) {
	return dialect.GoogleModel(target.Model) + ":embedContent", ""
}

func invokePath(_ *dialect.Request, target *dialect.Target) (path, query string) {
	return "/model/" + dialect.EscapeModel(target.Model) + "/invoke", ""
}

var paths = map[dialect.Concept]string{
	dialect.CText: "input", dialect.CUser: "user", dialect.CDimensions: "dimensions", dialect.CTask: "task", dialect.CDocumentName: "title",
}

var geminiPaths = map[dialect.Concept]string{
	dialect.CText: "content", dialect.CDimensions: "outputDimensionality", dialect.CTask: "taskType", dialect.CDocumentName: "title",
}
