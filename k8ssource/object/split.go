package object

import (
	"bytes"

	"github.com/caddy-llm/gateway/internal/objectfile"
)

// document is one of the documents of a file.
type document struct {
	text []byte
	line int // of its first line, from 1
}

// split cuts a file at its document markers, and documents with several JSON objects
// into these. The text of a document is padded with nothing: its lines count from
// document.line. The error is a document that begins with a JSON object and goes on with
// something else.
func split(data []byte) (out []document, moreAt int) {
	start, startLine := 0, 1
	end := func(at int) {
		text, line := skipBlank(data[start:at], startLine)
		if len(text) == 0 {
			return
		}
		ends, rest := objectfile.Objects(text)
		if len(ends) > 0 && rest >= 0 && moreAt == 0 {
			moreAt = line + objectfile.Lines(text[:rest])
		}
		if len(ends) < 2 {
			out = append(out, document{text, line})
			return
		}
		from := 0
		for _, to := range ends {
			object, first := skipBlank(text[from:to], line)
			out = append(out, document{object, first})
			line += objectfile.Lines(text[from:to])
			from = to
		}
	}
	line := 1
	for pos := 0; pos < len(data); line++ {
		next := objectfile.Next(data, pos)
		switch text := data[pos:next]; {
		case objectfile.IsMarker(text, "---"):
			end(pos)
			// What follows on the marker's line belongs to the document.
			start, startLine = pos+bytes.Index(text, []byte("---"))+3, line
		case objectfile.IsMarker(text, "..."):
			end(pos)
			start, startLine = next, line+1
		}
		pos = next
	}
	if start < len(data) {
		end(len(data))
	}
	return out, moreAt
}

// skipBlank cuts off the blank lines, comments and directives that a document
// begins with, so that its line is the one a person looks for.
func skipBlank(text []byte, line int) (rest []byte, first int) {
	for len(text) > 0 {
		text = bytes.TrimPrefix(text, []byte(objectfile.BOM))
		next := objectfile.Next(text, 0)
		if head := text[:next]; !objectfile.IsBlank(head) && (len(head) == 0 || head[0] != '%') {
			break
		}
		if next < len(text) || objectfile.EndsLine(text) {
			line++
		}
		text = text[next:]
	}
	return text, line
}
