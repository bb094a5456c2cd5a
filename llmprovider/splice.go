package llmprovider

import (
	"strings"

	"github.com/tidwall/gjson"
	"github.com/tidwall/sjson"

	"github.com/caddy-llm/gateway/internal/jsonscan"
)

// Edits says what a provider's configuration changes in a request body.
// Everything else of the body stays as the client sent it, byte for byte.
type Edits struct {
	Model        []byte // JSON value to set, nil to leave the client's
	Stream       []byte // JSON value to set, nil to leave the client's
	IncludeUsage bool   // set stream_options.include_usage to true
	DropOptions  bool   // remove stream_options

	// Envelope is what a cloud has in the body instead of "model", such as
	// `"anthropic_version":"vertex-2023-10-16"`: members of JSON with commas between them,
	// written in its place. Nil to leave it. With DropStream "stream" is removed as well,
	// where the cloud has both in the path.
	Envelope   []byte
	DropStream bool
}

// change reports whether they may change the body.
func (e *Edits) change() bool {
	return e.Model != nil || e.Stream != nil || e.IncludeUsage || e.DropOptions || e.Envelope != nil
}

// maxSegments is the most slices a body is sent in: three edits make at most
// three replaced parts and four parts between them.
const maxSegments = 7

// segments is a body as the slices it is sent in: parts of the client's own
// bytes with the changed values between them.
type segments struct {
	part [maxSegments][]byte
	n    int
	size int64
}

func (s *segments) add(b []byte) {
	if len(b) == 0 {
		return
	}
	s.part[s.n] = b
	s.n++
	s.size += int64(len(b))
}

// cut is one replacement: the bytes from start to end give way to with.
type cut struct {
	start, end int
	with       []byte
}

// splice applies e to body, whose members are m.
func splice(body []byte, m *members, e *Edits) segments {
	var cuts [3]cut
	n := 0
	replace := func(c cut) { // kept in order of place; there are at most three
		i := n
		for ; i > 0 && cuts[i-1].start > c.start; i-- {
			cuts[i] = cuts[i-1]
		}
		cuts[i] = c
		n++
	}
	var added []byte // new members, written right after the opening brace
	set := func(name string, at member, val []byte) {
		if at.present() {
			replace(cut{at.val, at.end, val})
			return
		}
		if added == nil {
			added = make([]byte, 0, 96)
		}
		added = append(added, '"')
		added = append(added, name...)
		added = append(added, '"', ':')
		added = append(added, val...)
		added = append(added, ',')
	}
	switch at := m.envelope(e); {
	case e.Envelope == nil && e.Model != nil:
		set("model", m.model, e.Model)
	case e.Envelope == nil:
	case at.present():
		replace(cut{at.key, at.end, e.Envelope})
	default:
		added = append(append(make([]byte, 0, len(e.Envelope)+96), e.Envelope...), ',')
	}
	switch {
	case e.Envelope != nil && e.DropStream:
		if m.stream.present() && m.model.present() {
			replace(removal(body, m.stream))
		}
	case e.Stream != nil:
		set("stream", m.stream, e.Stream)
	}
	switch {
	case e.DropOptions && m.streamOptions.present():
		replace(removal(body, m.streamOptions))
	case e.IncludeUsage:
		set("stream_options", m.streamOptions, withUsage(body, m.streamOptions))
	}
	if m.empty && len(added) > 0 {
		added = added[:len(added)-1]
	}

	var s segments
	from := 0
	if len(added) > 0 {
		s.add(body[:m.open])
		s.add(added)
		from = m.open
	}
	for _, c := range cuts[:n] {
		s.add(body[from:c.start])
		s.add(c.with)
		from = c.end
	}
	s.add(body[from:])
	return s
}

// envelope is the member in whose place the envelope is written, if there is one.
func (m *members) envelope(e *Edits) member {
	if !m.model.present() && e.DropStream {
		return m.stream
	}
	return m.model
}

// Edited returns a JSON object with the edits.
func Edited(body []byte, e *Edits) ([]byte, error) {
	m, err := scanObject(body)
	if err != nil {
		return nil, err
	}
	s := splice(body, &m, e)
	out := make([]byte, 0, s.size)
	for _, part := range s.part[:s.n] {
		out = append(out, part...)
	}
	return out, nil
}

// removal is the cut that takes a member out together with one of its commas.
func removal(body []byte, at member) cut {
	start, end := jsonscan.Removal(body, at.key, at.end)
	return cut{start, end, nil}
}

var includeUsageOnly = []byte(`{"include_usage":true}`)

// withUsage is the client's stream_options with include_usage set.
func withUsage(body []byte, at member) []byte {
	if !at.present() || body[at.val] != '{' {
		return includeUsageOnly
	}
	options := body[at.val:at.end:at.end]
	if _, n := usageOption(options); n > 1 {
		return includeUsageOnly // setting one of them would leave another
	}
	out, err := sjson.SetRawBytes(options, "include_usage", []byte("true"))
	if err != nil {
		return includeUsageOnly
	}
	return out
}

// HasStreamOptions reports whether the body has stream_options.
func (in *Inbound) HasStreamOptions() bool { return in.members.streamOptions.present() }

// AsksUsage reports whether the client's own stream_options ask for usage.
func (in *Inbound) AsksUsage() bool {
	at := in.members.streamOptions
	if !at.present() {
		return false
	}
	asks, n := usageOption(in.body.b[at.val:at.end])
	return asks && n == 1
}

// usageOption finds include_usage in options. n is how many members a provider
// could take for it, asks whether the last of them has its name and is true.
func usageOption(options []byte) (asks bool, n int) {
	gjson.ParseBytes(options).ForEach(func(key, value gjson.Result) bool {
		if strings.EqualFold(key.Str, "include_usage") {
			asks = key.Str == "include_usage" && value.Type == gjson.True
			n++
		}
		return true
	})
	return asks, n
}
