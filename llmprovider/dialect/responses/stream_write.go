package responses

import (
	"strconv"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// streamWriter writes a stream of events: every item from its beginning to its end,
// and the whole response at the end.
type streamWriter struct {
	*responseWriter
	sequence int
	started  bool
}

func (w *streamWriter) ContentType() string { return "text/event-stream" }

// event begins an event.
func (w *streamWriter) event(dst []byte, name string) []byte {
	dst = append(dst, "event: "...)
	dst = append(dst, name...)
	dst = append(dst, "\ndata: {\"type\":\""...)
	dst = append(dst, name...)
	dst = append(dst, `","sequence_number":`...)
	dst = strconv.AppendInt(dst, int64(w.sequence), 10)
	w.sequence++
	return dst
}

// end ends an event.
func end(dst []byte) []byte { return append(dst, "}\n\n"...) }

func (w *streamWriter) Append(dst []byte, e *dialect.Event) []byte {
	if e.Choice > 0 {
		return dst
	}
	switch e.Kind {
	case dialect.Start:
		w.take(e)
		return w.start(dst)
	case dialect.Open:
		dst = w.start(dst)
		w.carry(e, func(e *dialect.Event) { dst = w.Append(dst, e) })
		w.take(e)
		return w.openItem(dst)
	case dialect.Delta:
		w.take(e)
		return w.delta(dst, e)
	case dialect.Close:
		dst = w.closeItem(dst)
		w.take(e)
		return dst
	case dialect.End:
		dst = w.start(dst)
		status := w.status()
		dst = append(w.event(dst, "response."+status), `,"response":`...)
		return end(w.appendResponse(dst, status, nil))
	case dialect.Failure:
		return w.failure(dst, e)
	case dialect.Ping:
		return append(dst, ": ping\n\n"...)
	}
	w.take(e)
	return dst
}

// start writes the events that a stream begins with, once.
func (w *streamWriter) start(dst []byte) []byte {
	if w.started {
		return dst
	}
	w.started = true
	for _, name := range [...]string{"response.created", "response.in_progress"} {
		dst = append(w.event(dst, name), `,"response":`...)
		dst = end(w.appendResponse(dst, "in_progress", nil))
	}
	return dst
}

// item begins an event of the open item.
func (w *streamWriter) item(dst []byte, name string) []byte {
	dst = append(w.event(dst, name), `,"item_id":`...)
	dst = jsonscan.AppendString(dst, w.open.id)
	dst = append(dst, `,"output_index":`...)
	return strconv.AppendInt(dst, int64(w.count), 10)
}

// whole writes an event that carries the open item.
func (w *streamWriter) whole(dst []byte, name, status string) []byte {
	dst = append(w.event(dst, name), `,"output_index":`...)
	dst = strconv.AppendInt(dst, int64(w.count), 10)
	dst = append(dst, `,"item":`...)
	return end(w.open.appendItem(dst, status))
}

func (w *streamWriter) openItem(dst []byte) []byte {
	dst = w.whole(dst, "response.output_item.added", "in_progress")
	switch i := &w.open; i.part {
	case dialect.ToolCall, dialect.Reasoning:
	default:
		dst = append(w.item(dst, "response.content_part.added"), `,"content_index":0,"part":`...)
		dst = end(i.appendPart(dst, nil))
	}
	return dst
}

func (w *streamWriter) delta(dst []byte, e *dialect.Event) []byte {
	if len(e.Text) == 0 {
		return dst
	}
	i := &w.open
	switch {
	case i.part == dialect.Reasoning && i.summary:
		if !i.inStream {
			i.inStream = true
			dst = append(w.item(dst, "response.reasoning_summary_part.added"), `,"summary_index":0,"part":{"type":"summary_text","text":""}`...)
			dst = end(dst)
		}
		dst = append(w.item(dst, "response.reasoning_summary_text.delta"), `,"summary_index":0`...)
	case i.part == dialect.Reasoning:
		if !i.inStream {
			i.inStream = true
			dst = append(w.item(dst, "response.content_part.added"), `,"content_index":0,"part":`...)
			dst = end(i.appendPart(dst, nil))
		}
		dst = append(w.item(dst, "response.reasoning_text.delta"), `,"content_index":0`...)
	case i.part == dialect.ToolCall && i.custom:
		dst = w.item(dst, "response.custom_tool_call_input.delta")
	case i.part == dialect.ToolCall:
		dst = w.item(dst, "response.function_call_arguments.delta")
	case i.part == dialect.Refusal:
		dst = append(w.item(dst, "response.refusal.delta"), `,"content_index":0`...)
	default:
		dst = append(w.item(dst, "response.output_text.delta"), `,"content_index":0,"logprobs":[`...)
		dst = append(append(dst, e.LogProbs...), ']')
	}
	dst = append(append(dst, `,"delta":"`...), e.Text...)
	return end(append(dst, '"'))
}

func (w *streamWriter) closeItem(dst []byte) []byte {
	i := &w.open
	switch {
	case i.part == dialect.Reasoning && i.summary:
		if i.inStream {
			dst = w.text(append(w.item(dst, "response.reasoning_summary_text.done"), `,"summary_index":0`...), "text")
			dst = append(w.item(dst, "response.reasoning_summary_part.done"), `,"summary_index":0,"part":{"type":"summary_text","text":"`...)
			dst = end(append(append(dst, i.text...), `"}`...))
		}
	case i.part == dialect.Reasoning:
		if i.inStream {
			dst = w.text(append(w.item(dst, "response.reasoning_text.done"), `,"content_index":0`...), "text")
			dst = append(w.item(dst, "response.content_part.done"), `,"content_index":0,"part":`...)
			dst = end(i.appendPart(dst, i.text))
		}
	case i.part == dialect.ToolCall && i.custom:
		dst = w.text(w.item(dst, "response.custom_tool_call_input.done"), "input")
	case i.part == dialect.ToolCall:
		dst = append(w.item(dst, "response.function_call_arguments.done"), `,"name":`...)
		dst = w.text(jsonscan.AppendString(dst, i.name), "arguments")
	default:
		name, member := "response.output_text.done", "text"
		if i.part == dialect.Refusal {
			name, member = "response.refusal.done", "refusal"
		}
		dst = append(w.item(dst, name), `,"content_index":0`...)
		if i.part != dialect.Refusal {
			dst = append(append(append(dst, `,"logprobs":[`...), i.logProbs...), ']')
		}
		dst = w.text(dst, member)
		dst = append(w.item(dst, "response.content_part.done"), `,"content_index":0,"part":`...)
		dst = end(i.appendPart(dst, i.text))
	}
	return w.whole(dst, "response.output_item.done", "completed")
}

// text ends an event with the item's text.
func (w *streamWriter) text(dst []byte, member string) []byte {
	dst = append(dst, `,"`+member+`":"`...)
	dst = append(dst, w.open.text...)
	return end(append(dst, '"'))
}

// failure ends the stream: by the event that SDKs raise, and by the response that
// failed.
func (w *streamWriter) failure(dst []byte, e *dialect.Event) []byte {
	code := e.Err.Code
	if code == "" {
		code = e.Err.Type
	}
	dst = append(w.event(dst, "error"), `,"code":`...)
	dst = jsonscan.AppendString(dst, code)
	dst = append(dst, `,"message":`...)
	dst = jsonscan.AppendString(dst, e.Err.Message)
	dst = append(dst, `,"param":null,"error":`...)
	dst = end(appendError(dst, e.Err))
	dst = append(w.event(dst, "response.failed"), `,"response":`...)
	return end(w.appendResponse(dst, "failed", e.Err))
}
