package guard

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmroute/guard/detect"
)

// written are the masks that a client has written itself: their numbers in order, by the
// words of the categories that are masked.
type written map[string][]uint32

// maxMask is the longest text that is looked at as a mask, in bytes, and maxDigits how many
// digits its number has at most: no body has room for more values.
const (
	maxMask   = 32 + len("[_]") + maxDigits
	maxDigits = 9
)

// writtenIn returns the masks of the detectors' categories that a request's body has, as it
// stands and as those see it who undo its escapes, and those of JSON in its strings. It takes
// one pass over each.
func writtenIn(body []byte, detectors []*detect.Detector) written {
	w := make(written, len(detectors))
	for _, d := range detectors {
		w[maskWord(d.Category)] = nil
	}
	w.find(body)
	for range 2 {
		if !bytes.Contains(body, []byte(`\u`)) { // a mask has nothing that is escaped in another way
			break
		}
		body = jsonscan.AppendUnescaped(nil, body)
		w.find(body)
	}
	for word, numbers := range w {
		slices.Sort(numbers)
		w[word] = slices.Compact(numbers)
	}
	return w
}

// find adds the masks that stand in b.
func (w written) find(b []byte) {
	for {
		i := bytes.IndexByte(b, '[')
		if i < 0 {
			return
		}
		b = b[i+1:]
		inner, _, found := bytes.Cut(b[:min(len(b), maxMask)], []byte{']'})
		at := bytes.LastIndexByte(inner, '_')
		if !found || at < 0 {
			continue
		}
		digits := inner[at+1:]
		if len(digits) == 0 || len(digits) > maxDigits || digits[0] == '0' {
			continue
		}
		numbers, known := w[string(inner[:at])]
		if !known {
			continue
		}
		if n, err := strconv.ParseUint(string(digits), 10, 32); err == nil {
			w[string(inner[:at])] = append(numbers, uint32(n))
		}
	}
}

// has reports whether the client wrote the mask of the word with that number.
// Values are fewer than the bytes of a body, and their numbers so too.
func (w written) has(word string, n int) bool {
	_, found := slices.BinarySearch(w[word], uint32(n))
	return found
}
