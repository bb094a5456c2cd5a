package dialect

import (
	"strings"

	"github.com/caddy-llm/gateway/llmprovider"
)

// Translation is a request as it is sent to a provider of another API.
type Translation struct {
	Body []byte
	Loss Loss
}

// Read reads a client's request in the API from. The body must be valid JSON, and
// must not be changed while the request is in use.
func Read(from *API, body []byte, call Call) (*Request, *llmprovider.Error) {
	r := &Request{API: from, Source: body}
	if err := from.ReadRequest(r, body, call); err != nil {
		return nil, err
	}
	return r, nil
}

// Translate writes a request for a provider that speaks the API to. The request is
// not changed.
func Translate(r *Request, to *API, target Target) (*Translation, *llmprovider.Error) {
	if target.Profile == nil {
		target.Profile = new(Profile)
	}
	copied := *r // whose loss the writer adds to
	body, err := to.WriteRequest(&copied, target)
	if err != nil {
		return nil, err
	}
	return &Translation{Body: body, Loss: copied.Loss}, nil
}

// Response translates a provider's response into the client's API. It serves one
// response and is not safe for concurrent use.
type Response struct {
	reader ResponseReader
	writer ResponseWriter
	out    []byte
	usage  llmprovider.Usage
	ended  bool
	failed *llmprovider.Error
}

// NewResponse returns the translation of a response from the API from to the API
// to.
func NewResponse(from, to *API, options ResponseOptions) *Response {
	return &Response{reader: from.NewResponseReader(options), writer: to.NewResponseWriter(options)}
}

// ContentType is that of the translated response.
func (t *Response) ContentType() string { return t.writer.ContentType() }

// Write takes the next piece of the provider's response and passes on what the
// client is to get. The slices are valid only during the call.
func (t *Response) Write(p []byte, pass func([]byte) error) error {
	t.out = t.out[:0]
	if err := t.reader.Read(p, t.take); err != nil {
		return err
	}
	return t.flush(pass)
}

// Finish is called once the provider's response has ended in order.
func (t *Response) Finish(pass func([]byte) error) error {
	t.out = t.out[:0]
	if err := t.reader.Close(t.take); err != nil {
		return err
	}
	return t.flush(pass)
}

// Usage is what was counted so far.
func (t *Response) Usage() *llmprovider.Usage { return &t.usage }

// Ended reports whether the response is complete.
func (t *Response) Ended() bool { return t.ended }

// Failure is what went wrong in the response, or nil.
func (t *Response) Failure() *llmprovider.Error { return t.failed }

// over reports whether the response has come to an end. The first one counts.
func (t *Response) over() bool { return t.ended || t.failed != nil }

func (t *Response) take(e *Event) error {
	if t.over() {
		return nil
	}
	switch e.Kind {
	case UsageEvent:
		t.usage = *e.Usage
	case Finish:
		if e.Choice == 0 {
			t.usage.FinishReason = e.Reason.String()
		}
	case End:
		t.ended = true
	case Failure:
		t.failed = e.Err
	}
	t.out = t.writer.Append(t.out, e)
	return nil
}

func (t *Response) flush(pass func([]byte) error) error {
	if len(t.out) == 0 {
		return nil
	}
	err := pass(t.out)
	if cap(t.out) > 64<<10 {
		t.out = nil
	}
	return err
}

var reasonNames = [...]string{
	Unknown: "unknown", Stopped: "stop", StopSequence: "stop", Length: "length", ContextFull: "length", ToolCalls: "tool_calls", Filtered: "content_filter",
	Refused: "content_filter", Paused: "pause",
}

// String is the reason as OpenAI's chat completions name it.
func (r Reason) String() string { return reasonNames[r] }

// BareID returns a response's id without the prefix that its API gives it, for the
// prefix of another one.
func BareID(id string) string {
	for _, prefix := range [...]string{"chatcmpl-", "msg_", "resp_"} {
		if rest, ok := strings.CutPrefix(id, prefix); ok && rest != "" {
			return rest
		}
	}
	return id
}
