package authz

import (
	"fmt"
	"strings"
)

// canonicalPath is a path with each character written in one way: as it is if a path may
// have it so, but for the asterisk, which has a meaning in values, else escaped with
// capitals. An escaped slash or backslash stays one.
func canonicalPath(path string) string {
	i := 0
	for i < len(path) && isPathChar(path[i]) {
		i++
	}
	if i == len(path) {
		return path
	}
	var b strings.Builder
	b.WriteString(path[:i])
	for i < len(path) {
		c, asIs := path[i], isPathChar(path[i])
		n := 1
		if escaped, ok := decodeEscape(path[i:]); ok && c == '%' {
			c, asIs, n = escaped, isPathChar(escaped) && escaped != '/', 3
		}
		if i += n; asIs {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// canonicalValue is a value of a path that matches canonical paths as the value does others.
func canonicalValue(value string) string {
	if strings.ContainsAny(value, "{}") {
		var b strings.Builder
		for {
			i := strings.IndexByte(value, '{')
			j := strings.IndexByte(value, '}')
			if i < 0 || j < i {
				return b.String() + canonicalPath(value)
			}
			b.WriteString(canonicalPath(value[:i]) + value[i:j+1])
			value = value[j+1:]
		}
	}
	if rest, ok := strings.CutPrefix(value, "*"); ok {
		return "*" + canonicalPath(rest)
	}
	if rest, ok := strings.CutSuffix(value, "*"); ok {
		cut := len(rest) // before an escape that only begins there
		if i := strings.LastIndexByte(rest, '%'); i >= 0 && i >= len(rest)-2 {
			cut = i
		}
		return canonicalPath(rest[:cut]) + strings.ToUpper(rest[cut:]) + "*"
	}
	return canonicalPath(value)
}

// isPathChar reports whether a path has the character as it is: RFC 3986, 3.3.
func isPathChar(c byte) bool { return isUnreserved(c) || strings.IndexByte("!$&'()+,;=:@/", c) >= 0 }
