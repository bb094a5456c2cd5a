package dialect

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/caddy-llm/gateway/internal/jsonscan"
)

// CallIDs says what an API takes as the id of a tool call.
type CallIDs struct {
	// Marks are the characters that it takes beside ASCII letters, digits, _ and -. Any
	// is set if it takes all characters.
	Marks string
	Any   bool
	// Max is the length of the longest id, in bytes; 0 if there is none.
	Max int
}

// digestSize is the length of what replaced ids end in: _ and four bytes in hexadecimal.
const digestSize = 9

// Append appends an id as a JSON string: as it is if the API takes it, else in characters
// and with a length that it takes, with a digest at its end so that two ids do not become
// one. A call and its result have the same id, and get the same.
func (c CallIDs) Append(dst []byte, id string) []byte {
	if c.takes(id) {
		return jsonscan.AppendString(dst, id)
	}
	end := len(id)
	if c.Max > 0 {
		end = min(end, c.Max-digestSize)
	}
	dst = append(dst, '"')
	for _, b := range []byte(id[:end]) {
		if !c.takesByte(b) {
			b = '_'
		}
		dst = append(dst, b)
	}
	sum := sha256.Sum256([]byte(id))
	dst = hex.AppendEncode(append(dst, '_'), sum[:4])
	return append(dst, '"')
}

func (c CallIDs) takes(id string) bool {
	if c.Max > 0 && len(id) > c.Max {
		return false
	}
	for i := 0; !c.Any && i < len(id); i++ {
		if !c.takesByte(id[i]) {
			return false
		}
	}
	return true
}

func (c CallIDs) takesByte(b byte) bool {
	switch {
	case b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', b >= '0' && b <= '9', b == '_', b == '-':
		return true
	}
	return strings.IndexByte(c.Marks, b) >= 0
}
