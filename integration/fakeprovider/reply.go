package fakeprovider

import (
	"net/http"
	"slices"
	"time"
)

// Framing says how the end of a body is marked on the wire.
type Framing int

const (
	// FramingAuto is correct HTTP: a Content-Length for Body, chunks for Steps.
	FramingAuto Framing = iota
	// FramingClose sends neither length nor chunks and closes the connection
	// at the end. HTTP/1.1 only.
	FramingClose
	// FramingHTTP10 is FramingClose under an HTTP/1.0 status line. HTTP/1.1 only.
	FramingHTTP10
	// FramingLength declares Reply.ContentLength, whatever is sent, and closes
	// the connection at the end.
	FramingLength
	// FramingRaw sends Reply.RawHead as it is, then the bytes of the steps, and
	// closes the connection at the end. HTTP/1.1 only.
	FramingRaw
)

// Reply is what the server does with one request. The zero value is an empty
// 200. Replies are values: the methods below return changed copies, so one can
// be kept and varied.
type Reply struct {
	// Status is 200 when 0.
	Status int
	// Header is sent as it is; Content-Length and Transfer-Encoding follow
	// from Framing.
	Header http.Header
	// Body is sent in one piece when there are no Steps.
	Body []byte
	// Before runs before the head is sent.
	Before []Step
	// Steps make the body, one after the other. With Steps, the head goes out
	// at once and each Send is flushed.
	Steps []Step
	// Framing is correct HTTP by default.
	Framing Framing
	// ContentLength is what FramingLength declares.
	ContentLength int64
	// RawHead is what FramingRaw sends in place of status line and headers.
	RawHead []byte
}

// JSON is a complete JSON reply; body is sent byte for byte.
func JSON(status int, body string) Reply { return Bytes(status, "application/json", []byte(body)) }

// Bytes is a complete reply with a Content-Length.
func Bytes(status int, contentType string, body []byte) Reply {
	return Reply{Status: status, Header: http.Header{"Content-Type": {contentType}}, Body: body}
}

// SSE is an event stream. Each argument is one flush, sent byte for byte: an
// event with its blank line, a part of one, or several.
func SSE(events ...string) Reply {
	r := Reply{Header: http.Header{"Content-Type": {"text/event-stream"}, "Cache-Control": {"no-cache"}}}
	for _, e := range events {
		r.Steps = append(r.Steps, Send(e))
	}
	if r.Steps == nil {
		r.Steps = []Step{}
	}
	return r
}

// Stream is an event stream cut from raw bytes, one flush for each event.
func Stream(raw []byte) Reply {
	r := SSE()
	for _, e := range Events(raw) {
		r.Steps = append(r.Steps, Send(e.Raw))
	}
	return r
}

func (r Reply) clone() Reply {
	r.Header = r.Header.Clone()
	if r.Header == nil {
		r.Header = http.Header{}
	}
	r.Before = slices.Clone(r.Before)
	r.Steps = slices.Clone(r.Steps)
	return r
}

// stepped turns a Body into a single Send.
func (r Reply) stepped() Reply {
	r = r.clone()
	if r.Steps == nil {
		r.Steps = []Step{Send(r.Body)}
		r.Body = nil
	}
	return r
}

// WithStatus sets the status code.
func (r Reply) WithStatus(code int) Reply { r.Status = code; return r }

// WithHeader sets one header field; several values send it several times.
func (r Reply) WithHeader(name string, values ...string) Reply {
	r = r.clone()
	r.Header[http.CanonicalHeaderKey(name)] = values
	return r
}

// Then appends steps.
func (r Reply) Then(steps ...Step) Reply {
	r = r.stepped()
	r.Steps = append(r.Steps, steps...)
	return r
}

// After waits before the head.
func (r Reply) After(d time.Duration) Reply {
	r = r.clone()
	r.Before = append(r.Before, Pause(d))
	return r
}

// Every waits before each flush of the body.
func (r Reply) Every(d time.Duration) Reply {
	r = r.stepped()
	var steps []Step
	for _, s := range r.Steps {
		if s.op == opSend {
			steps = append(steps, Pause(d))
		}
		steps = append(steps, s)
	}
	r.Steps = steps
	return r
}

// InPieces sends the body in pieces of n bytes with a pause before each, so
// that events, lines and characters are cut anywhere. Other steps are dropped.
func (r Reply) InPieces(n int, pause time.Duration) Reply {
	all := r.payload()
	r = r.clone()
	r.Body, r.Steps = nil, []Step{}
	for piece := range slices.Chunk(all, max(n, 1)) {
		if pause > 0 {
			r.Steps = append(r.Steps, Pause(pause))
		}
		r.Steps = append(r.Steps, Send(piece))
	}
	return r
}

// payload is everything a reply would send if nothing stopped it.
func (r Reply) payload() []byte {
	all := slices.Clone(r.Body)
	for _, s := range r.Steps {
		if s.op == opSend {
			all = append(all, s.data...)
		}
	}
	return all
}

// CloseDelimited ends the body by closing the connection.
func (r Reply) CloseDelimited() Reply { r.Framing = FramingClose; return r }

// HTTP10 answers as an HTTP/1.0 server.
func (r Reply) HTTP10() Reply { r.Framing = FramingHTTP10; return r }

// DeclareLength sends n as Content-Length, right or wrong.
func (r Reply) DeclareLength(n int64) Reply {
	r.Framing, r.ContentLength = FramingLength, n
	return r
}

func (r Reply) status() int {
	if r.Status == 0 {
		return http.StatusOK
	}
	return r.Status
}

// Always scripts the same reply for every request.
func Always(r Reply) func(int, *Recorded) Reply {
	return func(int, *Recorded) Reply { return r }
}

// Sequence scripts one reply after the other; the last one is repeated.
func Sequence(replies ...Reply) func(int, *Recorded) Reply {
	return func(i int, _ *Recorded) Reply { return replies[min(i, len(replies)-1)] }
}
