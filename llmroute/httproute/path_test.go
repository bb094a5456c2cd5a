package httproute

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestLocation(t *testing.T) {
	full, prefix, empty := "/full", "/new/", "/"
	for _, c := range []struct {
		to   Redirect
		url  string
		port int
		want string
	}{
		{Redirect{Host: "b"}, "http://a/x?q=1", 80, "http://b/x?q=1"},
		{Redirect{}, "http://a/x", 8080, "http://a:8080/x"},
		{Redirect{}, "http://a:9/x", 80, "http://a/x"},
		{Redirect{Scheme: "https"}, "http://a/x", 8080, "https://a/x"},
		{Redirect{Scheme: "http"}, "http://a/x", 8080, "http://a/x"},
		{Redirect{Scheme: "https", Port: 444}, "http://a/x", 80, "https://a:444/x"},
		{Redirect{Scheme: "https", Port: 443}, "http://a/x", 80, "https://a/x"},
		{Redirect{Port: 443}, "http://a/x", 80, "http://a:443/x"},
		{Redirect{Path: &Path{Full: &full}}, "http://a/x", 80, "http://a/full"},
		{Redirect{Path: &Path{Prefix: &prefix, Of: "/old"}}, "http://a/old/x", 80, "http://a/new/x"},
		{Redirect{Path: &Path{Prefix: &prefix, Of: "/old"}}, "http://a/old/x%2Fy", 80, "http://a/new/x%2Fy"},
		{Redirect{Path: &Path{Prefix: &prefix, Of: "/old/"}}, "http://a/old", 80, "http://a/new/"},
		{Redirect{Path: &Path{Prefix: &empty, Of: "/old"}}, "http://a/old", 80, "http://a/"},
		{Redirect{Path: &Path{Prefix: &prefix, Of: "/"}}, "http://a/x", 80, "http://a/new/x"},
		{Redirect{Host: "::1"}, "http://a/", 80, "http://[::1]/"},
		{Redirect{}, "http://[2001:db8::1]:8080/", 8080, "http://[2001:db8::1]:8080/"},
	} {
		if got, ok := c.to.location(httptest.NewRequest(http.MethodGet, c.url, nil), c.port); got != c.want || !ok {
			t.Errorf("%+v of %s: %s, want %s", c.to, c.url, got, c.want)
		}
	}
}

func TestIsPlainPath(t *testing.T) {
	for target, want := range map[string]bool{
		"/": true, "/a/b.c/..d/...": true, "/a%2Fb": true, "/%E4%BD%A0": true, "//a": true, "/a;b=.": true, "/a%23b": true,
		"/.": false, "/..": false, "/a/../b": false, "/a/%2e%2e/b": false, "/a%2F..%2Fb": false, "/a/.%2E": false, `/a\b`: false, "/a%5Cb": false,
		"/a/..;/b": false, "/a/..;x=1/b": false, "/.;": false, "/a%00": false, "/a%0Ab": false, "/a%7f": false, "/a#/b": false,
	} {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			t.Fatal(err)
		}
		if got := isPlainPath(u); got != want {
			t.Errorf("%s: %v, want %v", target, got, want)
		}
	}
}

// FuzzIsPlainPath holds that a path which passes has no dot segments, whoever decodes it.
func FuzzIsPlainPath(f *testing.F) {
	for _, target := range []string{"/", "/a/../b", "/%2e%2e/", `/\..`, "/a;b", "/a#b", "/a/"} {
		f.Add(target)
	}
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || u.Path == "" || u.Host != "" || !isPlainPath(u) {
			return
		}
		sent, err := url.ParseRequestURI(u.EscapedPath())
		if err != nil {
			t.Fatalf("%q is sent as %q: %v", target, u.EscapedPath(), err)
		}
		if sent.Path != u.Path {
			t.Errorf("%q is sent as %q, which is another path", u.Path, sent.Path)
		}
		clean, path := strings.TrimSuffix(sent.JoinPath("").Path, "/"), strings.TrimSuffix(collapse(u.Path), "/")
		if u.Path[0] == '/' && len(clean) < len(path) {
			t.Errorf("%q is cleaned to %q", u.Path, clean)
		}
	})
}

// collapse merges slashes, which JoinPath does as well.
func collapse(path string) string {
	out := path[:1]
	for i := 1; i < len(path); i++ {
		if path[i] != '/' || path[i-1] != '/' {
			out += path[i : i+1]
		}
	}
	return out
}
