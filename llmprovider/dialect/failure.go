package dialect

import (
	"bytes"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
)

// maxErrorText bounds what of a provider's error is told to a client, in bytes.
const maxErrorText = 2 << 10

// ReadError reads a provider's error of any API: OpenAI's, Anthropic's and Google's
// {"error": …}, AWS's {"message": …}, Mistral's flat one, {"detail": …}, and text that
// is none of these. status is the response's, or 0 for an error inside a stream.
func ReadError(status int, body []byte) *llmprovider.Error {
	e := &llmprovider.Error{Status: status}
	body = bytes.TrimSpace(body)
	if jsonscan.Valid(body) {
		readErrorMembers(e, body)
	} else {
		e.Message = string(bytes.ToValidUTF8(body, []byte("\uFFFD")))
	}
	if e.Message = cutText(e.Message); e.Message == "" {
		e.Message = "the provider gave no reason"
	}
	if e.Status == 0 {
		e.Status = statusOf(e)
	}
	if e.Type == "" {
		e.Type = llmprovider.TypeServer
		if e.Status < http.StatusInternalServerError {
			e.Type = llmprovider.TypeInvalidRequest
		}
	}
	return e
}

// readErrorMembers reads an error that is JSON: the object with its message, or one
// that holds it.
func readErrorMembers(e *llmprovider.Error, body []byte) {
	if body[0] == '[' { // a stream of Google's without alt=sse
		for first := range jsonscan.Elements(body) {
			body = first
			break
		}
	}
	for name, v := range jsonscan.Members(body) {
		switch jsonscan.Text(name) {
		case "error":
			if jsonscan.IsString(v) {
				e.Message = jsonscan.Text(v)
			} else {
				readErrorMembers(e, v)
			}
		case "message", "detail", "Message":
			if jsonscan.IsString(v) && e.Message == "" {
				e.Message = jsonscan.Text(v)
			}
		case "type", "__type":
			if e.Type == "" {
				e.Type = word(jsonscan.Text(v))
			}
		case "code":
			switch {
			case jsonscan.IsString(v):
				e.Code = word(jsonscan.Text(v))
			case e.Status == 0: // Google's and OpenRouter's code is the status
				e.Status = statusIn(v)
			}
		case "status":
			if jsonscan.IsString(v) && e.Code == "" {
				e.Code = word(jsonscan.Text(v))
			}
		case "param":
			e.Param = word(jsonscan.Text(v))
		}
	}
	if e.Type == "error" { // Anthropic's outer object
		e.Type = ""
	}
}

// word returns text if it is short enough and plain enough to be an identifier.
func word(text string) string {
	if i := strings.LastIndexByte(text, '#'); i >= 0 { // AWS's namespace
		text = text[i+1:]
	}
	if len(text) > 128 || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
		return ""
	}
	return text
}

// statusIn returns the HTTP status that is written as a number, or 0.
func statusIn(value []byte) int {
	n := 0
	for _, c := range value {
		if c < '0' || c > '9' || n > 599 {
			return 0
		}
		n = 10*n + int(c-'0')
	}
	if n < 400 || n > 599 {
		return 0
	}
	return n
}

// statuses are the HTTP statuses of errors inside streams, by code or type, for all
// APIs (the sources are those of the packages).
var statuses = map[string]int{
	"invalid_request_error": 400, "INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 400, "validationException": 400, "ValidationException": 400,
	"context_length_exceeded": 400, "content_filter": 400, "invalid_prompt": 400,
	"authentication_error": 401, "invalid_api_key": 401, "UNAUTHENTICATED": 401,
	"billing_error": 402, "permission_error": 403, "PERMISSION_DENIED": 403, "AccessDeniedException": 403,
	"not_found_error": 404, "model_not_found": 404, "NOT_FOUND": 404, "ResourceNotFoundException": 404,
	"request_too_large": 413,
	"rate_limit_error":  429, "rate_limit_exceeded": 429, "insufficient_quota": 429, "RESOURCE_EXHAUSTED": 429, "throttlingException": 429,
	"ThrottlingException": 429, "serviceQuotaExceededException": 429, "tokens": 429, "requests": 429,
	"overloaded_error": 529, "UNAVAILABLE": 503, "serviceUnavailableException": 503, "ServiceUnavailableException": 503,
	"timeout_error": 504, "DEADLINE_EXCEEDED": 504, "modelTimeoutException": 504,
}

// WithStatus sets the HTTP status that an error inside a stream would have had, from
// its code or type.
func WithStatus(e *llmprovider.Error) *llmprovider.Error {
	e.Status = statusOf(e)
	return e
}

// statusOf returns the HTTP status that an error inside a stream would have had.
func statusOf(e *llmprovider.Error) int {
	for _, name := range [...]string{e.Code, e.Type} {
		if status := statuses[name]; status != 0 {
			return status
		}
	}
	return http.StatusBadGateway
}

// cutText cuts a text to what may be told of a provider's error.
func cutText(text string) string {
	if len(text) <= maxErrorText {
		return text
	}
	text = text[:maxErrorText]
	for !utf8.ValidString(text[max(0, len(text)-utf8.UTFMax):]) {
		text = text[:len(text)-1]
	}
	return text
}

// Incomplete returns the error for a response that ended before it was complete.
func Incomplete() *llmprovider.Error {
	return &llmprovider.Error{
		Status: http.StatusBadGateway, Type: llmprovider.TypeServer, Code: "incomplete_response",
		Message: "the provider's response ended before it was complete; send the request again",
	}
}

// Malformed returns the error for a response that is not what the provider's API
// documents. what names the member at fault, from a table.
func Malformed(what string) *llmprovider.Error {
	return &llmprovider.Error{
		Status: http.StatusBadGateway, Type: llmprovider.TypeServer, Code: "malformed_response",
		Message: "the provider's response has no valid " + what + ", so it cannot be translated; send the request again",
	}
}
