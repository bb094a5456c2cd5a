package llmprovider

import "bytes"

const (
	// maxCaptured bounds what a tap keeps of one member's value, in bytes.
	maxCaptured = 16 << 10
	// maxName bounds what it keeps of a member's name: more than any it is after.
	maxName = 24
)

// jsonTap reads the usage of a JSON answer while the answer passes through in
// pieces. It keeps its place in the document and the few bytes of the members
// it is after, never the document: an answer may be of any size.
type jsonTap struct {
	usage *Usage

	depth     int
	begun     bool
	inString  bool
	escaped   bool // the piece before ended inside an escape
	isName    bool // the string being read is a member's name
	wantName  bool // the next string at a named level is a name
	inChoices bool
	broken    bool
	name      []byte
	capture   capture
	kept      []byte
}

// capture says which member's value is being kept.
type capture uint8

const (
	captureNone capture = iota
	captureUsage
	captureFinish
	captureModel
)

// structural marks the bytes that change the place in a document.
var structural = [256]bool{'"': true, '{': true, '}': true, '[': true, ']': true, ':': true, ',': true}

// named tells whether members are read at this level: those of the document,
// and those of a choice (the document is 1, the array 2, a choice 3).
func (t *jsonTap) named() bool { return t.depth == 1 || t.depth == 3 && t.inChoices }

// write reads the next piece of the answer.
func (t *jsonTap) write(p []byte) {
	for i := 0; i < len(p) && !t.broken; {
		if t.inString {
			i = t.readString(p, i)
			continue
		}
		start := i
		for i < len(p) && !structural[p[i]] {
			i++
		}
		if t.capture != captureNone {
			t.keep(p[start:i])
		}
		if i < len(p) {
			t.step(p[i : i+1])
			i++
		}
	}
}

// step reads one structural byte.
func (t *jsonTap) step(c []byte) {
	named := t.named()
	switch c[0] {
	case '"':
		t.inString = true
		t.isName = named && t.wantName
		if t.isName {
			t.name = t.name[:0]
			return
		}
	case '{', '[':
		t.depth++
		t.begun = true
		if t.named() {
			t.wantName = c[0] == '{'
		}
	case '}', ']':
		if named {
			t.endMember()
		}
		if t.depth--; t.depth == 1 {
			t.inChoices = false
		}
		t.broken = t.depth < 0
	case ':':
		if named && t.wantName {
			t.wantName = false
			t.beginMember()
			return
		}
	case ',':
		if named {
			t.endMember()
			t.wantName = true
			return
		}
	}
	t.keep(c)
}

// readString reads on in a string and returns the offset after what it read.
func (t *jsonTap) readString(p []byte, i int) int {
	begin := i
	if t.escaped {
		t.escaped = false
		i++
	}
	for from := i; ; from = i {
		quote := bytes.IndexByte(p[i:], '"')
		end := i + quote
		if quote < 0 {
			end = len(p)
		}
		back := end
		for back > from && p[back-1] == '\\' {
			back--
		}
		odd := (end-back)&1 == 1
		if quote < 0 {
			t.escaped = odd
			i = end
			break
		}
		i = end + 1
		if !odd {
			t.inString = false
			break
		}
	}
	if t.isName {
		t.name = append(t.name, p[begin:min(i, begin+maxName-min(len(t.name), maxName))]...)
	} else {
		t.keep(p[begin:i])
	}
	return i
}

func (t *jsonTap) beginMember() {
	switch {
	case t.depth == 3:
		if string(t.name) == `finish_reason"` {
			t.capture = captureFinish
		}
	case string(t.name) == `usage"`:
		t.capture = captureUsage
	case string(t.name) == `model"`:
		t.capture = captureModel
	case string(t.name) == `status"`: // of the Responses API
		t.capture = captureFinish
	case string(t.name) == `choices"`:
		t.inChoices = true
	}
	t.kept = t.kept[:0]
}

func (t *jsonTap) keep(p []byte) {
	if t.capture == captureNone {
		return
	}
	if len(t.kept)+len(p) > maxCaptured {
		t.capture = captureNone
		return
	}
	t.kept = append(t.kept, p...)
}

func (t *jsonTap) endMember() {
	switch value := bytes.TrimSpace(t.kept); t.capture {
	case captureUsage:
		t.usage.readUsage(value)
	case captureFinish:
		if len(value) > 0 && value[0] == '"' {
			t.usage.setFinish(value)
		}
	case captureModel:
		t.usage.setModel(value)
	}
	t.capture = captureNone
}

// complete tells whether the document has begun and ended.
func (t *jsonTap) complete() bool { return t.begun && t.depth == 0 && !t.inString && !t.broken }
