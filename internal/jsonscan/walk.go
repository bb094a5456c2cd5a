package jsonscan

import (
	"bytes"
	"encoding/binary"
	"iter"
	"math/bits"
)

// Members returns an iterator over the members of an object that is known to be
// valid JSON: the name with its quotes, and the value, as they are written. It
// yields nothing for another value.
func Members(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		i := AfterSpace(object, 0)
		if i == len(object) || object[i] != '{' {
			return
		}
		for i = AfterSpace(object, i+1); i < len(object) && object[i] == '"'; i = AfterSpace(object, i+1) {
			key := i
			i = passString(object, i)
			name := object[key:i]
			i = AfterSpace(object, i)
			value := AfterSpace(object, i+1) // after the colon
			i = pass(object, value)
			if i <= value || !yield(name, object[value:i]) {
				return
			}
			if i = AfterSpace(object, i); i == len(object) || object[i] != ',' {
				return
			}
		}
	}
}

// Elements returns an iterator over the elements of an array that is known to be
// valid JSON, as they are written. It yields nothing for another value.
func Elements(array []byte) iter.Seq[[]byte] {
	return func(yield func(value []byte) bool) {
		i := AfterSpace(array, 0)
		if i == len(array) || array[i] != '[' {
			return
		}
		for i = AfterSpace(array, i+1); i < len(array) && array[i] != ']'; i = AfterSpace(array, i+1) {
			value := i
			i = pass(array, i)
			if i <= value || !yield(array[value:i]) {
				return
			}
			if i = AfterSpace(array, i); i == len(array) || array[i] != ',' {
				return
			}
		}
	}
}

// Get returns the value of the first member of that name in an object that is
// known to be valid JSON, or nil.
func Get(object []byte, name string) []byte {
	for key, value := range Members(object) {
		if NameIs(key, name) {
			return value
		}
	}
	return nil
}

// Commas returns how many commas stand between the values of a valid document.
func Commas(doc []byte) (n int) {
	for i := 0; i < len(doc); {
		switch doc[i] {
		case '"':
			i = passString(doc, i)
			continue
		case ',':
			n++
		}
		i++
	}
	return n
}

// pass returns the index after the value that begins at i in a valid document. It
// checks nothing but that it stays inside.
func pass(doc []byte, i int) int {
	if i >= len(doc) {
		return i
	}
	switch doc[i] {
	case '"':
		return passString(doc, i)
	case '{', '[':
		depth := 0
		for i < len(doc) {
			switch doc[i] {
			case '"':
				i = passString(doc, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
		return i
	}
	for i < len(doc) {
		switch doc[i] {
		case ',', '}', ']', ':', ' ', '\n', '\r', '\t':
			return i
		}
		i++
	}
	return i
}

// passString returns the index after the string whose quote is at i. Names and other short
// strings end within the first words. In others it looks for quotes alone: one with an odd
// number of backslashes right before it is text, and other escapes do not matter.
func passString(doc []byte, i int) int {
	const ones = 0x0101010101010101
	i++
	for word := 0; word < 2 && i+8 <= len(doc); word++ {
		w := binary.LittleEndian.Uint64(doc[i:])
		quote, backslash := w^ones*'"', w^ones*'\\'
		special := ((quote - ones) &^ quote & (ones << 7)) | ((backslash - ones) &^ backslash & (ones << 7))
		if special != 0 {
			if at := i + bits.TrailingZeros64(special)/8; doc[at] == '"' {
				return at + 1
			}
			break
		}
		i += 8
	}
	end, _ := endOfText(doc, min(i, len(doc)))
	return end
}

// endOfText returns the index after the string that goes on at i, where no escape is open.
// ok is false if it does not end.
func endOfText(doc []byte, i int) (end int, ok bool) {
	for first := i; ; {
		n := bytes.IndexByte(doc[i:], '"')
		if n < 0 {
			return len(doc), false
		}
		i += n
		escapes := i
		for escapes > first && doc[escapes-1] == '\\' {
			escapes--
		}
		if i++; (i-1-escapes)%2 == 0 {
			return i, true
		}
	}
}
