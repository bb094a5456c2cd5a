package messages

import (
	"bytes"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// newResponseReader implements dialect.API.
func newResponseReader(o dialect.ResponseOptions) dialect.ResponseReader {
	r := &responseReader{custom: o.Custom}
	if o.Stream {
		return &streamReader{responseReader: r, events: dialect.EventStream{Comment: r.Ping}}
	}
	return &wholeReader{responseReader: r}
}

// responseReader is what a whole response and a stream have in common.
type responseReader struct {
	custom map[string]bool
	dialect.Emitter
	usage  llmprovider.Usage
	tokens tokens
}

// reasons are the stop reasons of the API.
var reasons = map[string]dialect.Reason{
	"end_turn": dialect.Stopped, "stop_sequence": dialect.StopSequence, "max_tokens": dialect.Length, "model_context_window_exceeded": dialect.ContextFull,
	"tool_use": dialect.ToolCalls, "refusal": dialect.Refused, "pause_turn": dialect.Paused,
}

func (r *responseReader) finish(object dialect.JSON) {
	e := dialect.Event{Kind: dialect.Finish, Reason: reasons[jsonscan.Text(jsonscan.Get(object, "stop_reason"))]}
	e.StopText = dialect.StringOf(object, "stop_sequence")
	if details := jsonscan.Get(object, "stop_details"); details != nil {
		e.Detail = dialect.StringOf(details, "explanation")
	}
	r.Send(e)
}

// tokens are the API's counts. In a stream they are cumulative, and of each member
// the last one that is there counts.
type tokens struct {
	known                        bool
	input, output, read, written int64
	reasoning                    int64
}

func (t *tokens) take(usage dialect.JSON) {
	for name, v := range jsonscan.Members(usage) {
		n, ok := dialect.Count(v)
		switch string(jsonscan.Plain(name)) {
		case "input_tokens":
			set(&t.input, n, ok)
			t.known = t.known || ok
		case "output_tokens":
			set(&t.output, n, ok)
			t.known = t.known || ok
		case "cache_read_input_tokens":
			set(&t.read, n, ok)
		case "cache_creation_input_tokens":
			set(&t.written, n, ok)
		case "output_tokens_details":
			n, ok = dialect.Count(jsonscan.Get(v, "thinking_tokens"))
			set(&t.reasoning, n, ok)
		}
	}
}

func set(into *int64, n int64, ok bool) {
	if ok {
		*into = n
	}
}

// report emits the counts as the gateway counts: input includes what was read from
// the cache and what was written to it.
func (r *responseReader) report() {
	if !r.tokens.known {
		return
	}
	t := &r.tokens
	r.usage = llmprovider.Usage{
		Known: true, PromptTokens: t.input + t.read + t.written, CompletionTokens: t.output, CachedTokens: t.read, CacheWriteTokens: t.written,
		ReasoningTokens: t.reasoning,
	}
	r.Send(dialect.Event{Kind: dialect.UsageEvent, Usage: &r.usage})
}

// wholeReader reads a response that is one document.
type wholeReader struct {
	*responseReader
	dialect.Whole
}

func (r *wholeReader) Close(emit func(*dialect.Event) error) error {
	r.Emit = emit
	doc := r.Doc()
	content := jsonscan.Get(doc, "content")
	switch {
	case string(jsonscan.Plain(jsonscan.Get(doc, "type"))) == "error":
		r.Fail(dialect.ReadError(0, doc))
		return r.Err
	case len(content) == 0 || content[0] != '[':
		r.Fail(dialect.Malformed("content"))
		return r.Err
	}
	r.Send(dialect.Event{Kind: dialect.Start, ID: jsonscan.Text(jsonscan.Get(doc, "id")), Model: jsonscan.Text(jsonscan.Get(doc, "model"))})
	for block := range jsonscan.Elements(content) {
		r.readBlock(block)
	}
	r.tokens.take(jsonscan.Get(doc, "usage"))
	r.finish(doc)
	r.report()
	r.End()
	return r.Err
}

func (r *wholeReader) readBlock(block dialect.JSON) {
	e := dialect.Event{Kind: dialect.Delta}
	open := dialect.Event{Kind: dialect.Open}
	switch string(jsonscan.Plain(jsonscan.Get(block, "type"))) {
	case "text":
		e.Part, e.Text = dialect.Text, jsonscan.Inner(jsonscan.Get(block, "text"))
	case "thinking":
		e.Part, e.Text = dialect.Reasoning, jsonscan.Inner(jsonscan.Get(block, "thinking"))
		e.Signature = dialect.ReadCarrier(dialect.StringOf(block, "signature"), Vendor)
	case "redacted_thinking":
		e.Part = dialect.Reasoning
		open.Data = dialect.ReadCarrier(dialect.StringOf(block, "data"), Vendor)
	case "tool_use":
		e.Part = dialect.ToolCall
		open.ID, open.Name = jsonscan.Text(jsonscan.Get(block, "id")), jsonscan.Text(jsonscan.Get(block, "name"))
		input := jsonscan.Get(block, "input")
		if open.Custom = r.custom[open.Name]; open.Custom {
			e.Text = jsonscan.Inner(jsonscan.Get(input, "input"))
		} else {
			e.Text = jsonscan.AppendEscaped(nil, input)
		}
	default:
		return // a block that was not asked for
	}
	open.Part = e.Part
	r.Send(open)
	if len(e.Text) > 0 || !e.Signature.Empty() {
		r.Send(e)
	}
	r.Send(dialect.Event{Kind: dialect.Close, Part: e.Part})
}

// streamReader reads a stream of events.
type streamReader struct {
	*responseReader
	events  dialect.EventStream
	open    dialect.Kind // the block that is open, 0 for none or one that is left out
	text    []byte       // the input of an open call of a free-text tool
	inText  bool
	started bool
	stopped bool // said why it stopped
}

func (r *streamReader) Read(p []byte, emit func(*dialect.Event) error) error {
	r.Emit = emit
	if err := r.events.Read(p, r.take); err != nil {
		return err
	}
	return r.Err
}

func (r *streamReader) Close(emit func(*dialect.Event) error) error {
	r.Emit = emit
	rest, err := r.events.Close(r.take)
	switch {
	case err != nil:
		return err
	case len(bytes.TrimSpace(rest)) > 0 && jsonscan.Valid(rest):
		r.Fail(dialect.ReadError(0, rest))
	case r.stopped: // only the last event is missing
		r.end()
	default:
		r.Fail(dialect.Incomplete())
	}
	return r.Err
}

func (r *streamReader) end() {
	r.report()
	r.End()
}

func (r *streamReader) take(_, data []byte) error {
	data = bytes.TrimSpace(data)
	if r.Over || len(data) == 0 {
		return r.Err
	}
	if data[0] != '{' || !jsonscan.Valid(data) {
		r.Fail(dialect.Malformed("event"))
		return r.Err
	}
	switch string(jsonscan.Plain(jsonscan.Get(data, "type"))) {
	case "message_start":
		if r.started {
			return r.Err
		}
		r.started = true
		message := jsonscan.Get(data, "message")
		r.tokens.take(jsonscan.Get(message, "usage"))
		r.Send(dialect.Event{Kind: dialect.Start, ID: jsonscan.Text(jsonscan.Get(message, "id")), Model: jsonscan.Text(jsonscan.Get(message, "model"))})
	case "content_block_start":
		r.openBlock(jsonscan.Get(data, "content_block"))
	case "content_block_delta":
		r.delta(jsonscan.Get(data, "delta"))
	case "content_block_stop":
		r.closeBlock()
	case "message_delta":
		r.closeBlock()
		r.tokens.take(jsonscan.Get(data, "usage"))
		if delta := jsonscan.Get(data, "delta"); jsonscan.IsString(jsonscan.Get(delta, "stop_reason")) && !r.stopped {
			r.stopped = true
			r.finish(delta)
		}
	case "message_stop":
		if !r.stopped {
			r.Fail(dialect.Malformed("stop_reason"))
			return r.Err
		}
		r.end()
	case "ping":
		r.Send(dialect.Event{Kind: dialect.Ping})
	case "error":
		r.Fail(dialect.ReadError(0, data))
	}
	return r.Err
}

func (r *streamReader) openBlock(block dialect.JSON) {
	r.closeBlock()
	e := dialect.Event{Kind: dialect.Open}
	var first dialect.JSON
	switch string(jsonscan.Plain(jsonscan.Get(block, "type"))) {
	case "text":
		e.Part, first = dialect.Text, jsonscan.Get(block, "text")
	case "thinking":
		e.Part, first = dialect.Reasoning, jsonscan.Get(block, "thinking")
	case "redacted_thinking":
		e.Part, e.Data = dialect.Reasoning, dialect.ReadCarrier(dialect.StringOf(block, "data"), Vendor)
	case "tool_use":
		e.Part, e.ID, e.Name = dialect.ToolCall, jsonscan.Text(jsonscan.Get(block, "id")), jsonscan.Text(jsonscan.Get(block, "name"))
		e.Custom = r.custom[e.Name]
		r.inText, r.text = e.Custom, r.text[:0]
	default:
		return
	}
	r.open = e.Part
	r.Send(e)
	if e.Part == dialect.ToolCall {
		if input := jsonscan.Get(block, "input"); len(input) > 2 { // whole, as some servers send it
			r.arguments(jsonscan.AppendEscaped(nil, input))
		}
		return
	}
	if text := jsonscan.Inner(first); len(text) > 0 {
		r.Send(dialect.Event{Kind: dialect.Delta, Part: r.open, Text: text})
	}
}

func (r *streamReader) delta(delta dialect.JSON) {
	if r.open == 0 {
		return
	}
	e := dialect.Event{Kind: dialect.Delta, Part: r.open}
	switch string(jsonscan.Plain(jsonscan.Get(delta, "type"))) {
	case "text_delta":
		e.Text = jsonscan.Inner(jsonscan.Get(delta, "text"))
	case "thinking_delta":
		e.Text = jsonscan.Inner(jsonscan.Get(delta, "thinking"))
	case "signature_delta":
		e.Signature = dialect.ReadCarrier(dialect.StringOf(delta, "signature"), Vendor)
	case "input_json_delta":
		r.arguments(jsonscan.Inner(jsonscan.Get(delta, "partial_json")))
		return
	default:
		return
	}
	if len(e.Text) > 0 || !e.Signature.Empty() {
		r.Send(e)
	}
}

// arguments emits a piece of a call's arguments; those of a free-text tool are known
// when all have come.
func (r *streamReader) arguments(text []byte) {
	switch {
	case len(text) == 0 || r.open != dialect.ToolCall:
	case r.inText && len(r.text)+len(text) > dialect.MaxEvent:
		r.Fail(dialect.Malformed("tool input"))
	case r.inText:
		r.text = jsonscan.AppendUnescaped(r.text, text)
	default:
		r.Send(dialect.Event{Kind: dialect.Delta, Part: dialect.ToolCall, Text: text})
	}
}

func (r *streamReader) closeBlock() {
	if r.open == 0 {
		return
	}
	if r.inText {
		r.inText = false
		if text := jsonscan.Inner(jsonscan.Get(r.text, "input")); len(text) > 0 && jsonscan.Valid(r.text) {
			r.Send(dialect.Event{Kind: dialect.Delta, Part: dialect.ToolCall, Text: text})
		}
	}
	r.Send(dialect.Event{Kind: dialect.Close, Part: r.open})
	r.open = 0
}
