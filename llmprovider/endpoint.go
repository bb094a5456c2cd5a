package llmprovider

// Operation is what a request asks of a provider, in the OpenTelemetry GenAI
// terms (gen_ai.operation.name) where that standard has one.
type Operation string

// The operations the gateway knows.
const (
	Chat           Operation = "chat"
	TextCompletion Operation = "text_completion"
	Responses      Operation = "responses"
	CountTokens    Operation = "count_tokens"
	Embeddings     Operation = "embeddings"
	Images         Operation = "image_generation"
	Audio          Operation = "audio"
	Rerank         Operation = "rerank"
	Moderations    Operation = "moderations"
	Tokenize       Operation = "tokenize"
	Score          Operation = "score"
	Classify       Operation = "classify"
	Pooling        Operation = "pooling"
	ListModels     Operation = "list_models"
	StoredResponse Operation = "stored_response"
)

// IsResponses reports whether the operation's responses are those of the Responses API.
func (o Operation) IsResponses() bool { return o == Responses || o == StoredResponse }

// Endpoint is the API endpoint that a client's request names. Endpoints can be
// compared.
type Endpoint struct {
	Operation Operation

	// API is the API that the endpoint belongs to.
	API API

	// Suffix is the endpoint's path below the provider's base path, such as
	// "/embeddings". It is empty for chat completions, whose path the provider
	// configures whole.
	Suffix string

	// Own is the path that was called, as sent, if it is an endpoint only where a
	// provider has this very path. It is empty if the path is an endpoint at any
	// provider.
	Own string

	// Method is the method that was called and is sent, of a StoredResponse, and Query what
	// of its query is sent. Empty for all others: they are POST requests, and what their
	// queries say is not sent.
	Method, Query string

	// Model is the name of the model in the path, as Google's API has it, or of the
	// deployment, as Azure's has it. It is the request's model, whatever the body names.
	// Empty without one.
	Model string
}

// Suffixes returns the paths of the endpoints of OpenAI's API below a provider's base
// path, but for those of chat completions and of models.
func Suffixes() []string {
	suffixes := make([]string, 0, len(endpoints)-1)
	for _, e := range endpoints[1:] {
		if e.API == OpenAIAPI {
			suffixes = append(suffixes, e.Suffix)
		}
	}
	return suffixes
}

// Path is the endpoint as its API spells it, such as /v1/embeddings: one path for all
// the spellings that the gateway takes.
func (e Endpoint) Path() string {
	switch {
	case e.API == GeminiAPI && e.Model != "":
		return "/v1beta" + ModelsSuffix + "/" + e.Model + e.Suffix
	case e.Suffix == "":
		return "/v1" + ChatSuffix
	}
	return "/v1" + e.Suffix
}

// TakesModel reports whether the configured model applies. On the other
// endpoints the client's own model stays, since the configured one is a chat
// model.
func (e Endpoint) TakesModel() bool {
	switch e.Operation {
	case Chat, TextCompletion, Responses, CountTokens, StoredResponse:
		return true
	}
	return false
}

// TakesStream reports whether the configured stream applies: whether the
// endpoint generates something that can be streamed.
func (e Endpoint) TakesStream() bool {
	return e.TakesModel() && e.Operation != CountTokens && e.Operation != StoredResponse && e.Suffix != CompactSuffix
}

// AsksStreamUsage reports whether the endpoint has stream_options.include_usage.
// The Responses API has no such option: its last event carries usage anyway.
func (e Endpoint) AsksStreamUsage() bool {
	return e.API == OpenAIAPI && (e.Operation == Chat || e.Operation == TextCompletion)
}

// multipart reports whether the endpoint takes files as multipart/form-data.
func (e Endpoint) multipart() bool {
	return e.Operation == Images || e.Operation == Audio
}

// The paths of some endpoints below an API's base path.
const (
	ChatSuffix     = "/chat/completions"
	ModelsSuffix   = "/models"
	MessagesSuffix = "/messages"
	CompactSuffix  = "/responses/compact"
)

// StreamSuffix is what Google's API has after a model's name for a stream.
const StreamSuffix = ":streamGenerateContent"

// endpoints are those that requests can be sent to. No suffix ends in an earlier
// one.
var endpoints = []Endpoint{
	{Operation: Chat},
	{Operation: TextCompletion, Suffix: "/completions"},
	{Operation: Responses, Suffix: "/responses"},
	{Operation: Responses, Suffix: CompactSuffix},
	{Operation: CountTokens, Suffix: "/responses/input_tokens"},
	{Operation: Embeddings, Suffix: "/embeddings"},
	{Operation: Rerank, Suffix: "/rerank"},
	{Operation: Moderations, Suffix: "/moderations"},
	{Operation: Images, Suffix: "/images/generations"},
	{Operation: Images, Suffix: "/images/edits"},
	{Operation: Images, Suffix: "/images/variations"},
	{Operation: Audio, Suffix: "/audio/speech"},
	{Operation: Audio, Suffix: "/audio/transcriptions"},
	{Operation: Audio, Suffix: "/audio/translations"},
	// What vLLM and other servers of one's own have beside OpenAI's API.
	{Operation: Tokenize, Suffix: "/tokenize"},
	{Operation: Tokenize, Suffix: "/detokenize"},
	{Operation: Score, Suffix: "/score"},
	{Operation: Classify, Suffix: "/classify"},
	{Operation: Pooling, Suffix: "/pooling"},
	// Anthropic's: https://docs.anthropic.com/en/api/messages.
	{Operation: Chat, API: MessagesAPI, Suffix: MessagesSuffix},
	{Operation: CountTokens, API: MessagesAPI, Suffix: MessagesSuffix + "/count_tokens"},
}

// modelEndpoints are those of Google's API, after the name of a model:
// https://ai.google.dev/api/generate-content.
var modelEndpoints = []Endpoint{
	{Operation: Chat, API: GeminiAPI, Suffix: ":generateContent"},
	{Operation: Chat, API: GeminiAPI, Suffix: StreamSuffix},
	{Operation: CountTokens, API: GeminiAPI, Suffix: ":countTokens"},
	{Operation: Embeddings, API: GeminiAPI, Suffix: ":embedContent"},
	{Operation: Embeddings, API: GeminiAPI, Suffix: ":batchEmbedContents"},
}
