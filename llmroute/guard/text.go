package guard

import (
	"bytes"
	"sync"
	"unicode/utf8"
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

	folded  []byte // b in lower case, once it is needed
	counted bool   // the two below are known
	digits  int    // the most that are near each other
	coded   bool   // two letters and two digits follow each other

	locator locator // of what is masked
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
// parts of one message, or one piece by itself.
type group struct {
	first, last int
	role        role // whose text it is
}

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
	t.locator = locator{} // the body is the request's
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
	t.groups = append(t.groups, group{first, len(t.pieces) - 1, t.role})
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
