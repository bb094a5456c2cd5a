package chat

import (
	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// fragment is a call whose pieces wait for the open one to end.
type fragment struct {
	index    int
	id, name string
	custom   bool
	text     []byte
	sig      dialect.Carrier
}

// fragment reads a piece of a tool call.
func (r *streamReader) fragment(n int, raw dialect.JSON) {
	f := fragment{index: dialect.Index(jsonscan.Get(raw, "index"))}
	for name, v := range jsonscan.Members(raw) {
		switch {
		case jsonscan.IsNull(v):
		case jsonscan.NameIs(name, "id"):
			f.id = jsonscan.Text(v)
		case jsonscan.NameIs(name, "function"):
			f.name = jsonscan.Text(jsonscan.Get(v, "name"))
			switch arguments := jsonscan.Get(v, "arguments"); {
			case jsonscan.IsString(arguments):
				f.text = jsonscan.Inner(arguments)
			case len(arguments) > 0 && arguments[0] == '{':
				f.text = jsonscan.AppendEscaped(nil, arguments)
			}
		case jsonscan.NameIs(name, "custom"):
			f.custom = true
			f.name = jsonscan.Text(jsonscan.Get(v, "name"))
			f.text = jsonscan.Inner(jsonscan.Get(v, "input"))
		case jsonscan.NameIs(name, "extra_content"):
			f.sig = callState(v)
		}
	}
	r.takeFragment(n, f)
}

// maxWaiting bounds what waits of a response's calls, in bytes, and waitSize is what a
// call counts for beside its texts.
const (
	maxWaiting = dialect.MaxEvent
	waitSize   = 256
)

// takeFragment passes a piece on if its call is open, opens its call if none is or
// the open one has all of its arguments, and else keeps it until the choice ends: a
// provider may send calls piece by piece in turn. One that counts every call as the
// first (Ollama) begins another call with another id.
func (r *streamReader) takeFragment(n int, f fragment) {
	c := &r.choices[n]
	begins := f.name != "" && (c.open != dialect.ToolCall || f.index != c.call || f.id != "" && f.id != c.id)
	switch {
	case c.open == dialect.ToolCall && f.index == c.call && !begins:
		r.callText(n, f.text)
		return
	case !begins:
		for i := range c.waiting {
			if c.waiting[i].index == f.index {
				r.wait(c, i, f.text)
				return
			}
		}
		return // a piece of no call
	}
	for i := range c.waiting { // the name again
		if c.waiting[i].index == f.index && (f.id == "" || f.id == c.waiting[i].id) {
			r.wait(c, i, f.text)
			return
		}
	}
	if f.id == "" {
		f.id = r.options.CallID(r.id, n, c.calls+len(c.waiting))
	}
	if c.open == dialect.ToolCall && f.index != c.call && !c.whole.complete() {
		text := f.text
		f.text = nil
		c.waiting = append(c.waiting, f)
		r.held += waitSize + len(f.id) + len(f.name) + len(f.sig.Value)
		r.wait(c, len(c.waiting)-1, text)
		return
	}
	r.openCall(n, f)
}

// wait keeps a piece of a call that waits. A response whose calls are under way at once
// beyond what can be kept fails.
func (r *streamReader) wait(c *choiceState, i int, text []byte) {
	if r.held += len(text); r.held > maxWaiting {
		r.Fail(dialect.Malformed("order of calls"))
		return
	}
	c.waiting[i].text = append(c.waiting[i].text, text...)
}

func (r *streamReader) openCall(n int, f fragment) {
	r.closePart(n)
	c := &r.choices[n]
	c.open, c.call, c.id, c.whole = dialect.ToolCall, f.index, f.id, objectEnd{}
	c.calls++
	c.inText = !f.custom && r.options.Custom[f.name]
	r.Send(dialect.Event{Kind: dialect.Open, Choice: n, Part: dialect.ToolCall, ID: f.id, Name: f.name, Custom: f.custom || c.inText, Signature: f.sig})
	r.callText(n, f.text)
}

// callText passes on a piece of the open call's arguments; those of a free-text tool are
// known when all have come.
func (r *streamReader) callText(n int, text []byte) {
	c := &r.choices[n]
	if len(text) == 0 {
		return
	}
	c.whole.take(text)
	if !c.inText {
		r.Send(dialect.Event{Kind: dialect.Delta, Choice: n, Part: dialect.ToolCall, Text: text})
		return
	}
	if r.held += len(text); r.held > maxWaiting {
		r.Fail(dialect.Malformed("tool input"))
		return
	}
	c.input = append(c.input, text...)
}
