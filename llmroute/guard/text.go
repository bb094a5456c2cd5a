package guard

import (
	"slices"
	"sync"
	"unsafe"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/guard/detect"
)

// text is all that a guard sees of a request: its texts one after the other, without
// their escapes.
type text struct {
	b      []byte
	pieces []piece
	groups []group
	role   role // of the group that is being made
	// unreadable is what cannot be read as text, by the words for it.
	unreadable []string

	whole   detect.Text // b, as detectors look at it
	locator locator     // of what is masked

	// of is the request whose text it is, nil for that of a response. What is made of the
	// text counts as its body does: taken bytes until release.
	of      *llmprovider.Inbound
	taken   int64
	refused *llmprovider.Error // there was no room for all of the text
}

// piece is a text that stands in one place of the body.
type piece struct {
	start, end int // in text.b
	// src and srcEnd are where it stands in the body: between the quotes of a string, or
	// a number.
	src, srcEnd int
	// from and to are where it stands in the text of that string, if it is a value of JSON
	// in a string; else both are 0.
	from, to int
	number   bool // it is a number of JSON
	raw      bool // it stands in the body without escapes
}

// group are the pieces from first to last, which follow each other in text.b: the text
// parts of one message, or one piece by itself. detect.Separator stands between groups.
type group struct {
	first, last int
	role        role // whose text it is
}

var texts = sync.Pool{New: func() any { return new(text) }}

// maxKept is the largest buffer that is kept for reuse, in bytes.
const maxKept = 1 << 20

// reset makes the text empty.
func (t *text) reset() {
	t.whole.Reset()
	*t = text{b: t.b[:0], pieces: t.pieces[:0], groups: t.groups[:0], unreadable: t.unreadable[:0], whole: t.whole, of: t.of, taken: t.taken, refused: t.refused}
}

func (t *text) release() {
	t.locator = locator{} // the body is the request's
	if t.of != nil {
		t.of.LetGo(t.taken)
		t.of, t.taken, t.refused = nil, 0, nil
	}
	if cap(t.b) <= maxKept && cap(t.pieces) <= maxKept>>6 {
		texts.Put(t)
	}
}

// add adds a piece whose text is appended by now. It belongs to the group that is being
// made.
func (t *text) add(p piece) {
	p.end = len(t.b)
	keep(t, &t.pieces, p)
}

// keep appends to what is made of the text, and reports whether there is room for it: of a
// number of two bytes a hundred are made.
func keep[T any](t *text, s *[]T, one T) bool {
	if len(*s) == cap(*s) {
		more := max(cap(*s), 16)
		if t.of != nil {
			bytes := int64(more) * int64(unsafe.Sizeof(one))
			if t.refused == nil {
				t.refused = t.of.Hold(bytes)
			}
			if t.refused != nil {
				return false
			}
			t.taken += bytes
		}
		*s = slices.Grow(*s, more)
	}
	*s = append(*s, one)
	return true
}

// endGroup ends the group that began with the piece of that index.
func (t *text) endGroup(first int) {
	if first == len(t.pieces) {
		return
	}
	keep(t, &t.groups, group{first, len(t.pieces) - 1, t.role})
	t.b = append(t.b, detect.Separator)
}

// cannotRead notes what cannot be read.
func (t *text) cannotRead(what string) {
	for _, known := range t.unreadable {
		if known == what {
			return
		}
	}
	t.unreadable = append(t.unreadable, what)
}

// each calls f with where the detector finds its pattern: in each group as a whole, and
// in each piece by itself. f returns false to stop. Places may be met twice.
func (t *text) each(d *detect.Detector, f func(start, end int) bool) {
	t.whole.Bytes = t.b
	if !d.Perhaps(&t.whole) {
		return
	}
	base := 0
	at := func(from, to int) bool { return f(base+from, base+to) }
	for _, g := range t.groups {
		base = t.pieces[g.first].start
		if !d.Each(t.b[base:t.pieces[g.last].end], at) {
			return
		}
		for i := g.first; i <= g.last && g.first < g.last; i++ {
			if base = t.pieces[i].start; !d.Each(t.b[base:t.pieces[i].end], at) {
				return
			}
		}
	}
}
