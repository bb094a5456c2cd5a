package guard

import (
	"bytes"
	"sync"
	"unicode/utf8"

	"github.com/caddy-llm/gateway/internal/jsonscan"
)

// text is all that a guard sees of a request: its texts one after the other, without
// their escapes.
type text struct {
	b      []byte
	pieces []piece
	groups []group
	// unreadable is what cannot be read as text, by the words for it.
	unreadable []string

	folded  []byte // b in lower case, once it is needed
	counted bool   // the two below are known
	digits  int    // the most that are near each other
	coded   bool   // two letters and two digits follow each other
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
}

// group are the pieces from first to last, which follow each other in text.b: the text
// parts of one message, or one piece by itself.
type group struct{ first, last int }

// separator stands between groups, so that no pattern of text goes on from one to the
// next. It is not part of any.
const separator = 0xff

var texts = sync.Pool{New: func() any { return new(text) }}

// maxKept is the largest buffer that is kept for reuse, in bytes.
const maxKept = 1 << 20

// reset makes the text empty.
func (t *text) reset() {
	*t = text{b: t.b[:0], pieces: t.pieces[:0], groups: t.groups[:0], unreadable: t.unreadable[:0], folded: t.folded[:0]}
}

func (t *text) release() {
	if cap(t.b) <= maxKept && cap(t.pieces) <= maxKept>>6 {
		texts.Put(t)
	}
}

// add adds a piece whose text is appended by now. It belongs to the group that is being
// made.
func (t *text) add(p piece) {
	p.end = len(t.b)
	t.pieces = append(t.pieces, p)
}

// endGroup ends the group that began with the piece of that index.
func (t *text) endGroup(first int) {
	if first == len(t.pieces) {
		return
	}
	t.groups = append(t.groups, group{first, len(t.pieces) - 1})
	t.b = append(t.b, separator)
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

// hasOne reports whether one of the literals is in the text.
func (t *text) hasOne(all []literal) bool {
	for i := range all {
		in := t.b
		if all[i].fold {
			in = t.lower()
		}
		if bytes.Contains(in, all[i].text) {
			return true
		}
	}
	return false
}

// lower returns the text in lower case, as far as a regular expression that ignores
// case folds to ASCII.
func (t *text) lower() []byte {
	if len(t.folded) > 0 || len(t.b) == 0 {
		return t.folded
	}
	b := append(t.folded, t.b...)
	ascii := true
	for i, c := range b {
		b[i] = lowered[c]
		ascii = ascii && (c < utf8.RuneSelf || c == separator)
	}
	if !ascii {
		b = bytes.ReplaceAll(b, []byte("\u017f"), []byte("s")) // the long s
		b = bytes.ReplaceAll(b, []byte("\u212a"), []byte("k")) // the sign for kelvin
	}
	t.folded = b
	return b
}

var lowered = func() (table [256]byte) {
	for i := range table {
		table[i] = byte(i)
		if 'A' <= i && i <= 'Z' {
			table[i] += 'a' - 'A'
		}
	}
	return table
}()

// maxApart is how many bytes there may be between two digits of one number.
const maxApart = 4

// countDigits finds out which numbers may be in the text, in one pass.
func (t *text) countDigits() {
	if t.counted {
		return
	}
	t.counted = true
	together, last := 0, -maxApart-2 // digits near each other, and where the last is
	for i, c := range t.b {
		if c-'0' >= 10 {
			continue
		}
		if i-last > maxApart+1 {
			together = 0
		}
		if together++; together > t.digits {
			t.digits = together
		}
		if !t.coded && i > 1 && isLetter(t.b[i-1]) && isLetter(t.b[i-2]) && i+1 < len(t.b) && isDigit(t.b[i+1]) {
			t.coded = true
		}
		last = i
	}
}

// manyDigits reports whether the text may have a number of n digits.
func (t *text) manyDigits(n int) bool {
	t.countDigits()
	return t.digits >= n
}

// mayHaveIBAN reports whether two letters and two digits follow each other in the text.
func (t *text) mayHaveIBAN() bool {
	t.countDigits()
	return t.coded
}

// each calls f with where the detector finds its pattern: in each group as a whole, and
// in each piece by itself. f returns false to stop. Places may be met twice.
func (t *text) each(d *detector, f func(start, end int) bool) {
	if !d.perhaps(t) {
		return
	}
	base := 0
	at := func(from, to int) bool { return f(base+from, base+to) }
	for _, g := range t.groups {
		base = t.pieces[g.first].start
		if !d.each(t.b[base:t.pieces[g.last].end], at) {
			return
		}
		for i := g.first; i <= g.last && g.first < g.last; i++ {
			if base = t.pieces[i].start; !d.each(t.b[base:t.pieces[i].end], at) {
				return
			}
		}
	}
}

// source returns where in the body the part of a piece from start to end stands, which
// are offsets in text.b.
func (p *piece) source(body []byte, start, end int) (int, int) {
	start, end = start-p.start, end-p.start
	if p.number {
		start, end = 0, p.end-p.start
	}
	inner := body[p.src:p.srcEnd]
	if p.to > 0 {
		decoded := jsonscan.AppendUnescaped(nil, inner)
		if !p.number {
			start, end = escaped(decoded[p.from:p.to], start, end)
		}
		start, end = start+p.from, end+p.from
	} else if p.number {
		return p.src, p.srcEnd
	}
	start, end = escaped(inner, start, end)
	return p.src + start, p.src + end
}

// escaped returns where the part from start to end of a text stands in inner, which is
// the text with its escapes.
func escaped(inner []byte, start, end int) (from, to int) {
	from, to = -1, len(inner)
	var room [8]byte
	at := 0 // in the text
	for i := 0; i < len(inner); {
		n, wide := 1, 1
		if inner[i] == '\\' && i+1 < len(inner) {
			n = escapeWidth(inner[i:])
			wide = len(jsonscan.AppendUnescaped(room[:0], inner[i:i+n]))
		}
		if from < 0 && at+wide > start {
			from = i
		}
		i, at = i+n, at+wide
		if at >= end {
			to = i
			break
		}
	}
	if from < 0 {
		from = len(inner)
	}
	return from, to
}

// escapeWidth is how many bytes the escape that b begins with has; both halves of a
// surrogate pair are one.
func escapeWidth(b []byte) int {
	if b[1] != 'u' {
		return 2
	}
	one := min(6, len(b))
	if len(b) >= 12 && b[6] == '\\' && b[7] == 'u' {
		// A pair has one character of four bytes; two halves have two of three each.
		var room [8]byte
		if len(jsonscan.AppendUnescaped(room[:0], b[:12])) == 4 {
			return 12
		}
	}
	return one
}
