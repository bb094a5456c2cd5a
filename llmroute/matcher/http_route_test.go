package matcher

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

func TestHTTPRouteMatcher(t *testing.T) {
	prefix := func(s string) HTTPRouteMatcher { return HTTPRouteMatcher{PathPrefix: s} }
	exact := func(s string) HTTPRouteMatcher { return HTTPRouteMatcher{PathExact: s} }
	regex := func(s string) HTTPRouteMatcher { return HTTPRouteMatcher{PathRegex: s} }
	query := HTTPRouteMatcher{Query: []*QueryValue{{Name: "a", Exact: "1"}, {Name: "b", Regex: "x|y"}}}
	for _, c := range []struct {
		m    HTTPRouteMatcher
		url  string
		want bool
	}{
		{prefix("/"), "/", true}, {prefix("/"), "/x", true}, {prefix("/a"), "/a", true}, {prefix("/a"), "/a/", true}, {prefix("/a"), "/a/b", true},
		{prefix("/a"), "/ab", false}, {prefix("/a/"), "/a", true}, {prefix("/a/"), "/ab", false}, {prefix("/a"), "/A", false},
		{prefix("/a/b"), "/a%2Fb", true}, {prefix("/a b"), "/a%20b/c", true}, {prefix("/a%20b"), "/a%20b", false},
		{exact("/a"), "/a", true}, {exact("/a"), "/a/", false}, {exact("/a"), "/A", false}, {exact("/a/b"), "/a%2Fb", true}, {exact("/a%2Fb"), "/a%2Fb", false},
		{regex("/[a-c]+"), "/abc", true}, {regex("/[a-c]+"), "/abcd", false}, {regex("/a|/b"), "/ax", false}, {regex("/a"), "/A", false}, {regex("/a/b"), "/a%2Fb", true},
		{query, "/?a=1&b=y", true}, {query, "/?b=y&a=1&a=3", true}, {query, "/?b=y&a=3&a=1", false}, {query, "/?A=1&b=y", false}, {query, "/?a=1&b=xy", false}, {query, "/?b=y", false},
		{HTTPRouteMatcher{Query: []*QueryValue{{Name: "a"}}}, "/?a", true}, {HTTPRouteMatcher{Query: []*QueryValue{{Name: "a"}}}, "/", false},
		{HTTPRouteMatcher{}, "/", true},
	} {
		if err := c.m.Provision(caddy.Context{}); err != nil {
			t.Fatal(err)
		}
		if got := c.m.Match(httptest.NewRequest(http.MethodGet, c.url, nil)); got != c.want {
			t.Errorf("%+v at %s: %v, want %v", c.m, c.url, got, c.want)
		}
	}
}

func TestHTTPRouteMatcherRefuses(t *testing.T) {
	for _, c := range []struct {
		m    HTTPRouteMatcher
		want string
	}{
		{HTTPRouteMatcher{PathRegex: "("}, "path_regex: the regex is not RE2"}, {HTTPRouteMatcher{PathRegex: "a)|(?:b"}, "not RE2"},
		{HTTPRouteMatcher{PathRegex: strings.Repeat("a", maxRegex+1)}, "write a shorter one"},
		{HTTPRouteMatcher{Query: []*QueryValue{{Name: "a", Regex: "["}}}, "query[0]: the regex is not RE2"},
		{HTTPRouteMatcher{Query: []*QueryValue{{Name: "a"}, {}}}, "query[1]: there is no name"}, {HTTPRouteMatcher{Query: []*QueryValue{nil}}, "there is no name"},
	} {
		if err := c.m.Provision(caddy.Context{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}
