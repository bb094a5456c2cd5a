package authz

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/caddy-llm/gateway/llmroute/authz/jwt"
)

// Paths as Envoy's test/common/http/path_utility_test.cc has them.
func TestSentPath(t *testing.T) {
	for target, want := range map[string]string{
		"/xyz":                 "/xyz",
		"/x/y/z":               "/x/y/z",
		"/a/b/../c":            "/a/c",
		"/a/b/./c":             "/a/b/c",
		"/a/b/../../../../c":   "/c",
		`/a/..\c`:              "/c",
		"/%c0%af":              "/%c0%af",
		"/%5c%25":              "/%5c%25",
		"/a/b/%2E%2E/c":        "/a/c",
		"/a/b/%2E./c":          "/a/c",
		"/a/b/%2E/c":           "/a/b/c",
		"/../a/b":              "/a/b",
		"/./a/b":               "/a/b",
		"/A/B/C":               "/A/B/C",
		"/a/%2F%2f/c":          "/a/%2F%2f/c",
		"/a//b":                "/a//b",
		"/a/..":                "/",
		"/a/b/..":              "/a/",
		"/a/.":                 "/a/",
		"/.hidden/..a/a..":     "/.hidden/..a/a..",
		"/some%2fdata/%61%62c": "/some%2fdata/abc",
		"/%2d%5f%7e%30%5A":     "/-_~0Z",
		"/%2561":               "/%2561",
		"/a#b":                 "/a",
		"*":                    "*",
		"http://h":             "/",
		"http://h/a/../b?c":    "/b",
	} {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			t.Fatal(err)
		}
		if got := sentPath(u); got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
}

// removeDotSegments is RFC 3986, 5.2.4, step by step.
func removeDotSegments(in string) string {
	var out string
	for in != "" {
		switch {
		case strings.HasPrefix(in, "../"):
			in = in[3:]
		case strings.HasPrefix(in, "./"):
			in = in[2:]
		case strings.HasPrefix(in, "/./"):
			in = in[2:]
		case in == "/.":
			in = "/"
		case strings.HasPrefix(in, "/../"), in == "/..":
			in = "/" + strings.TrimPrefix(in[3:], "/")
			out = out[:max(strings.LastIndex(out, "/"), 0)]
		case in == ".", in == "..":
			in = ""
		default:
			end := strings.Index(in[1:], "/") + 1
			if end == 0 {
				end = len(in)
			}
			out, in = out+in[:end], in[end:]
		}
	}
	return out
}

var unreservedEscape = regexp.MustCompile(`(?i)%(2[de]|3[0-9]|4[1-9a-f]|5[0-9a]|5f|6[1-9a-f]|7[0-9a]|7e)`)

