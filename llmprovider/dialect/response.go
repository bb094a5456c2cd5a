package dialect

import (
	"bytes"
	"cmp"
	"net/http"

	"github.com/caddy-llm/gateway/llmprovider"
)

// Response translates a provider's response into the client's API. It is an
// llmprovider.Reader. A response that fails before anything was passed on is an error
// of the client's API with its own status, unless it is a stream.
//
// It serves one response and is not safe for concurrent use.
type Response struct {
	from, to *API
	options  ResponseOptions
	reader   ResponseReader // nil until the form of the body is known
	writer   ResponseWriter

	head   *llmprovider.Head // the client's
	status int               // of the provider's response
	form   form
	start  []byte // of a body whose form is not known, or the body of an error

	emit    func(*Event) error // take, made once
	out     []byte
	begun   bool // something was passed on, or the head was
	usage   llmprovider.Usage
	content bool
	said    bool // it has text, a refusal or a call
	media   bool // it has media, which are not passed on
	settled bool
	size    int  // of what came, in bytes
	watched bool // nothing is written, so what comes takes no memory
	ended   bool
	failed  *llmprovider.Error
	loss    Loss
	state   map[int]Carrier   // of the open part of a choice
	empty   map[int]emptyCall // of the last call of a choice
}

// form is what a response's body is.
type form uint8

const (
	formUnknown form = iota // to be seen from its first byte
	formWhole
	formStream
	formError // an error, whatever the body says
)

// maxErrorBody bounds what is kept of an error's body, in bytes.
const maxErrorBody = 64 << 10

// NewResponse returns the translation of a response from the API from to the API to.
// It copies what it needs of the request.
func NewResponse(from, to *API, options ResponseOptions) *Response {
	options.Kept = keep(options.Request, from)
	t := &Response{from: from, to: to, writer: newWriter(to, options)}
	t.emit = t.take
	options.Request = nil // or its memory would be held for as long as the stream is open
	t.options = options
	return t
}

func newWriter(to *API, options ResponseOptions) ResponseWriter {
	if r := options.Request; r != nil && r.Count {
		return &countWriter{api: to}
	}
	return to.NewResponseWriter(options)
}

// keep returns what the response of an API needs of its request.
func keep(r *Request, from *API) Kept {
	var k Kept
	if r == nil {
		return k
	}
	k.StreamUsage, k.Legacy, k.Count = r.StreamUsage, r.Legacy, r.Count
	if e := r.Embed; e != nil {
		k.Inputs, k.Base64, k.Batch = len(e.Inputs), e.Base64, e.Batch
	}
	short := r.shortNames(from.MaxToolName)
	if short != nil {
		k.Named = make(map[string]string, len(short))
		for name, s := range short {
			k.Named[s] = name
		}
	}
	for i := range r.Tools {
		if t := &r.Tools[i]; t.Namespace != "" {
			if k.Namespaced == nil {
				k.Namespaced = make(map[string]Namespaced)
			}
			k.Namespaced[t.Name] = Namespaced{t.Namespace, t.Local}
		}
		if r.Tools[i].Kind == Custom {
			if k.Custom == nil {
				k.Custom = make(map[string]bool)
			}
			k.Custom[cmp.Or(short[r.Tools[i].Name], r.Tools[i].Name)] = true
		}
	}
	return k
}

// Head implements llmprovider.Reader.
func (t *Response) Head(h *llmprovider.Head) {
	t.head, t.status = h, h.Status
	if name := t.from.InputTokensHeader; name != "" {
		t.options.InputTokens, _ = Count(JSON(h.Header.Get(name)))
	}
	media := llmprovider.MediaType(h.Header)
	switch {
	case h.Status >= http.StatusBadRequest, h.Status < http.StatusOK, h.Status >= http.StatusMultipleChoices, llmprovider.Compressed(h.Header), media == "text/html":
		t.setForm(formError)
	case h.Stream, media == "text/event-stream", media == "application/vnd.amazon.eventstream":
		t.setForm(formStream)
	}
	h.Header = t.clientHeader(h.Header)
	if h.Stream = t.form == formStream && t.options.Stream; h.Stream {
		t.begun = true // the head goes out at once
	}
	h.Header["Content-Type"] = []string{t.writer.ContentType()}
}

func (t *Response) setForm(f form) {
	t.form = f
	o := t.options
	o.Stream = f == formStream
	switch {
	case f == formError:
	case o.Count:
		t.reader = &countReader{api: t.from}
	default:
		t.reader = t.from.NewResponseReader(o)
	}
}

// Write implements llmprovider.Reader.
func (t *Response) Write(p []byte, pass func([]byte) error) error {
	t.out = t.out[:0]
	switch t.form {
	case formError:
		t.start = append(t.start, p[:min(len(p), maxErrorBody-len(t.start))]...)
		return nil
	case formUnknown:
		if p = t.sniff(p); p == nil {
			return nil
		}
	}
	if err := t.reader.Read(p, t.emit); err != nil {
		return err
	}
	return t.flush(pass)
}

var byteOrderMark = []byte("\ufeff")

