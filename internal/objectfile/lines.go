// Package objectfile takes files of Kubernetes objects apart as kubectl does: YAML
// documents, and JSON objects one after the other. Whatever is in a file is either
// passed on, or an error that names its line: nothing after the first thing is left out.
package objectfile

import "bytes"

// BOM is the byte order mark of UTF-8, which editors put in front of files.
const BOM = "\xef\xbb\xbf"

// breaks are the line breaks of YAML 1.1, which the YAML parser goes by: CR, LF, NEL, LS
// and PS.
var breaks = []string{"\n", "\r", "\u0085", "\u2028", "\u2029"}

// Next returns where the line after the one that begins at pos begins.
func Next(data []byte, pos int) int {
	rest := data[pos:]
	for i := 0; i < len(rest); i++ {
		switch rest[i] {
		case '\n':
			return pos + i + 1
		case '\r':
			if i+1 < len(rest) && rest[i+1] == '\n' {
				return pos + i + 2
			}
			return pos + i + 1
		case 0xc2, 0xe2:
			for _, b := range breaks[2:] {
				if bytes.HasPrefix(rest[i:], []byte(b)) {
					return pos + i + len(b)
				}
			}
		}
	}
	return len(data)
}

// Lines counts the line breaks in a text.
func Lines(text []byte) int {
	n := 0
	for pos := 0; pos < len(text); {
		next := Next(text, pos)
		if next < len(text) || EndsLine(text) {
			n++
		}
		pos = next
	}
	return n
}

// EndsLine reports whether a text ends with a line break.
func EndsLine(text []byte) bool {
	for _, b := range breaks {
		if bytes.HasSuffix(text, []byte(b)) {
			return true
		}
	}
	return false
}

// IsMarker reports whether a line is a document marker, `---` or `...`. A byte order
// mark may stand before it, where files were put together.
func IsMarker(line []byte, marker string) bool {
	rest, ok := bytes.CutPrefix(bytes.TrimPrefix(line, []byte(BOM)), []byte(marker))
	return ok && (len(rest) == 0 || rest[0] == ' ' || rest[0] == '\t' || isBreak(rest))
}

// AfterMarker returns where the content of a document begins: after the marker in its
// first line that is not blank and no directive, or at 0 if there is none.
func AfterMarker(text []byte) int {
	for pos := 0; pos < len(text); {
		next := Next(text, pos)
		line := text[pos:next]
		if IsMarker(line, "---") {
			return pos + bytes.Index(line, []byte("---")) + 3
		}
		if !IsBlank(line) && line[0] != '%' {
			return 0
		}
		pos = next
	}
	return 0
}

func isBreak(text []byte) bool {
	for _, b := range breaks {
		if bytes.HasPrefix(text, []byte(b)) {
			return true
		}
	}
	return false
}

// IsBlank reports whether a line has nothing but white space and a comment.
func IsBlank(line []byte) bool {
	for len(line) > 0 {
		switch {
		case line[0] == '#' || isBreak(line):
			return true
		case line[0] != ' ' && line[0] != '\t':
			return false
		}
		line = line[1:]
	}
	return true
}
