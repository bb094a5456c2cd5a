package guard

import (
	"bytes"
	"strconv"
)

// kept is what was masked in a request and is put back into its response.
type kept struct {
	written written           // by the client, in the body that is being masked
	masks   map[string]string // by what was masked, with its category before it
	values  map[string]string // what was masked, by its mask
	numbers map[string]int    // the last one, by category
	longest int               // of the masks, in bytes
}

// mask returns the mask of a value, which is the same one each time.
func (k *kept) mask(category, value string) string {
	if k.masks == nil {
		k.masks, k.values, k.numbers = make(map[string]string), make(map[string]string), make(map[string]int)
	}
	key := category + " " + value
	mask := k.masks[key]
	for word := maskWord(category); mask == ""; {
		k.numbers[category]++
		n := k.numbers[category]
		if k.written.has(word, n) {
			continue // it would be put back where the client wrote it
		}
		mask = "[" + word + "_" + strconv.Itoa(n) + "]"
		if _, taken := k.values[mask]; taken {
			mask = "" // by a category that differs in case, or has a number at its end
		}
	}
	k.masks[key], k.values[mask], k.longest = mask, value, max(k.longest, len(mask))
	return mask
}

// empty reports whether there is nothing to put back.
func (k *kept) empty() bool { return k == nil || len(k.values) == 0 }

// each calls f with where masks stand in b.
func (k *kept) each(b []byte, f func(start, end int) bool) bool {
	for from := 0; ; {
		i := bytes.IndexByte(b[from:], '[')
		if i < 0 {
			return true
		}
		start := from + i
		from = start + 1
		n := bytes.IndexByte(b[start:min(len(b), start+k.longest)], ']')
		if n < 0 {
			continue
		}
		if _, known := k.values[string(b[start:start+n+1])]; known {
			if from = start + n + 1; !f(start, from) {
				return false
			}
		}
	}
}

// begins returns where at the end of b a mask may have begun, or len(b).
func (k *kept) begins(b []byte) int {
	from := max(0, len(b)-k.longest)
	i := bytes.LastIndexByte(b[from:], '[')
	if i < 0 || bytes.IndexByte(b[from+i:], ']') >= 0 {
		return len(b)
	}
	return from + i
}
