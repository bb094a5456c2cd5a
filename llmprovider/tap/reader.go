// Package tap reads responses while they pass on to the client: the usage, the finish reason
// and the errors of JSON documents and of streams, in whatever pieces they come, and what
// a response of status 2xx has that is no response. It holds back as little as it can and
// changes nothing but usage that the client did not ask for. It may import llmprovider and
// the scanner of JSON. Begin with NewReader.
package tap

import (
	"net/http"

	"github.com/caddy-llm/gateway/llmprovider"
)

// NewReader returns the reader for an attempt's response: that of the attempt's kind, if it
// has one, or else one that passes the response on. events reports whether it is a stream
// of server-sent events, whatever its content type says. It is called once, when there is
// a response: the attempt then lets go of the request.
func NewReader(a *llmprovider.Attempt, res *http.Response, events bool) llmprovider.Reader {
	if r := a.OwnReader(res, events); r != nil {
		return r
	}
	switch {
	case llmprovider.Compressed(res.Header):
	case events:
		r := new(eventReader)
		r.tap.usage, r.tap.hide, r.usage.operation = &r.usage, a.HideUsage, a.Endpoint.Operation
		r.usage.api = a.Endpoint.API
		return r
	case llmprovider.MediaType(res.Header) == "application/json":
		r := new(jsonReader)
		r.tap.usage, r.usage.operation = &r.usage, a.Endpoint.Operation
		r.usage.api = a.Endpoint.API
		return r
	}
	return new(plainReader)
}

// Plain returns a reader that passes everything on unread.
func Plain() llmprovider.Reader { return new(plainReader) }

// plainReader passes everything on unread.
type plainReader struct{ usage usageReader }

func (r *plainReader) Head(*llmprovider.Head)                        {}
func (r *plainReader) Write(p []byte, pass func([]byte) error) error { return pass(p) }
func (r *plainReader) Finish(func([]byte) error) error               { return nil }
func (r *plainReader) Usage() *llmprovider.Usage                     { return &r.usage.Usage }
func (r *plainReader) Ended() bool                                   { return false }
func (r *plainReader) Failed() bool                                  { return false }
func (r *plainReader) Failure() []byte                               { return nil }
func (r *plainReader) Content() bool                                 { return true }
func (r *plainReader) Settled() bool                                 { return false }
func (r *plainReader) Unfinished() bool                              { return false }
func (r *plainReader) ErrorEvent(err *llmprovider.Error) []byte      { return err.Event() }

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

func (r *eventReader) ErrorEvent(err *llmprovider.Error) []byte {
	return err.EventOf(r.usage.operation, r.usage.api, r.tap.events)
}

// Interface guards
var (
	_ llmprovider.Reader = (*plainReader)(nil)
	_ llmprovider.Reader = (*jsonReader)(nil)
	_ llmprovider.Reader = (*eventReader)(nil)
)
