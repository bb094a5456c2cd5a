package tap

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
)

// shownEvent is what a client that did not ask for usage gets of an event, found
// out by encoding/json.
func shownEvent(event fakeprovider.Event) []byte {
	lines := linesOf(event.Raw)
	fields := 0
	for i, line := range lines {
		if !isComment(line) {
			fields += len(line)
			continue
		}
		if fields == 0 {
			continue
		}
		// A comment among the fields decides about those before it.
		if before := fakeprovider.Events(bytes.Join(append(lines[:i:i], []byte("\n")), nil)); len(before) == 1 && isUsageOnly(before[0].Data) {
			return comments(lines)
		}
		return event.Raw
	}
	if isUsageOnly(event.Data) {
		return comments(lines)
	}
	at := -1
	for i, line := range lines {
		if bytes.HasPrefix(bytes.TrimPrefix(line, byteOrderMark), dataField) {
			if at >= 0 {
				return event.Raw
			}
			at = i
		}
	}
	if at < 0 {
		return event.Raw
	}
	start := bytes.Index(lines[at], dataField) + len(dataField)
	lines[at] = append(lines[at][:start:start], withoutNull(lines[at][start:])...)
	return bytes.Join(lines, nil)
}

func isComment(line []byte) bool {
	return len(line) > 1 && line[0] == ':' && (line[len(line)-1] == '\n' || line[len(line)-1] == '\r')
}

func comments(lines [][]byte) (out []byte) {
	for _, line := range lines {
		if isComment(line) {
			out = append(out, line...)
		}
	}
	return out
}

// linesOf cuts after each line end.
func linesOf(raw []byte) (lines [][]byte) {
	for len(raw) > 0 {
		n := bytes.IndexAny(raw, "\r\n") + 1
		switch {
		case n == 0:
			n = len(raw)
		case raw[n-1] == '\r' && n < len(raw) && raw[n] == '\n':
			n++
		}
		lines, raw = append(lines, raw[:n:n]), raw[n:]
	}
	return lines
}

// withoutNull is a document without its member "usage", if that is null.
func withoutNull(doc []byte) []byte {
	if !json.Valid(doc) {
		return doc
	}
	d := json.NewDecoder(bytes.NewReader(doc))
	if open, _ := d.Token(); open != json.Delim('{') {
		return doc
	}
	found, cutFrom, cutTo := 0, int64(0), int64(0)
	for d.More() {
		before := d.InputOffset()
		name, _ := d.Token()
		var value json.RawMessage
		_ = d.Decode(&value)
		if name != "usage" {
			continue
		}
		if found++; string(value) != "null" {
			found = 2
		}
		cutFrom, cutTo = before+int64(bytes.IndexByte(doc[before:], '"')), d.InputOffset()
		if d.More() {
			cutTo += int64(bytes.IndexByte(doc[cutTo:], ',')) + 1
		} else if comma := bytes.IndexByte(doc[before:cutFrom], ','); comma >= 0 {
			cutFrom = before + int64(comma)
		}
	}
	if found != 1 {
		return doc
	}
	return append(doc[:cutFrom:cutFrom], doc[cutTo:]...)
}

// withoutNulls is withoutNull for what tests write.
func withoutNulls(stream string) string { return strings.ReplaceAll(stream, `,"usage":null`, "") }
