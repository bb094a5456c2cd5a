package llmprovider

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"time"
)

// The error types of OpenAI's API that the gateway's own errors use.
const (
	TypeInvalidRequest = "invalid_request_error"
	TypePermission     = "permission_error"
	TypeServer         = "server_error"
)

// API is whose clients an error is written for.
type API int

// The APIs whose errors have a shape of their own.
const (
	OpenAIAPI   API = iota
	MessagesAPI     // Anthropic's
	GeminiAPI       // Google's
)

// Error is an error that the gateway itself makes. It is written in the shape
// that the client's API documents, so that an SDK raises its usual typed
// exception. It never contains a key.
type Error struct {
	Status  int    // HTTP status code
	Type    string // one of the Type constants
	Code    string // stable identifier, snake case
	Param   string // the request's member at fault, or empty
	Message string // what is wrong and what to do
	API     API    // the shape to write it in; default: OpenAI's

	// RequestID is the provider's id of the request, where the error is a provider's;
	// empty otherwise. Only Anthropic's API has a member for it.
	RequestID string

	// RetryAfter is when the client may try again, 0 if that is not known.
	RetryAfter time.Duration

	// Header are further headers of the response; nil for none.
	Header http.Header

	// Cause is the internal reason. It is logged, never sent.
	Cause error
}

// Error implements error.
func (e *Error) Error() string {
	if e.Cause != nil {
		return e.Message + ": " + e.Cause.Error()
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// JSON returns the error as the client's API writes it.
func (e *Error) JSON() []byte {
	switch e.API {
	case MessagesAPI:
		return e.messagesJSON()
	case GeminiAPI:
		return e.geminiJSON()
	}
	type body struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    *string `json:"code"`
	}
	b := body{Message: e.Message, Type: e.Type}
	if e.Param != "" {
		b.Param = &e.Param
	}
	if e.Code != "" {
		b.Code = &e.Code
	}
	out, _ := json.Marshal(map[string]body{"error": b}) // strings always marshal
	return out
}

// RetrySeconds is RetryAfter as the header Retry-After has it, in whole seconds.
func (e *Error) RetrySeconds() string {
	return strconv.Itoa(int((e.RetryAfter + time.Second - 1) / time.Second))
}

// Write sends the error as the response.
func (e *Error) Write(w http.ResponseWriter) error {
	body := e.JSON()
	h := w.Header()
	maps.Copy(h, e.Header)
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if e.RetryAfter > 0 {
		h.Set("Retry-After", e.RetrySeconds())
	}
	w.WriteHeader(e.Status)
	_, err := w.Write(body)
	return err
}

// WriteHead is Write for a client that has asked for the head of a response alone. There is no
// Content-Type: some clients read a body by it.
func (e *Error) WriteHead(w http.ResponseWriter) {
	h := w.Header()
	maps.Copy(h, e.Header)
	h["Content-Type"] = nil
	if e.RetryAfter > 0 {
		h.Set("Retry-After", e.RetrySeconds())
	}
	w.WriteHeader(e.Status)
}

// Event returns the error as a server-sent event, for a stream that fails after
// it has begun. OpenAI's SDKs raise an exception for it. The blank line before
// it ends the event in whose middle the stream may have broken off.
func (e *Error) Event() []byte {
	out := append([]byte("\n\ndata: "), e.JSON()...)
	return append(out, "\n\n"...)
}

// EventOf returns the error as the event that ends a stream of an endpoint. number is
// how many events with data the client got before.
func (e *Error) EventOf(operation Operation, api API, number int) []byte {
	switch {
	case api == MessagesAPI:
		return e.messagesEvent()
	case api == GeminiAPI:
		shaped := *e
		shaped.API = api
		return shaped.Event()
	case operation.IsResponses() || operation == Images || operation == Audio:
		return e.typedEvent(operation, number)
	}
	return e.Event()
}

// typedEvent returns the error as an event of the APIs whose events name their
// type. The Responses API documents its members at the top, and numbers events;
// what it sends, and what SDKs raise an exception for, has them in "error".
func (e *Error) typedEvent(operation Operation, number int) []byte {
	out := append([]byte("\n\nevent: error\ndata: "), `{"type":"error",`...)
	if operation.IsResponses() {
		out = fmt.Appendf(out, `"sequence_number":%d,`, number)
		code, _ := json.Marshal(e.Code)
		message, _ := json.Marshal(e.Message)
		out = fmt.Appendf(out, `"code":%s,"message":%s,"param":null,`, code, message)
	}
	out = append(out, e.JSON()[1:]...)
	return append(out, "\n\n"...)
}

// messagesEvent returns the error as an event of Anthropic's API, which ends a stream:
// https://docs.anthropic.com/en/docs/build-with-claude/streaming#error-events.
func (e *Error) messagesEvent() []byte {
	out := append([]byte("\n\nevent: error\ndata: "), e.messagesJSON()...)
	return append(out, "\n\n"...)
}

// Interface guards
var _ error = (*Error)(nil)
