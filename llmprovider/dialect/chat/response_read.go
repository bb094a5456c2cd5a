package chat

import (
	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/tap"
)

// newResponseReader implements dialect.API.
func newResponseReader(o dialect.ResponseOptions) dialect.ResponseReader {
	r := &responseReader{options: o}
	if o.Stream {
		return &streamReader{responseReader: r, events: dialect.EventStream{Comment: r.Ping}}
	}
	return &wholeReader{responseReader: r}
}

// responseReader is what a whole response and a stream have in common.
type responseReader struct {
	options dialect.ResponseOptions
	dialect.Emitter
	started bool
	id      string // the response's
	usage   llmprovider.Usage
}

func (r *responseReader) start(id, model string) {
	if !r.started {
		r.started, r.id = true, id
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
	tap.ReadUsage(&r.usage, jsonscan.Get(doc, "usage"))
	r.Usage(&r.usage)
	r.End()
	return r.Err
}

func (r *wholeReader) readChoice(n int, choice dialect.JSON) {
	m := said(jsonscan.Get(choice, "message"))
	refused := false
	for _, part := range readReasoning(&m) {
		t := part.Thought
		r.Part(dialect.Event{Choice: n, Part: dialect.Reasoning, Summary: t.Summary, Data: t.Data}, jsonscan.Inner(t.Text), t.Signature)
	}
	r.readContent(n, m.content, logProbs(choice))
	if refusal := jsonscan.Inner(m.refusal); len(refusal) > 0 {
		refused = true
		r.Part(dialect.Event{Choice: n, Part: dialect.Refusal}, refusal, dialect.Carrier{})
	}
	i := 0
	for raw := range jsonscan.Elements(m.toolCalls) {
		r.readCall(n, i, raw)
		i++
	}
	for range jsonscan.Elements(m.images) {
		r.Media(n)
	}
	if call := m.functionCall; len(call) > 0 && call[0] == '{' {
		r.call(n, call, dialect.Event{ID: r.options.CallID(r.id, n, i)})
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
	open := dialect.Event{ID: jsonscan.Text(jsonscan.Get(raw, "id")), Signature: callState(jsonscan.Get(raw, "extra_content"))}
	if open.ID == "" {
		open.ID = r.options.CallID(r.id, n, i)
	}
	f := jsonscan.Get(raw, "function")
	if custom := jsonscan.Get(raw, "custom"); custom != nil {
		f, open.Custom = custom, true
	}
	r.call(n, f, open)
}

// callState reads the state that Google's endpoint attaches to a call
// (https://ai.google.dev/gemini-api/docs/openai).
func callState(extra dialect.JSON) dialect.Carrier {
	return dialect.ReadCarrier(dialect.StringOf(jsonscan.Get(extra, "google"), "thought_signature"), vendorGoogle)
}

// call emits a call that is whole. open has what the function itself does not say.
func (r *responseReader) call(n int, f dialect.JSON, open dialect.Event) {
	name := "arguments"
	if open.Custom {
		name = "input"
	}
	value := jsonscan.Get(f, name)
	text := jsonscan.Inner(value)
	if len(value) > 0 && value[0] == '{' { // as Ollama's older versions send them
		text = jsonscan.AppendEscaped(nil, value)
	}
	open.Choice, open.Part, open.Name = n, dialect.ToolCall, jsonscan.Text(jsonscan.Get(f, "name"))
	if !open.Custom && r.options.Custom[open.Name] {
		open.Custom, text = true, freeText(text)
	}
	r.Part(open, text, dialect.Carrier{})
}

// freeText returns the text for a free-text tool that the provider has as a function, from
// the arguments of the call: both as they are between quotes. Arguments that are no object
// with the property are the text themselves.
func freeText(arguments []byte) []byte {
	object := jsonscan.AppendUnescaped(nil, arguments)
	if jsonscan.Valid(object) {
		if text := dialect.StringOf(object, "input"); text != nil {
			return jsonscan.Inner(text)
		}
	}
	return arguments
}

// said reads the members of a message, or of a piece of one.
func said(object dialect.JSON) message {
	var m message
	for name, v := range jsonscan.Members(object) {
		if jsonscan.IsNull(v) {
			continue
		}
		switch string(jsonscan.Plain(name)) {
		case "content":
			m.content = v
		case "refusal":
			m.refusal = v
		case "tool_calls":
			m.toolCalls = v
		case "function_call":
			m.functionCall = v
		case "reasoning_content", "reasoning":
			m.reasoning = v
		case "reasoning_details":
			m.reasoningDetails = v
		case "thinking_blocks":
			m.thinkingBlocks = v
		case "images": // OpenRouter (https://openrouter.ai/docs/features/multimodal/image-generation)
			m.images = v
		}
	}
	return m
}
