package llmprovider

import (
	"net/http"
	"strings"
)

// Operation is what a request asks of a provider, in the OpenTelemetry GenAI
// terms (gen_ai.operation.name) where that standard has one.
type Operation string

// The operations the gateway knows.
const (
	Chat           Operation = "chat"
	TextCompletion Operation = "text_completion"
	Responses      Operation = "responses"
	Embeddings     Operation = "embeddings"
	Images         Operation = "image_generation"
	Audio          Operation = "audio"
	Rerank         Operation = "rerank"
	Moderations    Operation = "moderations"
	ListModels     Operation = "list_models"
)

// Endpoint is the OpenAI API endpoint that a client's request names.
type Endpoint struct {
	Operation Operation

	// Suffix is the endpoint's path below the provider's base path, such as
	// "/embeddings". It is empty for chat completions, whose path the provider
	// configures whole.
	Suffix string
}

// generates tells whether the configured model and stream apply. On the other
// endpoints the client's own model stays, since the configured one is a chat
// model.
func (e Endpoint) generates() bool {
	return e.Operation == Chat || e.Operation == TextCompletion || e.Operation == Responses
}

// asksStreamUsage tells whether the endpoint has stream_options.include_usage.
// The Responses API has no such option: its last event carries usage anyway.
func (e Endpoint) asksStreamUsage() bool {
	return e.Operation == Chat || e.Operation == TextCompletion
}

// multipart tells whether the endpoint takes files as multipart/form-data.
func (e Endpoint) multipart() bool {
	return e.Operation == Images || e.Operation == Audio
}

const chatSuffix = "/chat/completions"

var suffixes = []Endpoint{
	{Chat, ""},
	{TextCompletion, "/completions"},
	{Responses, "/responses"},
	{Embeddings, "/embeddings"},
	{Rerank, "/rerank"},
	{Moderations, "/moderations"},
	{Images, "/images/generations"},
	{Images, "/images/edits"},
	{Images, "/images/variations"},
	{Audio, "/audio/speech"},
	{Audio, "/audio/transcriptions"},
	{Audio, "/audio/translations"},
}

// unsupported holds the OpenAI APIs that keep state at a provider, or are no
// single request and answer, so that routing them would not do what the client
// expects. The names are the first path segments of OpenAI's API reference.
var unsupported = map[string]bool{
	"assistants": true, "batches": true, "chat": true, "chatkit": true, "completions": true, "containers": true,
	"conversations": true, "embeddings": true, "evals": true, "files": true, "fine_tuning": true, "images": true,
	"audio": true, "models": true, "moderations": true, "organization": true, "projects": true, "realtime": true,
	"responses": true, "skills": true, "threads": true, "uploads": true, "vector_stores": true, "videos": true,
}

// EndpointOf finds the endpoint that a request path names. A path that names
// none is chat completions, so that a client may call a provider's bare host
// name. The error, for a path below /v1/ that names an OpenAI API which cannot
// be routed, says so.
func EndpointOf(method, path string) (Endpoint, *Error) {
	if n := len(path); n > 1 && path[n-1] == '/' {
		path = path[:n-1]
	}
	if path == "/" || path == "" || strings.HasSuffix(path, chatSuffix) {
		return suffixes[0], nil
	}
	if method == http.MethodGet || method == http.MethodHead {
		name, ok := strings.CutPrefix(path, "/models/") // a name may have slashes
		if !ok {
			_, name, ok = strings.Cut(path, "/v1/models/")
		}
		if ok {
			return Endpoint{ListModels, "/models/" + name}, nil
		}
		if strings.HasSuffix(path, "/models") {
			return Endpoint{ListModels, "/models"}, nil
		}
	}
	for _, e := range suffixes[1:] {
		if strings.HasSuffix(path, e.Suffix) {
			return e, nil
		}
	}
	if _, rest, ok := strings.Cut(path, "/v1/"); ok {
		api, _, _ := strings.Cut(rest, "/")
		if unsupported[api] {
			return Endpoint{}, &Error{
				Status: http.StatusNotFound, Type: TypeInvalidRequest, Code: "unsupported_endpoint",
				Message: "the gateway does not route " + method + " requests to the " + api + " API at this path; call the provider directly for it",
			}
		}
	}
	return suffixes[0], nil
}
