package header

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/matcher"
)

// Match is what was made of the headers that an object matches by.
type Match struct {
	Matcher caddy.ModuleMap // nil if everything matches
	Matched []Matched
	Faults  []object.Fault
}

func (m *Match) fault(format string, args ...any) {
	m.Faults = append(m.Faults, *object.Faultf(object.ReasonInvalidMatch, format, args...))
}

// New makes the matcher for the headers at a path of an object.
func New(path string, headers map[string]v1beta1.StringMatch) *Match {
	m := new(Match)
	if len(headers) == 0 {
		return m
	}
	if len(headers) > object.MaxHeaders {
		m.fault("%s: "+object.TooMany, path, object.MaxHeaders)
	}
	values := make(map[string]matcher.HeaderValue, len(headers))
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		path := path + "[" + object.ShownName(name) + "]"
		lower := strings.ToLower(name)
		_, twice := values[lower]
		switch {
		case strings.HasPrefix(name, "@"):
			m.fault("%s: claims of a token are not matched; write the name of a header", path)
		case strings.HasPrefix(name, ":"):
			m.fault("%s: this is not a header name; write host for the request's host", path)
		case !object.IsHeaderName(name):
			m.fault("%s: this is not a header name", path)
		case twice:
			m.fault("%s: the header is named twice, written in two ways; keep one of them", path)
		}
		m.Matched = append(m.Matched, Matched{path, lower})
		values[lower] = m.headerValue(path, lower, headers[name])
		if why := neverMatches(lower, headers[name]); why != "" {
			m.Faults = append(m.Faults, *object.Warningf(object.ReasonNeverMatches, "%s: %s", path, why))
		}
	}
	raw, err := json.Marshal(values)
	if err != nil {
		m.fault("%s: %s", path, err)
	}
	m.Matcher = caddy.ModuleMap{"llm_header": raw}
	return m
}

func (m *Match) headerValue(path, name string, match v1beta1.StringMatch) matcher.HeaderValue {
	set := 0
	for _, field := range []*string{match.Exact, match.Prefix, match.Regex} {
		if field != nil {
			set++
		}
	}
	switch {
	case set > 1:
		m.fault("%s: more than one of exact, prefix and regex is set; keep one of them", path)
	case set == 0 || match.Regex != nil && *match.Regex == "*":
		return matcher.HeaderValue{Present: true}
	case match.Regex != nil && len(*match.Regex) > object.MaxRegex:
		m.fault("%s.regex: "+object.TooLong, path, object.MaxRegex)
	case match.Regex != nil:
		if _, err := matcher.CompileFullMatch(*match.Regex, name == "host"); err != nil {
			m.fault("%s.regex: %s", path, err)
		}
	case match.Exact != nil && name == "host":
		// The port in a request's host does not matter, so neither does one here.
		host := object.WithoutPort(*match.Exact)
		return matcher.HeaderValue{Exact: &host}
	}
	return matcher.HeaderValue{Exact: match.Exact, Prefix: match.Prefix, Regex: match.Regex}
}
