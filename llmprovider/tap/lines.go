package tap

import "bytes"

// lines cuts a stream of server-sent events at the blank lines that end them and,
// if comments is set, after each comment line. Lines end in CRLF, LF or CR, as the
// HTML standard has it. It keeps its place between pieces of the stream, so that
// each byte is looked at once.
type lines struct {
	comments bool

	mid     bool // the line has begun
	cr      bool // the last byte was a CR: a LF that follows is of the same line end
	comment bool // the line is a comment: the last one, if it has ended
	fields  bool // the event has a line that is none
	length  int  // of the comment so far, in bytes
}

// next returns the length of what ends in b with the next blank line or comment,
// or -1 when all of b belongs to an unfinished event.
func (l *lines) next(b []byte) int {
	if len(b) == 0 {
		return -1
	}
	i := 0
	if l.cr && b[0] == '\n' {
		i = 1
	}
	l.cr = false
	if i == 1 && l.comment && !l.mid { // the rest of the comment's line end
		l.length = 1
		return i
	}
	for lf := -1; i < len(b); {
		if lf < i {
			if n := bytes.IndexByte(b[i:], '\n'); n >= 0 {
				lf = i + n
			} else {
				lf = len(b)
			}
		}
		end := lf
		if n := bytes.IndexByte(b[i:lf], '\r'); n >= 0 {
			end = i + n
		}
		if !l.mid {
			l.comment = l.comments && b[i] == ':'
			l.fields = l.fields || !l.comment && end > i
			l.length = 0
		}
		blank := end == i && !l.mid
		l.length += min(end+1, len(b)) - i
		if end == len(b) {
			l.mid = true
			return -1
		}
		l.mid = false
		i = end + 1
		if b[end] == '\r' {
			if i == len(b) {
				l.cr = true
			} else if b[i] == '\n' {
				i++
				l.length++
			}
		}
		if blank {
			l.fields = false
		}
		if blank || l.comment {
			return i
		}
	}
	return -1
}

// cutCRLF reports whether p begins with the second half of the CRLF that ended
// the last event.
func (l *lines) cutCRLF(p []byte) bool {
	if !l.cr || p[0] != '\n' {
		return false
	}
	l.cr = false
	return true
}

var byteOrderMark = []byte("\ufeff")

// dataLine returns where the data of an event is, if it is all in one line.
func dataLine(event []byte) (start, end int, ok bool) {
	i := 0
	if bytes.HasPrefix(event, byteOrderMark) {
		i = len(byteOrderMark)
	}
	for i < len(event) {
		line := event[i:]
		if n := bytes.IndexByte(line, '\n'); n >= 0 {
			line = line[:n]
		}
		if n := bytes.IndexByte(line, '\r'); n >= 0 {
			line = line[:n]
		}
		if bytes.HasPrefix(line, dataField) {
			if ok {
				return 0, 0, false
			}
			start, end, ok = i+len(dataField), i+len(line), true
		}
		i += len(line) + 1
	}
	return start, end, ok
}

// eventData returns an event's data: its data lines, joined by line feeds.
func eventData(event []byte) []byte {
	var data []byte
	count := 0
	event = bytes.TrimPrefix(event, byteOrderMark) // the first event of a stream may have one
	for len(event) > 0 {
		line, rest, _ := bytes.Cut(event, lineFeed)
		if n := bytes.IndexByte(line, '\r'); n >= 0 {
			line, rest = event[:n], event[n+1:] // after CRLF, an empty line is seen that does no harm
		}
		event = rest
		value, ok := bytes.CutPrefix(line, dataField)
		if !ok {
			continue
		}
		if len(value) > 0 && value[0] == ' ' {
			value = value[1:]
		}
		switch count++; count {
		case 1:
			data = value
		case 2: // in its own memory from here on
			data = append(append(data[:len(data):len(data)], '\n'), value...)
		default:
			data = append(append(data, '\n'), value...)
		}
	}
	return data
}

var (
	lineFeed  = []byte("\n")
	dataField = []byte("data:")
)
