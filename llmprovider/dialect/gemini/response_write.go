package gemini

import (
	"strconv"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// newResponseWriter implements dialect.API.
func newResponseWriter(o dialect.ResponseOptions) dialect.ResponseWriter {
	o.Request = nil // its memory is not to be held
	if o.Stream {
		return &streamWriter{responseWriter: responseWriter{o: o}}
	}
	return &wholeWriter{responseWriter: responseWriter{o: o}}
}

// finishReasons are the reasons in the API's words.
var finishReasons = [...]string{
	dialect.Unknown: "OTHER", dialect.Stopped: "STOP", dialect.StopSequence: "STOP", dialect.Length: "MAX_TOKENS", dialect.ContextFull: "MAX_TOKENS",
	dialect.ToolCalls: "STOP", dialect.Filtered: "SAFETY", dialect.Refused: "SAFETY", dialect.Paused: "STOP",
}

// responseWriter is what a whole response and a stream have in common.
type responseWriter struct {
	o     dialect.ResponseOptions
	first dialect.Event
	usage llmprovider.Usage
	open  []call // of each choice
}

// call is the function call that is open in a choice: it is written whole.
type call struct {
	id, name string
	custom   bool
	args     []byte // as it is between the quotes of a JSON string
	sig      []byte
}

// choice returns the state of a choice.
func (w *responseWriter) choice(n int) *call {
	for len(w.open) <= n {
		w.open = append(w.open, call{})
	}
	return &w.open[n]
}

func (w *responseWriter) begin(e *dialect.Event) {
	c := w.choice(e.Choice)
	*c = call{id: e.ID, name: e.Name, custom: e.Custom, args: c.args[:0], sig: c.sig[:0]}
	if !e.Signature.Empty() {
		c.sig = e.Signature.AppendBinary(c.sig, Vendor)
	}
}

// appendCall appends the part of the call.
func (c *call) appendCall(dst []byte) []byte {
	dst = append(dst, `{"functionCall":{"id":`...)
	dst = jsonscan.AppendString(dst, c.id)
	dst = append(dst, `,"name":`...)
	dst = jsonscan.AppendString(dst, c.name)
	dst = append(dst, `,"args":`...)
	quoted := append(append([]byte{'"'}, c.args...), '"')
	if c.custom {
		dst = append(append(append(dst, `{"input":`...), quoted...), '}')
	} else {
		dst, _ = dialect.Arguments{Text: quoted}.AppendObject(dst)
	}
	dst = append(dst, '}')
	if len(c.sig) > 0 {
		dst = append(append(dst, `,"thoughtSignature":`...), c.sig...)
	}
	return append(dst, '}')
}

// appendText appends a part with text, or with state alone.
func appendText(dst []byte, kind dialect.Kind, text []byte, signature dialect.Carrier) []byte {
	dst = append(append(append(dst, `{"text":"`...), text...), '"')
	if kind == dialect.Reasoning {
		dst = append(dst, `,"thought":true`...)
	}
	if !signature.Empty() {
		dst = append(dst, `,"thoughtSignature":`...)
		dst = signature.AppendBinary(dst, Vendor)
	}
	return append(dst, '}')
}

// appendTail appends the members after the candidates.
func (w *responseWriter) appendTail(dst []byte) []byte {
	dst = append(dst, `,"modelVersion":`...)
	dst = jsonscan.AppendString(dst, w.o.ModelOf(&w.first))
	dst = append(dst, `,"responseId":`...)
	return jsonscan.AppendString(dst, w.o.IDOf(&w.first))
}

// appendUsage appends the counts. Output is without the thoughts here.
func (w *responseWriter) appendUsage(dst []byte) []byte {
	u := &w.usage
	if !u.Known {
		return dst
	}
	count := func(name string, n int64) {
		dst = append(dst, name...)
		dst = strconv.AppendInt(dst, n, 10)
	}
	count(`,"usageMetadata":{"promptTokenCount":`, u.PromptTokens)
	count(`,"candidatesTokenCount":`, u.CompletionTokens-u.ReasoningTokens)
	count(`,"totalTokenCount":`, u.PromptTokens+u.CompletionTokens)
	if u.CachedTokens > 0 {
		count(`,"cachedContentTokenCount":`, u.CachedTokens)
	}
	if u.ReasoningTokens > 0 {
		count(`,"thoughtsTokenCount":`, u.ReasoningTokens)
	}
	return append(dst, '}')
}

// streamWriter writes a stream of response objects: as events, or as the elements of
// an array. There is nothing that the API's clients take for a keep-alive.
type streamWriter struct {
	responseWriter
	begun  bool
	finish []dialect.Reason
}

func (w *streamWriter) ContentType() string {
	if w.o.Array {
		return "application/json"
	}
	return "text/event-stream"
}

// object begins an object.
func (w *streamWriter) object(dst []byte) []byte {
	switch {
	case !w.o.Array:
		dst = append(dst, "data: "...)
	case w.begun:
		dst = append(dst, ",\n"...)
	default:
		dst = append(dst, '[')
	}
	w.begun = true
	return dst
}

// end ends an object.
func (w *streamWriter) end(dst []byte) []byte {
	if w.o.Array {
		return dst
	}
	return append(dst, "\n\n"...)
}

// candidate begins an object with one candidate, up to its parts.
func (w *streamWriter) candidate(dst []byte) []byte {
	return append(w.object(dst), `{"candidates":[{"content":{"parts":[`...)
}

// endCandidate ends an object with one candidate.
func (w *streamWriter) endCandidate(dst []byte, n int) []byte {
	dst = append(dst, `],"role":"model"},"index":`...)
	dst = strconv.AppendInt(dst, int64(n), 10)
	dst = append(dst, `}]`...)
	return w.end(append(w.appendTail(dst), '}'))
}

func (w *streamWriter) Append(dst []byte, e *dialect.Event) []byte {
	switch e.Kind {
	case dialect.Start:
		w.first = dialect.Event{ID: e.ID, Model: e.Model}
	case dialect.Open:
		w.begin(e)
		if e.Part == dialect.Reasoning && !e.Data.Empty() {
			dst = w.candidate(dst)
			return w.endCandidate(appendText(dst, dialect.Reasoning, nil, e.Data.Seal()), e.Choice)
		}
	case dialect.Delta:
		c := w.choice(e.Choice)
		if e.Part == dialect.ToolCall {
			c.args = append(c.args, e.Text...)
			return dst
		}
		if len(e.Text) > 0 || !e.Signature.Empty() {
			dst = w.candidate(dst)
			return w.endCandidate(appendText(dst, e.Part, e.Text, e.Signature), e.Choice)
		}
	case dialect.Close:
		if e.Part == dialect.ToolCall {
			dst = w.candidate(dst)
			return w.endCandidate(w.choice(e.Choice).appendCall(dst), e.Choice)
		}
	case dialect.Finish:
		for len(w.finish) <= e.Choice {
			w.finish = append(w.finish, dialect.Unknown)
		}
		w.finish[e.Choice] = e.Reason
	case dialect.UsageEvent:
		w.usage = *e.Usage
	case dialect.End:
		return w.last(dst)
	case dialect.Failure:
		dst = append(w.object(dst), e.Err.JSON()...)
		if w.o.Array {
			dst = append(dst, ']')
		}
		return w.end(dst)
	}
	return dst
}

// last writes the object that says why the candidates ended, and what was counted.
func (w *streamWriter) last(dst []byte) []byte {
	dst = append(w.object(dst), `{"candidates":[`...)
	for n, reason := range w.finish {
		if n > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"content":{"parts":[{"text":""}],"role":"model"},"finishReason":"`...)
		dst = append(dst, finishReasons[reason]...)
		dst = append(dst, `","index":`...)
		dst = strconv.AppendInt(dst, int64(n), 10)
		dst = append(dst, '}')
	}
	dst = append(dst, ']')
	dst = w.appendUsage(dst)
	dst = append(w.appendTail(dst), '}')
	if w.o.Array {
		dst = append(dst, ']')
	}
	return w.end(dst)
}

// wholeWriter writes a response that is one document.
type wholeWriter struct {
	responseWriter
	choices []wholeChoice
}

type wholeChoice struct {
	parts  []byte
	text   []byte // of the open part
	sig    dialect.Carrier
	reason dialect.Reason
}

func (w *wholeWriter) ContentType() string { return "application/json" }

func (w *wholeWriter) Append(dst []byte, e *dialect.Event) []byte {
	for len(w.choices) <= e.Choice {
		w.choices = append(w.choices, wholeChoice{})
	}
	c := &w.choices[e.Choice]
	switch e.Kind {
	case dialect.Start:
		w.first = dialect.Event{ID: e.ID, Model: e.Model}
	case dialect.Open:
		w.begin(e)
		c.text, c.sig = c.text[:0], e.Data.Clone().Seal()
	case dialect.Delta:
		if e.Part == dialect.ToolCall {
			open := w.choice(e.Choice)
			open.args = append(open.args, e.Text...)
			return dst
		}
		c.text = append(c.text, e.Text...)
		if !e.Signature.Empty() {
			c.sig = e.Signature.Clone()
		}
	case dialect.Close:
		if len(c.parts) > 0 {
			c.parts = append(c.parts, ',')
		}
		if e.Part == dialect.ToolCall {
			c.parts = w.choice(e.Choice).appendCall(c.parts)
		} else {
			c.parts = appendText(c.parts, e.Part, c.text, c.sig)
		}
	case dialect.Finish:
		c.reason = e.Reason
	case dialect.UsageEvent:
		w.usage = *e.Usage
	case dialect.End:
		return w.end(dst)
	}
	return dst
}

func (w *wholeWriter) end(dst []byte) []byte {
	dst = append(dst, `{"candidates":[`...)
	for n := range w.choices {
		c := &w.choices[n]
		if n > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"content":{"parts":[`...)
		dst = append(dst, c.parts...)
		dst = append(dst, `],"role":"model"},"finishReason":"`...)
		dst = append(dst, finishReasons[c.reason]...)
		dst = append(dst, `","index":`...)
		dst = strconv.AppendInt(dst, int64(n), 10)
		dst = append(dst, '}')
	}
	dst = append(dst, ']')
	dst = w.appendUsage(dst)
	return append(w.appendTail(dst), '}')
}
