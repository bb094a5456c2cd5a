package dialect

import (
	"bytes"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
)

// maxErrorText bounds what of a provider's error is told to a client, in bytes.
const maxErrorText = 2 << 10

// ReadError reads a provider's error of any API: OpenAI's, Anthropic's and Google's
// {"error": …}, AWS's {"message": …}, Mistral's flat one, {"detail": …}, and text that
// is none of these. status is the response's, or 0 for an error inside a stream. The
// error's type and code are OpenAI's where they are known.
func ReadError(status int, body []byte) *llmprovider.Error {
	e := &llmprovider.Error{Status: status}
	body = bytes.TrimSpace(body)
	if jsonscan.Valid(body) {
		readErrorMembers(e, body, maxErrorDepth)
	} else {
		e.Message = string(bytes.ToValidUTF8(body[:min(len(body), 2*maxErrorText)], []byte("\uFFFD")))
	}
	if e.Message = cutText(e.Message); e.Message == "" {
		e.Message = "the provider gave no reason"
	}
	return settleError(e)
}

// maxErrorDepth is how deep an error's object may be inside others.
const maxErrorDepth = 4

// readErrorMembers reads an error that is JSON: the object with its message, or one
// that holds it.
func readErrorMembers(e *llmprovider.Error, body []byte, depth int) {
	if body[0] == '[' { // a stream of Google's without alt=sse
		for first := range jsonscan.Elements(body) {
			body = first
			break
		}
	}
	for name, v := range jsonscan.Members(body) {
		switch string(jsonscan.Plain(name)) {
		case "error":
			if jsonscan.IsString(v) {
				e.Message = jsonscan.Text(v)
			} else if len(v) > 0 && v[0] == '{' && depth > 1 {
				readErrorMembers(e, v, depth-1)
			}
		case "message", "detail", "Message":
			readMessage(e, v)
		case "type", "__type":
			if kind := word(jsonscan.Text(v)); e.Type == "" && kind != "error" { // "error" is Anthropic's outer object
				e.Type = kind
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
		case "request_id":
			e.RequestID = word(jsonscan.Text(v))
		case "details":
			readRetryInfo(e, v)
		}
	}
}

// readMessage reads an error's message: text, or what a server of one's own makes of
// a request that it could not read, which is told as it is.
func readMessage(e *llmprovider.Error, v []byte) {
	switch {
	case e.Message != "" || jsonscan.IsNull(v):
	case jsonscan.IsString(v):
		e.Message = jsonscan.Text(v)
	default: // FastAPI's list of what is wrong
		e.Message = string(bytes.ToValidUTF8(v[:min(len(v), 2*maxErrorText)], []byte("\uFFFD")))
	}
}

// readRetryInfo reads when to try again from the details of an error of Google's:
// https://cloud.google.com/apis/design/errors#error_details.
func readRetryInfo(e *llmprovider.Error, details []byte) {
	for detail := range jsonscan.Elements(details) {
		wait, err := time.ParseDuration(jsonscan.Text(jsonscan.Get(detail, "retryDelay")))
		if err == nil && wait > 0 && wait < 24*time.Hour {
			e.RetryAfter = wait
		}
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

// meaning is what a type or code of a provider's error says: the HTTP status of an
// error inside a stream, and OpenAI's type and code, both empty for those that are
// OpenAI's own.
type meaning struct {
	status     int
	kind, code string
}

// Types of OpenAI's errors beside those of llmprovider.
const (
	typeRateLimit = "rate_limit_error"
	typeQuota     = "insufficient_quota"
)

// meanings are the types and codes of all APIs; the sources are those of the
// packages.
var meanings = map[string]meaning{
	"invalid_request_error": {status: 400}, "context_length_exceeded": {status: 400}, "content_filter": {status: 400}, "invalid_prompt": {status: 400},
	"invalid_api_key": {status: 401}, "model_not_found": {status: 404}, "rate_limit_exceeded": {status: 429}, typeQuota: {status: 429},
	"tokens": {status: 429}, "requests": {status: 429},

	"authentication_error": {401, llmprovider.TypeInvalidRequest, "invalid_api_key"}, "billing_error": {402, typeQuota, typeQuota},
	"permission_error": {status: 403}, "not_found_error": {404, llmprovider.TypeInvalidRequest, ""}, "request_too_large": {413, llmprovider.TypeInvalidRequest, ""},
	"rate_limit_error": {429, typeRateLimit, "rate_limit_exceeded"}, "api_error": {500, llmprovider.TypeServer, ""},
	"timeout_error": {504, llmprovider.TypeServer, "timeout"}, "overloaded_error": {llmprovider.StatusOverloaded, llmprovider.TypeServer, "overloaded"},

	"INVALID_ARGUMENT": {400, llmprovider.TypeInvalidRequest, ""}, "FAILED_PRECONDITION": {400, llmprovider.TypeInvalidRequest, ""},
	"OUT_OF_RANGE": {400, llmprovider.TypeInvalidRequest, ""}, "UNAUTHENTICATED": {401, llmprovider.TypeInvalidRequest, "invalid_api_key"},
	"PERMISSION_DENIED": {403, llmprovider.TypePermission, ""}, "NOT_FOUND": {404, llmprovider.TypeInvalidRequest, ""},
	"RESOURCE_EXHAUSTED": {429, typeRateLimit, "rate_limit_exceeded"}, "INTERNAL": {500, llmprovider.TypeServer, ""},
	"UNAVAILABLE": {503, llmprovider.TypeServer, "overloaded"}, "DEADLINE_EXCEEDED": {504, llmprovider.TypeServer, "timeout"},

	"validationException": {400, llmprovider.TypeInvalidRequest, ""}, "conflictException": {400, llmprovider.TypeInvalidRequest, ""},
	"accessDeniedException": {403, llmprovider.TypePermission, ""}, "resourceNotFoundException": {404, llmprovider.TypeInvalidRequest, ""},
	"unrecognizedClientException": {401, llmprovider.TypeInvalidRequest, "invalid_api_key"},
	"throttlingException":         {429, typeRateLimit, "rate_limit_exceeded"}, "serviceQuotaExceededException": {429, typeRateLimit, "rate_limit_exceeded"},
	"modelNotReadyException": {429, typeRateLimit, "rate_limit_exceeded"}, "internalServerException": {500, llmprovider.TypeServer, ""},
	"modelErrorException": {502, llmprovider.TypeServer, ""}, "modelStreamErrorException": {502, llmprovider.TypeServer, ""},
	"serviceUnavailableException": {503, llmprovider.TypeServer, "overloaded"}, "modelTimeoutException": {504, llmprovider.TypeServer, "timeout"},
}

// meaningOf looks a name up. AWS writes its exceptions with a capital in HTTP
// responses and without in streams.
func meaningOf(name string) (meaning, bool) {
	if strings.HasSuffix(name, "Exception") {
		name = strings.ToLower(name[:1]) + name[1:]
	}
	m, ok := meanings[name]
	return m, ok
}

// settleError fills in what an error does not say: the status from its code or type,
// and its type and code in OpenAI's words.
func settleError(e *llmprovider.Error) *llmprovider.Error {
	kind, code := e.Type, e.Code
	for _, name := range [...]string{code, kind} {
		m, ok := meaningOf(name)
		if !ok {
			continue
		}
		if e.Status == 0 {
			e.Status = m.status
		}
		if m.kind != "" {
			e.Type, e.Code = m.kind, m.code
		}
		break
	}
	if e.Status == 0 {
		e.Status = http.StatusBadGateway
	}
	if e.Type == "" {
		e.Type = llmprovider.TypeServer
		if e.Status < http.StatusInternalServerError {
			e.Type = llmprovider.TypeInvalidRequest
		}
	}
	return e
}

// Named returns the error with the name that the provider gives it outside its body,
// such as the exception of a frame.
func Named(e *llmprovider.Error, name string) *llmprovider.Error {
	if name, _, _ = strings.Cut(word(name), ":"); name == "" {
		return e
	}
	e.Code, e.Type = name, ""
	if m, ok := meaningOf(name); ok && e.Status == http.StatusBadGateway {
		e.Status = m.status
	}
	return settleError(e)
}

// cutText cuts a text to what may be told of a provider's error.
func cutText(text string) string {
	if len(text) <= maxErrorText {
		return text
	}
	n := maxErrorText
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

// told returns a provider's error as a client of the API is told it: in the API's
// shape, with a status that its SDK knows, and without what only the provider's API
// has.
func told(e *llmprovider.Error, api *API) *llmprovider.Error {
	out := *e
	out.API, out.Param = api.Errors, ""
	switch out.Status {
	case llmprovider.StatusOverloaded:
		if api.Errors != llmprovider.MessagesAPI {
			out.Status = http.StatusServiceUnavailable
		}
	case http.StatusServiceUnavailable:
		if api.Errors == llmprovider.MessagesAPI {
			out.Status = llmprovider.StatusOverloaded
		}
	case http.StatusFailedDependency: // the model failed at Bedrock
		out.Status = http.StatusBadGateway
	case http.StatusPaymentRequired:
		if api.Errors == llmprovider.OpenAIAPI {
			out.Status = http.StatusTooManyRequests
		}
	case http.StatusTooManyRequests:
		if api.Errors == llmprovider.MessagesAPI && (out.Code == typeQuota || out.Type == typeQuota) {
			out.Status = http.StatusPaymentRequired
		}
	}
	return &out
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
