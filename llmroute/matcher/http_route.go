package matcher

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	caddy.RegisterModule(new(HTTPRouteMatcher))
}

// HTTPRouteMatcher matches requests by path and query as an HTTPRoute of Gateway API
// does: all that is set must match. Headers and methods are left to `llm_header` and
// Caddy's `method`.
//
// What is compared is the decoded path, so that `/a%2Fb` is `/a/b`, and case counts.
// Placeholders are not expanded.
type HTTPRouteMatcher struct {
	// The whole path.
	PathExact string `json:"path_exact,omitempty"`

	// The elements that the path begins with: `/a` matches `/a` and `/a/b`, not `/ab`.
	PathPrefix string `json:"path_prefix,omitempty"`

	// An [RE2](https://github.com/google/re2/wiki/Syntax) expression that the whole
	// path matches.
	PathRegex string `json:"path_regex,omitempty"`

	// Query parameters. Of one that is sent more than once the first value counts.
	Query []*QueryValue `json:"query,omitempty"`

	path *regexp.Regexp
}

// QueryValue is what a query parameter must be. It must be there.
type QueryValue struct {
	// The name. Case counts.
	Name string `json:"name,omitempty"`

	// The value itself, unless there is a regex.
	Exact string `json:"exact,omitempty"`

	// An [RE2](https://github.com/google/re2/wiki/Syntax) expression that the whole
	// value matches.
	Regex string `json:"regex,omitempty"`

	pattern *regexp.Regexp
}

// CaddyModule returns the Caddy module information.
func (*HTTPRouteMatcher) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.matchers.llm_http_route",
		New: func() caddy.Module { return new(HTTPRouteMatcher) },
	}
}

// Provision compiles the expressions.
func (m *HTTPRouteMatcher) Provision(caddy.Context) error {
	var err error
	if m.PathRegex != "" {
		if m.path, err = CompileFullMatch(m.PathRegex, false); err != nil {
			return fmt.Errorf("path_regex: %w", err)
		}
	}
	for i, v := range m.Query {
		if v == nil || v.Name == "" {
			return fmt.Errorf("query[%d]: %w", i, errNoName)
		}
		if v.Regex == "" {
			continue
		}
		if v.pattern, err = CompileFullMatch(v.Regex, false); err != nil {
			return fmt.Errorf("query[%d]: %w", i, err)
		}
	}
	return nil
}

var errNoName = errors.New("there is no name; write that of a query parameter")

// Match implements caddyhttp.RequestMatcher.
func (m *HTTPRouteMatcher) Match(r *http.Request) bool {
	ok, _ := m.MatchWithError(r)
	return ok
}

// MatchWithError implements caddyhttp.RequestMatcherWithError.
func (m *HTTPRouteMatcher) MatchWithError(r *http.Request) (bool, error) {
	switch path := r.URL.Path; {
	case m.PathExact != "" && path != m.PathExact,
		m.PathPrefix != "" && !hasElements(path, m.PathPrefix),
		m.path != nil && !m.path.MatchString(path):
		return false, nil
	}
	if len(m.Query) == 0 {
		return true, nil
	}
	query := r.URL.Query()
	for _, v := range m.Query {
		if values := query[v.Name]; len(values) == 0 || !v.matches(values[0]) {
			return false, nil
		}
	}
	return true, nil
}

func (v *QueryValue) matches(value string) bool {
	if v.pattern != nil {
		return v.pattern.MatchString(value)
	}
	return value == v.Exact
}

// hasElements reports whether a path begins with the elements of a prefix.
func hasElements(path, prefix string) bool {
	rest, ok := strings.CutPrefix(path, strings.TrimSuffix(prefix, "/"))
	return ok && (rest == "" || rest[0] == '/')
}

// Interface guards
var (
	_ caddy.Provisioner                 = (*HTTPRouteMatcher)(nil)
	_ caddyhttp.RequestMatcherWithError = (*HTTPRouteMatcher)(nil)
)
