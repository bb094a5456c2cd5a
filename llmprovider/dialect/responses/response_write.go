package responses

import (
	"strconv"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// newResponseWriter implements dialect.API.
func newResponseWriter(o dialect.ResponseOptions) dialect.ResponseWriter {
	w := &responseWriter{o: o, echo: echoed(o.Request)}
	w.o.Request = nil
	if o.Stream {
		return &streamWriter{responseWriter: w}
	}
	return &wholeWriter{responseWriter: w}
}

// echoes are the members that a response repeats from its request, each with what
// stands there if the request says nothing. Strict clients need all of them.
var echoes = []struct{ name, absent string }{
	{"instructions", "null"}, {"metadata", "{}"}, {"tools", "[]"}, {"tool_choice", `"auto"`}, {"parallel_tool_calls", "true"}, {"temperature", "null"},
	{"top_p", "null"}, {"max_output_tokens", "null"}, {"reasoning", `{"effort":null,"summary":null}`}, {"text", `{"format":{"type":"text"}}`},
	{"truncation", `"disabled"`}, {"previous_response_id", "null"},
}

// echoed returns the members that the response repeats. It copies them: the request's
// memory is given back before the response is written.
func echoed(r *dialect.Request) []byte {
	values, size := make([][]byte, len(echoes)), 64
	if r != nil {
		for key, value := range jsonscan.Members(r.Source) {
			for i, e := range echoes {
				if jsonscan.NameIs(key, e.name) && !jsonscan.IsNull(value) {
					values[i] = value
					size += len(value)
				}
			}
		}
	}
	out := make([]byte, 0, size+32*len(echoes))
	for i, e := range echoes {
		out = append(out, `,"`+e.name+`":`...)
		if values[i] != nil {
			out = append(out, values[i]...)
		} else {
			out = append(out, e.absent...)
		}
	}
	return append(out, `,"store":false,"background":false`...)
}

// responseWriter builds the output of a response item by item.
type responseWriter struct {
	o      dialect.ResponseOptions
	echo   []byte
	id     string // without a prefix
	model  string
	items  []byte // the items that are complete
	count  int
	usage  llmprovider.Usage
	reason dialect.Reason
	told   bool // that the model refused, by a part

	open item
}

// item is the item of the output that is being built.
type item struct {
	part     dialect.Kind
	id       string
	callID   string
	space    string // the namespace of a tool, or empty
	name     string
	custom   bool
	summary  bool
	text     []byte
	state    []byte // opaque, a JSON string
	logProbs []byte // objects with commas between them
	inStream bool   // its beginning was sent
}

func (w *responseWriter) start(e *dialect.Event) {
	if w.id == "" {
		w.id, w.model = w.o.IDOf(e), w.o.ModelOf(e)
	}
}

// begin begins an item.
func (w *responseWriter) begin(e *dialect.Event) {
	w.start(new(dialect.Event))
	i := &w.open
	*i = item{part: e.Part, callID: e.ID, name: e.Name, custom: e.Custom, summary: e.Summary, text: i.text[:0], state: i.state[:0], logProbs: i.logProbs[:0]}
	if in, ok := w.o.Namespaced[e.Name]; ok && e.Part == dialect.ToolCall {
		i.space, i.name = in.Namespace, in.Local
	}
	prefix := "msg_"
	switch {
	case e.Part == dialect.Reasoning:
		prefix = "rs_"
	case e.Part == dialect.ToolCall && e.Custom:
		prefix = "ctc_"
	case e.Part == dialect.ToolCall:
		prefix = "fc_"
	}
	i.id = prefix + w.id + "_" + strconv.Itoa(w.count)
	if !e.Data.Empty() {
		i.state = e.Data.Seal().Append(i.state, Vendor)
	}
}

// appendItem appends the item. A beginning has no content yet.
func (i *item) appendItem(dst []byte, status string) []byte {
	done := status != "in_progress"
	switch i.part {
	case dialect.Reasoning:
		dst = append(dst, `{"id":`...)
		dst = jsonscan.AppendString(dst, i.id)
		dst = append(dst, `,"type":"reasoning","summary":[`...)
		if done && i.summary && len(i.text) > 0 {
			dst = append(append(append(dst, `{"type":"summary_text","text":"`...), i.text...), `"}`...)
		}
		dst = append(dst, ']')
		if done && !i.summary && len(i.text) > 0 {
			dst = append(i.appendPart(append(dst, `,"content":[`...), i.text), ']')
		}
		if done && len(i.state) > 0 {
			dst = append(append(dst, `,"encrypted_content":`...), i.state...)
		}
		return append(dst, '}')
	case dialect.ToolCall:
		kind, text := "function_call", "arguments"
		if i.custom {
			kind, text = "custom_tool_call", "input"
		}
		dst = append(dst, `{"id":`...)
		dst = jsonscan.AppendString(dst, i.id)
		dst = append(dst, `,"type":"`+kind+`","status":"`+status+`","call_id":`...)
		dst = jsonscan.AppendString(dst, i.callID)
		if i.space != "" {
			dst = append(dst, `,"namespace":`...)
			dst = jsonscan.AppendString(dst, i.space)
		}
		dst = append(dst, `,"name":`...)
		dst = jsonscan.AppendString(dst, i.name)
		dst = append(dst, `,"`+text+`":"`...)
		if done {
			dst = append(dst, i.text...)
		}
		return append(dst, `"}`...)
	}
	dst = append(dst, `{"id":`...)
	dst = jsonscan.AppendString(dst, i.id)
	dst = append(dst, `,"type":"message","status":"`+status+`","role":"assistant","content":[`...)
	if done {
		dst = i.appendPart(dst, i.text)
	}
	return append(dst, `]}`...)
}

// appendPart appends the part of a message, or of raw reasoning, that has the text.
func (i *item) appendPart(dst, text []byte) []byte {
	switch i.part {
	case dialect.Refusal:
		dst = append(append(dst, `{"type":"refusal","refusal":"`...), text...)
		return append(dst, `"}`...)
	case dialect.Reasoning:
		dst = append(append(dst, `{"type":"reasoning_text","text":"`...), text...)
		return append(dst, `"}`...)
	}
	dst = append(append(dst, `{"type":"output_text","text":"`...), text...)
	dst = append(dst, `","annotations":[],"logprobs":[`...)
	if len(text) > 0 {
		dst = append(dst, i.logProbs...)
	}
	return append(dst, `]}`...)
}

// take notes what an event adds to the open item or says of the response.
func (w *responseWriter) take(e *dialect.Event) {
	switch e.Kind {
	case dialect.Start:
		w.start(e)
	case dialect.Open:
		w.begin(e)
	case dialect.Delta:
		w.open.text = append(w.open.text, e.Text...)
		if e.LogProbs != nil {
			if len(w.open.logProbs) > 0 {
				w.open.logProbs = append(w.open.logProbs, ',')
			}
			w.open.logProbs = append(w.open.logProbs, e.LogProbs...)
		}
		if !e.Signature.Empty() && w.open.part == dialect.Reasoning {
			w.open.state = e.Signature.Append(w.open.state[:0], Vendor)
		}
	case dialect.Close:
		w.told = w.told || w.open.part == dialect.Refusal
		if w.count > 0 {
			w.items = append(w.items, ',')
		}
		w.items = w.open.appendItem(w.items, "completed")
		w.count++
	case dialect.Finish:
		w.reason = e.Reason
	case dialect.UsageEvent:
		w.usage = *e.Usage
	}
}

// appendResponse appends the response as it stands.
func (w *responseWriter) appendResponse(dst []byte, status string, failed *llmprovider.Error) []byte {
	w.start(new(dialect.Event))
	dst = append(dst, `{"id":`...)
	dst = jsonscan.AppendString(dst, "resp_"+w.id)
	dst = append(dst, `,"object":"response","created_at":`...)
	dst = strconv.AppendInt(dst, w.o.Created, 10)
	dst = append(dst, `,"status":"`+status+`","error":`...)
	if failed != nil {
		dst = appendError(dst, failed)
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(dst, `,"incomplete_details":`...)
	switch {
	case status != "incomplete":
		dst = append(dst, "null"...)
	case w.reason == dialect.Filtered, w.reason == dialect.Refused:
		dst = append(dst, `{"reason":"content_filter"}`...)
	default:
		dst = append(dst, `{"reason":"max_output_tokens"}`...)
	}
	dst = append(dst, `,"model":`...)
	dst = jsonscan.AppendString(dst, w.model)
	dst = append(dst, `,"output":[`...)
	dst = append(dst, w.items...)
	dst = append(dst, ']')
	dst = append(dst, w.echo...)
	dst = append(dst, `,"usage":`...)
	if !w.usage.Known {
		return append(dst, "null}"...)
	}
	return append(appendUsage(dst, &w.usage), '}')
}

// status is the response's at its end.
func (w *responseWriter) status() string {
	switch w.reason {
	case dialect.Length, dialect.ContextFull, dialect.Filtered, dialect.Paused:
		return "incomplete"
	case dialect.Refused:
		if !w.told {
			return "incomplete"
		}
	}
	return "completed"
}

// appendUsage appends a usage object. Input includes what was cached and written.
func appendUsage(dst []byte, u *llmprovider.Usage) []byte {
	count := func(name string, n int64) {
		dst = append(dst, name...)
		dst = strconv.AppendInt(dst, n, 10)
	}
	count(`{"input_tokens":`, u.PromptTokens)
	count(`,"input_tokens_details":{"cached_tokens":`, u.CachedTokens)
	if u.CacheWriteTokens > 0 {
		count(`,"cache_write_tokens":`, u.CacheWriteTokens)
	}
	count(`},"output_tokens":`, u.CompletionTokens)
	count(`,"output_tokens_details":{"reasoning_tokens":`, u.ReasoningTokens)
	count(`},"total_tokens":`, u.PromptTokens+u.CompletionTokens)
	return append(dst, '}')
}

// appendError appends the error of a response that failed.
func appendError(dst []byte, err *llmprovider.Error) []byte {
	code := err.Code
	if code == "" {
		code = err.Type
	}
	dst = append(dst, `{"code":`...)
	dst = jsonscan.AppendString(dst, code)
	dst = append(dst, `,"message":`...)
	dst = jsonscan.AppendString(dst, err.Message)
	return append(dst, '}')
}

// wholeWriter writes a response that is one document. Of several choices, the first
// is written: the API has one.
type wholeWriter struct{ *responseWriter }

func (w *wholeWriter) ContentType() string { return "application/json" }

func (w *wholeWriter) Append(dst []byte, e *dialect.Event) []byte {
	if e.Choice > 0 {
		return dst
	}
	switch e.Kind {
	case dialect.Open:
		w.carry(e, func(e *dialect.Event) { w.take(e) })
	case dialect.End:
		return w.appendResponse(dst, w.status(), nil)
	}
	w.take(e)
	return dst
}

// carry makes an item of reasoning of the state that a call has at another vendor:
// calls have no place for it here.
func (w *responseWriter) carry(e *dialect.Event, take func(*dialect.Event)) {
	if e.Part == dialect.ToolCall && !e.Signature.Empty() {
		take(&dialect.Event{Kind: dialect.Open, Part: dialect.Reasoning, Data: e.Signature})
		take(&dialect.Event{Kind: dialect.Close, Part: dialect.Reasoning})
	}
}
