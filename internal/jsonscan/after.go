package jsonscan

import (
	"bytes"
	"encoding/json"
)

// EachMember calls f with each member of what should be an object, up to where it is not
// JSON: the name decoded, and the value as it is written.
func EachMember(object []byte, f func(name, value []byte)) {
	i := AfterSpace(object, 0)
	if i == len(object) || object[i] != '{' {
		return
	}
	for {
		key := AfterSpace(object, i+1)
		if key == len(object) || object[key] != '"' {
			return
		}
		end, ok := AfterString(object, key)
		if !ok {
			return
		}
		if i = AfterSpace(object, end); i == len(object) || object[i] != ':' {
			return
		}
		start := AfterSpace(object, i+1)
		if i = AfterValue(object, start); i <= start {
			return
		}
		if name, ok := MemberName(object[key:end]); ok {
			f(name, object[start:i])
		}
		if i = AfterSpace(object, i); i == len(object) || object[i] != ',' {
			return
		}
	}
}

// MemberName decodes the name of a member, which has its quotes. ok is false if it is not
// a JSON string.
func MemberName(quoted []byte) (name []byte, ok bool) {
	name = quoted[1 : len(quoted)-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		var decoded string
		if json.Unmarshal(quoted, &decoded) != nil {
			return nil, false
		}
		name = []byte(decoded)
	}
	return name, true
}

// The functions below find their way through what may not be JSON, or not be whole yet:
// they check only what they need to. They return offsets.

// AfterSpace returns the offset after the space at doc[i], if there is any.
func AfterSpace(doc []byte, i int) int {
	for i < len(doc) && (doc[i] == ' ' || doc[i] == '\n' || doc[i] == '\r' || doc[i] == '\t') {
		i++
	}
	return i
}

// AfterString returns the offset after the string that opens at b[i]. ok is false if it
// does not end.
func AfterString(b []byte, i int) (end int, ok bool) { return endOfText(b, i+1) }

// AfterValue returns the offset after the value that begins at b[i], or -1 when
// it does not end. Nesting costs one bit a level, never a stack frame.
func AfterValue(b []byte, i int) int {
	if i == len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		end, ok := AfterString(b, i)
		if !ok {
			return -1
		}
		return end
	case '{', '[':
		return afterNested(b, i)
	}
	for ; i < len(b); i++ {
		switch b[i] {
		case ',', '}', ' ', '\n', '\r', '\t':
			return i
		case '"', '{', '[', ']', ':':
			return -1
		}
	}
	return i
}

// afterNested returns the offset after the object or array that opens at b[i],
// or -1 when a bracket does not close or closes the wrong kind.
func afterNested(b []byte, i int) int {
	var inline [8]uint64 // 512 levels without an allocation
	kinds := inline[:]   // one bit a level: 1 for an object
	depth := 0
	for i < len(b) {
		c := b[i]
		switch c {
		case '"':
			end, ok := AfterString(b, i)
			if !ok {
				return -1
			}
			i = end
			continue
		case '{', '[':
			if depth>>6 == len(kinds) {
				kinds = append(kinds, 0)
			}
			if c == '{' {
				kinds[depth>>6] |= 1 << (depth & 63)
			} else {
				kinds[depth>>6] &^= 1 << (depth & 63)
			}
			depth++
		case '}', ']':
			depth--
			if isObject := kinds[depth>>6]>>(depth&63)&1 == 1; isObject != (c == '}') {
				return -1
			}
			if depth == 0 {
				return i + 1
			}
		}
		i++
	}
	return -1
}

// Removal returns what to cut to take a member out of its object, which is followed by
// something: the member, whose name opens at doc[key] and whose value ends at doc[end],
// and one of its commas.
func Removal(doc []byte, key, end int) (from, to int) {
	if i := AfterSpace(doc, end); doc[i] == ',' {
		return key, i + 1
	}
	from = key
	if i := bytes.LastIndexByte(doc[:key], ','); i >= 0 && AfterSpace(doc, i+1) == key {
		from = i
	}
	return from, end
}
