package header

import (
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/k8ssource/object"
)

// Wider reports whether headers surely match all that other ones match.
func Wider(wide, narrow map[string]v1beta1.StringMatch) bool {
	if len(wide) > len(narrow) {
		return false
	}
	for name, w := range wide {
		n, ok := headerOfName(narrow, name)
		if !ok || !widerValue(w, n, strings.EqualFold(name, "host")) {
			return false
		}
	}
	return true
}

func headerOfName(headers map[string]v1beta1.StringMatch, name string) (v1beta1.StringMatch, bool) {
	if m, ok := headers[name]; ok {
		return m, true
	}
	for other, m := range headers {
		if strings.EqualFold(other, name) {
			return m, true
		}
	}
	return v1beta1.StringMatch{}, false
}

// widerValue reports whether a value that narrow matches is surely one of wide's.
func widerValue(wide, narrow v1beta1.StringMatch, host bool) bool {
	text := func(s *string) string {
		if host {
			return strings.ToLower(*s)
		}
		return *s
	}
	exact := func(s *string) string {
		if host {
			return object.WithoutPort(*s)
		}
		return *s
	}
	switch {
	case wide.Exact == nil && wide.Prefix == nil && (wide.Regex == nil || *wide.Regex == "*"):
		return true
	case wide.Regex != nil:
		return narrow.Regex != nil && *wide.Regex == *narrow.Regex
	case wide.Exact != nil:
		return narrow.Exact != nil && exact(wide.Exact) == exact(narrow.Exact)
	case narrow.Exact != nil:
		return strings.HasPrefix(exact(narrow.Exact), text(wide.Prefix))
	case narrow.Prefix != nil:
		return strings.HasPrefix(text(narrow.Prefix), text(wide.Prefix))
	}
	return false
}

// neverMatches says why no request matches the value of a header, if that is certain.
func neverMatches(name string, m v1beta1.StringMatch) string {
	for _, text := range []*string{m.Exact, m.Prefix} {
		if text != nil && strings.TrimLeft(*text, " \t") != *text || m.Exact != nil && strings.TrimRight(*m.Exact, " \t") != *m.Exact {
			return "values of headers have no space around them, so this never matches; take it out"
		}
		if text != nil && strings.ContainsAny(*text, "\r\n\x00") {
			return "values of headers have no line breaks, so this never matches; take it out"
		}
	}
	const port = "the host is compared without its port, so this never matches; write the host alone, and take a port's requests apart by Gateways"
	switch {
	case name != "host":
	case m.Exact != nil && *m.Exact == "":
		return "there is no request without a host, so this never matches; write one, or {} for any"
	case m.Exact != nil && object.WithoutPort(*m.Exact) != object.CanonicalHost(*m.Exact):
		return "the host is compared without its port, so the port here is not used; write the host alone"
	case m.Prefix != nil && strings.Count(*m.Prefix, ":") == 1 && !strings.HasPrefix(*m.Prefix, "["):
		if text, _, _ := strings.Cut(*m.Prefix, ":"); strings.Trim(strings.ToLower(text), "0123456789abcdef") != "" { // not the start of an IPv6 address
			return port
		}
	}
	if m.Regex == nil || *m.Regex == "*" || len(*m.Regex) > object.MaxRegex {
		return ""
	}
	parsed, err := syntax.Parse(*m.Regex, syntax.Perl)
	switch {
	case err != nil:
		return "" // reported elsewhere
	case impossible(parsed.Simplify()):
		return "no text matches this expression; correct it"
	case name == "host" && colons(parsed) == 1: // addresses of IPv6 have more
		return port
	}
	return ""
}

// impossible reports whether no text matches an expression, where that is plain.
func impossible(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpNoMatch:
		return true
	case syntax.OpCharClass:
		return len(re.Rune) == 0
	case syntax.OpConcat, syntax.OpCapture, syntax.OpPlus:
		return slices.ContainsFunc(re.Sub, impossible)
	case syntax.OpAlternate:
		return !slices.ContainsFunc(re.Sub, func(s *syntax.Regexp) bool { return !impossible(s) })
	case syntax.OpRepeat:
		return re.Min > 0 && impossible(re.Sub[0])
	}
	return false
}

// colons is how many colons are at least in each text that an expression matches.
func colons(re *syntax.Regexp) int {
	sum := 0
	switch re.Op {
	case syntax.OpLiteral:
		for _, r := range re.Rune {
			if r == ':' {
				sum++
			}
		}
	case syntax.OpCharClass:
		if len(re.Rune) == 2 && re.Rune[0] == ':' && re.Rune[1] == ':' {
			sum = 1
		}
	case syntax.OpConcat, syntax.OpCapture, syntax.OpPlus:
		for _, s := range re.Sub {
			sum += colons(s)
		}
	case syntax.OpAlternate:
		sum = colons(re.Sub[0])
		for _, s := range re.Sub[1:] {
			sum = min(sum, colons(s))
		}
	case syntax.OpRepeat:
		sum = re.Min * colons(re.Sub[0])
	}
	return sum
}
