package k8ssource

import (
	"bytes"
)

// document is one of the documents of a YAML file.
type document struct {
	text []byte
	line int // of its first line, from 1
}

// split cuts a YAML file at its document markers. The text of a document is
// padded with nothing: its lines count from document.line.
func split(data []byte) []document {
	var out []document
	start, startLine := 0, 1
	end := func(at int) {
		if text := data[start:at]; hasContent(text) {
			skipped, rest := skipBlank(text)
			out = append(out, document{rest, startLine + skipped})
		}
	}
	for pos, line := 0, 1; pos < len(data); line++ {
		next := len(data)
		if i := bytes.IndexByte(data[pos:], '\n'); i >= 0 {
			next = pos + i + 1
		}
		switch text := data[pos:next]; {
		case isMarker(text, "---"):
			end(pos)
			// What follows on the marker's line belongs to the document.
			start, startLine = pos+3, line
		case isMarker(text, "..."):
			end(pos)
			start, startLine = next, line+1
		}
		pos = next
	}
	if start < len(data) {
		end(len(data))
	}
	return out
}

func isMarker(line []byte, marker string) bool {
	rest, ok := bytes.CutPrefix(line, []byte(marker))
	return ok && (len(rest) == 0 || bytes.IndexByte([]byte(" \t\r\n"), rest[0]) >= 0)
}

// hasContent tells whether there is anything but comments, directives and
// blank lines.
func hasContent(text []byte) bool {
	for line := range bytes.Lines(text) {
		if !isBlank(line) && line[0] != '%' {
			return true
		}
	}
	return false
}

// skipBlank cuts off the blank lines, comments and directives that a document
// begins with, so that its line is the one a person looks for.
func skipBlank(text []byte) (skipped int, rest []byte) {
	for line := range bytes.Lines(text) {
		if !isBlank(line) && line[0] != '%' {
			break
		}
		skipped++
		text = text[len(line):]
	}
	return skipped, text
}

func isBlank(line []byte) bool {
	line = bytes.TrimSpace(line)
	return len(line) == 0 || line[0] == '#'
}
