package chat

import (
	"strconv"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// streamWriter writes a stream of chunks.
type streamWriter struct {
	o       dialect.ResponseOptions
	head    []byte // of every chunk, up to its choices
	choices []writtenChoice
	usage   llmprovider.Usage
}

// writtenChoice is what was written of a choice.
type writtenChoice struct {
	role    bool
	refused bool
	calls   int  // that were begun
	custom  bool // the last one takes free text
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
		return w.finish(dst, e)
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
			return end(w.chunk(dst, 0))
		}
	}
	return dst
}

func (w *streamWriter) begin(e *dialect.Event) {
	w.head = appendHead([]byte("data: "), &w.o, e, "chat.completion.chunk")
}

func (w *streamWriter) choice(n int) *writtenChoice {
	for len(w.choices) <= n {
		w.choices = append(w.choices, writtenChoice{})
	}
	return &w.choices[n]
}

// chunk begins a chunk of a choice, up to the members of its delta.
func (w *streamWriter) chunk(dst []byte, n int) []byte {
	if w.head == nil {
		w.begin(new(dialect.Event))
	}
	dst = append(dst, w.head...)
	dst = append(dst, `,"choices":[{"index":`...)
	dst = strconv.AppendInt(dst, int64(n), 10)
	dst = append(dst, `,"delta":{`...)
	if c := w.choice(n); !c.role {
		c.role = true
		dst = append(dst, `"role":"assistant"`...)
	}
	return dst
}

// end ends a chunk after the members of its delta.
func end(dst []byte) []byte { return append(dst, "},\"finish_reason\":null}]}\n\n"...) }

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
	c := w.choice(e.Choice)
	c.calls, c.custom = c.calls+1, e.Custom
	if w.o.Legacy {
		if c.calls > 1 { // a function alone has a place
			return dst
		}
		dst = append(member(w.chunk(dst, e.Choice), "function_call"), `{"name":`...)
		dst = jsonscan.AppendString(dst, e.Name)
		return end(append(dst, `,"arguments":""}`...))
	}
	dst = append(member(w.chunk(dst, e.Choice), "tool_calls"), `[{"index":`...)
	dst = strconv.AppendInt(dst, int64(c.calls-1), 10)
	dst = appendCall(append(dst, ','), e)
	return end(append(dst, `""}}]`...))
}

func (w *streamWriter) delta(dst []byte, e *dialect.Event) []byte {
	if len(e.Text) == 0 {
		if e.Part == dialect.Reasoning && !e.Signature.Empty() {
			return w.state(dst, e)
		}
		return dst
	}
	name := ""
	switch e.Part {
	case dialect.Text:
		name = "content"
	case dialect.Refusal:
		w.choice(e.Choice).refused = true
		name = "refusal"
	case dialect.Reasoning:
		name = "reasoning_content"
	case dialect.ToolCall:
		return w.arguments(dst, e)
	default:
		return dst
	}
	dst = append(member(w.chunk(dst, e.Choice), name), '"')
	dst = append(append(dst, e.Text...), '"')
	if e.LogProbs != nil {
		dst = append(append(dst, `},"logprobs":{"content":[`...), e.LogProbs...)
		dst = append(dst, `],"refusal":null`...)
	}
	return end(dst)
}

// arguments writes a piece of the open call's arguments.
func (w *streamWriter) arguments(dst []byte, e *dialect.Event) []byte {
	c := w.choice(e.Choice)
	switch {
	case !w.o.Legacy:
		dst = append(member(w.chunk(dst, e.Choice), "tool_calls"), `[{"index":`...)
		dst = strconv.AppendInt(dst, int64(c.calls-1), 10)
		if c.custom {
			dst = append(dst, `,"custom":{"input":"`...)
		} else {
			dst = append(dst, `,"function":{"arguments":"`...)
		}
		return end(append(append(dst, e.Text...), `"}}]`...))
	case c.calls > 1:
		return dst
	}
	dst = append(member(w.chunk(dst, e.Choice), "function_call"), `{"arguments":"`...)
	return end(append(append(dst, e.Text...), `"}`...))
}

// state writes the opaque state of a part of reasoning.
func (w *streamWriter) state(dst []byte, e *dialect.Event) []byte {
	dst = append(member(w.chunk(dst, e.Choice), "thinking_blocks"), '[')
	return end(append(appendThinking(dst, nil, e), ']'))
}

// finish writes why a choice ended, after what the provider says of a refusal.
func (w *streamWriter) finish(dst []byte, e *dialect.Event) []byte {
	if e.Detail != nil && !w.choice(e.Choice).refused {
		dst = append(member(w.chunk(dst, e.Choice), "refusal"), e.Detail...)
		dst = end(dst)
	}
	dst = append(w.chunk(dst, e.Choice), `},"finish_reason":"`...)
	return append(append(dst, finishReason(&w.o, e.Reason)...), "\"}]}\n\n"...)
}
