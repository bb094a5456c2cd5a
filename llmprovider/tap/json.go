package tap

import (
	"bytes"

	"github.com/tidwall/gjson"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
)

const (
	// maxCaptured bounds what a tap keeps of one member's value, in bytes.
	maxCaptured = 16 << 10
	// maxName bounds what it keeps of a member's name, in bytes: more than any
	// it is after, even with every letter escaped.
	maxName = 96
)

// jsonTap reads the usage of a JSON response while the response passes through in
// pieces. It keeps its place in the document and the few bytes of the members
// it is after, never the document: a response may be of any size.
type jsonTap struct {
	usage *usageReader

	// event says that the document is an event of a stream: then its kind is
	// read, and what the Responses API puts into "response".
	event bool
	kind  string

	depth    int
	done     bool // the document has ended
	inString bool
	escaped  bool // the piece before ended inside an escape
	isName   bool // the string being read is a member's name
	wantName bool // the next string at a named level is a name
	inside   place
	capture  capture
	name     []byte // the name read last, with its closing quote
	kept     []byte // the value of the member that is captured

	nameRoom [32]byte
	keptRoom [256]byte
}

// place is the member of the document whose own members are read as well.
type place uint8

const (
	placeNone place = iota
	placeChoices
	placeResponse
)

// capture says which member's value is being kept.
type capture uint8

const (
	captureNone capture = iota
	captureUsage
	captureMeta
	captureFinish
	captureStatus
	captureModel
	captureKind
	captureBackground
)

// structural marks the bytes that change the place in a document.
var structural = [256]bool{'"': true, '{': true, '}': true, '[': true, ']': true, ':': true, ',': true}

// named reports whether members are read at this level: those of the document,
// those of the first choice (the document is 1, the array 2, a choice 3) and
// those of a response in an event.
func (t *jsonTap) named() bool {
	return t.depth == 1 || t.depth == 3 && t.inside == placeChoices || t.depth == 2 && t.inside == placeResponse
}

// write reads the next piece of the response.
func (t *jsonTap) write(p []byte) {
	for i := 0; i < len(p) && !t.done; {
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
			i = t.step(p, i)
		}
	}
}

// value reads the value of the member that has begun if all of it is here, and
// returns the offset after it; else it returns i, and the value is read on its
// way. Most values are of no interest, and skipping one at once is fast.
func (t *jsonTap) value(p []byte, i int) int {
	if t.depth == 1 && t.inside != placeNone {
		return i // its members are to be read
	}
	start := jsonscan.AfterSpace(p, i)
	end := jsonscan.AfterValue(p, start)
	if end <= start {
		return i
	}
	if next := jsonscan.AfterSpace(p, end); next == len(p) || p[next] != ',' && p[next] != '}' {
		return i // it may go on, or the document is none
	}
	t.keep(p[start:end])
	t.endMember()
	return end
}

// step reads the structural byte p[i], and returns the offset after what it read.
func (t *jsonTap) step(p []byte, i int) int {
	named := t.named()
	c := p[i : i+1]
	i++
	switch c[0] {
	case '"':
		t.inString = true
		t.isName = named && t.wantName
		if t.isName {
			if t.name == nil {
				t.name = t.nameRoom[:]
			}
			t.name = t.name[:0]
			return i
		}
	case '{', '[':
		t.depth++
		if t.depth == 2 && (t.inside == placeChoices && c[0] == '{' || t.inside == placeResponse && c[0] == '[') {
			t.inside = placeNone
		}
		if t.named() {
			t.wantName = c[0] == '{'
		}
	case '}', ']':
		if named {
			t.endMember()
		}
		t.depth--
		t.done = t.depth <= 0
	case ':':
		if named && t.wantName {
			t.wantName = false
			t.beginMember()
			return t.value(p, i)
		}
	case ',':
		if t.depth == 2 && t.inside == placeChoices {
			t.inside = placeNone // only the first choice is of interest
		}
		if named {
			t.endMember()
			t.wantName = true
			return i
		}
	}
	t.keep(c)
	return i
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
		t.name = append(t.name, p[begin:min(i, begin+max(maxName-len(t.name), 0))]...)
	} else {
		t.keep(p[begin:i])
	}
	return i
}

// memberName is the name read last. One that was cut short has no closing
// quote, and is none of those of interest.
func (t *jsonTap) memberName() []byte {
	if bytes.IndexByte(t.name, '\\') >= 0 {
		return []byte(gjson.ParseBytes(append([]byte{'"'}, t.name...)).String() + `"`)
	}
	return t.name
}

func (t *jsonTap) beginMember() {
	if t.depth == 1 {
		t.inside = placeNone
	}
	switch name := t.memberName(); {
	case t.depth == 3:
		if string(name) == `finish_reason"` {
			t.begin(captureFinish)
		}
	case string(name) == `usage"`:
		t.begin(captureUsage)
	case string(name) == `model"`:
		t.begin(captureModel)
	case string(name) == `stop_reason"` && t.depth == 1 && t.usage.api == llmprovider.MessagesAPI:
		t.begin(captureFinish)
	case string(name) == `status"`: // of the Responses API
		t.begin(captureStatus)
	case string(name) == `background"` && t.usage.operation == llmprovider.StoredResponse:
		t.begin(captureBackground)
	case t.depth == 2:
	case string(name) == `choices"`:
		t.inside = placeChoices
	case string(name) == `meta"` && !t.usage.hasOutput(): // Cohere
		t.begin(captureMeta)
	case string(name) == `response"` && t.event:
		t.inside = placeResponse
	case string(name) == `type"` && t.event:
		t.begin(captureKind)
	}
}

func (t *jsonTap) begin(c capture) {
	if t.kept == nil {
		t.kept = t.keptRoom[:]
	}
	t.capture, t.kept = c, t.kept[:0]
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
	value := bytes.TrimSpace(t.kept)
	switch t.capture {
	case captureUsage, captureMeta:
		t.usage.readUsage(value)
	case captureFinish:
		t.usage.setFinish(llmprovider.ShortText(value))
	case captureStatus:
		if !t.event && t.usage.FinishReason == "" { // an event's kind says more
			t.usage.setFinish(llmprovider.ShortText(value))
		}
	case captureModel:
		t.usage.setModel(value)
	case captureKind:
		t.kind = llmprovider.ShortText(value)
	case captureBackground:
		t.usage.Background = string(value) == "true"
	}
	t.capture = captureNone
}

// complete reports whether the document has begun and ended.
func (t *jsonTap) complete() bool { return t.done && t.depth == 0 }
