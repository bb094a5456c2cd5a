package dialect

import (
	"bytes"
	"encoding/base64"
	"strings"
	"unicode/utf8"

	"github.com/caddy-llm/gateway/internal/jsonscan"
)

// Carrier is opaque state of a model's reasoning: a signature, or reasoning that is
// encrypted. Only the vendor that made it can use it. The zero value is no state.
type Carrier struct {
	// Vendor is who made it; empty if the client's API is the vendor's own and the
	// value has no tag.
	Vendor string
	// Value is the state, a JSON string, without the tag.
	Value JSON
	// Sealed reports, of what has a tag, whether it is reasoning that cannot be read and
	// not a signature. Fields that hold both in other vendors' APIs do not tell them apart.
	Sealed bool
}

// tagged begins the values that carry the state of one vendor in another vendor's
// API: the vendor and a colon follow, or a semicolon where the state is sealed. The dot
// keeps it apart from base64.
const tagged = "llm."

// taggedBinary is how tagged begins in base64.
const taggedBinary = "bGxtL"

// ReadCarrier reads a JSON string that a client sends in a field of vendor's own
// API. It is vendor's own state, or that of another one, tagged.
func ReadCarrier(value JSON, vendor string) Carrier {
	inner := jsonscan.Inner(value)
	if len(inner) == 0 {
		return Carrier{}
	}
	rest, ok := bytes.CutPrefix(inner, []byte(tagged))
	colon := bytes.IndexAny(rest, ":;")
	if !ok || colon < 0 {
		return Carrier{Vendor: vendor, Value: value}
	}
	state := make(JSON, 0, len(rest)-colon+1)
	state = append(append(append(state, '"'), rest[colon+1:]...), '"')
	return Carrier{Vendor: string(rest[:colon]), Value: state, Sealed: rest[colon] == ';'}
}

// ReadBinary is ReadCarrier for a field of bytes, which stand in base64: what has a tag
// was encoded once more (see AppendBinary).
func ReadBinary(value JSON, vendor string) Carrier {
	encoded := jsonscan.Plain(value)
	if !bytes.HasPrefix(encoded, []byte(taggedBinary)) {
		return ReadCarrier(value, vendor)
	}
	// SDKs write it anew, some of them in the alphabet for URLs.
	text := strings.NewReplacer("-", "+", "_", "/", "=", "").Replace(string(encoded))
	state := append(make(JSON, 0, len(text)+2), '"')
	state, err := base64.RawStdEncoding.AppendDecode(state, []byte(text))
	if state = append(state, '"'); err != nil || !utf8.Valid(state) || !jsonscan.Valid(state) {
		return Carrier{Vendor: vendor, Value: value}
	}
	return ReadCarrier(state, vendor)
}

// Empty reports whether there is no state.
func (c Carrier) Empty() bool { return len(c.Value) < 3 }

// Clone returns the state with bytes of its own.
func (c Carrier) Clone() Carrier {
	c.Value = bytes.Clone(c.Value)
	return c
}

// Seal returns the state as one that is sealed.
func (c Carrier) Seal() Carrier {
	c.Sealed = true
	return c
}

// separator ends the vendor in a tag.
func (c Carrier) separator() byte {
	if c.Sealed {
		return ';'
	}
	return ':'
}

// From reports whether the state is that of vendor, so that it may be sent there.
func (c Carrier) From(vendor string) bool { return !c.Empty() && c.Vendor == vendor }

// Append appends the state as a JSON string for a field of vendor's own API: as it
// is if it is vendor's, with a tag if it is another's.
func (c Carrier) Append(dst []byte, vendor string) []byte {
	if c.Vendor == vendor || c.Vendor == "" {
		return append(dst, c.Value...)
	}
	dst = append(dst, '"')
	dst = append(dst, tagged...)
	dst = append(append(dst, c.Vendor...), c.separator())
	return append(dst, c.Value[1:]...)
}

// AppendBinary is Append for a field of bytes, which clients decode from base64: state that
// is not vendor's own, and so may be any text, is encoded with its tag.
func (c Carrier) AppendBinary(dst []byte, vendor string) []byte {
	if c.Vendor == vendor {
		return append(dst, c.Value...)
	}
	state := append(append(append([]byte(tagged), c.Vendor...), c.separator()), jsonscan.Inner(c.Value)...)
	return append(base64.StdEncoding.AppendEncode(append(dst, '"'), state), '"')
}