func FuzzNormalize(f *testing.F) {
	for _, target := range []string{"/a/../b", "/%2e%2E/%61", `/a\..\b#c`, "/a//../b", "*", "/%", "/%2", "/%zz%2f", "//a/%2F/../%2f%2Fb//"} {
		f.Add(target)
	}
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		mergedSent, mergedRouted := mergedSentPath(u), mergedRoutedPath(u)
		if run := sentSlashes.FindString(mergedSent) + routedSlashes.FindString(mergedRouted); run != "" {
			t.Fatalf("%q: %q and %q have %s", target, mergedSent, mergedRouted, run)
		}
		for _, path := range []string{sentPath(u), routedPath(u), mergedSent, mergedRouted} {
			if path != "*" && !strings.HasPrefix(path, "/") {
				t.Fatalf("%q: %q does not begin with a slash", target, path)
			}
			for segment := range strings.SplitSeq(path, "/") {
				if segment == "." || segment == ".." {
					t.Fatalf("%q: %q has dot segments", target, path)
				}
			}
			if strings.Contains(path, `\`) {
				t.Fatalf("%q: %q has a backslash", target, path)
			}
		}
		sent := sentPath(u)
		if got := unreservedEscape.FindString(sent); got != "" && !strings.Contains(target, "%25") {
			t.Fatalf("%q: %q has %s", target, sent, got)
		}
		if again := resolve(sent); again != sent {
			t.Fatalf("%q: %q becomes %q", target, sent, again)
		}
		if strings.HasPrefix(target, "/") {
			if got, want := resolve(target), removeDotSegments(target); got != want {
				t.Fatalf("%q: %q, want %q", target, got, want)
			}
		}
	})
}

func valid(texts ...string) bool {
	return !slices.ContainsFunc(texts, func(s string) bool { return !utf8.ValidString(s) })
}

func FuzzTemplate(f *testing.F) {
	f.Add("/foo/{*}/bar/{**}", "/foo/x/bar/y")
	f.Add("/{**}/a/", "/x/a/")
	f.Add("/{*}", "//")
	f.Fuzz(func(t *testing.T, value, path string) {
		template, err := newTemplate(value)
		if err != nil || !strings.Contains(value, "{") || !valid(value, path) {
			return
		}
		expr := strings.ReplaceAll(regexp.QuoteMeta(value), `\{\*\*\}`, ".*")
		want := matches(strings.ReplaceAll(expr, `\{\*\}`, "[^/]+"), path)
		if got := template.match(path); got != want {
			t.Fatalf("%q of %q is %v, want %v", value, path, got, want)
		}
		if want && !strings.HasPrefix(path, template.begin()) {
			t.Fatalf("%q matches %q, which does not begin with %q", value, path, template.begin())
		}
	})
}

func FuzzTexts(f *testing.F) {
	f.Add("pre*", "prefix")
	f.Add("*fix", "suffix")
	f.Add("*", "")
	f.Add("a*b", "a*b")
	f.Fuzz(func(t *testing.T, value, s string) {
		if !valid(value, s) { // which the expressions cannot say
			return
		}
		var texts texts
		texts.add(value)
		if got, want := texts.match(s), matches(pattern(value, ".+"), s); got != want {
			t.Fatalf("%q of %q is %v, want %v", value, s, got, want)
		}
		// An index finds the same.
		test := &textTest{attribute: &attribute{kind: attrMethod}, values: texts}
		file := newRuleIndex(test.attribute)
		keys := test.keys()
		for _, k := range keys {
			file.add(k, 0)
		}
		set := &ruleSet{rules: []*rule{{}}}
		if found := file.findText(set, nil, s, 1) == 0; keys != nil && found != texts.match(s) {
			t.Fatalf("%q of %q is filed so that it is found: %v", value, s, found)
		}
	})
}

func FuzzRequestPrincipal(f *testing.F) {
	f.Add("iss/sub", "iss", "sub")
	f.Add("https://iss/*", "https://iss", "s")
	f.Add("https:/*", "https://iss", "s")
	f.Add("/*", "/", "0")
	f.Add("*/s", "i", "s")
	f.Add("*", "i", "")
	f.Fuzz(func(t *testing.T, value, issuer, subject string) {
		if strings.ContainsAny(value+issuer+subject, "\n") || !valid(value, issuer, subject) { // what the pattern puts between
			return
		}
		test := &requestPrincipalTest{}
		if err := test.add(value); err != nil {
			t.Fatal(err)
		}
		for _, every := range []bool{false, true} {
			r := &request{token: &jwt.Token{Issuer: issuer, Subject: subject}, every: every}
			want := issuer != "" && subject != "" && principalMatches(value, issuer, subject, every)
			if got := test.match(r); got != want {
				t.Fatalf("%q of %q and %q is %v, want %v (every: %v)", value, issuer, subject, got, want, every)
			}
		}
	})
}

// However a host is written, a value that names it matches.
func FuzzHost(f *testing.F) {
	f.Add("test.com")
	f.Add("TEST.com.:80")
	f.Add("[::1]:80")
	f.Add("a:b:c..")
	f.Fuzz(func(t *testing.T, host string) {
		if !isASCII(host) { // which has other letters that mean the same
			return
		}
		forms := hostForms(nil, host)
		for _, form := range forms {
			if form == "" || form != strings.ToLower(form) {
				t.Fatalf("%q has the form %q", host, form)
			}
		}
		if len(forms) == 0 {
			return
		}
		test := &hostTest{textTest{attribute: &attribute{}}}
		if strings.Contains(forms[0], "*") {
			return
		}
		if err := test.add(forms[0]); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(forms[0], ":") || strings.HasSuffix(forms[0], ".") {
			return // it has colons or dots of its own, and is no host's name
		}
		for _, other := range []string{host, strings.ToUpper(host), forms[0] + ":80", forms[0] + ".", forms[0] + ".:8080", forms[0] + ":x"} {
			var r request
			r.hosts = hostForms(nil, other)
			r.known[attrHost] = true
			if !test.match(&r) {
				t.Fatalf("%q does not match %q", forms[0], other)
			}
		}
	})
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// FuzzAddresses finds out that addresses of headers never panic, and that ranges
// contain what their single prefixes do.
func FuzzAddresses(f *testing.F) {
	f.Add("10.0.0.0/8 10.1.0.0/16 ::1 203.0.113.4", "10.1.2.3, [::1]:80", 1)
	f.Add("::/0 0.0.0.0/0", "fe80::1%eth0", 1)
	f.Fuzz(func(t *testing.T, values, header string, number int) {
		all := &addressTest{attribute: &attribute{kind: attrSourceIP}}
		var single []*addressTest
		for _, value := range strings.Fields(values) {
			one := &addressTest{attribute: all.attribute}
			if one.add(value) == nil {
				single = append(single, one)
				if err := all.add(value); err != nil {
					t.Fatal(err)
				}
			}
		}
		r := &request{}
		r.known[attrSourceIP] = true
		r.addresses[0] = forwardedFor(strings.Split(header, "\n"), number)
		want := false
		for _, one := range single {
			want = want || one.match(r)
		}
		if got := all.match(r); got != want {
			t.Fatalf("%s of %s is %v, want %v", r.addresses[0], values, got, want)
		}
	})
}
