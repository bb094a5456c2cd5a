package chat

import "github.com/caddy-llm/gateway/internal/jsonscan"

// objectEnd watches the text of a JSON object that comes in pieces for its end.
type objectEnd struct {
	depth    int
	begun    bool
	inString bool
	escaped  bool
}

// take takes the next piece as it is between the quotes of a JSON string.
func (o *objectEnd) take(inner []byte) {
	var room [256]byte
	for _, c := range jsonscan.AppendUnescaped(room[:0], inner) {
		switch {
		case o.escaped:
			o.escaped = false
		case o.inString:
			o.escaped = c == '\\'
			o.inString = c != '"'
		case c == '"':
			o.inString = true
		case c == '{', c == '[':
			o.depth++
			o.begun = true
		case c == '}', c == ']':
			o.depth--
		}
	}
}

// complete reports whether the object has ended.
func (o *objectEnd) complete() bool { return o.begun && o.depth == 0 }
