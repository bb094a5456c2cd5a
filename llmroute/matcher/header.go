// Package matcher has what tells requests apart by themselves: the matchers llm_header
// and llm_http_route, and names with a wildcard. The matcher llm_model, which reads
// bodies, is in llmroute/inbound.
//
// Of the gateway it imports only internal/host. Begin with HeaderMatcher.
package matcher

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"regexp"
	"regexp/syntax"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"golang.org/x/net/http/httpguts"

	"github.com/caddy-llm/gateway/internal/host"
)

func init() {
	caddy.RegisterModule(HeaderMatcher{})
}

// HeaderMatcher matches requests by header fields as an LLMRoute does. All of
// its entries must match. A field that is sent more than once matches if any of
// its values does. Names are compared without regard to case, values with it.
//
// The name `host` stands for the request's host without its port; its value is
// compared without regard to case.
//
// Unlike those of Caddy's `header` matcher, the values may come from objects
// that other people write: placeholders in them are not expanded.
type HeaderMatcher map[string]*HeaderValue

// HeaderValue is what a header field must be. Exactly one field is set.
type HeaderValue struct {
	// The value itself.
	Exact *string `json:"exact,omitempty"`

	// What the value begins with.
	Prefix *string `json:"prefix,omitempty"`

	// An [RE2](https://github.com/google/re2/wiki/Syntax) expression that the
	// whole value matches.
	Regex *string `json:"regex,omitempty"`

	// Whether any value will do, an empty one included.
	Present bool `json:"present,omitempty"`

	name    string // canonical; empty for the host
	text    string // of Exact or Prefix
	pattern *regexp.Regexp
}

// CaddyModule returns the Caddy module information.
func (HeaderMatcher) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.matchers.llm_header",
		New: func() caddy.Module { return new(HeaderMatcher) },
	}
}

// Provision compiles the expressions.
func (m *HeaderMatcher) Provision(caddy.Context) error {
	if len(*m) == 0 {
		return errors.New("llm_header has no entries; name at least one header")
	}
	for name, value := range *m {
		if value == nil {
			return fmt.Errorf("header %q: write one of exact, prefix, regex and present", name)
		}
		if err := value.provision(name); err != nil {
			return fmt.Errorf("header %q: %w", name, err)
		}
	}
	return nil
}

func (v *HeaderValue) provision(name string) error {
	if !httpguts.ValidHeaderFieldName(name) {
		return errors.New("this is not a header name")
	}
	isHost := strings.EqualFold(name, "host")
	if !isHost {
		v.name = textproto.CanonicalMIMEHeaderKey(name)
	}
	set := 0
	if v.Exact != nil {
		set++
		v.text = *v.Exact
	}
	if v.Prefix != nil {
		set++
		v.text = *v.Prefix
	}
	if isHost {
		v.text = strings.ToLower(v.text)
	}
	if v.Regex != nil {
		set++
		var err error
		if v.pattern, err = CompileFullMatch(*v.Regex, isHost); err != nil {
			return err
		}
	}
	if v.Present {
		set++
	}
	if set != 1 {
		return errors.New("write one of exact, prefix, regex and present")
	}
	return nil
}

// maxRegex is the longest expression that is taken, in bytes.
const maxRegex = 4 << 10

// CompileFullMatch compiles an RE2 expression that must match a whole value.
func CompileFullMatch(expr string, ignoreCase bool) (*regexp.Regexp, error) {
	if len(expr) > maxRegex {
		return nil, fmt.Errorf("the regex is over %d bytes; write a shorter one", maxRegex)
	}
	// Checked by itself first: a closing parenthesis could end the group below.
	if _, err := regexp.Compile(expr); err != nil {
		return nil, notRE2(err)
	}
	group := "(?:"
	if ignoreCase {
		group = "(?i:"
	}
	re, err := regexp.Compile("^" + group + expr + ")$")
	if err != nil {
		return nil, notRE2(err)
	}
	return re, nil
}

// notRE2 says why an expression cannot be used, without any of it: it may hold what
// must not be shown.
func notRE2(err error) error {
	var at *syntax.Error
	if errors.As(err, &at) {
		return fmt.Errorf("the regex is not RE2: %s", at.Code)
	}
	return errors.New("the regex is not RE2")
}

// Match implements caddyhttp.RequestMatcher.
func (m *HeaderMatcher) Match(r *http.Request) bool {
	ok, _ := m.MatchWithError(r)
	return ok
}

// MatchWithError implements caddyhttp.RequestMatcherWithError.
func (m *HeaderMatcher) MatchWithError(r *http.Request) (bool, error) {
	for _, v := range *m {
		if !v.matchesAny(r) {
			return false, nil
		}
	}
	return true, nil
}

func (v *HeaderValue) matchesAny(r *http.Request) bool {
	if v.name == "" {
		name, _ := host.Name(r.Host)
		return v.matches(name)
	}
	for _, value := range r.Header[v.name] {
		if v.matches(value) {
			return true
		}
	}
	return false
}

func (v *HeaderValue) matches(value string) bool {
	switch {
	case v.Exact != nil:
		return value == v.text
	case v.Prefix != nil:
		return strings.HasPrefix(value, v.text)
	case v.pattern != nil:
		return v.pattern.MatchString(value)
	}
	return true
}

// Interface guards
var (
	_ caddy.Provisioner                 = (*HeaderMatcher)(nil)
	_ caddyhttp.RequestMatcherWithError = (*HeaderMatcher)(nil)
)
