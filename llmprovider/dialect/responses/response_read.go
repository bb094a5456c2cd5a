package responses

import (
	"bytes"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/tap"
)

// newResponseReader implements dialect.API.
func newResponseReader(o dialect.ResponseOptions) dialect.ResponseReader {
	r := new(responseReader)
	if o.Stream {
		return &streamReader{responseReader: r, events: dialect.EventStream{Comment: r.Ping}}
	}
	return &wholeReader{responseReader: r}
}

// responseReader is what a whole response and a stream have in common.
type responseReader struct {
	dialect.Emitter
	usage   llmprovider.Usage
	calls   int
	refused bool
}

// finish emits why the response ended, what was counted, and the end.
func (r *responseReader) finish(response dialect.JSON) {
	e := dialect.Event{Kind: dialect.Finish}
	switch string(jsonscan.Plain(jsonscan.Get(response, "status"))) {
	case "completed":
		switch {
		case r.calls > 0:
			e.Reason = dialect.ToolCalls
		case r.refused:
			e.Reason = dialect.Refused
		default:
			e.Reason = dialect.Stopped
		}
	case "incomplete":
		switch string(jsonscan.Plain(jsonscan.Get(jsonscan.Get(response, "incomplete_details"), "reason"))) {
		case "content_filter":
			e.Reason = dialect.Filtered
		case "max_output_tokens":
			e.Reason = dialect.Length
		}
	default:
		r.Fail(dialect.ReadError(0, response))
		return
	}
	r.Send(e)
	tap.ReadUsage(&r.usage, jsonscan.Get(response, "usage"))
	r.Usage(&r.usage)
	r.End()
}

// item emits an item of the output that is whole.
func (r *responseReader) item(item dialect.JSON) {
	switch string(jsonscan.Plain(jsonscan.Get(item, "type"))) {
	case "message":
		for part := range jsonscan.Elements(jsonscan.Get(item, "content")) {
			switch string(jsonscan.Plain(jsonscan.Get(part, "type"))) {
			case "output_text":
				open := dialect.Event{Part: dialect.Text, LogProbs: dialect.Between(jsonscan.Get(part, "logprobs"))}
				r.Part(open, jsonscan.Inner(jsonscan.Get(part, "text")), dialect.Carrier{})
			case "refusal":
				r.refused = true
				r.Part(dialect.Event{Part: dialect.Refusal}, jsonscan.Inner(jsonscan.Get(part, "refusal")), dialect.Carrier{})
			}
		}
	case "reasoning":
		state := dialect.ReadCarrier(dialect.StringOf(item, "encrypted_content"), Vendor)
		text, summary := joined(jsonscan.Get(item, "content")), false
		if text == nil {
			text, summary = joined(jsonscan.Get(item, "summary")), true
		}
		if text == nil && state.Empty() {
			return
		}
		open := dialect.Event{Part: dialect.Reasoning, Summary: summary}
		if text == nil {
			open.Data, state = state, dialect.Carrier{}
		}
		r.Part(open, jsonscan.Inner(text), state)
	case "function_call":
		r.openCall(item, false)
		r.text(dialect.ToolCall, jsonscan.Inner(jsonscan.Get(item, "arguments")))
		r.Send(dialect.Event{Kind: dialect.Close, Part: dialect.ToolCall})
	case "custom_tool_call":
		r.openCall(item, true)
		r.text(dialect.ToolCall, jsonscan.Inner(jsonscan.Get(item, "input")))
		r.Send(dialect.Event{Kind: dialect.Close, Part: dialect.ToolCall})
	}
}

func (r *responseReader) openCall(item dialect.JSON, custom bool) {
	r.calls++
	r.Send(dialect.Event{
		Kind: dialect.Open, Part: dialect.ToolCall, Custom: custom, ID: jsonscan.Text(jsonscan.Get(item, "call_id")), Name: jsonscan.Text(jsonscan.Get(item, "name")),
	})
}

func (r *responseReader) text(kind dialect.Kind, text []byte) {
	if len(text) > 0 {
		r.Send(dialect.Event{Kind: dialect.Delta, Part: kind, Text: text})
	}
}

// wholeReader reads a response that is one document.
type wholeReader struct {
	*responseReader
	dialect.Whole
}

func (r *wholeReader) Close(emit func(*dialect.Event) error) error {
	r.Emit = emit
	doc := r.Doc()
	output := jsonscan.Get(doc, "output")
	if failed := jsonscan.Get(doc, "error"); len(failed) > 0 && failed[0] == '{' {
		r.Fail(dialect.ReadError(0, doc))
		return r.Err
	}
	if len(output) == 0 || output[0] != '[' {
		r.Fail(dialect.Malformed("output"))
		return r.Err
	}
	r.Send(dialect.Event{Kind: dialect.Start, ID: jsonscan.Text(jsonscan.Get(doc, "id")), Model: jsonscan.Text(jsonscan.Get(doc, "model"))})
	for item := range jsonscan.Elements(output) {
		r.item(item)
	}
	r.finish(doc)
	return r.Err
}

// streamReader reads a stream of events.
type streamReader struct {
	*responseReader
	events  dialect.EventStream
	started bool
	open    dialect.Kind // the part that is open
	texts   int          // of the open part that came
	index   int          // the output_index of its item
	seen    map[int]bool // the items that came in pieces, by output_index
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
	default:
		r.Fail(dialect.Incomplete())
	}
	return r.Err
}

