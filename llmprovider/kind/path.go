package kind

import (
	"net/url"
	"strings"
)

// Sibling returns u with the end of its path replaced: suffix, which may have a slash
// after it, by with. It is nil where the path does not end so, and for a nil u.
func Sibling(u *url.URL, suffix, with string) *url.URL {
	if u == nil {
		return nil
	}
	base, ok := strings.CutSuffix(strings.TrimSuffix(u.Path, "/"), suffix)
	if !ok {
		return nil
	}
	out := *u
	out.Path = base + with
	if out.RawPath != "" { // how the base was escaped
		out.RawPath = strings.TrimSuffix(strings.TrimSuffix(out.RawPath, "/"), suffix) + with
	}
	return &out
}
