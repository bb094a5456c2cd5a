package dialect

import (
	"bytes"

	"github.com/caddy-llm/gateway/internal/jsonscan"
)

// Carrier is opaque state of a model's reasoning: a signature, or reasoning that is
// encrypted. It is of use to the vendor that made it only. The zero value is none.
type Carrier struct {
	// Vendor is who made it; empty if the client's API is the vendor's own and the
	// value has no tag.
	Vendor string
	// Value is the state, a JSON string, without the tag.
	Value JSON
}

// tagged begins the values that carry the state of one vendor in another vendor's
// API: the vendor and a colon follow. The dot keeps it apart from base64.
const tagged = "llm."

// ReadCarrier reads a JSON string that a client sends in a field of vendor's own
// API. It is vendor's own state, or that of another one, tagged.
func ReadCarrier(value JSON, vendor string) Carrier {
	inner := jsonscan.Inner(value)
	if len(inner) == 0 {
		return Carrier{}
	}
	rest, ok := bytes.CutPrefix(inner, []byte(tagged))
	colon := bytes.IndexByte(rest, ':')
	if !ok || colon < 0 {
		return Carrier{Vendor: vendor, Value: value}
	}
	state := make(JSON, 0, len(rest)-colon+1)
	state = append(append(append(state, '"'), rest[colon+1:]...), '"')
	return Carrier{Vendor: string(rest[:colon]), Value: state}
}

// Empty reports whether there is no state.
func (c Carrier) Empty() bool { return len(c.Value) < 3 }

// Clone returns the state with bytes of its own.
func (c Carrier) Clone() Carrier { return Carrier{Vendor: c.Vendor, Value: bytes.Clone(c.Value)} }

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
	dst = append(dst, c.Vendor...)
	dst = append(dst, ':')
	return append(dst, c.Value[1:]...)
}