func (r *streamReader) take(_, data []byte) error {
	data = bytes.TrimSpace(data)
	if r.Over || len(data) == 0 || string(data) == "[DONE]" {
		return r.Err
	}
	if data[0] != '{' || !jsonscan.Valid(data) {
		r.Fail(dialect.Malformed("event"))
		return r.Err
	}
	switch string(jsonscan.Plain(jsonscan.Get(data, "type"))) {
	case "response.created", "response.in_progress", "response.queued":
		r.start(jsonscan.Get(data, "response"))
	case "response.output_item.added":
		r.added(data)
	case "response.output_text.delta":
		r.delta(data, dialect.Text)
	case "response.refusal.delta":
		r.refused = true
		r.delta(data, dialect.Refusal)
	case "response.reasoning_summary_text.delta", "response.reasoning_text.delta":
		r.delta(data, dialect.Reasoning)
	case "response.reasoning_summary_part.added":
		if r.open == dialect.Reasoning && r.texts > 0 {
			r.text(dialect.Reasoning, []byte(`\n\n`))
		}
	case "response.function_call_arguments.delta", "response.custom_tool_call_input.delta":
		if r.open == dialect.ToolCall {
			r.delta(data, dialect.ToolCall)
		}
	case "response.function_call_arguments.done":
		r.late(jsonscan.Get(data, "arguments"))
	case "response.custom_tool_call_input.done":
		r.late(jsonscan.Get(data, "input"))
	case "response.output_item.done":
		r.done(data)
	case "response.completed", "response.incomplete", "response.failed", "response.cancelled":
		r.complete(jsonscan.Get(data, "response"))
	case "error":
		r.Fail(dialect.ReadError(0, data))
	}
	return r.Err
}

func (r *streamReader) start(response dialect.JSON) {
	if !r.started {
		r.started = true
		r.Send(dialect.Event{Kind: dialect.Start, ID: jsonscan.Text(jsonscan.Get(response, "id")), Model: jsonscan.Text(jsonscan.Get(response, "model"))})
	}
}

// note remembers that the item of an event came in pieces.
func (r *streamReader) note(data dialect.JSON) {
	if r.seen == nil {
		r.seen = make(map[int]bool)
	}
	r.index = dialect.Index(jsonscan.Get(data, "output_index"))
	r.seen[r.index] = true
}

func (r *streamReader) added(data dialect.JSON) {
	item := jsonscan.Get(data, "item")
	kind := jsonscan.Text(jsonscan.Get(item, "type"))
	if kind != "function_call" && kind != "custom_tool_call" {
		return
	}
	r.start(nil)
	r.closePart()
	r.note(data)
	r.open, r.texts = dialect.ToolCall, 0
	r.openCall(item, kind == "custom_tool_call")
	if text := jsonscan.Inner(jsonscan.Get(item, "arguments")); len(text) > 0 {
		r.texts++
		r.text(dialect.ToolCall, text)
	}
}

func (r *streamReader) delta(data dialect.JSON, kind dialect.Kind) {
	text := jsonscan.Inner(jsonscan.Get(data, "delta"))
	if len(text) == 0 {
		return
	}
	r.start(nil)
	before := r.index
	r.note(data)
	if r.open != kind || r.index != before {
		r.closePart()
		r.open = kind
		r.Send(dialect.Event{Kind: dialect.Open, Part: kind, Summary: kind == dialect.Reasoning})
	}
	r.texts++
	r.Send(dialect.Event{Kind: dialect.Delta, Part: kind, Text: text, LogProbs: dialect.Between(jsonscan.Get(data, "logprobs"))})
}

// late emits the arguments of a call that came at its end only.
func (r *streamReader) late(text dialect.JSON) {
	if r.open == dialect.ToolCall && r.texts == 0 {
		r.texts++
		r.text(dialect.ToolCall, jsonscan.Inner(text))
	}
}

func (r *streamReader) closePart() {
	if r.open != 0 {
		r.Send(dialect.Event{Kind: dialect.Close, Part: r.open})
		r.open, r.texts = 0, 0
	}
}

// done ends an item. Encrypted reasoning comes with it, and so does all of an item of
// which no piece came.
func (r *streamReader) done(data dialect.JSON) {
	item := jsonscan.Get(data, "item")
	r.start(nil)
	if !r.seen[dialect.Index(jsonscan.Get(data, "output_index"))] {
		r.closePart()
		r.note(data)
		r.item(item)
		return
	}
	switch r.open {
	case dialect.Reasoning:
		if state := dialect.ReadCarrier(dialect.StringOf(item, "encrypted_content"), Vendor); !state.Empty() {
			r.Send(dialect.Event{Kind: dialect.Delta, Part: dialect.Reasoning, Signature: state})
		}
	case dialect.ToolCall:
		text := jsonscan.Get(item, "arguments")
		if text == nil {
			text = jsonscan.Get(item, "input")
		}
		r.late(text)
	}
	r.closePart()
}

// complete ends the stream. What no event told is in the response that it carries.
func (r *streamReader) complete(response dialect.JSON) {
	r.start(response)
	r.closePart()
	n := 0
	for item := range jsonscan.Elements(jsonscan.Get(response, "output")) {
		if !r.seen[n] && len(r.seen) == 0 {
			r.item(item)
		}
		n++
	}
	r.finish(response)
}
