// Package dialect translates between LLM APIs. It holds what they have in common: the
// meaning of a request and of a response as data that points into the source's bytes.
// Where client and provider speak the same API, none of this is used and the bytes
// pass through.
//
// An exchange takes three calls:
//
//	request, err := dialect.Read(client, body, call)             // once
//	sent, err := dialect.Translate(request, provider, target)    // for each attempt
//	response := dialect.NewResponse(provider, client, options)   // before body is released
//
// Read and Translate return what the client is to be told if they cannot. Translate
// also returns what the provider is not told (Loss). Response is an llmprovider.Reader
// that passes on the client's response; it takes the head of the provider's first.
//
// One API each is in the packages below: chat, responses, messages, gemini,
// converse. Each reads a client's request into a Request and writes one from it, and
// reads a provider's response into Events and writes one from them. This package
// imports llmprovider and internal/jsonscan. Start reading at translate.go and
// response.go, then Request, Event and API.
package dialect

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"

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

	// Errors is the shape of its errors.
	Errors llmprovider.API

	// RequestIDHeader is the response header that has the API's id of a request, in
	// canonical form; empty if it has none.
	RequestIDHeader string

	// InputTokensHeader is the response header that has the number of a prompt's tokens,
	// in canonical form, for an API whose body may not say it; empty if it has none.
	InputTokensHeader string

	// Path returns the path and the query, without its question mark, of a request
	// below the path that all of the API's requests have.
	Path func(r *Request, target *Target) (path, query string)

	// CallID is the field of a request that has the id of a call, for errors.
	CallID string
	// CountMember is the member of a response that has the number of a prompt's
	// tokens; empty if the API does not count. CountHead is what that response begins
	// with, up to that member.
	CountMember, CountHead string

	// SignedParts reports whether parts other than reasoning carry opaque state.
	SignedParts bool

	// MaxToolName is the length of the longest name of a tool that the API takes, in bytes.
	// Longer ones are shortened for it, and the client gets its own back. 0 is for an API
	// without tools.
	MaxToolName int

	// Arrays reports whether a stream may come as one JSON array.
	Arrays bool

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
}

// DefaultMaxOutput is the output cap, in tokens, of requests to an API that needs one
// where neither the client nor the provider's configuration has one.
const DefaultMaxOutput = 8192

// Target is what the provider's request is to have beside what the client asked.
type Target struct {
	// Model is the model to ask for. APIs that cannot do without one refuse a
	// request whose model is empty.
	Model string
	// Stream reports whether to ask for a stream.
	Stream bool
	// NoStreamOptions leaves out the option that asks for usage in a stream, where
	// the provider is known to reject it.
	NoStreamOptions bool
	// MaxOutput is the output cap where the API needs one and the client names
	// none, in tokens. Default: DefaultMaxOutput.
	MaxOutput int
	// Profile is what is known of the provider's habits; never nil.
	Profile *Profile
	// Vendor is the provider's origin tag for reasoning; see Carrier. Default: that of
	// the profile.
	Vendor string
	// MaxFetched is how much of media that the client gives as URLs may stand in the body
	// where the API takes no URLs, as it was fetched, in bytes; 0 where nothing may be
	// fetched. Fetched has what was.
	MaxFetched int64
	Fetched    map[Wanted]*Fetched
	// Than, if it is set, is what is lost otherwise: a translation that loses no less is
	// given up.
	Than *Loss
}

// ResponseOptions are what the reader and the writer of a response need to know.
type ResponseOptions struct {
	// Request is the client's request as it was read. What of it points into the
	// source is used only while a Response is made.
	Request *Request
	// Model is the name of the model that the client is told: the one it asked
	// for. If it is empty, it is the one that the provider names.
	Model string
	// Stream reports whether the client gets a stream. What the provider sends is
	// seen from its response.
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

	// InputTokens is how many tokens the prompt has by the header of the response, and 0
	// where it has none; see API.InputTokensHeader. Response fills it in.
	InputTokens int64

	// What of the request is needed until the response has ended, in memory of its
	// own. NewResponse fills it in.
	Kept
}

// Namespaced is a tool in a namespace.
type Namespaced struct{ Namespace, Local string }

// Kept is what a response needs of its request.
type Kept struct {
	// Custom are the names of the tools that take free text, as the provider knows them.
	// Some APIs do not have these: a request's writer makes functions with one property
	// of them.
	Custom map[string]bool
	// Namespaced are the tools in namespaces of the Responses API, by what the model
	// knows them by.
	Namespaced map[string]Namespaced
	// Named are the client's own names of tools, by the short ones that the provider got.
	Named map[string]string
	// StreamUsage reports whether the client asks for usage in a stream.
	StreamUsage bool
	// Legacy reports whether the client knows functions and no tools.
	Legacy bool
	// Count reports whether only the prompt's tokens are asked for.
	Count bool
	// Inputs is how many vectors a request for embeddings asks for; Base64 and Batch
	// are those of Embed.
	Inputs        int
	Base64, Batch bool
}

// IDOf returns the response's id as the client is told it, without the prefix that its
// API has. start is the event that the response began with.
func (o *ResponseOptions) IDOf(start *Event) string {
	if start.ID == "" {
		return BareID(o.ID)
	}
	return BareID(start.ID)
}

// maxCallID bounds the part of a call's id that is the response's, in bytes: OpenAI takes
// ids of 64 at most.
const maxCallID = 40

// CallID returns an id for a call of a response that has none. response is the response's
// id as its provider gives it. It is unique in a conversation, since the response's id is.
func (o *ResponseOptions) CallID(response string, choice, call int) string {
	if response == "" {
		response = o.ID
	}
	if response = BareID(response); len(response) > maxCallID {
		sum := sha256.Sum256([]byte(response))
		response = hex.EncodeToString(sum[:maxCallID/2])
	}
	return "call_" + response + "_" + strconv.Itoa(choice) + "_" + strconv.Itoa(call)
}

// ModelOf returns the name of the model that the client is told.
func (o *ResponseOptions) ModelOf(start *Event) string {
	if o.Model == "" {
		return start.Model
	}
	return o.Model
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
