// Package dialect holds what LLM APIs have in common: the meaning of a request and
// of a response as data that points into the source's bytes. A request is read from
// the client's API into a Request and written from it in the provider's; a response
// is read into Events and written from them. What one side says and the other
// cannot is collected as Loss. Where client and provider speak the same API, none of
// this is used and the bytes pass through.
//
// One API each is in the packages below: chat, responses, messages, gemini,
// converse. This package imports llmprovider and internal/jsonscan. Begin with
// Request, then Event, then API.
package dialect

import (
	"github.com/caddy-llm/gateway/llmprovider"
)

// JSON is one JSON value as its source wrote it, or nil for none. Its bytes belong
// to the source and are not changed. A string is with its quotes and escapes, so
// that it can be written into another document as it is.
type JSON []byte

// API is one LLM API in both directions. An API that no provider speaks has no
// WriteRequest and ReadResponse; one that no client speaks has no ReadRequest and
// WriteResponse. An API is stateless and safe for concurrent use.
type API struct {
	// Name is the API's name in options, logs and headers: chat, responses,
	// messages, gemini, converse.
	Name string

	// Paths are the names of the API's own fields, by concept: what Loss reports
	// to a client of this API.
	Paths map[Concept]string

	// ReadRequest reads a client's request, whose body is valid JSON, into r, in
	// which nothing but API is set. The error is what the client is to be told: the
	// request has a form that its API does not know, such as a member of another
	// type. Callers use Read.
	ReadRequest func(r *Request, body []byte, call Call) *llmprovider.Error

	// WriteRequest writes a request for the provider. The error is a refusal: the
	// request asks for what the API cannot do.
	WriteRequest func(*Request, Target) ([]byte, *llmprovider.Error)

	// NewResponseReader returns the reader of a provider's response.
	NewResponseReader func(ResponseOptions) ResponseReader

	// NewResponseWriter returns the writer of the response for the client.
	NewResponseWriter func(ResponseOptions) ResponseWriter
}

// Call is what a request says beside its body.
type Call struct {
	// Model is the model that the path names; empty if the body does.
	Model string
	// Stream reports whether the path asks for a stream.
	Stream bool
	// Count reports whether only the prompt's tokens are asked for.
	Count bool
	// Betas are the values of the header anthropic-beta.
	Betas []string
}

// Target is what the provider's request is to have beside what the client asked.
type Target struct {
	// Model is the model to ask for.
	Model string
	// Stream reports whether to ask for a stream.
	Stream bool
	// MaxOutput is the output cap where the API needs one and the client names
	// none, in tokens.
	MaxOutput int
	// Profile is what is known of the provider's habits; never nil.
	Profile *Profile
	// Vendor is the provider's origin tag for reasoning; see Carrier.
	Vendor string
}

// ResponseOptions are what the reader and the writer of a response need to know.
type ResponseOptions struct {
	// Request is the client's request as it was read. What of it points into the
	// source is valid only while the reader and the writer are made.
	Request *Request
	// Model is the name of the model that the client is told: the one it asked
	// for.
	Model string
	// Stream reports whether the response is a stream.
	Stream bool
	// Array reports whether the client wants a stream as one JSON array, as Google's
	// API has it without alt=sse.
	Array bool
	// Vendor is the provider's origin tag for reasoning; see Carrier.
	Vendor string
	// ID is the gateway's own id of the response, for APIs whose provider sends
	// none.
	ID string
	// Created is when the request arrived, in seconds since 1970.
	Created int64
}

// ResponseReader reads a provider's response in pieces and emits its events. It
// serves one response and is not safe for concurrent use. Slices in events are
// valid only during the call of emit. An error of emit is returned as it is and
// ends the reading.
type ResponseReader interface {
	// Read takes the next piece, which may end anywhere.
	Read(p []byte, emit func(*Event) error) error

	// Close is called once the body has ended in order. It emits what was held
	// back, and a Failure if the response is not complete.
	Close(emit func(*Event) error) error
}

// ResponseWriter writes a response for the client from its events. It serves one
// response and is not safe for concurrent use.
type ResponseWriter interface {
	// ContentType is that of the response.
	ContentType() string

	// Append appends what the event adds to the response. A response that is not
	// streamed is appended whole at End.
	Append(dst []byte, e *Event) []byte
}
