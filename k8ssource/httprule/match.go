package httprule

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-llm/gateway/k8ssource/gatewayapi"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/matcher"
)

// Matchers are the matchers for an entry of an HTTPRoute's matches, none if it matches
// everything. The error says what of the entry cannot be used; they are without that,
// so they match more.
func Matchers(m *gatewayapi.Match) (caddy.ModuleMap, error) {
	out := make(caddy.ModuleMap)
	var failed error
	add := func(name string, config any) {
		raw, err := json.Marshal(config)
		out[name], failed = raw, cmp.Or(failed, err)
	}
	rest := new(matcher.HTTPRouteMatcher)
	path := setPath(m.Path, rest)
	query := setQuery(m.QueryParams, rest)
	if rest.PathExact != "" || rest.PathPrefix != "" || rest.PathRegex != "" || rest.Query != nil {
		add("llm_http_route", rest)
	}
	values, headers := headerValues(m.Headers)
	if len(values) > 0 {
		add("llm_header", values)
	}
	if m.Method != "" {
		add("method", caddyhttp.MatchMethod{m.Method})
	}
	return out, cmp.Or(path, headers, query, failed)
}

// setPath sets what a path must be.
func setPath(path *gatewayapi.Value, to *matcher.HTTPRouteMatcher) error {
	if path == nil {
		return nil
	}
	value := cmp.Or(path.Value, "/")
	switch path.Type {
	case "", "PathPrefix":
		if value != "/" {
			to.PathPrefix = value
		}
	case "Exact":
		to.PathExact = value
	case "RegularExpression":
		if _, err := matcher.CompileFullMatch(value, false); err != nil {
			return fmt.Errorf("path.value: %w", err)
		}
		to.PathRegex = value
	default:
		return errors.New("path.type: this is unknown; write PathPrefix, Exact or RegularExpression")
	}
	return nil
}

// headerValues are what headers must be, by their names in lower case. Of two entries
// with one name the first counts. The error is of the first one that cannot be used;
// those that cannot are left out.
func headerValues(list []gatewayapi.Value) (out map[string]*matcher.HeaderValue, unusable error) {
	out = make(map[string]*matcher.HeaderValue)
	seen := make(map[string]bool)
	for i, v := range list {
		name := strings.ToLower(v.Name)
		if seen[name] {
			continue
		}
		seen[name] = true
		isRegex, err := checkValue(&v, name == "host")
		value := new(matcher.HeaderValue)
		switch {
		case !object.IsHeaderName(name):
			err = errors.New("name: this is not a header name")
		case isRegex:
			value.Regex = &v.Value
		case name == "host": // of which the port does not matter
			host := object.WithoutPort(v.Value)
			value.Exact = &host
		default:
			value.Exact = &v.Value
		}
		if err != nil {
			unusable = cmp.Or(unusable, fmt.Errorf("headers[%d].%w", i, err))
			continue
		}
		out[name] = value
	}
	return out, unusable
}

// setQuery sets what query parameters must be, in the same way. Case counts in their
// names.
func setQuery(list []gatewayapi.Value, to *matcher.HTTPRouteMatcher) (unusable error) {
	seen := make(map[string]bool)
	for i, v := range list {
		if seen[v.Name] {
			continue
		}
		seen[v.Name] = true
		isRegex, err := checkValue(&v, false)
		value := &matcher.QueryValue{Name: v.Name}
		switch {
		case v.Name == "":
			err = errors.New("name: there is none; write that of a query parameter")
		case isRegex:
			value.Regex = v.Value
		default:
			value.Exact = v.Value
		}
		if err != nil {
			unusable = cmp.Or(unusable, fmt.Errorf("queryParams[%d].%w", i, err))
			continue
		}
		to.Query = append(to.Query, value)
	}
	return unusable
}

// checkValue reports whether a value is an expression, and what is wrong with it.
func checkValue(v *gatewayapi.Value, ignoreCase bool) (isRegex bool, err error) {
	switch v.Type {
	case "", "Exact":
		return false, nil
	case "RegularExpression":
		if _, err := matcher.CompileFullMatch(v.Value, ignoreCase); err != nil {
			return true, fmt.Errorf("value: %w", err)
		}
		return true, nil
	}
	return false, errors.New("type: this is unknown; write Exact or RegularExpression")
}
