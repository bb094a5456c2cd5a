package llmprovider

import (
	"bytes"

	"github.com/tidwall/gjson"
)

// maxHeld bounds how much of an unfinished event is held back or remembered,
// in bytes. A longer event passes through unread.
const maxHeld = 64 << 10

// eventTap reads the usage of an event stream while the stream passes through,
// event for event as the bytes it came in. It looks into an event only if the
// event names what it is after.
type eventTap struct {
	usage *Usage

	// hide says that the gateway, not the client, asked for the chunk that
	// carries usage and no choices, so that it is kept from the client.
	hide bool

	ended  bool // an event said that the stream is complete
	failed bool // an event carried an error

	held []byte // the unfinished event so far
	sent int    // how much of it was passed on already
	long bool   // the event was too long to hold; pass until it ends
}

var (
	usageName    = []byte(`"usage"`)
	finishName   = []byte(`"finish_reason"`)
	errorName    = []byte(`"error"`)
	modelName    = []byte(`"model"`)
	doneData     = []byte("[DONE]")
	responseName = []byte(`"response.`)
)

// write takes the next piece of the stream and passes on what may go to the
// client. The slices given to pass are valid only during the call.
func (t *eventTap) write(p []byte, pass func([]byte) error) error {
	data := p
	skip := 0
	if len(t.held) > 0 {
		t.held = append(t.held, p...)
		data, skip = t.held, t.sent
	}
	from, at := skip, 0 // data[from:at] is decided on and not yet passed
	for at < len(data) {
		n := eventEnd(data[at:])
		if n < 0 {
			break
		}
		event := data[at : at+n]
		if !t.long && !t.read(event) && from <= at {
			if err := passSome(pass, data[from:at]); err != nil {
				return err
			}
			from = at + n
		}
		t.long = false
		at += n
	}
	rest := data[at:]
	if len(rest) == 0 || t.long {
		t.held, t.sent = t.held[:0], 0
		return passSome(pass, data[from:])
	}
	if len(rest) > maxHeld {
		t.long = true
		t.held, t.sent = t.held[:0], 0
		return passSome(pass, data[from:])
	}
	through := len(data)
	if t.hide {
		through = max(from, at)
	}
	err := passSome(pass, data[from:through])
	t.sent = max(through-at, 0)
	t.held = append(t.held[:0], rest...) // overlapping is fine: rest is never before the start
	return err
}

// finish passes on what is held back when the stream has ended.
func (t *eventTap) finish(pass func([]byte) error) error {
	if len(t.held) == 0 {
		return nil
	}
	rest := t.held
	t.held = nil
	if !t.read(rest) && t.sent == 0 {
		return nil
	}
	return passSome(pass, rest[t.sent:])
}

func passSome(pass func([]byte) error, p []byte) error {
	if len(p) == 0 {
		return nil
	}
	return pass(p)
}

// read looks into one event and tells whether the client is to see it.
func (t *eventTap) read(event []byte) (show bool) {
	if i := bytes.Index(event, finishName); i >= 0 {
		t.usage.readFinish(event[i:])
	}
	if t.usage.Model == "" && bytes.Contains(event, modelName) {
		t.usage.setModel(rawOf(eventData(event), "model", "response.model"))
	}
	if carriesUsage(event) {
		return t.readUsage(eventData(event))
	}
	switch {
	case bytes.Contains(event, doneData):
		t.ended = t.ended || string(eventData(event)) == "[DONE]"
	case bytes.Contains(event, responseName):
		t.readEnd(gjson.ParseBytes(eventData(event)))
	case bytes.Contains(event, errorName):
		t.failed = t.failed || gjson.GetBytes(eventData(event), "error").IsObject()
	}
	return true
}

// readUsage reads an event's data that has a usage object somewhere.
func (t *eventTap) readUsage(data []byte) (show bool) {
	doc := gjson.ParseBytes(data)
	t.readEnd(doc)
	for _, path := range [...]string{"usage", "response.usage", "choices.0.usage"} {
		if u := doc.Get(path); u.IsObject() {
			t.usage.readUsage([]byte(u.Raw))
			return !t.hide || path != "usage" || doc.Get("choices.#").Int() > 0
		}
	}
	return true
}

// readEnd notes the events that end a stream of the Responses API.
func (t *eventTap) readEnd(doc gjson.Result) {
	switch kind := doc.Get("type").Str; kind {
	case "response.completed", "response.incomplete", "response.failed", "response.cancelled":
		t.ended = true
		t.usage.setFinish([]byte(`"` + kind[len("response."):] + `"`))
	}
}

// carriesUsage tells whether a member "usage" of the event is an object. Most
// providers that are asked for usage send a null in every other event. Inside a
// JSON string the name's quotes would be escaped, so this is no text.
func carriesUsage(event []byte) bool {
	for {
		i := bytes.Index(event, usageName)
		if i < 0 {
			return false
		}
		event = event[i+len(usageName):]
		i = skipSpace(event, 0)
		if i < len(event) && event[i] == ':' {
			if i = skipSpace(event, i+1); i < len(event) && event[i] == '{' {
				return true
			}
		}
	}
}

// rawOf returns the raw JSON of the first path that doc has.
func rawOf(doc []byte, paths ...string) []byte {
	for _, path := range paths {
		if v := gjson.GetBytes(doc, path); v.Exists() {
			return []byte(v.Raw)
		}
	}
	return nil
}

// eventEnd returns the length of the first event in b with the blank line that
// ends it, or -1 when there is none. Lines end in LF or CRLF, or in CR alone in
// a stream without LF, as the HTML standard allows.
func eventEnd(b []byte) int {
	for i := 0; ; {
		n := bytes.IndexByte(b[i:], '\n')
		if n < 0 {
			if i == 0 {
				if n = bytes.Index(b, []byte("\r\r")); n >= 0 {
					return n + 2
				}
			}
			return -1
		}
		i += n + 1
		if i < len(b) && b[i] == '\n' {
			return i + 1
		}
		if i+1 < len(b) && b[i] == '\r' && b[i+1] == '\n' {
			return i + 2
		}
	}
}

// eventData returns an event's data: its data lines, joined by line feeds.
func eventData(event []byte) []byte {
	var data []byte
	lines := 0
	for len(event) > 0 {
		var line []byte
		if n := bytes.IndexAny(event, "\r\n"); n >= 0 {
			line, event = event[:n], event[n+1:]
		} else {
			line, event = event, nil
		}
		value, ok := bytes.CutPrefix(line, []byte("data:"))
		if !ok {
			continue
		}
		value = bytes.TrimPrefix(value, []byte(" "))
		if lines++; lines == 1 {
			data = value
		} else {
			data = append(append(data[:len(data):len(data)], '\n'), value...)
		}
	}
	return data
}
