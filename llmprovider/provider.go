// Package llmprovider turns a client's request into a provider's and reads the
// answer: endpoints, credentials, the rewrite of the body, connections, usage,
// and the shape of errors. It knows nothing of routes.
package llmprovider

import (
	"context"
	"net/http"
	"strings"
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

	// CheckCredentials tells which of the provider's credentials cannot be had
	// now, and why.
	CheckCredentials() error

	// CredentialRef names where the key comes from, never the key itself; it
	// is empty without one.
	CredentialRef(rule string) string

	// Copy returns the configuration alone, to be provisioned by another
	// owner.
	Copy() Provider
}

// ModelLister is a Provider that has a list of models.
type ModelLister interface {
	// ModelsRequest builds the request for the provider's own list of models. loop is
	// what MarkLoop returned for the client's request.
	ModelsRequest(ctx context.Context, loop []string) (*http.Request, *Error)
}

// Streamer is implemented by providers whose configuration may say whether responses
// are streamed. For others it is as the client asks.
type Streamer interface {
	// RequestStream reports whether a request with these settings would be sent for a
	// stream.
	RequestStream(in *Inbound, s Settings) bool
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

	// Ended reports whether the answer said itself that it is complete.
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

	// Failed reports whether the answer carried an error after it had begun.
	Failed() bool

	// Failure is the beginning of that error as the provider wrote it, in JSON.
	Failure() []byte
}

// NewReader returns the reader for the attempt's response. events reports whether it
// is a stream of server-sent events, whatever its content type says. It is called once,
// when there is a response: the attempt then lets go of the request, which is not to be
// held for as long as a stream is open.
func (a *Attempt) NewReader(res *http.Response, events bool) Reader {
	newReader := a.newReader
	a.newReader, a.segs, a.buf = nil, segments{}, nil
	if newReader != nil {
		if r := newReader(res, events); r != nil {
			return r
		}
	}
	switch {
	case Compressed(res.Header):
	case events:
		r := new(eventReader)
		r.tap.usage, r.tap.hide, r.usage.operation = &r.usage, a.hideUsage, a.Endpoint.Operation
		r.usage.api = a.Endpoint.API
		return r
	case MediaType(res.Header) == "application/json":
		r := new(jsonReader)
		r.tap.usage, r.usage.operation = &r.usage, a.Endpoint.Operation
		r.usage.api = a.Endpoint.API
		return r
	}
	return new(plainReader)
}

// IsEvents reports whether a header says that its response is a stream of server-sent
// events.
func IsEvents(header http.Header) bool { return MediaType(header) == "text/event-stream" }

// Compressed reports whether a body is compressed.
func Compressed(header http.Header) bool {
	encoding := header.Get("Content-Encoding")
	return encoding != "" && !strings.EqualFold(encoding, "identity")
}

// PlainReader returns a reader that passes everything on unread.
func PlainReader() Reader { return new(plainReader) }

// plainReader passes everything on unread.
type plainReader struct{ usage usageReader }

func (r *plainReader) Head(*Head)                                    {}
func (r *plainReader) Write(p []byte, pass func([]byte) error) error { return pass(p) }
func (r *plainReader) Finish(func([]byte) error) error               { return nil }
func (r *plainReader) Usage() *Usage                                 { return &r.usage.Usage }
func (r *plainReader) Ended() bool                                   { return false }
func (r *plainReader) Failed() bool                                  { return false }
func (r *plainReader) Failure() []byte                               { return nil }
func (r *plainReader) Content() bool                                 { return true }
func (r *plainReader) Settled() bool                                 { return false }
func (r *plainReader) Unfinished() bool                              { return false }
func (r *plainReader) ErrorEvent(err *Error) []byte                  { return err.Event() }

// jsonReader reads a JSON document.
type jsonReader struct {
	plainReader
	tap jsonTap
}

func (r *jsonReader) Write(p []byte, pass func([]byte) error) error {
	r.tap.write(p)
	return pass(p)
}

func (r *jsonReader) Ended() bool      { return r.tap.complete() }
func (r *jsonReader) Unfinished() bool { return r.tap.depth > 0 || r.tap.inString }

// eventReader reads server-sent events.
type eventReader struct {
	plainReader
	tap eventTap
}

func (r *eventReader) Write(p []byte, pass func([]byte) error) error { return r.tap.write(p, pass) }
func (r *eventReader) Finish(pass func([]byte) error) error          { return r.tap.finish(pass) }
func (r *eventReader) Ended() bool                                   { return r.tap.ended }
func (r *eventReader) Failed() bool                                  { return r.tap.failed }
func (r *eventReader) Failure() []byte                               { return r.tap.failure }
func (r *eventReader) Content() bool                                 { return r.tap.content }
func (r *eventReader) Settled() bool                                 { return r.tap.settled }
func (r *eventReader) Unfinished() bool                              { return r.tap.unfinished() }

func (r *eventReader) ErrorEvent(err *Error) []byte {
	return err.EventOf(r.usage.operation, r.usage.api, r.tap.events)
}

// Interface guards
var (
	_ Reader = (*plainReader)(nil)
	_ Reader = (*jsonReader)(nil)
	_ Reader = (*eventReader)(nil)
)
