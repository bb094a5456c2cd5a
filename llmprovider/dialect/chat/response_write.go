package chat

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
		return &streamWriter{o: o}
	}
	return &wholeWriter{o: o}
}

// finishReasons are the reasons in the API's words.
var finishReasons = [...]string{
	dialect.Unknown: "stop", dialect.Stopped: "stop", dialect.StopSequence: "stop", dialect.Length: "length", dialect.ContextFull: "length",
	dialect.ToolCalls: "tool_calls", dialect.Filtered: "content_filter", dialect.Refused: "content_filter", dialect.Paused: "stop",
}

// appendHead appends the members that a response and a chunk begin with.
func appendHead(dst []byte, o *dialect.ResponseOptions, start *dialect.Event, object string) []byte {
	dst = append(dst, `{"id":`...)
	dst = jsonscan.AppendString(dst, "chatcmpl-"+o.IDOf(start))
	dst = append(dst, `,"object":"`...)
	dst = append(dst, object...)
	dst = append(dst, `","created":`...)
	dst = strconv.AppendInt(dst, o.Created, 10)
	dst = append(dst, `,"model":`...)
	return jsonscan.AppendString(dst, o.ModelOf(start))
}

// appendUsage appends a usage object. Input includes what was cached and written.
func appendUsage(dst []byte, u *llmprovider.Usage) []byte {
	count := func(name string, n int64) {
		dst = append(dst, name...)
		dst = strconv.AppendInt(dst, n, 10)
	}
	count(`{"prompt_tokens":`, u.PromptTokens)
	count(`,"completion_tokens":`, u.CompletionTokens)
	count(`,"total_tokens":`, u.PromptTokens+u.CompletionTokens)
	count(`,"prompt_tokens_details":{"cached_tokens":`, u.CachedTokens)
	count(`},"completion_tokens_details":{"reasoning_tokens":`, u.ReasoningTokens)
	return append(dst, `}}`...)
}

// streamWriter writes a stream of chunks.
type streamWriter struct {
	o      dialect.ResponseOptions
	head   []byte // of every chunk, up to its choices
	calls  []int  // of each choice, begun so far
	role   []bool // that were told
	usage  llmprovider.Usage
	inCall bool
}

func (w *streamWriter) ContentType() string { return "text/event-stream" }

func (w *streamWriter) Append(dst []byte, e *dialect.Event) []byte {
	switch e.Kind {
	case dialect.Start:
		w.begin(e)
	case dialect.Open:
		switch {
		case e.Part == dialect.ToolCall:
			return w.openCall(dst, e)
		case !e.Data.Empty():
			return w.state(dst, e)
		}
	case dialect.Delta:
		return w.delta(dst, e)
	case dialect.Finish:
		dst = w.chunk(dst, e.Choice)
		dst = append(dst, `}`...)
		return append(append(append(dst, `,"finish_reason":"`...), finishReasons[e.Reason]...), "\"}]}\n\n"...)
	case dialect.UsageEvent:
		w.usage = *e.Usage
	case dialect.End:
		if w.o.StreamUsage && w.usage.Known {
			dst = append(dst, w.head...)
			dst = append(dst, `,"choices":[],"usage":`...)
			dst = appendUsage(dst, &w.usage)
			dst = append(dst, "}\n\n"...)
		}
		return append(dst, "data: [DONE]\n\n"...)
	case dialect.Failure:
		dst = append(dst, "data: "...)
		return append(append(dst, e.Err.JSON()...), "\n\n"...)
	case dialect.Ping:
		if w.head != nil {
			dst = w.chunk(dst, 0)
			return append(dst, "},\"finish_reason\":null}]}\n\n"...)
		}
	}
	return dst
}

func (w *streamWriter) begin(e *dialect.Event) {
	w.head = appendHead([]byte("data: "), &w.o, e, "chat.completion.chunk")
}

