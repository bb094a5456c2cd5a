package bedrock

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/cloud"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/dialect/converse"
	"github.com/caddy-llm/gateway/llmprovider/dialect/messages"
)

const mediaEvents = "application/vnd.amazon.eventstream"

var eventStream = []string{"text/event-stream"}

// readMessages is the function for Outgoing.NewReader of a client of Anthropic's API.
func readMessages(res *http.Response, events bool) llmprovider.Reader {
	if llmprovider.MediaType(res.Header) != mediaEvents || res.StatusCode >= http.StatusBadRequest {
		return cloud.MessagesErrors(res, events)
	}
	return &passed{frames: frames{Reader: dialect.NewWatch(messages.API, false)}}
}

// passed is frames for a client of Anthropic's API, to which a stream has ended at
// message_stop alone.
type passed struct{ frames }

// Ended implements llmprovider.Reader.
func (p *passed) Ended() bool { return p.stopped }

// Unfinished implements llmprovider.Reader.
func (p *passed) Unfinished() bool { return !p.stopped && !p.over }

// framed returns the reader of a response whose events reader reads as server-sent ones:
// in Amazon's binary stream they stand in frames.
func framed(res *http.Response, reader llmprovider.Reader) llmprovider.Reader {
	if llmprovider.MediaType(res.Header) != mediaEvents || res.StatusCode >= http.StatusBadRequest {
		return reader
	}
	return &frames{Reader: reader}
}

// frames takes the events of Anthropic's API out of the frames of
// InvokeModelWithResponseStream, and passes them on as server-sent events. A frame that is
// broken, and one with an exception, is the error that ends the stream.
type frames struct {
	llmprovider.Reader
	cutter converse.Frames
	event  []byte // the one that is passed on
	data   []byte
	over   bool // what comes is not read any more

	stopped bool // the event that ends a response has come
}

// Head implements llmprovider.Reader.
func (f *frames) Head(h *llmprovider.Head) {
	h.Header["Content-Type"] = eventStream
	delete(h.Header, "X-Amzn-Bedrock-Content-Type")
	h.Stream = true
	f.Reader.Head(h)
}

// Write implements llmprovider.Reader.
func (f *frames) Write(p []byte, pass func([]byte) error) error {
	if f.over {
		return nil
	}
	var failed error // to pass it on
	err := f.cutter.Read(p, func(kind, name string, payload []byte) error {
		if f.over {
			return nil
		}
		if kind != "event" {
			failed = f.fail(dialect.Named(dialect.ReadError(0, payload), name), pass)
			return failed
		}
		if name != "chunk" {
			return nil // of another kind, to be left out: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ResponseStream.html
		}
		if !f.read(payload) {
			failed = f.fail(dialect.Malformed("frame"), pass)
			return failed
		}
		failed = f.Reader.Write(f.event, pass)
		return failed
	})
	switch {
	case failed != nil:
		return failed
	case err != nil && !f.over:
		return f.fail(dialect.Malformed("frame"), pass)
	}
	return nil
}

// read writes the event in a payload as a server-sent one. It reports whether it is one.
func (f *frames) read(payload []byte) bool {
	encoded := gjson.GetBytes(payload, "bytes")
	if encoded.Type != gjson.String {
		return false
	}
	var err error
	if f.data, err = base64.StdEncoding.AppendDecode(f.data[:0], []byte(encoded.Str)); err != nil || !gjson.ValidBytes(f.data) {
		return false
	}
	name := gjson.GetBytes(f.data, "type").Str
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return false
	}
	for i, c := range f.data {
		if c == '\r' || c == '\n' {
			f.data[i] = ' ' // between values, where JSON has them
		}
	}
	f.stopped = f.stopped || name == "message_stop"
	f.event = append(append(append(f.event[:0], "event: "...), name...), "\ndata: "...)
	f.event = append(append(f.event, f.data...), "\n\n"...)
	return true
}

// fail ends the stream with an error.
func (f *frames) fail(err *llmprovider.Error, pass func([]byte) error) error {
	f.over = true
	event := err.EventOf(llmprovider.Chat, llmprovider.MessagesAPI, 0)
	return f.Reader.Write(bytes.TrimLeft(event, "\n"), pass) // each event before it has ended
}

// Interface guards
var (
	_ llmprovider.Reader = (*frames)(nil)
	_ llmprovider.Reader = (*passed)(nil)
)
