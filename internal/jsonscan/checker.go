package jsonscan

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// Checker checks a document against the grammar of JSON (RFC 8259), part by part: what
// one parser reads leniently, such as a comment or a name in single quotes, another reads as
// something else, and the gateway would judge what the provider does not see. It neither
// recurses nor decodes, and takes any depth. Whether text is valid UTF-8 is for others to
// say.
type Checker struct {
	b []byte

	next int // the offset of the next quote, when plain has looked for it

	// At is the offset at which a check failed, and Want what was expected there.
	At   int
	Want string
}

// NewChecker returns a Checker of a document.
func NewChecker(doc []byte) Checker { return Checker{b: doc} }

func (s *Checker) fail(at int, want string) int {
	s.At, s.Want = at, want
	return -1
}

const (
	lowBits   = 0x0101010101010101
	highBits  = 0x8080808080808080
	sevenBits = 0x7f7f7f7f7f7f7f7f
	spaces    = ' ' * lowBits
)

// special has the high bit of the first byte of w that is a quote, a backslash or
// a control character. Bits above that one mean nothing, and the other bits of
// a byte neither: mask with highBits. Inverting the second bit puts the quote right
// after the control characters, so that one comparison finds both.
func special(w uint64) uint64 {
	return (((w ^ 0x02*lowBits) - 0x21*lowBits) | ((w ^ '\\'*lowBits) - lowBits)) &^ w
}

// specials has the high bit of each such byte, and no other bits: nothing is carried from one
// byte to the next.
func specials(w uint64) uint64 {
	quotes := (w^0x02*lowBits)&sevenBits + (0x80-0x21)*lowBits
	backslashes := (w^'\\'*lowBits)&sevenBits + sevenBits
	return ^(quotes&backslashes | w) & highBits
}

// specialsOf has a bit for each byte of p that is a quote, a backslash or a control character,
// in their order from the lowest bit on.
func specialsOf(p *[64]byte) uint64 {
	word := func(i int) uint64 { return specials(binary.LittleEndian.Uint64(p[8*i : 8*i+8])) }
	x := word(0)>>7 | word(1)>>6 | word(2)>>5 | word(3)>>4 | word(4)>>3 | word(5)>>2 | word(6)>>1 | word(7)
	if x == 0 {
		return 0
	}
	// Bit i of byte k is that of byte k of word i: transpose them, in blocks of 1, 2 and 4
	// bits a side (Hacker's Delight, 7-3).
	t := (x ^ x>>7) & 0x00aa00aa00aa00aa
	x ^= t ^ t<<7
	t = (x ^ x>>14) & 0x0000cccc0000cccc
	x ^= t ^ t<<14
	t = (x ^ x>>28) & 0x00000000f0f0f0f0
	return x ^ t ^ t<<28
}

// text returns the offset after the string that opens at b[i], or -1.
func (s *Checker) text(i int) int {
	b := s.b
	i++
	// Most strings are short: names, and values such as a role.
	if i+16 <= len(b) {
		m := special(binary.LittleEndian.Uint64(b[i:])) & highBits
		if m == 0 {
			i += 8
			m = special(binary.LittleEndian.Uint64(b[i:])) & highBits
		}
		if i += bits.TrailingZeros64(m) >> 3; m != 0 && b[i] == '"' {
			return i + 1
		}
	}
	for unbroken := 0; i+64 <= len(b); {
		p := (*[64]byte)(b[i:])
		m := specialsOf(p)
		if m == 0 {
			i += 64
			if unbroken += 64; unbroken >= longText {
				i, unbroken = s.plain(i), 0
			}
			continue
		}
		unbroken = 0
		after := 0 // the offset in p after the last escape
		for ; m != 0; m &= ^uint64(0) << after {
			at := bits.TrailingZeros64(m)
			if p[at&63] != '\\' {
				return s.quote(i + at)
			}
			if after = at + 2; after <= 64 && short[p[(at+1)&63]] {
				continue
			}
			n := escape(b, i+at)
			if n == 0 {
				return s.fail(i+at, anEscape)
			}
			after = at + n
		}
		i += max(after, 64)
	}
	for ; i < len(b); i++ {
		switch c := b[i]; {
		case c == '\\':
			n := escape(b, i)
			if n == 0 {
				return s.fail(i, anEscape)
			}
			i += n - 1
		case c == '"', c < ' ':
			return s.quote(i)
		}
	}
	return s.fail(len(b), "the end of a string")
}

const anEscape = "an escape that JSON knows"

// short are the escapes of two characters.
var short = func() (is [256]bool) {
	for _, c := range `"\/bfnrt` {
		is[c] = true
	}
	return is
}()

// quote returns the offset after the quote at b[i], or -1 if there is a control character.
func (s *Checker) quote(i int) int {
	if s.b[i] != '"' {
		return s.fail(i, "an escape such as \\n instead of a control character")
	}
	return i + 1
}

