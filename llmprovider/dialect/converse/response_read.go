package converse

import (
	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// newResponseReader implements dialect.API.
func newResponseReader(o dialect.ResponseOptions) dialect.ResponseReader {
	r := &responseReader{vendor: o.Vendor, custom: o.Custom}
	if o.Stream {
		return &streamReader{responseReader: r}
	}
	return &wholeReader{responseReader: r}
}

// responseReader is what a whole response and a stream have in common.
type responseReader struct {
	vendor string
	custom map[string]bool // tools that take free text
	dialect.Emitter
	usage llmprovider.Usage
}

// reasons are the stop reasons of the API.
var reasons = map[string]dialect.Reason{
	"end_turn": dialect.Stopped, "stop_sequence": dialect.StopSequence, "max_tokens": dialect.Length, "model_context_window_exceeded": dialect.ContextFull,
	"tool_use": dialect.ToolCalls, "content_filtered": dialect.Filtered, "guardrail_intervened": dialect.Filtered,
}

// finish emits why the response ended.
func (r *responseReader) finish(reason string) {
	switch reason {
	case "malformed_tool_use", "malformed_model_output":
		r.Fail(dialect.ModelFailed(reason))
		return
	}
	r.Send(dialect.Event{Kind: dialect.Finish, Reason: reasons[reason]})
}

// count reads the counts, whose input is without what was read from the cache and
// written to it.
func (r *responseReader) count(usage dialect.JSON) {
	if len(usage) == 0 || usage[0] != '{' {
		return
	}
	var input, output, read, written int64
	for name, v := range jsonscan.Members(usage) {
		n, ok := dialect.Count(v)
		if !ok {
			continue
		}
		switch string(jsonscan.Plain(name)) {
		case "inputTokens":
			input = n
		case "outputTokens":
			output = n
		case "cacheReadInputTokens":
			read = n
		case "cacheWriteInputTokens":
			written = n
		}
	}
	r.usage = llmprovider.Usage{Known: true, PromptTokens: input + read + written, CompletionTokens: output, CachedTokens: read, CacheWriteTokens: written}
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
	content := jsonscan.Get(jsonscan.Get(jsonscan.Get(doc, "output"), "message"), "content")
	if len(content) == 0 || content[0] != '[' {
		r.Fail(dialect.Malformed("output"))
		return r.Err
	}
	r.Send(dialect.Event{Kind: dialect.Start})
	for block := range jsonscan.Elements(content) {
		for name, v := range jsonscan.Members(block) {
			r.block(jsonscan.Text(name), v)
		}
	}
	r.finish(jsonscan.Text(jsonscan.Get(doc, "stopReason")))
	if r.Over {
		return r.Err
	}
	r.count(jsonscan.Get(doc, "usage"))
	r.End()
	return r.Err
}

func (r *wholeReader) block(name string, v dialect.JSON) {
	switch name {
	case "text":
		r.Part(dialect.Event{Part: dialect.Text}, jsonscan.Inner(v), dialect.Carrier{})
	case "toolUse":
		open := dialect.Event{Part: dialect.ToolCall, ID: jsonscan.Text(jsonscan.Get(v, "toolUseId")), Name: jsonscan.Text(jsonscan.Get(v, "name"))}
		input := jsonscan.Get(v, "input")
		text := jsonscan.AppendEscaped(nil, input)
		if open.Custom = r.custom[open.Name]; open.Custom {
			text = jsonscan.Inner(jsonscan.Get(input, "input"))
		}
		r.Part(open, text, dialect.Carrier{})
	case "image", "audio", "video", "document":
		r.Media(0)
	case "reasoningContent":
		if text := jsonscan.Get(v, "reasoningText"); text != nil {
			r.Part(dialect.Event{Part: dialect.Reasoning}, jsonscan.Inner(jsonscan.Get(text, "text")), dialect.ReadCarrier(dialect.StringOf(text, "signature"), r.vendor))
		} else if data := dialect.ReadCarrier(dialect.StringOf(v, "redactedContent"), r.vendor); !data.Empty() {
			r.Part(dialect.Event{Part: dialect.Reasoning, Data: data}, nil, dialect.Carrier{})
		}
	}
}

// streamReader reads a binary stream of events.
type streamReader struct {
	*responseReader
	frames  Frames
	open    dialect.Kind // the block that is open
	custom  bool         // it is a call of a free-text tool
	input   []byte       // of that call
	stopped bool
}

func (r *streamReader) Read(p []byte, emit func(*dialect.Event) error) error {
	r.Emit = emit
	if r.Over {
		return r.Err
	}
	if err := r.frames.Read(p, r.message); err != nil {
		if r.Err == nil {
			r.Fail(dialect.Malformed("frame"))
		}
	}
	return r.Err
}

func (r *streamReader) Close(emit func(*dialect.Event) error) error {
	r.Emit = emit
	switch {
	case r.Over:
	case !r.stopped || len(r.frames.Rest()) > 0:
		r.Fail(dialect.Incomplete())
	default:
		r.closeBlock()
		r.End()
	}
	return r.Err
}

func (r *streamReader) message(kind, name string, payload []byte) error {
	switch {
	case r.Over:
		return r.Err
	case kind != "event":
		r.Fail(dialect.Named(dialect.ReadError(0, payload), name))
		return r.Err
	case !jsonscan.Valid(payload):
		r.Fail(dialect.Malformed("event"))
		return r.Err
	}
	switch name {
	case "messageStart":
		r.Send(dialect.Event{Kind: dialect.Start})
	case "contentBlockStart":
		if use := jsonscan.Get(jsonscan.Get(payload, "start"), "toolUse"); use != nil {
			r.closeBlock()
			e := dialect.Event{Kind: dialect.Open, Part: dialect.ToolCall, ID: jsonscan.Text(jsonscan.Get(use, "toolUseId")), Name: jsonscan.Text(jsonscan.Get(use, "name"))}
			e.Custom = r.responseReader.custom[e.Name]
			r.open, r.custom, r.input = dialect.ToolCall, e.Custom, r.input[:0]
			r.Send(e)
		}
	case "contentBlockDelta":
		for name, v := range jsonscan.Members(jsonscan.Get(payload, "delta")) {
			r.delta(jsonscan.Text(name), v)
		}
	case "contentBlockStop":
		r.closeBlock()
	case "messageStop":
		r.closeBlock()
		r.stopped = true
		r.finish(jsonscan.Text(jsonscan.Get(payload, "stopReason")))
	case "metadata":
		r.count(jsonscan.Get(payload, "usage"))
		if r.stopped {
			r.End()
		}
	}
	return r.Err
}

func (r *streamReader) delta(name string, v dialect.JSON) {
	switch name {
	case "text":
		r.text(dialect.Text, jsonscan.Inner(v))
	case "toolUse":
		text := jsonscan.Inner(jsonscan.Get(v, "input"))
		switch {
		case r.open != dialect.ToolCall || len(text) == 0:
		case r.custom:
			if len(r.input)+len(text) <= dialect.MaxEvent {
				r.input = jsonscan.AppendUnescaped(r.input, text)
			}
		default:
			r.Send(dialect.Event{Kind: dialect.Delta, Part: dialect.ToolCall, Text: text})
		}
	case "reasoningContent":
		r.text(dialect.Reasoning, jsonscan.Inner(jsonscan.Get(v, "text")))
		if c := dialect.ReadCarrier(dialect.StringOf(v, "signature"), r.vendor); !c.Empty() {
			r.openBlock(dialect.Reasoning)
			r.Send(dialect.Event{Kind: dialect.Delta, Part: dialect.Reasoning, Signature: c})
		}
		if c := dialect.ReadCarrier(dialect.StringOf(v, "redactedContent"), r.vendor); !c.Empty() {
			r.closeBlock()
			r.Part(dialect.Event{Part: dialect.Reasoning, Data: c}, nil, dialect.Carrier{})
		}
	}
}

func (r *streamReader) text(kind dialect.Kind, text []byte) {
	if len(text) > 0 {
		r.openBlock(kind)
		r.Send(dialect.Event{Kind: dialect.Delta, Part: kind, Text: text})
	}
}

func (r *streamReader) openBlock(kind dialect.Kind) {
	if r.open != kind {
		r.closeBlock()
		r.open = kind
		r.Send(dialect.Event{Kind: dialect.Open, Part: kind})
	}
}

func (r *streamReader) closeBlock() {
	if r.open == 0 {
		return
	}
	if r.custom && jsonscan.Valid(r.input) {
		if text := jsonscan.Inner(jsonscan.Get(r.input, "input")); len(text) > 0 {
			r.Send(dialect.Event{Kind: dialect.Delta, Part: dialect.ToolCall, Text: text})
		}
	}
	r.Send(dialect.Event{Kind: dialect.Close, Part: r.open})
	r.open, r.custom = 0, false
}
