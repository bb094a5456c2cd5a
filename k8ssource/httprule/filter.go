package httprule

import (
	"errors"
	"fmt"

	"golang.org/x/net/http/httpguts"

	"github.com/caddy-llm/gateway/k8ssource/gatewayapi"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/httproute"
)

// Filters are what the filters of a rule ask for. Of one type the first counts, as in
// the API. The error says which of them cannot be used.
func Filters(list []gatewayapi.Filter, m *gatewayapi.Match) (*httproute.Handler, error) {
	out := new(httproute.Handler)
	seen := make(map[string]bool)
	for i := range list {
		f := &list[i]
		if seen[f.Type] && f.Type != "" {
			continue
		}
		seen[f.Type] = true
		if err := addFilter(f, m, out); err != nil {
			return nil, fmt.Errorf("filters[%d]%w", i, err)
		}
	}
	return out, nil
}

// addFilter adds what a filter asks for.
func addFilter(f *gatewayapi.Filter, m *gatewayapi.Match, out *httproute.Handler) (err error) {
	missing := func(field string) error {
		return fmt.Errorf(".%s: there is none; write it, or another type", field)
	}
	switch f.Type {
	case "RequestHeaderModifier":
		if f.RequestHeaderModifier == nil {
			return missing("requestHeaderModifier")
		}
		out.RequestHeaders, err = headerChange(f.RequestHeaderModifier)
	case "ResponseHeaderModifier":
		if f.ResponseHeaderModifier == nil {
			return missing("responseHeaderModifier")
		}
		out.ResponseHeaders, err = headerChange(f.ResponseHeaderModifier)
	case "RequestRedirect":
		if f.RequestRedirect == nil {
			return missing("requestRedirect")
		}
		out.Redirect, err = redirectOf(f.RequestRedirect, m)
	case "URLRewrite":
		if f.URLRewrite == nil {
			return missing("urlRewrite")
		}
		out.Rewrite = &httproute.Rewrite{Host: f.URLRewrite.Hostname}
		if fault := checkRedirectHost(f.URLRewrite.Hostname); fault != nil {
			return fmt.Errorf(".urlRewrite%w", fault)
		}
		out.Rewrite.Path, err = otherPath(f.URLRewrite.Path, m)
	default:
		return errors.New(".type: this is not supported; write RequestHeaderModifier, ResponseHeaderModifier, RequestRedirect or URLRewrite")
	}
	if err != nil {
		return fmt.Errorf(" (%s)%w", f.Type, err)
	}
	return nil
}

// headerChange is what is changed in headers.
func headerChange(f *gatewayapi.HeaderFilter) (*httproute.HeaderChange, error) {
	out := new(httproute.HeaderChange)
	for _, list := range []struct {
		from []gatewayapi.HeaderValue
		to   *[]httproute.Header
		name string
	}{{f.Set, &out.Set, "set"}, {f.Add, &out.Add, "add"}} {
		for i, v := range list.from {
			if !object.IsHeaderName(v.Name) {
				return nil, fmt.Errorf(".%s[%d].name: this is not a header name; write letters, digits and -", list.name, i)
			}
			if !httpguts.ValidHeaderFieldValue(v.Value) {
				return nil, fmt.Errorf(".%s[%d].value: this has a character that no header may have; leave out line breaks and control characters", list.name, i)
			}
			*list.to = append(*list.to, httproute.Header{Name: v.Name, Value: v.Value})
		}
	}
	for i, name := range f.Remove {
		if !object.IsHeaderName(name) {
			return nil, fmt.Errorf(".remove[%d]: this is not a header name; write letters, digits and -", i)
		}
		out.Remove = append(out.Remove, name)
	}
	return out, nil
}

// redirectOf is where a filter redirects clients to.
func redirectOf(f *gatewayapi.RedirectFilter, m *gatewayapi.Match) (*httproute.Redirect, error) {
	out := &httproute.Redirect{Scheme: f.Scheme, Host: f.Hostname, Port: int(f.Port), Status: f.StatusCode}
	switch {
	case f.Scheme != "" && f.Scheme != "http" && f.Scheme != "https":
		return nil, errors.New(".scheme: this is not supported; write http or https")
	case f.Port < 0 || f.Port > 65535:
		return nil, errors.New(".port: this is not a port; write 1 to 65535")
	}
	switch f.StatusCode {
	case 0, 301, 302, 303, 307, 308:
	default:
		return nil, errors.New(".statusCode: this is not supported; write 301, 302, 303, 307 or 308")
	}
	if err := checkRedirectHost(f.Hostname); err != nil {
		return nil, err
	}
	path, err := otherPath(f.Path, m)
	out.Path = path
	return out, err
}

// checkRedirectHost reports what is wrong with the host of a filter, if anything.
func checkRedirectHost(name string) error {
	if name == "" {
		return nil
	}
	if fault := object.CheckRouteHost(name); fault != "" || object.CanonicalHost(name) == "*" || name[0] == '*' {
		return errors.New(".hostname: this is not a host; write a name such as www.example.com")
	}
	return nil
}

// otherPath is the path in place of a request's, nil for the same.
func otherPath(p *gatewayapi.PathFilter, m *gatewayapi.Match) (*httproute.Path, error) {
	switch {
	case p == nil:
		return nil, nil
	case p.Type == "ReplaceFullPath":
		return &httproute.Path{Full: &p.ReplaceFullPath}, nil
	case p.Type != "ReplacePrefixMatch":
		return nil, errors.New(".path.type: this is unknown; write ReplaceFullPath or ReplacePrefixMatch")
	}
	of := "/"
	if m.Path != nil {
		if m.Path.Type != "" && m.Path.Type != "PathPrefix" {
			return nil, errors.New(".path.type: ReplacePrefixMatch is for rules that match by PathPrefix; match by that, or write ReplaceFullPath")
		}
		of = m.Path.Value
	}
	return &httproute.Path{Prefix: &p.ReplacePrefixMatch, Of: of}, nil
}
