package jsonscan

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// NameIs reports whether a member's name, with its quotes and escapes, is name.
func NameIs(quoted []byte, name string) bool {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return string(inner) == name
	}
	return string(AppendUnescaped(nil, inner)) == name
}

// Folded returns a member's name, decoded, as careless decoders may read it: up to a NUL,
// where strings of C end, in any case, and without underscores, signs and bytes that are no
// text. Names that one of them takes for the same have the same. It may be name itself.
func Folded(name []byte) []byte {
	for i, c := range name {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return foldedFrom(name, i)
		}
	}
	return name
}

func foldedFrom(name []byte, from int) []byte {
	name, _, _ = bytes.Cut(name, []byte{0})
	out := append(make([]byte, 0, len(name)), name[:from]...)
	for _, r := range string(name[from:]) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			out = append(out, byte(r))
		case r >= 'A' && r <= 'Z':
			out = append(out, byte(r)+'a'-'A')
		case r == '\u017f': // these two are forms of ASCII letters
			out = append(out, 's')
		case r == '\u212a':
			out = append(out, 'k')
		}
	}
	return out
}

// IsString reports whether value is a JSON string.
func IsString(value []byte) bool { return len(value) > 1 && value[0] == '"' }

// IsNull reports whether value is null.
func IsNull(value []byte) bool { return string(value) == "null" }

// Inner returns what is between the quotes of a JSON string, escapes and all,
// or nil for another value.
func Inner(value []byte) []byte {
	if !IsString(value) {
		return nil
	}
	return value[1 : len(value)-1]
}

// Text returns the text of a JSON string, or "" for another value. Half of a
// surrogate pair and bytes that are not UTF-8 become U+FFFD.
func Text(value []byte) string {
	inner := Inner(value)
	if bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return string(inner)
	}
	return string(bytes.ToValidUTF8(AppendUnescaped(nil, inner), []byte("\uFFFD")))
}

// Plain returns the text of a JSON string, which shares the source's bytes unless it
// has escapes. It is not checked for UTF-8.
func Plain(value []byte) []byte {
	inner := Inner(value)
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	return AppendUnescaped(nil, inner)
}

// AppendUnescaped appends the text that is escaped between the quotes of a
// valid JSON string.
func AppendUnescaped(dst, inner []byte) []byte {
	for {
		i := bytes.IndexByte(inner, '\\')
		if i < 0 || i+1 >= len(inner) {
			return append(dst, inner...)
		}
		dst = append(dst, inner[:i]...)
		c := inner[i+1]
		inner = inner[i+2:]
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			r := hexRune(inner)
			inner = inner[min(4, len(inner)):]
			if utf16.IsSurrogate(r) && len(inner) >= 6 && inner[0] == '\\' && inner[1] == 'u' {
				if pair := utf16.DecodeRune(r, hexRune(inner[2:])); pair != utf8.RuneError {
					r, inner = pair, inner[6:]
				}
			}
			dst = utf8.AppendRune(dst, r) // U+FFFD for half of a pair
			continue
		}
		dst = append(dst, c)
	}
}

func hexRune(b []byte) rune {
	if len(b) < 4 {
		return utf8.RuneError
	}
	n, err := strconv.ParseUint(string(b[:4]), 16, 32)
	if err != nil {
		return utf8.RuneError
	}
	return rune(n)
}

// plain marks the bytes that stand in a JSON string as they are.
var plain = func() (p [256]bool) {
	for c := ' '; c < 256; c++ {
		p[c] = c != '"' && c != '\\'
	}
	return p
}()

// AppendEscaped appends text as it is between the quotes of a JSON string:
// with the fewest escapes, so that text that is JSON itself keeps its bytes but for
// quotes, backslashes and control characters.
func AppendEscaped[T ~string | ~[]byte](dst []byte, text T) []byte {
	const hex = "0123456789abcdef"
	start := 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		if plain[c] {
			continue
		}
		dst = append(dst, text[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(dst, text[start:]...)
}

// AppendString appends text as a JSON string. Bytes that are not UTF-8 become
// U+FFFD.
func AppendString(dst []byte, text string) []byte {
	dst = append(dst, '"')
	if utf8.ValidString(text) {
		dst = AppendEscaped(dst, text)
	} else {
		dst = AppendEscaped(dst, strings.ToValidUTF8(text, "\uFFFD"))
	}
	return append(dst, '"')
}