// longText is how much of a string has to be plain, in bytes, to look for its end in
// another way: an image has no escapes.
const longText = 256

// plain returns an offset from i on, such that all before it is plain text, and what is
// not plain within the 32 bytes that follow it or the end of the text.
func (s *Checker) plain(i int) int {
	b := s.b
	if s.next < i {
		if n := bytes.IndexByte(b[i:], '"'); n >= 0 {
			s.next = i + n
		} else {
			s.next = len(b)
		}
	}
	end := s.next
	if n := bytes.IndexByte(b[i:end], '\\'); n >= 0 {
		end = i + n
	}
	for ; i+32 <= end; i += 32 {
		p := b[i : i+32]
		w0, w1 := binary.LittleEndian.Uint64(p), binary.LittleEndian.Uint64(p[8:])
		w2, w3 := binary.LittleEndian.Uint64(p[16:]), binary.LittleEndian.Uint64(p[24:])
		if ((w0-spaces)&^w0|(w1-spaces)&^w1|(w2-spaces)&^w2|(w3-spaces)&^w3)&highBits != 0 {
			break
		}
	}
	return i
}

// escape is the length of the escape at b[i], or 0 if it is none of JSON's.
func escape(b []byte, i int) int {
	if i+1 == len(b) {
		return 0
	}
	switch c := b[i+1]; {
	case short[c]:
		return 2
	case c == 'u':
		if i+6 > len(b) {
			return 0
		}
		for _, c := range b[i+2 : i+6] {
			if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
				return 0
			}
		}
		return 6
	}
	return 0
}

// number returns the offset after the number that begins at b[i], or -1.
func (s *Checker) number(i int) int {
	b, start := s.b, i
	digits := func() bool {
		from := i
		for i < len(b) && '0' <= b[i] && b[i] <= '9' {
			i++
		}
		return i > from
	}
	if b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if !digits() {
		return s.fail(start, "a value")
	}
	if i < len(b) && b[i] == '.' {
		if i++; !digits() {
			return s.fail(i, "a digit")
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if !digits() {
			return s.fail(i, "a digit")
		}
	}
	return i
}

// scalar returns the offset after the value at b[i], which opens nothing, or -1.
func (s *Checker) scalar(i int) int {
	b := s.b
	switch b[i] {
	case '"':
		return s.text(i)
	case 't':
		if i+4 <= len(b) && string(b[i:i+4]) == "true" {
			return i + 4
		}
	case 'n':
		if i+4 <= len(b) && string(b[i:i+4]) == "null" {
			return i + 4
		}
	case 'f':
		if i+5 <= len(b) && string(b[i:i+5]) == "false" {
			return i + 5
		}
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return s.number(i)
	}
	return s.fail(i, "a value")
}

// Value returns the offset after the value that begins at i, or -1. Nesting costs one bit a
// level, never a stack frame.
func (s *Checker) Value(i int) int {
	b := s.b
	var inline [8]uint64 // 512 levels without an allocation
	kinds := inline[:]   // one bit a level: 1 for an object
	depth := 0
	for {
		if i == len(b) {
			return s.fail(i, "a value")
		}
		switch c := b[i]; c {
		case '{', '[':
			if depth++; depth>>6 == len(kinds) {
				kinds = append(kinds, 0)
			}
			i = AfterSpace(b, i+1)
			if c == '[' {
				kinds[depth>>6] &^= 1 << (depth & 63)
				if i < len(b) && b[i] == ']' {
					break
				}
				continue
			}
			kinds[depth>>6] |= 1 << (depth & 63)
			if i < len(b) && b[i] == '}' {
				break
			}
			if i = s.Name(i); i < 0 {
				return -1
			}
			continue
		default:
			if i = s.scalar(i); i < 0 {
				return -1
			}
		}
		// After a value: what closes, until a comma.
		for {
			if depth == 0 {
				return i
			}
			i = AfterSpace(b, i)
			object := kinds[depth>>6]>>(depth&63)&1 == 1
			switch {
			case i == len(b):
				return s.fail(i, "a closing bracket")
			case b[i] == ',' && object:
				if i = s.Name(AfterSpace(b, i+1)); i < 0 {
					return -1
				}
			case b[i] == ',':
				i = AfterSpace(b, i+1)
			case b[i] == '}' && object, b[i] == ']' && !object:
				depth--
				i++
				continue
			case object:
				return s.fail(i, "a comma or a closing brace")
			default:
				return s.fail(i, "a comma or a closing bracket")
			}
			break
		}
	}
}

// Name returns the offset of the value of the member whose name begins at i, or -1.
func (s *Checker) Name(i int) int {
	if i == len(s.b) || s.b[i] != '"' {
		return s.fail(i, "a member name in double quotes")
	}
	if i = s.text(i); i < 0 {
		return -1
	}
	if i = AfterSpace(s.b, i); i == len(s.b) || s.b[i] != ':' {
		return s.fail(i, "a colon after the member name")
	}
	return AfterSpace(s.b, i+1)
}
