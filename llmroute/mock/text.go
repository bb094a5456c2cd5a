package mock

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// countTokens estimates how many tokens a text of n bytes has. Real ones have
// about four bytes in English, and load tests need no better number.
func countTokens(n int) int { return max(1, (n+3)/4) }

// replyText returns n bytes of readable text that JSON need not escape.
func replyText(n int) string {
	const sentence = "The mock provider fills its answer with this sentence. "
	return strings.Repeat(sentence, n/len(sentence)+1)[:n]
}

// splitText cuts text into n parts of about the same number of characters,
// never inside one.
func splitText(text string, n int) []string {
	parts := make([]string, n)
	runes := utf8.RuneCountInString(text)
	for i := range parts {
		// With fewer characters than parts the first parts get one each.
		count := runes * (i + 1) / n
		count -= runes * i / n
		if runes < n {
			count = 0
			if i < runes {
				count = 1
			}
		}
		end := 0
		for range count {
			_, size := utf8.DecodeRuneInString(text[end:])
			end += size
		}
		parts[i], text = text[:end], text[end:]
	}
	return parts
}

// quoted returns s as a JSON string that keeps <, > and & readable.
func quoted(s string) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return []byte(`""`) // a string always encodes
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'})
}

// vectorOf returns the unit vector that every embedding is: as a JSON array,
// and as the base64 of little-endian 32-bit floats that OpenAI's SDKs ask for.
func vectorOf() (array, encoded string) {
	vector := [...]float32{0.5, -0.5, 0.5, 0.25, -0.25, 0.25, -0.25, 0}
	var text, raw []byte
	for i, x := range vector {
		if i > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendFloat(text, float64(x), 'g', -1, 32)
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
	}
	return "[" + string(text) + "]", base64.StdEncoding.EncodeToString(raw)
}
