package llmprovider

import (
	"net/url"
	"strings"
)

// Below returns the URL of what is below base: path is escaped and begins with a slash,
// and query, without a question mark, is added to that of base. base is not changed.
func Below(base *url.URL, path, query string) *url.URL {
	to, raw := *base, strings.TrimSuffix(base.EscapedPath(), "/")+path
	var err error
	if to.Path, err = url.PathUnescape(raw); err != nil { // both were escaped a moment ago
		to.Path = raw
	}
	if to.RawPath = raw; to.RawPath == to.Path {
		to.RawPath = ""
	}
	switch {
	case query == "":
	case to.RawQuery == "":
		to.RawQuery = query
	default:
		to.RawQuery += "&" + query
	}
	return &to
}

// At returns the URL at another address.
func At(address string, u *url.URL) *url.URL {
	at := *u
	at.Host = address
	return &at
}
