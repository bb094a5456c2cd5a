package httproute

import (
	"net/http"
	"net/url"
	"strings"
)

// Path is another path in place of a request's.
type Path struct {
	// The whole path.
	Full *string `json:"full,omitempty"`

	// The replacement of the prefix.
	Prefix *string `json:"prefix,omitempty"`

	// The prefix that Prefix replaces: the one that the rule matches by.
	Of string `json:"of,omitempty"`
}

// apply changes the path of a URL. Escapes of what stays are kept where the prefix has none.
func (p *Path) apply(u *url.URL) {
	switch {
	case p == nil:
		return
	case p.Full != nil:
		u.Path, u.RawPath = rooted(*p.Full), ""
	case p.Prefix != nil:
		path, raw := p.replace(u.Path), ""
		if u.RawPath != "" {
			raw = p.replace(u.RawPath)
		}
		u.Path, u.RawPath = path, raw // a raw path that is not this path's is not used
	}
}

// replace puts Prefix in the place of Of, element by element.
func (p *Path) replace(path string) string {
	rest := strings.TrimPrefix(strings.TrimPrefix(path, strings.TrimSuffix(p.Of, "/")), "/")
	if rest == "" {
		return rooted(*p.Prefix)
	}
	return rooted(strings.TrimSuffix(*p.Prefix, "/") + "/" + rest)
}

// rooted is the path with a slash before it.
func rooted(path string) string {
	if !strings.HasPrefix(path, "/") {
		return "/" + path
	}
	return path
}

// Rewrite is what is changed in the host and path of requests to Services.
type Rewrite struct {
	// The host. Default: the request's.
	Host string `json:"host,omitempty"`

	// The path. Default: the request's.
	Path *Path `json:"path,omitempty"`
}

// apply changes a request, whose URL is copied. A nil Rewrite changes nothing.
func (c *Rewrite) apply(r *http.Request) {
	if c == nil {
		return
	}
	if c.Host != "" {
		r.Host = c.Host
	}
	u := *r.URL
	c.Path.apply(&u)
	r.URL = &u
}

// isPlainPath reports whether all servers read the path in the same way.
func isPlainPath(u *url.URL) bool {
	if u.Opaque != "" || strings.Contains(u.RawPath, "#") { // which are no part of a path
		return false
	}
	for i := range len(u.Path) {
		if c := u.Path[i]; c < ' ' || c == '\\' || c == 0x7f {
			return false
		}
	}
	for segment := range strings.SplitSeq(u.Path, "/") {
		// Some servers take what follows a semicolon for parameters, and no part of the
		// segment.
		if segment, _, _ = strings.Cut(segment, ";"); segment == "." || segment == ".." {
			return false
		}
	}
	return true
}
