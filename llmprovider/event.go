package llmprovider

import "bytes"

// lines cuts a stream of server-sent events at the blank lines that end them.
// Lines end in CRLF, LF or CR, as the HTML standard has it. It keeps its place
// between pieces of the stream, so that each byte is looked at once.
type lines struct {
	mid bool // the line has begun
	cr  bool // the last byte was a CR: a LF that follows is of the same line end
}

// eventEnd returns the length of what ends in b with the next blank line, or -1
// when all of b belongs to an unfinished event.
func (l *lines) eventEnd(b []byte) int {
	if len(b) == 0 {
		return -1
	}
	i := 0
	if l.cr && b[0] == '\n' {
		i = 1
	}
	l.cr = false
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
		if end == len(b) {
			l.mid = true
			return -1
		}
		blank := end == i && !l.mid
		l.mid = false
		i = end + 1
		if b[end] == '\r' {
			if i == len(b) {
				l.cr = true
			} else if b[i] == '\n' {
				i++
			}
		}
		if blank {
			return i
		}
	}
	return -1
}

// cutCRLF tells whether p begins with the second half of the CRLF that ended
// the last event.
func (l *lines) cutCRLF(p []byte) bool {
	if !l.cr || p[0] != '\n' {
		return false
	}
	l.cr = false
	return true
}

var byteOrderMark = []byte("\ufeff")

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
		if count++; count == 1 {
			data = value
		} else {
			data = append(append(data[:len(data):len(data)], '\n'), value...)
		}
	}
	return data
}

var (
	lineFeed  = []byte("\n")
	dataField = []byte("data:")
)
