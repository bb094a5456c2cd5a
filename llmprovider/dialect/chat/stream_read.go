package chat

import (
	"bytes"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/tap"
)

// streamReader reads a stream of chunks.
type streamReader struct {
	*responseReader
	events  dialect.EventStream
	choices []choiceState
	held    int // bytes of calls that wait
}

// choiceState is what has come of one choice.
type choiceState struct {
	open    dialect.Kind // the part that is open, or 0
	call    int          // the index of the open call, as the provider counts
	id      string       // its id
	calls   int          // that were opened
	whole   objectEnd    // of the open call's arguments
	inText  bool         // the open call is one of a free-text tool that is a function here
	input   []byte       // its arguments
	refused bool
	done    bool       // it said why it ended
	waiting []fragment // of calls that are not open, in the order of their beginning
}

func (r *streamReader) Read(p []byte, emit func(*dialect.Event) error) error {
	r.Emit = emit
	if err := r.events.Read(p, r.chunk); err != nil {
		return err
	}
	return r.Err
}

func (r *streamReader) Close(emit func(*dialect.Event) error) error {
	r.Emit = emit
	rest, err := r.events.Close(r.chunk)
	switch {
	case err != nil:
		return err
	case isError(rest):
		r.Fail(dialect.ReadError(0, rest))
	case r.complete():
		r.end()
	default:
		r.Fail(dialect.Incomplete())
	}
	return r.Err
}

// isError reports whether what is left of a stream is an error, as some servers
// write it there.
func isError(rest []byte) bool {
	rest = bytes.TrimSpace(rest)
	return len(rest) > 0 && rest[0] == '{' && jsonscan.Valid(rest) && says(jsonscan.Get(rest, "error"))
}

// says reports whether the value of a member "error" says that there is one.
func says(value dialect.JSON) bool {
	switch string(value) {
	case "", "null", `""`, "false", "{}":
		return false
	}
	return true
}

// complete reports whether every choice said why it ended. [DONE] alone is not
// enough: some servers send it after a failure.
func (r *streamReader) complete() bool {
	for n := range r.choices {
		if !r.choices[n].done {
			return false
		}
	}
	return len(r.choices) > 0
}

func (r *streamReader) end() {
	r.Usage(&r.usage)
	r.End()
}

func (r *streamReader) chunk(_, data []byte) error {
	data = bytes.TrimSpace(data)
	if r.Over || len(data) == 0 {
		return r.Err
	}
	if string(data) == "[DONE]" {
		if r.complete() {
			r.end()
		}
		return r.Err
	}
	if !jsonscan.Valid(data) || data[0] != '{' {
		r.Fail(dialect.Malformed("chunk"))
		return r.Err
	}
	var id, model, choices, usage, failed dialect.JSON
	for name, v := range jsonscan.Members(data) {
		switch {
		case jsonscan.IsNull(v):
		case jsonscan.NameIs(name, "id"):
			id = v
		case jsonscan.NameIs(name, "model"):
			model = v
		case jsonscan.NameIs(name, "choices"):
			choices = v
		case jsonscan.NameIs(name, "usage"):
			usage = v
		case jsonscan.NameIs(name, "x_groq") && usage == nil:
			usage = jsonscan.Get(v, "usage")
		case jsonscan.NameIs(name, "error"):
			failed = v
		}
	}
	if says(failed) {
		r.Fail(dialect.ReadError(0, data))
		return r.Err
	}
	if usage != nil {
		tap.ReadUsage(&r.usage, usage)
	}
	for choice := range jsonscan.Elements(choices) {
		if !r.started { // Azure's first chunk has no choice
			r.start(jsonscan.Text(id), jsonscan.Text(model))
		}
		r.choice(choice)
	}
	return r.Err
}

// maxChoices bounds the choices of a stream.
const maxChoices = 128

