package objectfile

import (
	"bytes"
	"encoding/json"
	"io"
)

// Objects returns where each of the JSON objects ends that a text is made of, one after
// the other, with white space and lines of comments between them. There are none if the
// text begins with anything but a JSON object: it is to be read as YAML then. rest is
// where something else begins after the last of them, or -1.
func Objects(text []byte) (ends []int, rest int) {
	for pos := skipSpace(text, 0); ; pos = skipSpace(text, pos) {
		switch {
		case pos == len(text):
			return ends, -1
		case text[pos] != '{':
			return ends, pos
		}
		d := json.NewDecoder(bytes.NewReader(text[pos:]))
		var object json.RawMessage
		if d.Decode(&object) != nil {
			return ends, pos
		}
		pos += int(d.InputOffset())
		ends = append(ends, pos)
	}
}

// skipSpace returns where the text goes on after white space and comments.
func skipSpace(text []byte, pos int) int {
	for pos < len(text) {
		switch c := text[pos]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			pos++
		case c == '#':
			pos = Next(text, pos)
		case bytes.HasPrefix(text[pos:], []byte(BOM)):
			pos += len(BOM)
		default:
			return pos
		}
	}
	return pos
}

// twiceInJSON returns the first member that an object of the text has twice.
func twiceInJSON(text []byte) *Twice {
	type level struct {
		seen  map[string]bool // nil in an array
		value bool            // the next token is a member's value
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var open []level
	for {
		token, err := d.Token()
		if err == io.EOF || err != nil {
			return nil
		}
		if delim, ok := token.(json.Delim); ok && (delim == '}' || delim == ']') {
			open = open[:len(open)-1]
			continue
		}
		if n := len(open) - 1; n >= 0 && open[n].seen != nil {
			if name, ok := token.(string); ok && !open[n].value {
				if open[n].seen[name] {
					return &Twice{Field: name, Line: 1 + Lines(text[:d.InputOffset()]), Root: n == 0}
				}
				open[n].seen[name], open[n].value = true, true
				continue
			}
			open[n].value = false
		}
		switch token {
		case json.Delim('{'):
			open = append(open, level{seen: make(map[string]bool)})
		case json.Delim('['):
			open = append(open, level{})
		}
	}
}
