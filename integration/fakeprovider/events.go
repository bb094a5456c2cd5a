package fakeprovider

import "bytes"

// Event is one server-sent event, or a run of comments, cut from a stream.
type Event struct {
	// Raw is the event as it was sent, with the line ends and the blank line
	// that closes it; the Raw of all events together are the stream.
	Raw []byte
	// Name is the event field, empty when there was none.
	Name string
	// Data is the data lines joined by newlines; nil when there were none.
	Data []byte
}

// Events cuts a stream into events by the HTML standard's rules: lines end in
// LF, CRLF or CR, a byte order mark at the start is skipped, comments and
// unknown fields are ignored. Unlike the standard it also returns an
// unfinished event at the end, as many clients do.
//
// It is written for tests: independent of the gateway's reader, simple rather
// than fast, and never given less than the whole stream.
func Events(stream []byte) []Event {
	var events []Event
	var current Event
	start := 0
	flush := func(end int) {
		if end > start {
			current.Raw = stream[start:end]
			events = append(events, current)
		}
		current, start = Event{}, end
	}
	for at := 0; at < len(stream); {
		line, next := cutLine(stream, at)
		if at == 0 {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		at = next
		if len(line) == 0 {
			flush(at)
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "event":
			current.Name = string(value)
		case "data":
			if current.Data != nil {
				current.Data = append(current.Data, '\n')
			}
			current.Data = append(current.Data, value...)
			if current.Data == nil {
				current.Data = []byte{}
			}
		}
	}
	flush(len(stream))
	return events
}

// cutLine returns the line that starts at the offset and where the next begins.
func cutLine(stream []byte, at int) ([]byte, int) {
	n := bytes.IndexAny(stream[at:], "\r\n")
	if n < 0 {
		return stream[at:], len(stream)
	}
	end := at + n
	next := end + 1
	if stream[end] == '\r' && next < len(stream) && stream[next] == '\n' {
		next++
	}
	return stream[at:end], next
}
