// Package tuple has the values that a limit counts by, such as a client and a model, as one
// text, and the hash that they are stored under.
//
// It imports nothing of the gateway. Begin with Append.
package tuple

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// MaxValue bounds a value in memory, in bytes; of longer ones the hash is kept.
const MaxValue = 128

// Append appends a value to the text of a tuple, so that no two tuples have the same text.
func Append(to []byte, value string) []byte {
	if len(value) > MaxValue {
		sum := sha256.Sum256([]byte(value))
		to = append(to, 0xff) // no length of a value begins so
		return append(to, sum[:]...)
	}
	to = binary.AppendUvarint(to, uint64(len(value))) // one or two bytes, of which the first is below 0xff
	return append(to, value...)
}

// Next splits off the first value of a tuple's text; hashed reports whether it is a long
// value's hash.
func Next(b []byte) (value string, hashed bool, rest []byte) {
	if len(b) > sha256.Size && b[0] == 0xff {
		return string(b[1 : 1+sha256.Size]), true, b[1+sha256.Size:]
	}
	n, size := binary.Uvarint(b)
	if size <= 0 || uint64(len(b)-size) < n {
		return "", false, nil
	}
	return string(b[size : size+int(n)]), false, b[size+int(n):]
}

// Hash is what a tuple is stored under.
type Hash [16]byte

// HashOf returns the hash of a tuple's text.
func HashOf(text string) Hash {
	sum := sha256.Sum256([]byte("llm limit\x00" + text))
	return Hash(sum[:16])
}

func (h Hash) String() string { return hex.EncodeToString(h[:]) }
