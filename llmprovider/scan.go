package llmprovider

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
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

// What a body is answered with that is no JSON object at all, or is encoded in
// another way.
var (
	errNotObject = errors.New("the request body is not a JSON object; send one, such as {\"messages\": [...]}")
	errMark      = errors.New("the request body is not a JSON object: it begins with a byte order mark; send UTF-8 without one")
)

// scanObject finds the members that the gateway cares about in one pass over
// body, without decoding it. It rejects what is not one JSON object, whole and
// valid in all its depth, with nothing after it; and a second member that a
// provider could read as "model", "stream" or "stream_options" (escapes resolved,
// case ignored, because some providers' decoders ignore it). What values mean is
// for the provider to say.
func scanObject(body []byte) (members, error) {
	var m members
	s := strict{b: body}
	i := skipSpace(body, 0)
	if i == len(body) || body[i] != '{' {
		if hasMark(body) {
			return m, errMark
		}
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
		val := s.name(i)
		if val < 0 {
			return m, wanted(s.want, body, s.at)
		}
		if i = s.value(val); i < 0 {
			return m, wanted(s.want, body, s.at)
		}
		if isRewritten(body[key+1]) {
			if err := m.note(body[key:val], member{key, val, i}); err != nil {
				return m, err
			}
		}
		i = skipSpace(body, i)
		if i == len(body) {
			return m, wanted("a closing brace", body, i)
		}
		switch body[i] {
		case ',':
			i = skipSpace(body, i+1)
		case '}':
			return m, checkEnd(body, i+1)
		default:
			return m, wanted("a comma or a closing brace", body, i)
		}
	}
}

// hasMark reports whether body begins with a byte order mark of UTF-8 or UTF-16.
func hasMark(body []byte) bool {
	return bytes.HasPrefix(body, byteOrderMark) || bytes.HasPrefix(body, []byte("\xff\xfe")) || bytes.HasPrefix(body, []byte("\xfe\xff"))
}

// isRewritten reports whether a name that begins so, as it stands in the body,
// may be one of those that the gateway rewrites. Any that is not plain ASCII may.
func isRewritten(first byte) bool {
	return first|0x20 == 'm' || first|0x20 == 's' || first == '\\' || first >= utf8.RuneSelf
}

// The members that the gateway rewrites.
var (
	nameModel         = []byte("model")
	nameStream        = []byte("stream")
	nameStreamOptions = []byte("stream_options")
)

// note remembers the member if its name is one of those the gateway rewrites.
// quoted begins with the name as it stands in the body, with its quotes.
func (m *members) note(quoted []byte, at member) error {
	quoted = quoted[:bytes.LastIndexByte(quoted, '"')+1]
	name, _ := memberName(quoted)
	readings := [...][]byte{name, nil, nil}
	if bytes.IndexByte(quoted, '\\') >= 0 || !allASCII(name) {
		readings[1], readings[2] = leniently(name)
	}
	var slot *member
	var canonical []byte
	for _, read := range readings {
		switch {
		case bytes.EqualFold(read, nameModel):
			slot, canonical = &m.model, nameModel
		case bytes.EqualFold(read, nameStream):
			slot, canonical = &m.stream, nameStream
		case bytes.EqualFold(read, nameStreamOptions):
			slot, canonical = &m.streamOptions, nameStreamOptions
		}
	}
	if slot == nil {
		return nil
	}
	if !bytes.Equal(name, canonical) {
		return fmt.Errorf("the request body has a member %q; write it as %q", name, canonical)
	}
	if slot.present() {
		return fmt.Errorf("the request body has more than one member %q; send it once", name)
	}
	*slot = at
	return nil
}

// leniently returns a name as careless decoders may read it: up to a NUL, where
// strings of C end; without halves of surrogate pairs, which decode to U+FFFD, and
// without bytes that are no UTF-8; or with those decoded that are ASCII in two bytes.
func leniently(name []byte) (without, decoded []byte) {
	name, _, _ = bytes.Cut(name, []byte{0})
	without = bytes.ReplaceAll(bytes.ToValidUTF8(name, nil), []byte("\uFFFD"), nil)
	for i := 0; i < len(name); i++ {
		if c := name[i]; (c == 0xc0 || c == 0xc1) && i+1 < len(name) {
			i++
			decoded = append(decoded, c<<6|name[i]&0x3f)
			continue
		}
		decoded = append(decoded, name[i])
	}
	return without, decoded
}

func allASCII(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// memberName is the name that stands quoted in a document.
func memberName(quoted []byte) (name []byte, ok bool) {
	name = quoted[1 : len(quoted)-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		var decoded string
		if json.Unmarshal(quoted, &decoded) != nil {
			return nil, false
		}
		name = []byte(decoded)
	}
	return name, true
}

// eachMember calls f with each member of a JSON object, up to where it is none.
func eachMember(object []byte, f func(name, value []byte)) {
	i := skipSpace(object, 0)
	if i == len(object) || object[i] != '{' {
		return
	}
	for {
		key := skipSpace(object, i+1)
		if key == len(object) || object[key] != '"' {
			return
		}
		end, ok := skipString(object, key)
		if !ok {
			return
		}
		if i = skipSpace(object, end); i == len(object) || object[i] != ':' {
			return
		}
		start := skipSpace(object, i+1)
		if i = skipValue(object, start); i <= start {
			return
		}
		if name, ok := memberName(object[key:end]); ok {
			f(name, object[start:i])
		}
		if i = skipSpace(object, i); i == len(object) || object[i] != ',' {
			return
		}
	}
}

func checkEnd(body []byte, i int) error {
	if i = skipSpace(body, i); i != len(body) {
		return wanted("nothing after the JSON object", body, i)
	}
	return nil
}

// wanted is the error for a body that has something else at offset i, or ends.
func wanted(want string, body []byte, i int) error {
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
	for i++; ; i++ {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return len(b), false
		}
		i += n
		// A quote is escaped if an odd number of backslashes stands before it. The
		// quote before them, if none else, ends their row.
		back := i
		for b[back-1] == '\\' {
			back--
		}
		if (i-back)&1 == 0 {
			return i + 1, true
		}
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