func (r *streamReader) choice(raw dialect.JSON) {
	n := dialect.Index(jsonscan.Get(raw, "index"))
	if n < 0 || n >= maxChoices {
		return
	}
	for len(r.choices) <= n {
		r.choices = append(r.choices, choiceState{})
	}
	c := &r.choices[n]
	if c.done {
		return // what comes after the end, such as Azure's late filter results, is no content
	}
	m := said(jsonscan.Get(raw, "delta"))
	r.reasoning(n, &m)
	r.content(n, m.content, raw)
	if text := jsonscan.Inner(m.refusal); len(text) > 0 {
		c.refused = true
		r.text(n, dialect.Refusal, text)
	}
	for range jsonscan.Elements(m.images) {
		r.Media(n)
	}
	for call := range jsonscan.Elements(m.toolCalls) {
		r.fragment(n, call)
	}
	if m.functionCall != nil {
		f := fragment{name: jsonscan.Text(jsonscan.Get(m.functionCall, "name")), text: jsonscan.Inner(jsonscan.Get(m.functionCall, "arguments"))}
		if f.name != "" {
			f.id = r.options.CallID(r.id, n, c.calls)
		}
		r.takeFragment(n, f)
	}
	if finish := jsonscan.Get(raw, "finish_reason"); jsonscan.IsString(finish) && len(finish) > 2 {
		r.endChoice(n, raw)
	}
}

func (r *streamReader) content(n int, content, choice dialect.JSON) {
	if text := jsonscan.Inner(content); len(text) > 0 {
		r.openPart(n, dialect.Text)
		r.Send(dialect.Event{Kind: dialect.Delta, Choice: n, Part: dialect.Text, Text: text, LogProbs: logProbs(choice)})
		return
	}
	for raw := range jsonscan.Elements(content) { // Mistral
		switch string(jsonscan.Plain(jsonscan.Get(raw, "type"))) {
		case "text":
			r.text(n, dialect.Text, jsonscan.Inner(jsonscan.Get(raw, "text")))
		case "thinking":
			r.text(n, dialect.Reasoning, jsonscan.Inner(readThinking(jsonscan.Get(raw, "thinking"))))
		}
	}
}

func (r *streamReader) reasoning(n int, m *message) {
	if m.thinkingBlocks == nil && m.reasoningDetails == nil { // most often text alone
		r.text(n, dialect.Reasoning, jsonscan.Inner(m.reasoning))
		return
	}
	for _, part := range readReasoning(m) {
		t := part.Thought
		if text := jsonscan.Inner(t.Text); len(text) > 0 {
			r.text(n, dialect.Reasoning, text)
		}
		switch {
		case !t.Data.Empty():
			r.closePart(n)
			r.Send(dialect.Event{Kind: dialect.Open, Choice: n, Part: dialect.Reasoning, Data: t.Data})
			r.Send(dialect.Event{Kind: dialect.Close, Choice: n, Part: dialect.Reasoning})
		case !t.Signature.Empty():
			r.openPart(n, dialect.Reasoning)
			r.Send(dialect.Event{Kind: dialect.Delta, Choice: n, Part: dialect.Reasoning, Signature: t.Signature})
			r.closePart(n)
		}
	}
}

// text emits text of a part, which is opened if another one is open.
func (r *streamReader) text(n int, kind dialect.Kind, text []byte) {
	if len(text) == 0 {
		return
	}
	r.openPart(n, kind)
	r.Send(dialect.Event{Kind: dialect.Delta, Choice: n, Part: kind, Text: text})
}

func (r *streamReader) openPart(n int, kind dialect.Kind) {
	c := &r.choices[n]
	if c.open == kind {
		return
	}
	r.closePart(n)
	c.open = kind
	r.Send(dialect.Event{Kind: dialect.Open, Choice: n, Part: kind})
}

func (r *streamReader) closePart(n int) {
	c := &r.choices[n]
	if c.open == 0 {
		return
	}
	if c.inText {
		if text := freeText(c.input); len(text) > 0 {
			r.Send(dialect.Event{Kind: dialect.Delta, Choice: n, Part: dialect.ToolCall, Text: text})
		}
		c.inText, c.input = false, nil
	}
	r.Send(dialect.Event{Kind: dialect.Close, Choice: n, Part: c.open})
	c.open = 0
}

// endChoice ends a choice: calls that waited, then the reason.
func (r *streamReader) endChoice(n int, raw dialect.JSON) {
	c := &r.choices[n]
	c.done = true
	r.closePart(n)
	waiting := c.waiting
	c.waiting = nil
	for _, f := range waiting {
		r.openCall(n, f)
		r.closePart(n)
	}
	tap.ReadUsage(&r.usage, jsonscan.Get(raw, "usage")) // Moonshot, where the stream's usage was not asked for
	r.finish(n, raw, c.refused, c.calls)
}
