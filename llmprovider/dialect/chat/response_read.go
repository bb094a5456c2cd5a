package chat

import (
	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// newResponseReader implements dialect.API.
func newResponseReader(o dialect.ResponseOptions) dialect.ResponseReader {
	r := &responseReader{options: o}
	if o.Stream {
		return &streamReader{responseReader: r}
	}
	return &wholeReader{responseReader: r}
}

// responseReader is what a whole response and a stream have in common.
type responseReader struct {
	options dialect.ResponseOptions
	emit    func(*dialect.Event) error
	started bool
	event   dialect.Event
	usage   llmprovider.Usage
	err     error
}

// send emits an event. After an error of emit it does nothing.
func (r *responseReader) send(e dialect.Event) {
	if r.err != nil {
		return
	}
	r.event = e
	r.err = r.emit(&r.event)
}

func (r *responseReader) start(id, model string) {
	if !r.started {
		r.started = true
		r.send(dialect.Event{Kind: dialect.Start, ID: id, Model: model})
	}
}

// reasons are the finish reasons of the API and of compatible providers.
var reasons = map[string]dialect.Reason{
	"stop": dialect.Stopped, "length": dialect.Length, "tool_calls": dialect.ToolCalls, "function_call": dialect.ToolCalls,
	"content_filter": dialect.Filtered, "eos": dialect.Stopped, "end_turn": dialect.Stopped, "max_tokens": dialect.Length,
	"insufficient_system_resource": dialect.Unknown,
}

// wholeReader reads a response that is one document.
type wholeReader struct {
	*responseReader
	whole dialect.Whole
}

func (r *wholeReader) Read(p []byte, _ func(*dialect.Event) error) error { return r.whole.Read(p) }

func (r *wholeReader) Close(emit func(*dialect.Event) error) error {
	r.emit = emit
	doc := r.whole.Close()
	choices := jsonscan.Get(doc, "choices")
	if failed := jsonscan.Get(doc, "error"); failed != nil && !jsonscan.IsNull(failed) && choices == nil {
		r.send(dialect.Event{Kind: dialect.Failure, Err: dialect.ReadError(0, doc)})
		return r.err
	}
	if len(choices) == 0 || choices[0] != '[' {
		r.send(dialect.Event{Kind: dialect.Failure, Err: dialect.Malformed("choices")})
		return r.err
	}
	r.start(jsonscan.Text(jsonscan.Get(doc, "id")), jsonscan.Text(jsonscan.Get(doc, "model")))
	n := 0
	for choice := range jsonscan.Elements(choices) {
		r.readChoice(n, choice)
		n++
	}
	if n == 0 {
		r.send(dialect.Event{Kind: dialect.Failure, Err: dialect.Malformed("choices")})
		return r.err
	}
	if u := jsonscan.Get(doc, "usage"); u != nil {
		r.usage.ReadUsage(u)
		r.send(dialect.Event{Kind: dialect.UsageEvent, Usage: &r.usage})
	}
	r.send(dialect.Event{Kind: dialect.End})
	return r.err
}

func (r *wholeReader) readChoice(n int, choice dialect.JSON) {
	message := jsonscan.Get(choice, "message")
	refused := false
	for _, part := range readReasoning(reasoningOf(message)) {
		t := part.Thought
		r.send(dialect.Event{Kind: dialect.Open, Choice: n, Part: dialect.Reasoning, Summary: t.Summary, Data: t.Data})
		if t.Data.Empty() {
			r.send(dialect.Event{Kind: dialect.Delta, Choice: n, Part: dialect.Reasoning, Text: jsonscan.Inner(t.Text), Signature: t.Signature})
		}
		r.send(dialect.Event{Kind: dialect.Close, Choice: n, Part: dialect.Reasoning})
	}
	r.readContent(n, jsonscan.Get(message, "content"))
	if refusal := jsonscan.Inner(jsonscan.Get(message, "refusal")); len(refusal) > 0 {
		refused = true
		r.part(n, dialect.Refusal, refusal)
	}
	i := 0
	for raw := range jsonscan.Elements(jsonscan.Get(message, "tool_calls")) {
		r.readCall(n, i, raw)
		i++
	}
	if call := jsonscan.Get(message, "function_call"); len(call) > 0 && call[0] == '{' {
		r.call(n, callID(n, i), call, false)
		i++
	}
	r.finish(n, choice, refused, i)
}

// finish emits why a choice ended. Some servers say "stop" after a call (Ollama).
func (r *responseReader) finish(n int, choice dialect.JSON, refused bool, calls int) {
	e := dialect.Event{Kind: dialect.Finish, Choice: n, Reason: reasons[jsonscan.Text(jsonscan.Get(choice, "finish_reason"))]}
	// What vLLM and SGLang say of the stop sequence.
	for _, name := range [...]string{"stop_reason", "matched_stop"} {
		if text := jsonscan.Get(choice, name); jsonscan.IsString(text) && e.Reason == dialect.Stopped {
			e.Reason, e.StopText = dialect.StopSequence, text
		}
	}
	switch {
	case e.Reason != dialect.Stopped:
	case refused:
		e.Reason = dialect.Refused
	case calls > 0:
		e.Reason = dialect.ToolCalls
	}
	r.send(e)
}

// part emits a part that is whole.
func (r *responseReader) part(n int, kind dialect.Kind, text []byte) {
	r.send(dialect.Event{Kind: dialect.Open, Choice: n, Part: kind})
	r.send(dialect.Event{Kind: dialect.Delta, Choice: n, Part: kind, Text: text})
	r.send(dialect.Event{Kind: dialect.Close, Choice: n, Part: kind})
}

// readContent reads a message's content: a string, or the parts that Mistral sends.
func (r *wholeReader) readContent(n int, content dialect.JSON) {
	if text := jsonscan.Inner(content); len(text) > 0 {
		r.part(n, dialect.Text, text)
		return
	}
	for raw := range jsonscan.Elements(content) {
		switch jsonscan.Text(jsonscan.Get(raw, "type")) {
		case "text":
			r.part(n, dialect.Text, jsonscan.Inner(jsonscan.Get(raw, "text")))
		case "thinking":
			r.part(n, dialect.Reasoning, jsonscan.Inner(readThinking(jsonscan.Get(raw, "thinking"))))
		}
	}
}

func (r *wholeReader) readCall(n, i int, raw dialect.JSON) {
	id := jsonscan.Text(jsonscan.Get(raw, "id"))
	if id == "" {
		id = callID(n, i)
	}
	if custom := jsonscan.Get(raw, "custom"); custom != nil {
		r.call(n, id, custom, true)
		return
	}
	r.call(n, id, jsonscan.Get(raw, "function"), false)
}

func (r *responseReader) call(n int, id string, f dialect.JSON, custom bool) {
	r.send(dialect.Event{Kind: dialect.Open, Choice: n, Part: dialect.ToolCall, ID: id, Name: jsonscan.Text(jsonscan.Get(f, "name")), Custom: custom})
	name := "arguments"
	if custom {
		name = "input"
	}
	text := jsonscan.Get(f, name)
	switch {
	case jsonscan.IsString(text):
		r.send(dialect.Event{Kind: dialect.Delta, Choice: n, Part: dialect.ToolCall, Text: jsonscan.Inner(text)})
	case len(text) > 0 && text[0] == '{': // as Ollama's older versions send them
		r.send(dialect.Event{Kind: dialect.Delta, Choice: n, Part: dialect.ToolCall, Text: jsonscan.AppendEscaped(nil, text)})
	}
	r.send(dialect.Event{Kind: dialect.Close, Choice: n, Part: dialect.ToolCall})
}

// reasoningOf collects the members of a message that carry reasoning.
func reasoningOf(object dialect.JSON) *message {
	m := new(message)
	for name, v := range jsonscan.Members(object) {
		switch {
		case jsonscan.IsNull(v):
		case jsonscan.NameIs(name, "reasoning_content"), jsonscan.NameIs(name, "reasoning"):
			m.reasoning = v
		case jsonscan.NameIs(name, "reasoning_details"):
			m.reasoningDetails = v
		case jsonscan.NameIs(name, "thinking_blocks"):
			m.thinkingBlocks = v
		}
	}
	return m
}
