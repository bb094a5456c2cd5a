package dialect

import (
	"net/http"

	"github.com/caddy-llm/gateway/llmprovider"
)

// Watch passes a provider's response on as it is, byte for byte, and reads of it what a
// Response reads: usage, the finish reason, whether it has content, has ended, or tells
// of an error. It is for clients that speak the provider's API. A response that the API
// does not know is passed on unread. Of a response that is one document it keeps what
// it reads, and of long texts and media their beginning alone.
//
// It serves one response and is not safe for concurrent use.
type Watch struct {
	read  Response
	skim  *skimmer // of a body that is no stream of events
	kept  []byte   // what the skimmer leaves of a piece
	blind bool     // what comes is not read any more
	cut   bool     // the body ended before the response was complete
}

// NewWatch returns the reader of a response in an API. count reports whether only a
// prompt's tokens were asked for.
func NewWatch(api *API, count bool) *Watch {
	w := &Watch{read: Response{from: api, to: api, writer: nowhere{}, options: ResponseOptions{Kept: Kept{Count: count}}, watched: true}}
	w.read.emit = w.read.take
	return w
}

// Head implements llmprovider.Reader. It changes nothing.
func (w *Watch) Head(h *llmprovider.Head) {
	if h.Status >= http.StatusBadRequest || llmprovider.Compressed(h.Header) {
		w.blind = true
		return
	}
	own := llmprovider.Head{Status: h.Status, Header: h.Header, Stream: h.Stream}
	if w.read.Head(&own); w.read.form == formUnknown {
		w.skim = new(skimmer)
	}
}

// Write implements llmprovider.Reader.
func (w *Watch) Write(p []byte, pass func([]byte) error) error {
	if !w.blind {
		seen := p
		if w.skim != nil {
			w.kept = w.skim.append(w.kept[:0], p)
			seen = w.kept
		}
		w.blind = w.read.Write(seen, discard) != nil
	}
	return pass(p)
}

// Finish implements llmprovider.Reader.
func (w *Watch) Finish(func([]byte) error) error {
	if !w.blind && w.read.failed == nil {
		w.cut = w.read.Finish(discard) != nil || w.read.failed != nil
	}
	return nil
}

// Usage implements llmprovider.Reader.
func (w *Watch) Usage() *llmprovider.Usage { return w.read.Usage() }

// Ended implements llmprovider.Reader.
func (w *Watch) Ended() bool { return w.read.Ended() }

// Content implements llmprovider.Reader.
func (w *Watch) Content() bool { return w.read.Content() }

// Settled implements llmprovider.Reader.
func (w *Watch) Settled() bool { return w.read.Settled() }

// Unfinished implements llmprovider.Reader.
func (w *Watch) Unfinished() bool { return w.cut }

// Failed implements llmprovider.Reader.
func (w *Watch) Failed() bool { return w.read.failed != nil && !w.cut }

// Failure implements llmprovider.Reader.
func (w *Watch) Failure() []byte { return w.read.Failure() }

// ErrorEvent implements llmprovider.Reader.
func (w *Watch) ErrorEvent(err *llmprovider.Error) []byte {
	return err.EventOf(llmprovider.Chat, w.read.to.Errors, 0)
}

func discard([]byte) error { return nil }

// nowhere writes nothing.
type nowhere struct{}

func (nowhere) ContentType() string                { return "" }
func (nowhere) Append(dst []byte, _ *Event) []byte { return dst }

// Interface guards
var (
	_ llmprovider.Reader = (*Watch)(nil)
	_ ResponseWriter     = nowhere{}
)
