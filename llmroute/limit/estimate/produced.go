package estimate

import "bytes"

// Produced estimates how many tokens a stream has produced so far, from the texts in
// its events. It takes the bytes as they come, cut anywhere.
type Produced struct {
	text   int64 // bytes of texts
	events int64 // that have some

	state   producedState
	start   [64]byte // the beginning of the string
	length  int      // of all of it
	counts  bool     // the value is of a member that has text
	isType  bool     // or is the event's type
	escaped bool
	had     bool // the event has text
	repeats bool // the event has texts again that came before
}

type producedState uint8

const (
	between  producedState = iota // outside strings
	inString                      // a member's name, or a value
	afterString
)

// textNames are the members whose strings are what a model produced, in the events of
// all APIs.
func isTextName(name []byte) bool {
	switch string(name) {
	case "content", "text", "delta", "arguments", "partial_json", "thinking", "reasoning", "refusal", "reasoning_content", "thought":
		return true
	}
	return false
}

// Write takes the next bytes.
func (p *Produced) Write(b []byte) {
	for _, c := range b {
		switch p.state {
		case inString:
			switch {
			case p.escaped:
				p.escaped = false
			case c == '\\':
				p.escaped = true
				continue
			case c == '"':
				p.state = afterString
				continue
			}
			if p.length < len(p.start) {
				p.start[p.length] = c
			}
			p.length++
		case afterString:
			switch c {
			case ':':
				p.counts, p.isType = isTextName(p.string()), string(p.string()) == "type"
				p.state = between
			case ' ', '\t', '\r':
			default:
				p.value()
				p.state = between
				p.other(c)
			}
		default:
			p.other(c)
		}
	}
}

// string is the string, as far as it was kept.
func (p *Produced) string() []byte { return p.start[:min(p.length, len(p.start))] }

// other takes a byte outside of strings.
func (p *Produced) other(c byte) {
	switch c {
	case '"':
		p.state, p.length = inString, 0
	case '{', '}', '[', ']', ',':
		p.counts, p.isType = false, false
	case '\n':
		p.counts, p.isType, p.had, p.repeats = false, false, false, false
	}
}

// value takes the string that has ended as a value.
func (p *Produced) value() {
	if p.isType {
		p.isType = false
		// Events of the Responses API that are no deltas repeat what they ended.
		p.repeats = p.repeats || bytes.HasPrefix(p.string(), []byte("response.")) && !bytes.HasSuffix(p.string(), []byte(".delta"))
		return
	}
	if !p.counts || p.repeats || p.length == 0 {
		return
	}
	p.text += int64(p.length)
	if !p.had {
		p.had = true
		p.events++
	}
	p.counts = false
}

// Tokens is how many there are, about: one for each event, as most providers send
// them, or one for three bytes of text, as many as that is.
func (p *Produced) Tokens() int64 { return max(p.events, (p.text+2)/3) }
