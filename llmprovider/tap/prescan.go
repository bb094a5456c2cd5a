package tap

import (
	"bytes"

	"github.com/caddy-llm/gateway/internal/jsonscan"
)

// hints is what an event seems to hold of what an eventTap is after.
type hints uint8

const (
	hintModel hints = 1 << iota
	hintFinish
	hintKind
	hintError
	hintUsage
	hintDone
	hintNull // usage that is null

	hintAll = hintModel | hintFinish | hintKind | hintError | hintUsage | hintDone | hintNull
)

var (
	usageName    = []byte(`"usage`)
	finishName   = []byte(`"finish_reason`)
	stopName     = []byte(`"stop_reason`) // Anthropic's
	errorName    = []byte(`"error`)
	modelName    = []byte(`"model`)
	typeName     = []byte(`"type`)
	errorKind    = []byte(`"error"`)
	doneData     = []byte("[DONE]")
	escapedASCII = []byte(`\u00`)

	responsePrefix = []byte(`"response.`)
	endInitials    = []byte("cif") // completed, cancelled, incomplete, failed
)

// maxDone bounds an event that does nothing but say [DONE], in bytes.
const maxDone = 64

// prescan tells in one pass what a closer look at the event may find. Most
// events of a stream are content alone, and most values of interest are null in
// most events; those are seen from the value's first byte. Whatever is missed
// by it is not there.
//
// It goes from colon to colon, since JSON has few of them, and reads the name
// before each. Inside a string a name's quotes would be escaped, so a name that
// is found is never text.
//
// null is the offset of the colon before the last usage that is null, or -1.
func prescan(event []byte) (s hints, null int) {
	null = -1
	if needsFullParse(event) {
		return hintAll, null
	}
	if len(event) <= maxDone && bytes.Contains(event, doneData) {
		s |= hintDone
	}
	for i := 0; ; i++ {
		n := bytes.IndexByte(event[i:], ':')
		if n < 0 {
			return s, null
		}
		i += n
		quote := i - 1
		for quote > 0 && isSpace(event[quote]) {
			quote--
		}
		if quote < 1 || event[quote] != '"' {
			continue
		}
		name := event[:quote]
		switch event[quote-1] {
		case 'e':
			switch {
			case bytes.HasSuffix(name, usageName):
				switch at := jsonscan.AfterSpace(event, i+1); {
				case at == len(event):
				case event[at] == '{':
					s |= hintUsage
				case event[at] == 'n':
					s |= hintNull
					null = i
				}
			case bytes.HasSuffix(name, typeName):
				if tellsState(event[jsonscan.AfterSpace(event, i+1):]) {
					s |= hintKind
				}
			}
		case 'n':
			if (bytes.HasSuffix(name, finishName) || bytes.HasSuffix(name, stopName)) && valueAt(event, i+1, '"', '"') {
				s |= hintFinish
			}
		case 'l':
			if bytes.HasSuffix(name, modelName) && valueAt(event, i+1, '"', '"') {
				s |= hintModel
			}
		case 'r':
			if bytes.HasSuffix(name, errorName) && valueAt(event, i+1, '{', '"') {
				s |= hintError
			}
		}
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// valueAt reports whether the value at b[i:] begins with one of the two bytes.
func valueAt(b []byte, i int, one, other byte) bool {
	i = jsonscan.AfterSpace(b, i)
	return i < len(b) && (b[i] == one || b[i] == other)
}

// tellsState reports whether a value of "type" may be one that readKind is after,
// and not that of one of the many small events of the Responses API.
func tellsState(value []byte) bool {
	if bytes.HasPrefix(value, errorKind) {
		return true
	}
	for _, kind := range lastKinds {
		if len(value) > len(kind) && string(value[1:len(kind)+1]) == kind {
			return true
		}
	}
	rest, ok := bytes.CutPrefix(value, responsePrefix)
	return ok && len(rest) > 0 && bytes.IndexByte(endInitials, rest[0]) >= 0
}

// needsFullParse reports whether prescan could miss a member's name or value: its data
// may stand in several lines, or a letter of the name be escaped. No provider
// is known to do either, but both are legal.
func needsFullParse(event []byte) bool {
	firstLine := bytes.IndexByte(event, '\n') + 1
	if len(event)-firstLine > len("\r\n") && bytes.Count(event, dataField) > 1 {
		return true
	}
	i := bytes.IndexByte(event, '\\')
	if i < 0 {
		return false
	}
	for event = event[i:]; ; {
		i := bytes.Index(event, escapedASCII)
		if i < 0 || i+4 >= len(event) {
			return false
		}
		if c := event[i+4]; c >= '4' && c <= '7' { // where ASCII has its letters
			return true
		}
		event = event[i+4:]
	}
}
