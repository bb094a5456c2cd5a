package dialect

import (
	"bytes"
	"errors"
)

// MaxEvent bounds one server-sent event of a translated stream, in bytes. An event
// of the Responses API may hold the whole response.
const MaxEvent = 8 << 20

// ErrEventTooLong is returned for a stream with an event over MaxEvent.
var ErrEventTooLong = errors.New("the provider sent an event of more than 8 MiB")

// EventStream cuts a stream of server-sent events (WHATWG HTML, section 9.2) that
// arrives in pieces into its events. The zero value is ready. It is not safe for
// concurrent use.
type EventStream struct {
	rest  []byte // the line that has not ended
	skip  bool   // a line feed after the carriage return that ended the last piece
	begun bool   // past a byte order mark
	name  []byte
	data  []byte // the event's data so far
	lines int    // of data

	// Comment is called for each comment, which providers send to keep a client waiting;
	// nil for nothing.
	Comment func()
}

// Read takes the next piece and calls f with each event that has data: its name,
// empty if it has none, and its data. The slices are valid only during the call.
func (s *EventStream) Read(p []byte, f func(name, data []byte) error) error {
	for len(p) > 0 {
		if s.skip {
			s.skip = false
			if p[0] == '\n' {
				p = p[1:]
				continue
			}
		}
		end := lineEnd(p)
		if end < 0 {
			if len(s.rest)+len(p)+len(s.data) > MaxEvent {
				return ErrEventTooLong
			}
			s.rest = append(s.rest, p...)
			return nil
		}
		line := p[:end]
		if len(s.rest) > 0 {
			s.rest = append(s.rest, line...)
			line = s.rest
		}
		s.skip = p[end] == '\r'
		p = p[end+1:]
		if err := s.line(line, f); err != nil {
			return err
		}
		s.rest = s.rest[:0]
	}
	return nil
}

// lineEnd returns where the first line of p ends, or -1.
func lineEnd(p []byte) int {
	end := bytes.IndexByte(p, '\n')
	line := p
	if end >= 0 {
		line = p[:end]
	}
	if cr := bytes.IndexByte(line, '\r'); cr >= 0 {
		return cr
	}
	return end
}

// Close is called at the end of the stream, whose last event may lack the blank
// line after it. It returns what is left that is no event, such as the tail of a
// JSON error.
func (s *EventStream) Close(f func(name, data []byte) error) (rest []byte, err error) {
	rest = s.rest
	if field, _, ok := bytes.Cut(rest, []byte{':'}); ok && (string(field) == "data" || string(field) == "event") {
		if err := s.line(rest, f); err != nil {
			return nil, err
		}
		rest = nil
	}
	return rest, s.dispatch(f)
}

func (s *EventStream) line(line []byte, f func(name, data []byte) error) error {
	if !s.begun {
		s.begun = true
		line = bytes.TrimPrefix(line, byteOrderMark)
	}
	if len(line) == 0 {
		return s.dispatch(f)
	}
	if line[0] == ':' {
		if s.Comment != nil {
			s.Comment()
		}
		return nil
	}
	field, value, _ := bytes.Cut(line, []byte{':'})
	value = bytes.TrimPrefix(value, []byte{' '})
	switch string(field) {
	case "data":
		if len(s.data)+len(value) > MaxEvent {
			return ErrEventTooLong
		}
		if s.lines++; s.lines > 1 {
			s.data = append(s.data, '\n')
		}
		s.data = append(s.data, value...)
	case "event":
		s.name = append(s.name[:0], value...)
	}
	return nil
}

func (s *EventStream) dispatch(f func(name, data []byte) error) error {
	name, data, lines := s.name, s.data, s.lines
	s.name, s.data, s.lines = s.name[:0], s.data[:0], 0
	if lines == 0 {
		return nil
	}
	err := f(name, data)
	if cap(s.data) > 16<<10 { // one large event must not hold memory for the rest of the stream
		s.data = nil
	}
	return err
}
