// Package host is the one reading of a request's host. The router, policies,
// external authorization and the translation of objects all use it, so that what
// a request is routed by is what a policy judges.
package host

import (
	"net/netip"
	"strings"
)

// maxName is the longest name, in bytes: 253, and *. before it.
const maxName = 255

// Name returns the normal form of a host: without port, trailing dots and
// brackets, in lower case. An IPv6 address is in its canonical form (RFC 5952),
// without a zone. It takes the host of a request (the Host header, :authority, or
// the authority of an absolute target), the name of a TLS handshake, and the host
// of a configuration, *.suffix and * included.
//
// It reports false for brackets without an IPv6 address between them, for several
// colons that are no such address (RFC 3986, section 3.2.2), and for what is longer than
// a name can be (RFC 1035, section 2.3.4). Such a host has no normal form: a request with it
// is rejected, and a configuration cannot name it.
func Name(authority string) (name string, ok bool) {
	name, _, _, ok = Split(authority)
	return name, ok
}

// Split returns the normal form of a host, as Name, and what follows its port's
// colon. hasPort reports whether there is a colon; the port may be empty, or no
// number.
func Split(authority string) (name, port string, hasPort, ok bool) {
	if strings.IndexByte(authority, '[') >= 0 || strings.IndexByte(authority, ']') >= 0 {
		return splitLiteral(authority)
	}
	name = authority
	if i := strings.LastIndexByte(authority, ':'); i >= 0 {
		if strings.IndexByte(authority[:i], ':') >= 0 {
			name, ok = address(authority) // without brackets, as configurations have it
			return name, "", false, ok
		}
		name, port, hasPort = authority[:i], authority[i+1:], true
	}
	if name = strings.TrimRight(name, "."); len(name) > maxName {
		return "", "", false, false
	}
	return Lower(name), port, hasPort, true
}

// splitLiteral is Split for a host with brackets.
func splitLiteral(authority string) (name, port string, hasPort, ok bool) {
	inner, opened := strings.CutPrefix(authority, "[")
	inner, rest, closed := strings.Cut(inner, "]")
	if !opened || !closed || strings.ContainsAny(rest, "[]") {
		return "", "", false, false
	}
	if rest != "" {
		if port, hasPort = strings.CutPrefix(rest, ":"); !hasPort {
			return "", "", false, false
		}
	}
	name, ok = address(inner)
	return name, port, hasPort, ok
}

// address returns the canonical form of an IPv6 address.
func address(text string) (string, bool) {
	addr, err := netip.ParseAddr(text)
	if err != nil || !addr.Is6() {
		return "", false
	}
	return addr.WithZone("").String(), true
}

// Intersect returns the hosts that are in both of two normal forms, *.suffix and *
// included, as a third one; empty if there are none.
func Intersect(a, b string) string {
	switch {
	case covers(a, b):
		return b
	case covers(b, a):
		return a
	}
	return ""
}

// covers reports whether all hosts of narrow are in wide.
func covers(wide, narrow string) bool {
	suffix, ok := strings.CutPrefix(wide, "*")
	return wide == narrow || ok && strings.HasSuffix(narrow, suffix) && narrow != suffix
}

// InURL returns a normal form as it is written in a URL or a Host header: an IPv6
// address in brackets.
func InURL(name string) string {
	if strings.IndexByte(name, ':') >= 0 {
		return "[" + name + "]"
	}
	return name
}

// Lower lowers ASCII letters only: others, such as the Kelvin sign, must not
// become letters of another name. It allocates only if there is one to lower.
func Lower(s string) string {
	for i := range len(s) {
		if c := s[i]; 'A' <= c && c <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if c := b[i]; 'A' <= c && c <= 'Z' {
					b[i] = c + 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}
