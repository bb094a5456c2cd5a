package jsonscan

import (
	"encoding/binary"
	"iter"
	"math/bits"
)

// Members returns an iterator over the members of an object that is known to be
// valid JSON: the name with its quotes, and the value, as they are written. It
// yields nothing for another value.
func Members(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		i := skipSpace(object, 0)
		if i == len(object) || object[i] != '{' {
			return
		}
		for i = skipSpace(object, i+1); i < len(object) && object[i] == '"'; i = skipSpace(object, i+1) {
			key := i
			i = passString(object, i)
			name := object[key:i]
			i = skipSpace(object, i)
			value := skipSpace(object, i+1) // after the colon
			i = pass(object, value)
			if i <= value || !yield(name, object[value:i]) {
				return
			}
			if i = skipSpace(object, i); i == len(object) || object[i] != ',' {
				return
			}
		}
	}
}

// Elements returns an iterator over the elements of an array that is known to be
// valid JSON, as they are written. It yields nothing for another value.
func Elements(array []byte) iter.Seq[[]byte] {
	return func(yield func(value []byte) bool) {
		i := skipSpace(array, 0)
		if i == len(array) || array[i] != '[' {
			return
		}
		for i = skipSpace(array, i+1); i < len(array) && array[i] != ']'; i = skipSpace(array, i+1) {
			value := i
			i = pass(array, i)
			if i <= value || !yield(array[value:i]) {
				return
			}
			if i = skipSpace(array, i); i == len(array) || array[i] != ',' {
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

// passString returns the index after the string whose quote is at i.
func passString(doc []byte, i int) int {
	const ones = 0x0101010101010101
	for i++; i < len(doc); {
		if i+8 <= len(doc) {
			w := binary.LittleEndian.Uint64(doc[i:])
			quote, backslash := w^ones*'"', w^ones*'\\'
			special := ((quote - ones) &^ quote & (ones << 7)) | ((backslash - ones) &^ backslash & (ones << 7))
			if special == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(special) / 8
		}
		switch doc[i] {
		case '"':
			return i + 1
		case '\\':
			i += 2
		default:
			i++
		}
	}
	return len(doc)
}
