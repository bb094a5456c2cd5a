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
	dialect.Emitter
	started bool
	usage   llmprovider.Usage
}

func (r *responseReader) start(id, model string) {
	if !r.started {
		r.started = true
		r.Send(dialect.Event{Kind: dialect.Start, ID: id, Model: model})
	}
}

// reasons are the finish reasons of the API and of compatible providers.
var reasons = map[string]dialect.Reason{
	"stop": dialect.Stopped, "length": dialect.Length, "tool_calls": dialect.ToolCalls, "function_call": dialect.ToolCalls,
	"content_filter": dialect.Filtered, "eos": dialect.Stopped, "end_turn": dialect.Stopped, "max_tokens": dialect.Length,
	"model_length": dialect.ContextFull, // Mistral
}

// failures are those that say that there is no response: DeepSeek's, OpenRouter's and
// SGLang's.
var failures = map[string]bool{"insufficient_system_resource": true, "error": true, "abort": true}

// wholeReader reads a response that is one document.
type wholeReader struct {
	*responseReader
	dialect.Whole
}

func (r *wholeReader) Close(emit func(*dialect.Event) error) error {
	r.Emit = emit
	doc := r.Doc()
	choices := jsonscan.Get(doc, "choices")
	if says(jsonscan.Get(doc, "error")) && choices == nil {
		r.Fail(dialect.ReadError(0, doc))
		return r.Err
	}
	if len(choices) == 0 || choices[0] != '[' {
		r.Fail(dialect.Malformed("choices"))
		return r.Err
	}
	r.start(jsonscan.Text(jsonscan.Get(doc, "id")), jsonscan.Text(jsonscan.Get(doc, "model")))
	n := 0
	for choice := range jsonscan.Elements(choices) {
		r.readChoice(n, choice)
		n++
	}
	if n == 0 {
		r.Fail(dialect.Malformed("choices"))
		return r.Err
	}
	r.usage.ReadUsage(jsonscan.Get(doc, "usage"))
	r.Usage(&r.usage)
	r.End()
	return r.Err
}

func (r *wholeReader) readChoice(n int, choice dialect.JSON) {
	message := jsonscan.Get(choice, "message")
	refused := false
	for _, part := range readReasoning(reasoningOf(message)) {
		t := part.Thought
		r.Part(dialect.Event{Choice: n, Part: dialect.Reasoning, Summary: t.Summary, Data: t.Data}, jsonscan.Inner(t.Text), t.Signature)
	}
	r.readContent(n, jsonscan.Get(message, "content"), logProbs(choice))
	if refusal := jsonscan.Inner(jsonscan.Get(message, "refusal")); len(refusal) > 0 {
		refused = true
		r.Part(dialect.Event{Choice: n, Part: dialect.Refusal}, refusal, dialect.Carrier{})
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
	reason := jsonscan.Text(jsonscan.Get(choice, "finish_reason"))
	if failures[reason] {
		r.Fail(dialect.ModelFailed(reason))
		return
	}
	e := dialect.Event{Kind: dialect.Finish, Choice: n, Reason: reasons[reason]}
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
	r.Send(e)
}

// logProbs returns the log probabilities of a choice's text, without brackets.
func logProbs(choice dialect.JSON) dialect.JSON {
	return dialect.Between(jsonscan.Get(jsonscan.Get(choice, "logprobs"), "content"))
}

// readContent reads a message's content: a string, or the parts that Mistral sends.
func (r *wholeReader) readContent(n int, content, logProbs dialect.JSON) {
	if text := jsonscan.Inner(content); len(text) > 0 {
		r.Part(dialect.Event{Choice: n, Part: dialect.Text, LogProbs: logProbs}, text, dialect.Carrier{})
		return
	}
	for raw := range jsonscan.Elements(content) {
		switch string(jsonscan.Plain(jsonscan.Get(raw, "type"))) {
		case "text":
			r.Part(dialect.Event{Choice: n, Part: dialect.Text}, jsonscan.Inner(jsonscan.Get(raw, "text")), dialect.Carrier{})
		case "thinking":
			r.Part(dialect.Event{Choice: n, Part: dialect.Reasoning}, jsonscan.Inner(readThinking(jsonscan.Get(raw, "thinking"))), dialect.Carrier{})
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
	name := "arguments"
	if custom {
		name = "input"
	}
	value := jsonscan.Get(f, name)
	text := jsonscan.Inner(value)
	if len(value) > 0 && value[0] == '{' { // as Ollama's older versions send them
		text = jsonscan.AppendEscaped(nil, value)
	}
	r.Part(dialect.Event{Choice: n, Part: dialect.ToolCall, ID: id, Name: jsonscan.Text(jsonscan.Get(f, "name")), Custom: custom}, text, dialect.Carrier{})
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
