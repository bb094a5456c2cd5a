package messages

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

// stopReasons are the reasons in the API's words.
var stopReasons = [...]string{
	dialect.Unknown: "end_turn", dialect.Stopped: "end_turn", dialect.StopSequence: "stop_sequence", dialect.Length: "max_tokens",
	dialect.ContextFull: "model_context_window_exceeded", dialect.ToolCalls: "tool_use", dialect.Filtered: "refusal", dialect.Refused: "refusal",
	dialect.Paused: "pause_turn",
}

// appendHead appends the members that a message begins with.
func appendHead(dst []byte, o *dialect.ResponseOptions, start *dialect.Event) []byte {
	dst = append(dst, `{"id":`...)
	dst = jsonscan.AppendString(dst, "msg_"+o.IDOf(start))
	dst = append(dst, `,"type":"message","role":"assistant","model":`...)
	dst = jsonscan.AppendString(dst, o.ModelOf(start))
	return append(dst, `,"content":[`...)
}

// appendUsage appends a usage object, whose input is without what the cache gave and
// took.
func appendUsage(dst []byte, u *llmprovider.Usage) []byte {
	member := func(name string, n int64) {
		dst = append(dst, name...)
		dst = strconv.AppendInt(dst, n, 10)
	}
	member(`{"input_tokens":`, max(0, u.PromptTokens-u.CachedTokens-u.CacheWriteTokens))
	member(`,"cache_creation_input_tokens":`, u.CacheWriteTokens)
	member(`,"cache_read_input_tokens":`, u.CachedTokens)
	member(`,"output_tokens":`, u.CompletionTokens)
	if u.ReasoningTokens > 0 {
		member(`,"output_tokens_details":{"thinking_tokens":`, u.ReasoningTokens)
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

// appendStop appends why the message ended, as members.
func appendStop(dst []byte, e *dialect.Event) []byte {
	dst = append(dst, `"stop_reason":"`...)
	dst = append(dst, stopReasons[e.Reason]...)
	dst = append(dst, `","stop_sequence":`...)
	if e.Reason == dialect.StopSequence && e.StopText != nil {
		return append(dst, e.StopText...)
	}
	return append(dst, "null"...)
}

// appendOpen appends a content block as it begins.
func appendOpen(dst []byte, e *dialect.Event) []byte {
	switch {
	case e.Part == dialect.ToolCall:
		dst = append(dst, `{"type":"tool_use","id":`...)
		dst = jsonscan.AppendString(dst, e.ID)
		dst = append(dst, `,"name":`...)
		dst = jsonscan.AppendString(dst, e.Name)
		return append(dst, `,"input":{}}`...)
	case e.Part == dialect.Reasoning && !e.Data.Empty():
		dst = append(dst, `{"type":"redacted_thinking","data":`...)
		return append(e.Data.Append(dst, Vendor), '}')
	case e.Part == dialect.Reasoning:
		return append(dst, `{"type":"thinking","thinking":"","signature":""}`...)
	}
	return append(dst, `{"type":"text","text":""}`...)
}

// streamWriter writes a stream of events. Of several choices, the first is written:
// the API has one.
type streamWriter struct {
	o       dialect.ResponseOptions
	blocks  int // that were begun
	started bool
	stop    []byte // why it ended, as members
	usage   llmprovider.Usage
}

func (w *streamWriter) ContentType() string { return "text/event-stream" }

// event begins an event.
func event(dst []byte, name string) []byte {
	dst = append(dst, "event: "...)
	dst = append(dst, name...)
	dst = append(dst, "\ndata: {\"type\":\""...)
	dst = append(dst, name...)
	return append(dst, '"')
}

func (w *streamWriter) Append(dst []byte, e *dialect.Event) []byte {
	if e.Choice > 0 {
		return dst
	}
	switch e.Kind {
	case dialect.Start:
		return w.start(dst, e)
	case dialect.Open:
		dst = w.start(dst, new(dialect.Event))
		if e.Part == dialect.ToolCall && !e.Signature.Empty() { // of a vendor whose calls have state
			dst = w.open(dst, &dialect.Event{Part: dialect.Reasoning, Data: e.Signature})
			dst = w.close(dst)
		}
		return w.open(dst, e)
	case dialect.Delta:
		return w.delta(dst, e)
	case dialect.Close:
		return w.close(dst)
	case dialect.Finish:
		w.stop = appendStop(w.stop[:0], e)
	case dialect.UsageEvent:
		w.usage = *e.Usage
	case dialect.End:
		dst = w.start(dst, new(dialect.Event))
		dst = append(event(dst, "message_delta"), `,"delta":{`...)
		if w.stop == nil {
			w.stop = appendStop(nil, e)
		}
		dst = append(dst, w.stop...)
		dst = append(dst, `},"usage":`...)
		dst = append(appendUsage(dst, &w.usage), "}\n\n"...)
		return append(event(dst, "message_stop"), "}\n\n"...)
	case dialect.Failure:
		dst = append(dst, "event: error\ndata: "...)
		return append(append(dst, e.Err.JSON()...), "\n\n"...)
	case dialect.Ping:
		if w.started {
			return append(event(dst, "ping"), "}\n\n"...)
		}
	}
	return dst
}

// start writes the event that a stream begins with, once.
func (w *streamWriter) start(dst []byte, e *dialect.Event) []byte {
	if w.started {
		return dst
	}
	w.started = true
	dst = append(event(dst, "message_start"), `,"message":`...)
	dst = appendHead(dst, &w.o, e)
	dst = append(dst, `],"stop_reason":null,"stop_sequence":null,"usage":`...)
	return append(appendUsage(dst, &w.usage), "}}\n\n"...)
}

// open begins a block.
func (w *streamWriter) open(dst []byte, e *dialect.Event) []byte {
	w.blocks++
	dst = w.block(event(dst, "content_block_start"))
	dst = append(dst, `,"content_block":`...)
	return append(appendOpen(dst, e), "}\n\n"...)
}

// close ends the block.
func (w *streamWriter) close(dst []byte) []byte {
	return append(w.block(event(dst, "content_block_stop")), "}\n\n"...)
}

// block appends the index of the block.
func (w *streamWriter) block(dst []byte) []byte {
	dst = append(dst, `,"index":`...)
	return strconv.AppendInt(dst, int64(w.blocks-1), 10)
}

func (w *streamWriter) delta(dst []byte, e *dialect.Event) []byte {
	if len(e.Text) > 0 {
		kind := `,"delta":{"type":"text_delta","text":"`
		switch e.Part {
		case dialect.Reasoning:
			kind = `,"delta":{"type":"thinking_delta","thinking":"`
		case dialect.ToolCall:
			kind = `,"delta":{"type":"input_json_delta","partial_json":"`
		}
		dst = w.beginDelta(dst)
		dst = append(dst, kind...)
		dst = append(dst, e.Text...)
		dst = append(dst, "\"}}\n\n"...)
	}
	if e.Part == dialect.Reasoning && !e.Signature.Empty() {
		dst = w.beginDelta(dst)
		dst = append(dst, `,"delta":{"type":"signature_delta","signature":`...)
		dst = append(e.Signature.Append(dst, Vendor), "}}\n\n"...)
	}
	return dst
}

func (w *streamWriter) beginDelta(dst []byte) []byte {
	return w.block(event(dst, "content_block_delta"))
}

// wholeWriter writes a response that is one document.
type wholeWriter struct {
	o        dialect.ResponseOptions
	first    dialect.Event
	content  []byte // the blocks so far
	text     []byte // of the open block
	sig      []byte
	open     dialect.Event
	redacted bool
	stop     []byte
	usage    llmprovider.Usage
}

func (w *wholeWriter) ContentType() string { return "application/json" }

func (w *wholeWriter) Append(dst []byte, e *dialect.Event) []byte {
	if e.Choice > 0 {
		return dst
	}
	switch e.Kind {
	case dialect.Start:
		w.first = dialect.Event{ID: e.ID, Model: e.Model}
	case dialect.Open:
		if e.Part == dialect.ToolCall && !e.Signature.Empty() {
			w.Append(nil, &dialect.Event{Kind: dialect.Open, Part: dialect.Reasoning, Data: e.Signature})
			w.close()
		}
		w.open, w.redacted = dialect.Event{Part: e.Part, ID: e.ID, Name: e.Name}, !e.Data.Empty()
		w.text, w.sig = w.text[:0], w.sig[:0]
		if !e.Data.Empty() {
			w.sig = e.Data.Append(w.sig, Vendor)
		}
	case dialect.Delta:
		w.text = append(w.text, e.Text...)
		if !e.Signature.Empty() {
			w.sig = e.Signature.Append(w.sig[:0], Vendor)
		}
	case dialect.Close:
		w.close()
	case dialect.Finish:
		w.stop = appendStop(w.stop[:0], e)
	case dialect.UsageEvent:
		w.usage = *e.Usage
	case dialect.End:
		dst = appendHead(dst, &w.o, &w.first)
		dst = append(dst, w.content...)
		dst = append(dst, `],`...)
		dst = append(dst, w.stop...)
		dst = append(dst, `,"usage":`...)
		return append(appendUsage(dst, &w.usage), '}')
	}
	return dst
}

// close appends the block that has ended.
func (w *wholeWriter) close() {
	if len(w.content) > 0 {
		w.content = append(w.content, ',')
	}
	switch {
	case w.open.Part == dialect.ToolCall:
		w.content = append(w.content, `{"type":"tool_use","id":`...)
		w.content = jsonscan.AppendString(w.content, w.open.ID)
		w.content = append(w.content, `,"name":`...)
		w.content = jsonscan.AppendString(w.content, w.open.Name)
		w.content = append(w.content, `,"input":`...)
		quoted := append(append([]byte{'"'}, w.text...), '"')
		w.content, _ = dialect.Arguments{Text: quoted}.AppendObject(w.content)
	case w.redacted:
		w.content = append(append(w.content, `{"type":"redacted_thinking","data":`...), w.sig...)
	case w.open.Part == dialect.Reasoning:
		w.content = append(append(w.content, `{"type":"thinking","thinking":"`...), w.text...)
		w.content = append(w.content, `","signature":`...)
		if len(w.sig) == 0 {
			w.sig = append(w.sig, `""`...)
		}
		w.content = append(w.content, w.sig...)
	default:
		w.content = append(append(w.content, `{"type":"text","text":"`...), w.text...)
		w.content = append(w.content, '"')
	}
	w.content = append(w.content, '}')
}
