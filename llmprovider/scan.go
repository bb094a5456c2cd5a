package llmprovider

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/caddy-llm/gateway/internal/jsonscan"
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
	s := jsonscan.NewChecker(body)
	i := jsonscan.AfterSpace(body, 0)
	if i == len(body) || body[i] != '{' {
		if hasMark(body) {
			return m, errMark
		}
		return m, errNotObject
	}
	i++
	m.open = i
	i = jsonscan.AfterSpace(body, i)
	if i < len(body) && body[i] == '}' {
		m.empty = true
		return m, checkEnd(body, i+1)
	}
	for {
		key := i
		val := s.Name(i)
		if val < 0 {
			return m, wanted(s.Want, body, s.At)
		}
		if i = s.Value(val); i < 0 {
			return m, wanted(s.Want, body, s.At)
		}
		if isRewritten(body[key+1]) {
			if err := m.note(body[key:val], member{key, val, i}); err != nil {
				return m, err
			}
		}
		i = jsonscan.AfterSpace(body, i)
		if i == len(body) {
			return m, wanted("a closing brace", body, i)
		}
		switch body[i] {
		case ',':
			i = jsonscan.AfterSpace(body, i+1)
		case '}':
			return m, checkEnd(body, i+1)
		default:
			return m, wanted("a comma or a closing brace", body, i)
		}
	}
}

// hasMark reports whether body begins with a byte order mark of UTF-8 or UTF-16.
func hasMark(body []byte) bool {
	return bytes.HasPrefix(body, []byte("\ufeff")) || bytes.HasPrefix(body, []byte("\xff\xfe")) || bytes.HasPrefix(body, []byte("\xfe\xff"))
}

// isRewritten reports whether a name that begins so, as it is in the body,
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

// maxMemberName is the longest name of a member, as it is in the body, that is decoded to see
// whether it is one of these, in bytes. A longer one takes several times its memory, and
// nobody has one.
const maxMemberName = 4 << 10

// note remembers the member if its name is one of those the gateway rewrites.
// quoted begins with the name as it is in the body, with its quotes.
func (m *members) note(quoted []byte, at member) error {
	quoted = quoted[:bytes.LastIndexByte(quoted, '"')+1]
	if len(quoted) > maxMemberName {
		return fmt.Errorf("the request body has a member whose name is longer than %d bytes; use a shorter one", maxMemberName)
	}
	name, _ := jsonscan.MemberName(quoted)
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
		return fmt.Errorf("the request body has a member %q; write it as %q", Bounded(string(name)), canonical)
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

func checkEnd(body []byte, i int) error {
	if i = jsonscan.AfterSpace(body, i); i != len(body) {
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
