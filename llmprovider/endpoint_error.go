package llmprovider

import (
	"fmt"
	"net/http"
	"strings"
)

// Unsupported returns the error for a request to a path that is not an endpoint.
func Unsupported(r *http.Request) *Error {
	path := r.URL.EscapedPath() // without spaces, quotes and control characters
	what := "there is no endpoint at this path"
	if api := apiIn(path); api != "" {
		what = "the gateway does not route " + boundedText(r.Method, 16) + " requests to the " + api + " API at this path; call the provider directly for it"
	}
	return &Error{
		Status: http.StatusNotFound, Type: TypeInvalidRequest, Code: "unsupported_endpoint", API: APIOf(path),
		Message: fmt.Sprintf("%s: %s. Chat completions are at /v1/chat/completions; the gateway's manual lists the other endpoints", what, boundedText(path, maxPathInError)),
	}
}

// maxPathInError is how much of a path an error names, in bytes.
const maxPathInError = 128

func boundedText(s string, most int) string {
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

// apiIn returns the first segment of a path that names an API, or "".
func apiIn(path string) string {
	for segment := range strings.SplitSeq(path, "/") {
		if apiNames[strings.ToLower(segment)] {
			return segment
		}
	}
	return ""
}

// geminiVerbs are what Google's APIs do with a model, as in /models/NAME:countTokens.
var geminiVerbs = map[string]bool{
	"generateContent": true, "streamGenerateContent": true, "countTokens": true, "computeTokens": true, "embedContent": true, "batchEmbedContents": true,
	"asyncBatchEmbedContent": true, "batchGenerateContent": true, "generateAnswer": true, "predict": true, "predictLongRunning": true, "rawPredict": true,
	"streamRawPredict": true,
}

// APIOf returns the API that a path belongs to, whether or not the gateway has it:
// the one whose errors the client can read.
func APIOf(path string) API {
	switch strings.ToLower(apiIn(path)) {
	case "messages", "complete":
		return MessagesAPI
	case "models", "tunedmodels", "cachedcontents", "corpora":
		if i := strings.LastIndexByte(path, ':'); i >= 0 && geminiVerbs[path[i+1:]] { // a model's name may have a colon
			return GeminiAPI
		}
	}
	return OpenAIAPI
}

// errUpgrade is the error for a client that wants a WebSocket. OpenAI's own
// clients try one for responses first, and fall back to POST at a 426, without
// trying again as they do after other errors.
func errUpgrade() *Error {
	return &Error{
		Status: http.StatusUpgradeRequired, Type: TypeInvalidRequest, Code: "websocket_unsupported",
		Message: `the gateway serves responses over HTTP, not over a WebSocket; send a POST, with "stream": true for server-sent events`,
	}
}

// wantsWebSocket reports whether a request is the opening handshake of a
// WebSocket: RFC 6455, section 4.1; over HTTP/2 RFC 8441, over HTTP/3 RFC 9220.
func wantsWebSocket(r *http.Request) bool {
	switch {
	case r.Method == http.MethodGet && r.ProtoMajor == 1:
		return hasToken(r.Header["Upgrade"], "websocket") && hasToken(r.Header["Connection"], "upgrade")
	case r.Method == http.MethodConnect && r.ProtoMajor == 2:
		return strings.EqualFold(r.Header.Get(":protocol"), "websocket")
	case r.Method == http.MethodConnect && r.ProtoMajor == 3:
		return strings.EqualFold(r.Proto, "websocket")
	}
	return false
}

// hasToken reports whether one of a header's comma-separated values is token.
func hasToken(values []string, token string) bool {
	for _, value := range values {
		for part := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.Trim(part, " \t"), token) {
				return true
			}
		}
	}
	return false
}