// chunk begins a chunk of a choice, up to the members of its delta.
func (w *streamWriter) chunk(dst []byte, choice int) []byte {
	if w.head == nil {
		w.begin(new(dialect.Event))
	}
	for len(w.role) <= choice {
		w.role, w.calls = append(w.role, false), append(w.calls, 0)
	}
	dst = append(dst, w.head...)
	dst = append(dst, `,"choices":[{"index":`...)
	dst = strconv.AppendInt(dst, int64(choice), 10)
	dst = append(dst, `,"delta":{`...)
	if !w.role[choice] {
		w.role[choice] = true
		dst = append(dst, `"role":"assistant"`...)
	}
	return dst
}

// member appends the name of a member of a delta that chunk has begun.
func member(dst []byte, name string) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	dst = append(dst, '"')
	dst = append(dst, name...)
	return append(dst, `":`...)
}

func (w *streamWriter) openCall(dst []byte, e *dialect.Event) []byte {
	dst = w.chunk(dst, e.Choice)
	dst = member(dst, "tool_calls")
	dst = append(dst, `[{"index":`...)
	dst = strconv.AppendInt(dst, int64(w.calls[e.Choice]), 10)
	w.calls[e.Choice]++
	w.inCall = e.Custom
	dst = appendCall(dst, e)
	return append(dst, "\"\"}}]},\"finish_reason\":null}]}\n\n"...)
}

// appendCall appends the members of a call up to the text of its arguments.
func appendCall(dst []byte, e *dialect.Event) []byte {
	dst = append(dst, `,"id":`...)
	dst = jsonscan.AppendString(dst, e.ID)
	if e.Custom {
		dst = append(dst, `,"type":"custom","custom":{"name":`...)
		dst = jsonscan.AppendString(dst, e.Name)
		return append(dst, `,"input":`...)
	}
	if !e.Signature.Empty() {
		dst = append(dst, `,"extra_content":{"google":{"thought_signature":`...)
		dst = e.Signature.Append(dst, "google")
		dst = append(dst, `}}`...)
	}
	dst = append(dst, `,"type":"function","function":{"name":`...)
	dst = jsonscan.AppendString(dst, e.Name)
	return append(dst, `,"arguments":`...)
}

func (w *streamWriter) delta(dst []byte, e *dialect.Event) []byte {
	if len(e.Text) == 0 && e.Part != dialect.Reasoning {
		return dst
	}
	start := len(dst)
	dst = w.chunk(dst, e.Choice)
	switch e.Part {
	case dialect.Text:
		dst = append(member(dst, "content"), '"')
	case dialect.Refusal:
		dst = append(member(dst, "refusal"), '"')
	case dialect.Reasoning:
		if len(e.Text) == 0 {
			dst = dst[:start]
			if !e.Signature.Empty() {
				dst = w.state(dst, e)
			}
			return dst
		}
		dst = append(member(dst, "reasoning_content"), '"')
	case dialect.ToolCall:
		dst = member(dst, "tool_calls")
		dst = append(dst, `[{"index":`...)
		dst = strconv.AppendInt(dst, int64(w.calls[e.Choice]-1), 10)
		if w.inCall {
			dst = append(dst, `,"custom":{"input":"`...)
		} else {
			dst = append(dst, `,"function":{"arguments":"`...)
		}
		dst = append(dst, e.Text...)
		return append(dst, "\"}}]},\"finish_reason\":null}]}\n\n"...)
	default:
		return dst[:start]
	}
	dst = append(dst, e.Text...)
	return append(dst, "\"},\"finish_reason\":null}]}\n\n"...)
}

// state writes the opaque state of a part of reasoning.
func (w *streamWriter) state(dst []byte, e *dialect.Event) []byte {
	dst = append(member(w.chunk(dst, e.Choice), "thinking_blocks"), '[')
	dst = appendThinking(dst, nil, e)
	return append(dst, "]},\"finish_reason\":null}]}\n\n"...)
}

// appendThinking appends a block of reasoning in the form that gateways share for
// signatures, which this API has no place for.
func appendThinking(dst, text []byte, e *dialect.Event) []byte {
	if !e.Data.Empty() {
		dst = append(dst, `{"type":"redacted_thinking","data":`...)
		return append(e.Data.Append(dst, vendorAnthropic), '}')
	}
	dst = append(dst, `{"type":"thinking","thinking":"`...)
	dst = append(dst, text...)
	dst = append(dst, `","signature":`...)
	return append(e.Signature.Append(dst, vendorAnthropic), '}')
}

