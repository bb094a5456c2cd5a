package jwt

import (
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// place is where requests may carry a token.
type place struct {
	in    string // "header", "query" or "cookie"
	name  string
	forms []*form
}

// form is how a token is written in a place, and who looks for it there.
type form struct {
	prefix       string
	anyCase      bool // of the prefix
	rules        []*tokenRule
	ignoreOthers bool // texts that do not look like a token are none
}

// token is what follows the prefix.
func (f *form) token(value string) (string, bool) {
	if len(value) < len(f.prefix) {
		return "", false
	}
	before, text := value[:len(f.prefix)], value[len(f.prefix):]
	same := before == f.prefix || f.anyCase && strings.EqualFold(before, f.prefix)
	if !same {
		return "", false
	}
	text = strings.Trim(text, " \t")
	return text, !f.ignoreOthers || looksLikeToken(text)
}

// values are what a request has in the place.
func (p *place) values(r *http.Request) iter.Seq[string] {
	return func(yield func(string) bool) {
		switch p.in {
		case "header":
			for _, value := range r.Header[p.name] {
				if !yield(value) {
					return
				}
			}
		case "query":
			if r.URL.RawQuery == "" {
				return
			}
			for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
				if value, ok := p.inQuery(pair); ok && !yield(value) {
					return
				}
			}
		case "cookie":
			for _, line := range r.Header["Cookie"] {
				for pair := range strings.SplitSeq(line, ";") {
					if value, ok := p.inCookie(pair); ok && !yield(value) {
						return
					}
				}
			}
		}
	}
}

// remove takes the values that are to go out of the request, and leaves the rest
// as the client wrote it.
func (p *place) remove(r *http.Request, gone func(value string) bool) {
	switch p.in {
	case "header":
		filterHeader(r.Header, p.name, func(value string) (string, bool) {
			return value, !gone(value)
		})
	case "query":
		if r.URL.RawQuery == "" {
			return
		}
		query := filterPairs(r.URL.RawQuery, "&", func(pair string) bool {
			value, ok := p.inQuery(pair)
			return ok && gone(value)
		})
		if query != r.URL.RawQuery {
			r.URL.RawQuery = query
			r.RequestURI = r.URL.RequestURI()
		}
	case "cookie":
		filterHeader(r.Header, "Cookie", func(line string) (string, bool) {
			kept := filterPairs(line, ";", func(pair string) bool {
				value, ok := p.inCookie(pair)
				return ok && gone(value)
			})
			kept = strings.TrimLeft(kept, " ")
			return kept, kept != ""
		})
	}
}

// isOf reports whether a value is one of the tokens, and not to be forwarded.
func (p *place) isOf(value string, tokens []*Token) bool {
	for _, f := range p.forms {
		text, ok := f.token(value)
		if !ok {
			continue
		}
		for _, t := range tokens {
			if t.text == text && !t.rule.ForwardOriginalToken && slices.Contains(f.rules, t.rule) {
				return true
			}
		}
	}
	return false
}

// filterHeader replaces the values of a header by what keep makes of them. It
// leaves slices alone that others may have seen.
func filterHeader(header http.Header, name string, keep func(value string) (string, bool)) {
	values := header[name]
	kept := make([]string, 0, len(values))
	for _, value := range values {
		if value, ok := keep(value); ok {
			kept = append(kept, value)
		}
	}
	switch {
	case len(kept) == 0:
		delete(header, name)
	case !slices.Equal(kept, values):
		header[name] = kept
	}
}

// filterPairs is the text without some of the pairs between separators.
func filterPairs(text, separator string, gone func(pair string) bool) string {
	pairs := strings.Split(text, separator)
	return strings.Join(slices.DeleteFunc(pairs, gone), separator)
}

func (p *place) inQuery(pair string) (string, bool) {
	name, value, _ := strings.Cut(pair, "=")
	if unescape(name) != p.name {
		return "", false
	}
	return unescape(value), true
}

// unescape leaves what is not well-formed as it is: no token has a percent sign.
func unescape(text string) string {
	if plain, err := url.QueryUnescape(text); err == nil {
		return plain
	}
	return text
}

func (p *place) inCookie(pair string) (string, bool) {
	name, value, found := strings.Cut(pair, "=")
	if !found || strings.Trim(name, " \t") != p.name {
		return "", false
	}
	value = strings.Trim(value, " \t")
	if len(value) > 1 && value[0] == '"' && value[len(value)-1] == '"' {
		value = value[1 : len(value)-1]
	}
	return value, true
}
