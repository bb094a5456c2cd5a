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

// finishReason is a reason in the API's words.
func finishReason(o *dialect.ResponseOptions, r dialect.Reason) string {
	if r == dialect.ToolCalls && o.Legacy {
		return "function_call"
	}
	return finishReasons[r]
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
	if u.CacheWriteTokens > 0 {
		count(`,"cache_write_tokens":`, u.CacheWriteTokens)
	}
	count(`},"completion_tokens_details":{"reasoning_tokens":`, u.ReasoningTokens)
	return append(dst, `}}`...)
}

// appendCall appends the members of a call up to the text of its arguments.
func appendCall(dst []byte, e *dialect.Event) []byte {
	dst = append(dst, `"id":`...)
	dst = jsonscan.AppendString(dst, e.ID)
	if e.Custom {
		dst = append(dst, `,"type":"custom","custom":{"name":`...)
		dst = jsonscan.AppendString(dst, e.Name)
		return append(dst, `,"input":`...)
	}
	if !e.Signature.Empty() {
		dst = append(dst, `,"extra_content":{"google":{"thought_signature":`...)
		dst = e.Signature.Append(dst, vendorGoogle)
		dst = append(dst, `}}`...)
	}
	dst = append(dst, `,"type":"function","function":{"name":`...)
	dst = jsonscan.AppendString(dst, e.Name)
	return append(dst, `,"arguments":`...)
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
	text, refusal, reasoning, thought, blocks, calls, logProbs []byte

	hasText, hasRefusal bool
	function            bool // calls are one function, as clients before tools know them
	reason              dialect.Reason
}

func (w *wholeWriter) ContentType() string { return "application/json" }

func (w *wholeWriter) Append(dst []byte, e *dialect.Event) []byte {
	for len(w.choices) <= e.Choice {
		w.choices = append(w.choices, wholeChoice{function: w.o.Legacy})
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
		if e.Detail != nil && !c.hasRefusal {
			c.hasRefusal, c.refusal = true, append(c.refusal, jsonscan.Inner(e.Detail)...)
		}
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
		if c.function {
			c.calls = append(c.calls, `{"name":`...)
			c.calls = jsonscan.AppendString(c.calls, e.Name)
			c.calls = append(c.calls, `,"arguments":"`...)
			return
		}
		c.calls = append(appendCall(append(c.calls, '{'), e), '"')
	}
}

func (c *wholeChoice) delta(e *dialect.Event) {
	switch e.Part {
	case dialect.Text:
		c.text = append(c.text, e.Text...)
		if e.LogProbs != nil {
			if len(c.logProbs) > 0 {
				c.logProbs = append(c.logProbs, ',')
			}
			c.logProbs = append(c.logProbs, e.LogProbs...)
		}
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
		if c.function {
			c.calls = append(c.calls, `"}`...)
		} else {
			c.calls = append(c.calls, `"}}`...)
		}
	}
}

func (w *wholeWriter) end(dst []byte) []byte {
	dst = appendHead(dst, &w.o, &w.first, "chat.completion")
	dst = append(dst, `,"choices":[`...)
	for i := range w.choices {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"index":`...)
		dst = strconv.AppendInt(dst, int64(i), 10)
		dst = w.choices[i].append(append(dst, `,"message":{"role":"assistant","content":`...))
		dst = append(dst, finishReason(&w.o, w.choices[i].reason)...)
		dst = append(dst, `"}`...)
	}
	dst = append(dst, ']')
	if w.usage.Known {
		dst = append(dst, `,"usage":`...)
		dst = appendUsage(dst, &w.usage)
	}
	return append(dst, '}')
}

// append appends a choice from its content to its finish reason.
func (c *wholeChoice) append(dst []byte) []byte {
	dst = appendNullable(dst, c.text, c.hasText)
	dst = append(dst, `,"refusal":`...)
	dst = appendNullable(dst, c.refusal, c.hasRefusal)
	if len(c.reasoning) > 0 {
		dst = append(dst, `,"reasoning_content":"`...)
		dst = append(append(dst, c.reasoning...), '"')
	}
	if len(c.blocks) > 0 {
		dst = append(dst, `,"thinking_blocks":[`...)
		dst = append(append(dst, c.blocks...), ']')
	}
	switch {
	case len(c.calls) == 0:
	case c.function:
		dst = append(append(dst, `,"function_call":`...), firstOf(c.calls)...)
	default:
		dst = append(dst, `,"tool_calls":[`...)
		dst = append(append(dst, c.calls...), ']')
	}
	dst = append(dst, `},"logprobs":`...)
	if len(c.logProbs) > 0 {
		dst = append(append(dst, `{"content":[`...), c.logProbs...)
		dst = append(dst, `],"refusal":null}`...)
	} else {
		dst = append(dst, "null"...)
	}
	return append(dst, `,"finish_reason":"`...)
}

// firstOf returns the first of several objects with commas between them.
func firstOf(objects []byte) []byte {
	list := append(append([]byte{'['}, objects...), ']')
	for first := range jsonscan.Elements(list) {
		return first
	}
	return nil
}

func appendNullable(dst, text []byte, has bool) []byte {
	if !has {
		return append(dst, "null"...)
	}
	dst = append(dst, '"')
	return append(append(dst, text...), '"')
}