// wholeWriter writes a response that is one document.
type wholeWriter struct {
	o       dialect.ResponseOptions
	first   dialect.Event
	choices []wholeChoice
	usage   llmprovider.Usage
}

type wholeChoice struct {
	text, refusal, reasoning, thought, blocks, calls []byte
	hasText, hasRefusal                              bool
	reason                                           dialect.Reason
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
		c.open(e)
	case dialect.Delta:
		c.delta(e)
	case dialect.Close:
		c.close(e)
	case dialect.Finish:
		c.reason = e.Reason
	case dialect.UsageEvent:
		w.usage = *e.Usage
	case dialect.End:
		return w.end(dst)
	}
	return dst
}

func (c *wholeChoice) open(e *dialect.Event) {
	switch e.Part {
	case dialect.Text:
		c.hasText = true
	case dialect.Refusal:
		c.hasRefusal = true
	case dialect.Reasoning:
		c.thought = c.thought[:0]
		c.state(e)
	case dialect.ToolCall:
		if len(c.calls) > 0 {
			c.calls = append(c.calls, ',')
		}
		n := len(c.calls)
		c.calls = appendCall(c.calls, e)
		c.calls[n] = '{' // instead of the comma before the id
		c.calls = append(c.calls, '"')
	}
}

func (c *wholeChoice) delta(e *dialect.Event) {
	switch e.Part {
	case dialect.Text:
		c.text = append(c.text, e.Text...)
	case dialect.Refusal:
		c.refusal = append(c.refusal, e.Text...)
	case dialect.Reasoning:
		c.thought = append(c.thought, e.Text...)
		c.state(e)
	case dialect.ToolCall:
		c.calls = append(c.calls, e.Text...)
	}
}

// state keeps the opaque state of a part of reasoning.
func (c *wholeChoice) state(e *dialect.Event) {
	if e.Signature.Empty() && e.Data.Empty() {
		return
	}
	if len(c.blocks) > 0 {
		c.blocks = append(c.blocks, ',')
	}
	c.blocks = appendThinking(c.blocks, c.thought, e)
}

func (c *wholeChoice) close(e *dialect.Event) {
	switch e.Part {
	case dialect.Reasoning:
		c.reasoning = append(c.reasoning, c.thought...)
	case dialect.ToolCall:
		c.calls = append(c.calls, `"}}`...)
	}
}

func (w *wholeWriter) end(dst []byte) []byte {
	dst = appendHead(dst, &w.o, &w.first, "chat.completion")
	dst = append(dst, `,"choices":[`...)
	for i := range w.choices {
		c := &w.choices[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"index":`...)
		dst = strconv.AppendInt(dst, int64(i), 10)
		dst = append(dst, `,"message":{"role":"assistant","content":`...)
		dst = appendNullable(dst, c.text, c.hasText)
		dst = append(dst, `,"refusal":`...)
		dst = appendNullable(dst, c.refusal, c.hasRefusal)
		if len(c.reasoning) > 0 {
			dst = append(dst, `,"reasoning_content":"`...)
			dst = append(dst, c.reasoning...)
			dst = append(dst, '"')
		}
		if len(c.blocks) > 0 {
			dst = append(dst, `,"thinking_blocks":[`...)
			dst = append(dst, c.blocks...)
			dst = append(dst, ']')
		}
		if len(c.calls) > 0 {
			dst = append(dst, `,"tool_calls":[`...)
			dst = append(dst, c.calls...)
			dst = append(dst, ']')
		}
		dst = append(dst, `},"logprobs":null,"finish_reason":"`...)
		dst = append(dst, finishReasons[c.reason]...)
		dst = append(dst, `"}`...)
	}
	dst = append(dst, ']')
	if w.usage.Known {
		dst = append(dst, `,"usage":`...)
		dst = appendUsage(dst, &w.usage)
	}
	return append(dst, '}')
}

func appendNullable(dst, text []byte, has bool) []byte {
	if !has {
		return append(dst, "null"...)
	}
	dst = append(dst, '"')
	dst = append(dst, text...)
	return append(dst, '"')
}
