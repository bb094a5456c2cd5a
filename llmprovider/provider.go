// Package llmprovider turns a client's request into a provider's: endpoints, the rewrite of
// the body, the shape of errors, and what is known of responses; package tap reads them. It
// may import what is in internal and the names of headers, and knows nothing of connections,
// kinds and routes. Begin with Provider, Inbound and Attempt.
package llmprovider

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// Provider is a module in the llm.providers namespace: one account at one LLM
// API. It is immutable once provisioned and safe for concurrent use.
type Provider interface {
	caddy.Module

	// ServerAddress is the provider's host name, lower case and without port:
	// the name clients may call, and the one in logs and metrics.
	ServerAddress() string

	// Timeouts are the provider's time limits, defaults filled in.
	Timeouts() Timeouts

	// Has reports whether the provider has the endpoint at the path that was called
	// (e.Own), so that a client may call the gateway as it would call the provider.
	Has(e Endpoint) bool

	// RequestModel is the model that a request would be sent with under these
	// settings. fixed reports whether it comes from the configuration; otherwise it
	// is the client's own text.
	RequestModel(in *Inbound, s Settings) (model string, fixed bool)

	// NewAttempt builds the provider's request for in under these settings. It
	// depends on its arguments and the provider's configuration alone, never
	// on an earlier attempt.
	NewAttempt(ctx context.Context, in *Inbound, s Settings) (*Attempt, *Error)

	// RoundTrip sends an attempt's request.
	RoundTrip(*http.Request) (*http.Response, error)

	// ConfiguredModels lists the models that the configuration names.
	ConfiguredModels() []string

	// CheckCredentials reports which of the provider's credentials are unavailable
	// now, and why.
	CheckCredentials() error

	// CredentialRef names where the key comes from, never the key itself; it
	// is empty without one.
	CredentialRef(rule string) string

	// Copy returns the configuration alone, to be provisioned by another
	// owner.
	Copy() Provider
}

// ModelLister is a Provider that has lists of models.
type ModelLister interface {
	// ModelLists returns the URLs of the provider's own lists of models. They are not
	// changed.
	ModelLists() ([]*url.URL, *Error)

	// ModelsRequest builds the request for such a list, or for a page of it: u is one of
	// ModelLists, or the same with another query. loop is what MarkLoop returned for the
	// client's request.
	ModelsRequest(ctx context.Context, u *url.URL, loop []string) (*http.Request, *Error)
}

// Streamer is implemented by providers whose configuration may say whether responses
// are streamed. For others it is as the client asks.
type Streamer interface {
	// RequestStream reports whether a request with these settings would be sent for a
	// stream.
	RequestStream(in *Inbound, s Settings) bool
}

// Filtered is implemented by providers whose configuration names guards and prompts for all
// requests that may be sent to them.
type Filtered interface {
	FilterNames() (guards, prompts []string)
}

// Timeouts are a provider's time limits.
type Timeouts struct {
	// FirstByte bounds the wait for the response headers, connecting included.
	FirstByte time.Duration
	// Idle bounds the silence inside a response's body.
	Idle time.Duration
}

// Head is the beginning of a response as the client is to get it.
type Head struct {
	// Status is the HTTP status code.
	Status int
	// Header is what the provider sent, less what its connection alone concerns.
	Header http.Header
	// Stream reports whether events are passed on as they come, so that an error on
	// the way is written as one more event.
	Stream bool
}

// Reader passes a response on to the client, changed where it has to be, and reads
// its usage on the way.
type Reader interface {
	// Head takes the head of the response before its body. The reader may change it
	// there, and, unless it is that of a stream, at any time until it passes on the
	// first byte of the body.
	Head(*Head)

	// Write takes what was read and passes on what the client is to get. The
	// slices are valid only during the call.
	Write(p []byte, pass func([]byte) error) error

	// Finish passes on what was held back, once the body has ended cleanly.
	Finish(pass func([]byte) error) error

	// Usage is what is known so far.
	Usage() *Usage

	// Ended reports whether the response said itself that it is complete.
	Ended() bool

	// Content reports whether content has come: in a stream an event that has some.
	Content() bool

	// Settled reports whether the usage that ends a stream has come.
	Settled() bool

	// Unfinished reports whether the response itself says that more was to come.
	Unfinished() bool

	// ErrorEvent returns the error as the event that ends the stream, in the shape
	// of its API.
	ErrorEvent(err *Error) []byte

	// Failed reports whether the response carried an error after it had begun.
	Failed() bool

	// Failure is the beginning of that error as the provider wrote it, in JSON.
	Failure() []byte
}