// sniff finds out what the body is from its first byte, and returns what is to be
// read once that is known.
func (t *Response) sniff(p []byte) []byte {
	t.start = append(t.start, p...)
	text := bytes.TrimLeft(bytes.TrimPrefix(t.start, byteOrderMark), " \t\r\n")
	switch {
	case len(text) == 0 || bytes.HasPrefix(byteOrderMark, text):
		t.start = t.start[:min(len(t.start), maxErrorBody)] // blank so far
		return nil
	case text[0] == '{':
		t.setForm(formWhole)
	case text[0] == '[' && t.from.Arrays:
		t.setForm(formStream)
	case text[0] == '<':
		t.setForm(formError)
		t.start = t.start[:min(len(t.start), maxErrorBody)]
		return nil
	default:
		t.setForm(formStream)
	}
	p, t.start = t.start, nil
	return p
}

// Finish implements llmprovider.Reader. A body that is not complete is an error of the
// client's API.
func (t *Response) Finish(pass func([]byte) error) error {
	t.out = t.out[:0]
	if t.form == formUnknown { // nothing came
		t.setForm(formError)
	}
	if t.form == formError {
		t.fail(t.readError())
		return t.flush(pass)
	}
	if err := t.reader.Close(t.emit); err != nil {
		return err
	}
	return t.flush(pass)
}

// Usage implements llmprovider.Reader. It is the provider's.
func (t *Response) Usage() *llmprovider.Usage { return &t.usage }

// Ended implements llmprovider.Reader.
func (t *Response) Ended() bool { return t.ended }

// Content implements llmprovider.Reader.
func (t *Response) Content() bool { return t.content }

// Settled implements llmprovider.Reader.
func (t *Response) Settled() bool { return t.settled }

// Unfinished implements llmprovider.Reader. It is false: a response that breaks off
// is an error already when Finish has returned.
func (t *Response) Unfinished() bool { return false }

// Loss is what of the response the client is not told, in the client's terms.
func (t *Response) Loss() *Loss { return &t.loss }

// over reports whether the response has come to an end. The first one counts.
func (t *Response) over() bool { return t.ended || t.failed != nil }

// take takes an event of the provider's response.
func (t *Response) take(e *Event) error {
	if t.over() {
		return nil
	}
	if t.size += e.size(); t.size > MaxBody && !t.watched {
		t.fail(&llmprovider.Error{
			Status: http.StatusBadGateway, Type: llmprovider.TypeServer, Code: "response_too_long",
			Message: "the provider's response has no end within 64 MiB, so it is cut off here; ask for a shorter one",
		})
		return nil
	}
	switch e.Kind {
	case Ping:
		if !t.options.Stream {
			return nil
		}
	case Start:
		if t.usage.Model == "" {
			t.usage.Model = bounded(e.Model)
		}
	case Open:
		e.Name = cmp.Or(t.options.Named[e.Name], e.Name)
		t.content = t.content || e.Part == ToolCall || !e.Data.Empty()
		t.said = t.said || e.Part == ToolCall
		t.closeEmpty(e.Choice, true)
		t.openCall(e)
	case Delta:
		t.content = t.content || len(e.Text) > 0
		t.said = t.said || len(e.Text) > 0 && e.Part != Reasoning
		if e.Part == ToolCall && t.empty[e.Choice] != 0 && !isBlank(e.Text) {
			delete(t.empty, e.Choice)
		}
		if e.Part != Reasoning && !e.Signature.Empty() && !t.to.SignedParts {
			if t.state == nil {
				t.state = make(map[int]Carrier)
			}
			t.state[e.Choice] = e.Signature.Clone()
			e.Signature = Carrier{}
		}
	case MediaEvent:
		t.media = true
		t.loss.Drop(CModalities)
		return nil
	case Close:
		t.closePart(e)
		return nil
	case UsageEvent:
		reason, model := t.usage.FinishReason, t.usage.Model
		t.usage = *e.Usage
		t.usage.FinishReason, t.usage.Model = reason, model
		t.settled = t.usage.Known && reason != ""
	case Finish:
		t.closeEmpty(e.Choice, !e.Reason.cutsOff())
		if e.Choice == 0 {
			t.usage.FinishReason = e.Reason.String()
		}
		if e.Reason == Unknown {
			t.loss.Approximate(CFinish)
		}
		if t.mute() {
			return nil
		}
	case End:
		if t.mute() {
			t.fail(onlyMedia())
			return nil
		}
		for choice := range t.empty {
			t.closeEmpty(choice, true)
		}
		t.ended, t.settled = true, true
	case Failure:
		t.fail(e.Err)
		return nil
	}
	t.out = t.writer.Append(t.out, e)
	return nil
}

// mute reports whether there is nothing but media so far: the client would be told that
// all went well, and get nothing.
func (t *Response) mute() bool { return t.media && !t.said && !t.watched }

// passState passes on the state of a part that has ended as reasoning of its own, for
// clients whose API has no other place for it.
func (t *Response) passState(choice int) {
	state, ok := t.state[choice]
	if !ok {
		return
	}
	delete(t.state, choice)
	t.out = t.writer.Append(t.out, &Event{Kind: Open, Choice: choice, Part: Reasoning, Data: state})
	t.out = t.writer.Append(t.out, &Event{Kind: Close, Choice: choice, Part: Reasoning})
}

func (t *Response) flush(pass func([]byte) error) error {
	if len(t.out) == 0 {
		return nil
	}
	err := pass(t.out)
	t.begun = true
	if cap(t.out) > 16<<10 {
		t.out = nil
	}
	return err
}

// bounded is a name that a provider gives, or nothing if it is too long to be one.
func bounded(name string) string {
	if len(name) > 256 {
		return ""
	}
	return name
}

// Interface guards
var _ llmprovider.Reader = (*Response)(nil)
