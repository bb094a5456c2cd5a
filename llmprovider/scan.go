package llmprovider

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/tidwall/gjson"
)

// member is the place of one top-level member in a request body. The zero
// value means that the member is absent.
type member struct {
	key, val, end int // offsets of the key's opening quote, of the value, and after the value
}

func (m member) present() bool { return m.end > 0 }

// members holds the places of the top-level members that the gateway reads or
// rewrites.
type members struct {
	open          int  // offset after the opening brace
	empty         bool // the object has no members
	model         member
	stream        member
	streamOptions member
}

// errNotObject is what a body that is no JSON object at all is answered with.
var errNotObject = errors.New("the request body is not a JSON object; send one, such as {\"messages\": [...]}")

// scanObject finds the members that the gateway cares about in one pass over
// body, without decoding it. It checks what the rewrite relies on: one JSON
// object, strings and brackets that close, nothing after it, and no second
// member that a provider could read as "model" or "stream" (escapes resolved,
// case ignored, because some providers' decoders ignore it). Whether deeper
// values are valid is for the provider to say.
func scanObject(body []byte) (members, error) {
	var m members
	i := skipSpace(body, 0)
	if i == len(body) || body[i] != '{' {
		return m, errNotObject
	}
	i++
	m.open = i
	i = skipSpace(body, i)
	if i < len(body) && body[i] == '}' {
		m.empty = true
		return m, checkEnd(body, i+1)
	}
	for {
		key := i
		if i == len(body) || body[i] != '"' {
			return m, syntaxError(body, i, "a member name in double quotes")
		}
		end, ok := skipString(body, i)
		if !ok {
			return m, syntaxError(body, len(body), "the end of a string")
		}
		name := body[key:end]
		i = skipSpace(body, end)
		if i == len(body) || body[i] != ':' {
			return m, syntaxError(body, i, "a colon after the member name")
		}
		val := skipSpace(body, i+1)
		i = skipValue(body, val)
		if i < 0 || i == val {
			return m, syntaxError(body, max(i, val), "a complete value")
		}
		if err := m.note(name, member{key, val, i}); err != nil {
			return m, err
		}
		i = skipSpace(body, i)
		if i == len(body) {
			return m, syntaxError(body, i, "a closing brace")
		}
		switch body[i] {
		case ',':
			i = skipSpace(body, i+1)
		case '}':
			return m, checkEnd(body, i+1)
		default:
			return m, syntaxError(body, i, "a comma or a closing brace")
		}
	}
}

// note remembers the member if its name is one of those the gateway rewrites.
// quoted is the name as it stands in the body, with its quotes.
func (m *members) note(quoted []byte, at member) error {
	name := string(quoted[1 : len(quoted)-1]) // no allocation: used for comparison only
	if bytes.IndexByte(quoted, '\\') >= 0 {
		name = gjson.ParseBytes(quoted).String()
	}
	var slot *member
	switch {
	case len(name) == len("model") && strings.EqualFold(name, "model"):
		slot = &m.model
	case len(name) == len("stream") && strings.EqualFold(name, "stream"):
		slot = &m.stream
	case name == "stream_options":
		m.streamOptions = at // nothing is decided by it, so the last one may win
		return nil
	default:
		return nil
	}
	if canonical := strings.ToLower(name); name != canonical {
		return fmt.Errorf("the request body has a member %q; write it in lower case, %q", name, canonical)
	}
	if slot.present() {
		return fmt.Errorf("the request body has more than one member %q; send it once", name)
	}
	*slot = at
	return nil
}

func checkEnd(body []byte, i int) error {
	if i = skipSpace(body, i); i != len(body) {
		return syntaxError(body, i, "nothing after the JSON object")
	}
	return nil
}

func syntaxError(body []byte, i int, want string) error {
	if i >= len(body) {
		return fmt.Errorf("the request body is not a JSON object: it ends after %d bytes, expected %s", len(body), want)
	}
	return fmt.Errorf("the request body is not a JSON object: expected %s at byte %d", want, i)
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// skipString returns the offset after the string that opens at b[i].
func skipString(b []byte, i int) (int, bool) {
	start := i + 1
	for i = start; ; {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return len(b), false
		}
		i += n
		// A quote is escaped if an odd number of backslashes stands before it.
		back := i
		for back > start && b[back-1] == '\\' {
			back--
		}
		i++
		if (i-1-back)&1 == 0 {
			return i, true
		}
		start = i
	}
}

// skipValue returns the offset after the value that begins at b[i], or -1 when
// it does not end. Nesting costs one bit a level, never a stack frame.
func skipValue(b []byte, i int) int {
	if i == len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		end, ok := skipString(b, i)
		if !ok {
			return -1
		}
		return end
	case '{', '[':
		return skipNested(b, i)
	}
	for ; i < len(b); i++ {
		switch b[i] {
		case ',', '}', ' ', '\n', '\r', '\t':
			return i
		case '"', '{', '[', ']', ':':
			return -1
		}
	}
	return i
}

// skipNested returns the offset after the object or array that opens at b[i],
// or -1 when a bracket does not close or closes the wrong kind.
func skipNested(b []byte, i int) int {
	var inline [8]uint64 // 512 levels without an allocation
	kinds := inline[:]   // one bit a level: 1 for an object
	depth := 0
	for i < len(b) {
		c := b[i]
		switch c {
		case '"':
			end, ok := skipString(b, i)
			if !ok {
				return -1
			}
			i = end
			continue
		case '{', '[':
			if depth>>6 == len(kinds) {
				kinds = append(kinds, 0)
			}
			if c == '{' {
				kinds[depth>>6] |= 1 << (depth & 63)
			} else {
				kinds[depth>>6] &^= 1 << (depth & 63)
			}
			depth++
		case '}', ']':
			depth--
			if isObject := kinds[depth>>6]>>(depth&63)&1 == 1; isObject != (c == '}') {
				return -1
			}
			if depth == 0 {
				return i + 1
			}
		}
		i++
	}
	return -1
}
