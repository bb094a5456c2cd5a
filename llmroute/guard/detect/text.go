// Package detect finds patterns in text: addresses, numbers whose check digits are right,
// and what regular expressions match. It imports nothing of the gateway. Begin with
// Detector.
package detect

import (
	"bytes"
	"unicode/utf8"
)

// Detector finds one pattern in text. It is safe for concurrent use.
type Detector struct {
	// Category is what it finds, such as email.
	Category string

	// Each calls f with where the matches in b begin and end, in their order, until f
	// returns false, and reports whether f never did. Matches are not empty.
	Each func(b []byte, f func(start, end int) bool) bool

	// perhaps is Perhaps; nil if the pattern may be in any text.
	perhaps func(*Text) bool
}

// Perhaps reports whether the pattern may be anywhere in the text: it is fast, and right
// when it says no.
func (d *Detector) Perhaps(t *Text) bool { return d.perhaps == nil || d.perhaps(t) }

// Separator is the byte between texts that stand one after the other in one text, so that no
// pattern of text goes on from one to the next. It is not part of any.
const Separator = 0xff

// Text is what several detectors look at: what they need to know of it is worked out once.
// It may be used for another text after Reset.
type Text struct {
	// Bytes is the text. It is not changed.
	Bytes []byte

	folded  []byte // Bytes in lower case, once it is needed
	counted bool   // the two below are known
	digits  int    // the most that are near each other
	coded   bool   // two letters and two digits follow each other
}

// Reset makes the text empty, and keeps its memory for the next one.
func (t *Text) Reset() { *t = Text{folded: t.folded[:0]} }

// hasOne reports whether one of the literals is in the text.
func (t *Text) hasOne(all []literal) bool {
	for i := range all {
		in := t.Bytes
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
func (t *Text) lower() []byte {
	if len(t.folded) > 0 || len(t.Bytes) == 0 {
		return t.folded
	}
	b := append(t.folded, t.Bytes...)
	ascii := true
	for i, c := range b {
		b[i] = lowered[c]
		ascii = ascii && (c < utf8.RuneSelf || c == Separator)
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
func (t *Text) countDigits() {
	if t.counted {
		return
	}
	t.counted = true
	together, last := 0, -maxApart-2 // digits near each other, and where the last is
	for i, c := range t.Bytes {
		if c-'0' >= 10 {
			continue
		}
		if i-last > maxApart+1 {
			together = 0
		}
		if together++; together > t.digits {
			t.digits = together
		}
		if !t.coded && i > 1 && IsLetter(t.Bytes[i-1]) && IsLetter(t.Bytes[i-2]) && i+1 < len(t.Bytes) && IsDigit(t.Bytes[i+1]) {
			t.coded = true
		}
		last = i
	}
}

// manyDigits reports whether the text may have a number of n digits.
func (t *Text) manyDigits(n int) bool {
	t.countDigits()
	return t.digits >= n
}

// mayHaveIBAN reports whether two letters and two digits follow each other in the text.
func (t *Text) mayHaveIBAN() bool {
	t.countDigits()
	return t.coded
}
