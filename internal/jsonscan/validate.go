// Package jsonscan reads JSON where it stands: it checks documents, walks through
// objects and arrays as spans of the source's bytes, and moves text in and out of
// JSON strings. It decodes no numbers and builds no trees. Begin with Object for
// input from outside and with Members for what has been checked.
package jsonscan

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// Object reports whether doc is one JSON object (RFC 8259) with nothing around it
// but space, and calls member with each of its members as they are written: the
// name with its quotes, and the value. It takes one pass and no recursion, so no
// nesting exhausts the stack. It does not check that strings are UTF-8.
func Object(doc []byte, member func(key, value []byte)) bool {
	i := skipSpace(doc, 0)
	if i >= len(doc) || doc[i] != '{' {
		return false
	}
	i = skipSpace(doc, i+1)
	if i < len(doc) && doc[i] == '}' {
		return skipSpace(doc, i+1) == len(doc)
	}
	for {
		key := i
		if i = skipKey(doc, i); i < 0 {
			return false
		}
		value := skipSpace(doc, i)
		if i = skipValue(doc, value); i < 0 {
			return false
		}
		member(doc[key:skipString(doc, key)], doc[value:i])
		i = skipSpace(doc, i)
		switch {
		case i >= len(doc):
			return false
		case doc[i] == '}':
			return skipSpace(doc, i+1) == len(doc)
		case doc[i] != ',':
			return false
		}
		i = skipSpace(doc, i+1)
	}
}

// Valid reports whether doc is one JSON value with nothing around it but space.
func Valid(doc []byte) bool {
	i := skipValue(doc, 0)
	return i >= 0 && skipSpace(doc, i) == len(doc)
}

// The functions below return the index after what they skip, and -1 if it is
// not there.

// skipValue skips the value that begins at i.
func skipValue(doc []byte, i int) int {
	var room [64]byte
	open := room[:0] // the brackets to come, the innermost last
	for {
		if i = skipSpace(doc, i); i >= len(doc) {
			return -1
		}
		switch c := doc[i]; c {
		case '{':
			i = skipSpace(doc, i+1)
			if i < len(doc) && doc[i] == '}' {
				i++
				break
			}
			if i = skipKey(doc, i); i < 0 {
				return -1
			}
			open = append(open, '}')
			continue
		case '[':
			i = skipSpace(doc, i+1)
			if i < len(doc) && doc[i] == ']' {
				i++
				break
			}
			open = append(open, ']')
			continue
		case '"':
			i = skipString(doc, i)
		case 't':
			i = skipWord(doc, i, "true")
		case 'f':
			i = skipWord(doc, i, "false")
		case 'n':
			i = skipWord(doc, i, "null")
		default:
			i = skipNumber(doc, i)
		}
		if i < 0 {
			return -1
		}
		// A value has ended. Close what ends with it, up to the next value.
		for {
			if len(open) == 0 {
				return i
			}
			if i = skipSpace(doc, i); i >= len(doc) {
				return -1
			}
			c, closing := doc[i], open[len(open)-1]
			i++
			if c == ',' {
				if closing == '}' {
					i = skipKey(doc, skipSpace(doc, i))
				}
				break
			}
			if c != closing {
				return -1
			}
			open = open[:len(open)-1]
		}
		if i < 0 {
			return -1
		}
	}
}

// skipKey skips a string and the colon after it.
func skipKey(doc []byte, i int) int {
	if i >= len(doc) || doc[i] != '"' {
		return -1
	}
	if i = skipString(doc, i); i < 0 {
		return -1
	}
	if i = skipSpace(doc, i); i >= len(doc) || doc[i] != ':' {
		return -1
	}
	return i + 1
}

// skipString skips the string whose quote is at i.
func skipString(doc []byte, i int) int {
	for i++; ; {
		// Prompts are most of a request: go through them eight bytes at a time.
		for i+8 <= len(doc) {
			if special := specialByte(binary.LittleEndian.Uint64(doc[i:])); special != 0 {
				i += bits.TrailingZeros64(special) / 8
				break
			}
			i += 8
		}
		for i < len(doc) && doc[i] >= ' ' && doc[i] != '"' && doc[i] != '\\' {
			i++
		}
		if i >= len(doc) || doc[i] < ' ' {
			return -1
		}
		if doc[i] == '"' {
			return i + 1
		}
		if i++; i >= len(doc) {
			return -1
		}
		if doc[i] == 'u' {
			for range 4 {
				if i++; i >= len(doc) || bytes.IndexByte([]byte("0123456789abcdefABCDEF"), doc[i]) < 0 {
					return -1
				}
			}
		} else if bytes.IndexByte([]byte(`"\/bfnrt`), doc[i]) < 0 {
			return -1
		}
		i++
	}
}

// specialByte sets the highest bit of each byte of w that is a quote, a
// backslash or a control character. Bytes above the first of those may be
// marked wrongly, because the subtractions borrow from them.
func specialByte(w uint64) uint64 {
	const ones = 0x0101010101010101
	quote := w ^ ones*'"'
	backslash := w ^ ones*'\\'
	return ((quote-ones)&^quote | (backslash-ones)&^backslash | (w-ones*' ')&^w) & (ones << 7)
}

// skipNumber skips a number.
func skipNumber(doc []byte, i int) int {
	digits := func() bool {
		start := i
		for i < len(doc) && '0' <= doc[i] && doc[i] <= '9' {
			i++
		}
		return i > start
	}
	if i < len(doc) && doc[i] == '-' {
		i++
	}
	if i < len(doc) && doc[i] == '0' {
		i++
	} else if !digits() {
		return -1
	}
	if i < len(doc) && doc[i] == '.' {
		if i++; !digits() {
			return -1
		}
	}
	if i < len(doc) && (doc[i] == 'e' || doc[i] == 'E') {
		if i++; i < len(doc) && (doc[i] == '+' || doc[i] == '-') {
			i++
		}
		if !digits() {
			return -1
		}
	}
	return i
}

// skipWord skips the word.
func skipWord(doc []byte, i int, word string) int {
	if !bytes.HasPrefix(doc[i:], []byte(word)) {
		return -1
	}
	return i + len(word)
}

// skipSpace skips what space there is.
func skipSpace(doc []byte, i int) int {
	for i < len(doc) && (doc[i] == ' ' || doc[i] == '\n' || doc[i] == '\r' || doc[i] == '\t') {
		i++
	}
	return i
}
