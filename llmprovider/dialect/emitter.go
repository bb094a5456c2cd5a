package dialect

import (
	"bytes"

	"github.com/caddy-llm/gateway/llmprovider"
)

// Emitter is what the readers of responses have in common: it passes events on.
type Emitter struct {
	// Emit takes the events. It is set at each call of the reader.
	Emit func(*Event) error
	// Err is the first error of Emit. After it nothing is passed on.
	Err error
	// Over reports whether the response has come to its end.
	Over bool

	event Event
}

// Send passes an event on.
func (r *Emitter) Send(e Event) {
	if r.Err == nil && !r.Over {
		r.event = e
		r.Err = r.Emit(&r.event)
	}
}

// Ping passes on that the provider is still at work.
func (r *Emitter) Ping() { r.Send(Event{Kind: Ping}) }

// End ends the response, once.
func (r *Emitter) End() {
	r.Send(Event{Kind: End})
	r.Over = true
}

// Fail ends the response with an error, unless it has ended.
func (r *Emitter) Fail(err *llmprovider.Error) {
	r.Send(Event{Kind: Failure, Err: err})
	r.Over = true
}

// Part passes on a part that is whole. open is its beginning, but for its kind of
// event, and with the log probabilities of its text.
func (r *Emitter) Part(open Event, text []byte, signature Carrier) {
	open.Kind = Open
	r.Send(open)
	if len(text) > 0 || !signature.Empty() {
		r.Send(Event{Kind: Delta, Choice: open.Choice, Part: open.Part, Text: text, Signature: signature, LogProbs: open.LogProbs})
	}
	r.Send(Event{Kind: Close, Choice: open.Choice, Part: open.Part})
}

// Media passes on that there is a medium.
func (r *Emitter) Media(choice int) { r.Send(Event{Kind: MediaEvent, Choice: choice}) }

// Usage passes on what was counted, if anything was.
func (r *Emitter) Usage(u *llmprovider.Usage) {
	if u.Known {
		r.Send(Event{Kind: UsageEvent, Usage: u})
	}
}

// ModelFailed is the error for a response whose model failed. reason is the
// provider's word for it.
func ModelFailed(reason string) *llmprovider.Error {
	e := Malformed("")
	e.Code, e.Message = "model_failed", "the provider's model ended with "+bounded(reason)+" instead of a response; send the request again"
	return e
}

// Index reads a small number, and returns -1 for what is none.
func Index(value JSON) int {
	n := 0
	for _, c := range value {
		if c < '0' || c > '9' || n > 1<<20 {
			return -1
		}
		n = 10*n + int(c-'0')
	}
	return n
}

// Count reads a count of tokens. ok is false for what is none.
func Count(value JSON) (n int64, ok bool) {
	for _, c := range value {
		if c < '0' || c > '9' || n > 1<<40 {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	return n, len(value) > 0
}

// Between returns what is between an array's brackets, or nil for an empty one and
// for another value.
func Between(array JSON) JSON {
	if len(array) < 2 || array[0] != '[' {
		return nil
	}
	inner := bytes.TrimSpace(array[1 : len(array)-1])
	if len(inner) == 0 {
		return nil
	}
	return inner
}
