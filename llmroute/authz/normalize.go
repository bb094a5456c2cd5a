package authz

import (
	"net/url"
	"regexp"
	"strings"
)

// sentPath is the path of a request as the client sent it, normalized as Istio
// does by default (BASE): escapes of letters, digits, "-", ".", "_" and "~" are
// decoded, backslashes are slashes, dot segments are resolved. Slashes are not
// merged, and other escapes, such as %2F, stay.
func sentPath(u *url.URL) string { return resolve(sentSegments(u)) }

// sentSegments is sentPath with its dot segments.
func sentSegments(u *url.URL) string {
	path := u.EscapedPath()
	if strings.ContainsAny(u.RawPath, `\#`) { // EscapedPath would escape them
		path, _, _ = strings.Cut(u.RawPath, "#")
		path = strings.ReplaceAll(path, `\`, "/")
	}
	return decodeUnreserved(path)
}

// routedPath is the path with all escapes decoded.
func routedPath(u *url.URL) string { return resolve(routedSegments(u)) }

// routedSegments is routedPath with its dot segments.
func routedSegments(u *url.URL) string { return strings.ReplaceAll(u.Path, `\`, "/") }

// Several slashes in a row: as they are sent, some perhaps as escapes, and decoded.
var (
	sentSlashes   = regexp.MustCompile(`(?:/|%2[Ff]){2,}`)
	routedSlashes = regexp.MustCompile(`/{2,}`)
)

// mergedSentPath is sentPath with single slashes. An escape beside a slash is merged into
// it, and several escapes into one.
func mergedSentPath(u *url.URL) string {
	return resolve(sentSlashes.ReplaceAllStringFunc(sentSegments(u), func(run string) string {
		if strings.Contains(run, "/") {
			return "/"
		}
		return "%2F"
	}))
}

// mergedRoutedPath is routedPath with single slashes.
func mergedRoutedPath(u *url.URL) string {
	return resolve(routedSlashes.ReplaceAllString(routedSegments(u), "/"))
}

// decodeUnreserved decodes the escapes that need not be, RFC 3986, 6.2.2.2.
func decodeUnreserved(path string) string {
	i := strings.IndexByte(path, '%')
	if i < 0 {
		return path
	}
	var b strings.Builder
	b.Grow(len(path))
	for {
		b.WriteString(path[:i])
		path = path[i:]
		if c, ok := decodeEscape(path); ok && isUnreserved(c) {
			b.WriteByte(c)
			path = path[3:]
		} else {
			b.WriteByte('%')
			path = path[1:]
		}
		if i = strings.IndexByte(path, '%'); i < 0 {
			b.WriteString(path)
			return b.String()
		}
	}
}

// decodeEscape is what the escape at the beginning of s stands for.
func decodeEscape(s string) (byte, bool) {
	if len(s) < 3 {
		return 0, false
	}
	high, low := unhex(s[1]), unhex(s[2])
	return high<<4 | low, high < 16 && low < 16
}

// unhex is 16 for what is no hexadecimal digit.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 16
}

func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}

// resolve resolves dot segments, RFC 3986, 5.2.4. The path of OPTIONS * stays.
func resolve(path string) string {
	switch {
	case path == "*":
		return path
	case !strings.HasPrefix(path, "/"):
		path = "/" + path
	}
	if !strings.Contains(path, "/.") {
		return path
	}
	var out []string
	segments := strings.Split(path[1:], "/")
	for i, segment := range segments {
		last := i == len(segments)-1
		switch segment {
		case ".", "..":
			if segment == ".." && len(out) > 0 {
				out = out[:len(out)-1]
			}
			if last {
				out = append(out, "")
			}
		default:
			out = append(out, segment)
		}
	}
	return "/" + strings.Join(out, "/")
}

// HasSlashesInRow reports whether a decoded path has several slashes in a row, which some
// servers read as one. A backslash is a slash to policies, and may be one to servers.
func HasSlashesInRow(path string) bool {
	for i := 1; i < len(path); i++ {
		if isSlash(path[i]) && isSlash(path[i-1]) {
			return true
		}
	}
	return false
}

func isSlash(c byte) bool { return c == '/' || c == '\\' }
