package gemini

import (
	"bytes"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// newResponseReader implements dialect.API. A stream must be asked for with alt=sse.
func newResponseReader(o dialect.ResponseOptions) dialect.ResponseReader {
	r := &responseReader{options: o}
	if o.Stream {
		return &streamReader{responseReader: r, events: dialect.EventStream{Comment: r.Ping}}
	}
	return &wholeReader{responseReader: r}
}

// responseReader reads response objects: one, or one for each event of a stream.
type responseReader struct {
	options dialect.ResponseOptions
	dialect.Emitter
	started bool
	id      string
	choices []choiceState
	usage   llmprovider.Usage
}

// choiceState is what has come of one candidate.
type choiceState struct {
	open   dialect.Kind // the part that is open, or 0
	probs  dialect.JSON // the log probabilities of the text that comes next
	calls  int
	finish string
}

// maxChoices bounds the candidates of a response.
const maxChoices = 128

// take reads one response object.
func (r *responseReader) take(doc dialect.JSON) {
	if r.Over {
		return
	}
	var id, model, usage, candidates, feedback dialect.JSON
	for key, v := range jsonscan.Members(doc) {
		if jsonscan.IsNull(v) {
			continue
		}
		switch string(dialect.CamelName(key)) {
		case "error":
			r.Fail(dialect.ReadError(0, doc))
			return
		case "responseId":
			id = v
		case "modelVersion":
			model = v
		case "usageMetadata":
			usage = v
		case "candidates":
			candidates = v
		case "promptFeedback":
			feedback = v
		}
	}
	if !r.started {
		r.started, r.id = true, jsonscan.Text(id)
		r.Send(dialect.Event{Kind: dialect.Start, ID: r.id, Model: jsonscan.Text(model)})
	}
	r.count(usage)
	n := 0
	for candidate := range jsonscan.Elements(candidates) {
		r.candidate(n, candidate)
		n++
	}
	if feedback != nil && len(r.choices) == 0 && jsonscan.Text(dialect.GetCamel(feedback, "blockReason")) != "" {
		r.choices = append(r.choices, choiceState{finish: "PROHIBITED_CONTENT"})
	}
}

// candidate reads a candidate, which is the n-th one of its object unless it says so
// itself.
func (r *responseReader) candidate(n int, candidate dialect.JSON) {
	var content, probs, finish dialect.JSON
	for key, v := range jsonscan.Members(candidate) {
		if jsonscan.IsNull(v) {
			continue
		}
		switch string(dialect.CamelName(key)) {
		case "index":
			n = dialect.Index(v)
		case "content":
			content = v
		case "logprobsResult":
			probs = v
		case "finishReason":
			finish = v
		}
	}
	if n < 0 || n >= maxChoices {
		return
	}
	for len(r.choices) <= n {
		r.choices = append(r.choices, choiceState{})
	}
	r.choices[n].probs = logProbs(probs)
	for part := range jsonscan.Elements(dialect.GetCamel(content, "parts")) {
		r.part(n, part)
	}
	if reason := jsonscan.Text(finish); reason != "" {
		r.choices[n].finish = reason
	}
}

func (r *responseReader) part(n int, part dialect.JSON) {
	c := &r.choices[n]
	var text, call dialect.JSON
	var signature dialect.Carrier
	kind := dialect.Text
	for key, v := range jsonscan.Members(part) {
		if jsonscan.IsNull(v) {
			continue
		}
		switch string(dialect.CamelName(key)) {
		case "text":
			text = v
		case "thought":
			if dialect.IsTrue(v) {
				kind = dialect.Reasoning
			}
		case "thoughtSignature":
			signature = dialect.ReadCarrier(v, Vendor)
		case "functionCall":
			call = v
		case "inlineData", "fileData":
			r.Media(n)
		}
	}
	if call != nil {
		r.call(n, call, signature)
		return
	}
	inner := jsonscan.Inner(text)
	if len(inner) == 0 && signature.Empty() {
		return
	}
	if len(inner) == 0 && c.open == 0 { // state alone
		r.Send(dialect.Event{Kind: dialect.Open, Choice: n, Part: dialect.Reasoning, Data: signature})
		r.Send(dialect.Event{Kind: dialect.Close, Choice: n, Part: dialect.Reasoning})
		return
	}
	if len(inner) > 0 && c.open != kind {
		r.closePart(n)
		c.open = kind
		r.Send(dialect.Event{Kind: dialect.Open, Choice: n, Part: kind, Summary: kind == dialect.Reasoning})
	}
	e := dialect.Event{Kind: dialect.Delta, Choice: n, Part: c.open, Text: inner, Signature: signature}
	if kind == dialect.Text && len(inner) > 0 {
		e.LogProbs, c.probs = c.probs, nil
	}
	r.Send(e)
}

func (r *responseReader) call(n int, call dialect.JSON, signature dialect.Carrier) {
	r.closePart(n)
	c := &r.choices[n]
	e := dialect.Event{Kind: dialect.Open, Choice: n, Part: dialect.ToolCall, Signature: signature}
	var args dialect.JSON
	for key, v := range jsonscan.Members(call) {
		if jsonscan.IsNull(v) {
			continue
		}
		switch string(dialect.CamelName(key)) {
		case "id":
			e.ID = jsonscan.Text(v)
		case "name":
			e.Name = jsonscan.Text(v)
		case "args":
			args = v
		}
	}
	if e.ID == "" {
		e.ID = r.options.CallID(r.id, n, c.calls)
	}
	c.calls++
	e.Custom = r.options.Custom[e.Name]
	r.Send(e)
	var text []byte
	switch {
	case e.Custom:
		text = jsonscan.Inner(dialect.GetCamel(args, "input"))
	case args == nil:
		text = []byte("{}")
	default:
		text = jsonscan.AppendEscaped(nil, args)
	}
	r.Send(dialect.Event{Kind: dialect.Delta, Choice: n, Part: dialect.ToolCall, Text: text})
	r.Send(dialect.Event{Kind: dialect.Close, Choice: n, Part: dialect.ToolCall})
}

func (r *responseReader) closePart(n int) {
	if c := &r.choices[n]; c.open != 0 {
		r.Send(dialect.Event{Kind: dialect.Close, Choice: n, Part: c.open})
		c.open = 0
	}
}

// count reads the counts. Output is without the thoughts there, and input without
// what tools put into it.
func (r *responseReader) count(usage dialect.JSON) {
	if usage == nil {
		return
	}
	var prompt, tools, cached, output, thoughts int64
	for key, v := range jsonscan.Members(usage) {
		n, ok := dialect.Count(v)
		if !ok {
			continue
		}
		switch string(dialect.CamelName(key)) {
		case "promptTokenCount":
			prompt = n
		case "toolUsePromptTokenCount":
			tools = n
		case "cachedContentTokenCount":
			cached = n
		case "candidatesTokenCount":
			output = n
		case "thoughtsTokenCount":
			thoughts = n
		}
	}
	u := &r.usage
	u.Known = true
	u.PromptTokens = max(u.PromptTokens, prompt+tools)
	u.CachedTokens = max(u.CachedTokens, cached)
	u.CompletionTokens = max(u.CompletionTokens, output+thoughts)
	u.ReasoningTokens = max(u.ReasoningTokens, thoughts)
}

// reasons are the finish reasons of the API.
var reasons = map[string]dialect.Reason{
	"STOP": dialect.Stopped, "MAX_TOKENS": dialect.Length, "SAFETY": dialect.Filtered, "RECITATION": dialect.Filtered, "BLOCKLIST": dialect.Filtered,
	"PROHIBITED_CONTENT": dialect.Filtered, "SPII": dialect.Filtered, "IMAGE_SAFETY": dialect.Filtered, "IMAGE_PROHIBITED_CONTENT": dialect.Filtered,
	"IMAGE_RECITATION": dialect.Filtered, "CONTINUATION": dialect.Paused,
}

// failures are the finish reasons that say that the model failed.
var failures = map[string]bool{
	"MALFORMED_FUNCTION_CALL": true, "UNEXPECTED_TOOL_CALL": true, "TOO_MANY_TOOL_CALLS": true, "OTHER": true, "IMAGE_OTHER": true, "LANGUAGE": true, "NO_IMAGE": true,
}

// end emits why each candidate ended, what was counted, and the end.
func (r *responseReader) end() {
	if r.Over {
		return
	}
	for n := range r.choices {
		switch reason := r.choices[n].finish; {
		case reason == "":
			r.Fail(dialect.Incomplete())
			return
		case failures[reason]:
			r.Fail(dialect.ModelFailed(reason))
			return
		}
	}
	if len(r.choices) == 0 {
		r.Fail(dialect.Malformed("candidates"))
		return
	}
	for n := range r.choices {
		r.closePart(n)
		c := &r.choices[n]
		e := dialect.Event{Kind: dialect.Finish, Choice: n, Reason: reasons[c.finish]}
		if e.Reason == dialect.Stopped && c.calls > 0 {
			e.Reason = dialect.ToolCalls
		}
		r.Send(e)
	}
	r.Usage(&r.usage)
	r.End()
}

// wholeReader reads a response that is one document.
type wholeReader struct {
	*responseReader
	dialect.Whole
}

func (r *wholeReader) Close(emit func(*dialect.Event) error) error {
	r.Emit = emit
	doc := r.Doc()
	if doc == nil {
		r.Fail(dialect.Malformed("candidates"))
		return r.Err
	}
	r.take(doc)
	r.end()
	return r.Err
}

// streamReader reads a stream of response objects.
type streamReader struct {
	*responseReader
	events dialect.EventStream
	begun  bool
	array  *arrayStream // nil for events
}

func (r *streamReader) Read(p []byte, emit func(*dialect.Event) error) error {
	r.Emit = emit
	if text := bytes.TrimLeft(p, " \t\r\n"); !r.begun && len(text) > 0 {
		if r.begun = true; text[0] == '[' {
			r.array = new(arrayStream)
		}
	}
	var err error
	if r.array != nil {
		err = r.array.Read(p, func(data []byte) error { return r.object(nil, data) })
	} else {
		err = r.events.Read(p, r.object)
	}
	if err != nil {
		return err
	}
	return r.Err
}

func (r *streamReader) object(_, data []byte) error {
	data = bytes.TrimSpace(data)
	switch {
	case len(data) == 0 || string(data) == "[DONE]":
	case data[0] != '{' || !jsonscan.Valid(data):
		r.Fail(dialect.Malformed("event"))
	default:
		r.take(data)
	}
	return r.Err
}

func (r *streamReader) Close(emit func(*dialect.Event) error) error {
	r.Emit = emit
	rest, err := r.events.Close(r.object)
	if err != nil {
		return err
	}
	if rest = bytes.TrimSpace(rest); len(rest) > 0 && jsonscan.Valid(rest) {
		r.Fail(dialect.ReadError(0, rest))
	}
	if len(r.choices) == 0 || r.array != nil && !r.array.ended {
		r.Fail(dialect.Incomplete())
	}
	r.end()
	return r.Err
}
