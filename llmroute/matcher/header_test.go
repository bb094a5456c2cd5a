package matcher

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

func newHeaderMatcher(t *testing.T, config string) (*HeaderMatcher, error) {
	t.Helper()
	m := new(HeaderMatcher)
	if err := json.Unmarshal([]byte(config), m); err != nil {
		t.Fatal(err)
	}
	return m, m.Provision(caddy.Context{})
}

func TestHeaderMatcher(t *testing.T) {
	t.Setenv("TIER", "gold")
	tests := []struct {
		name, config, host string
		header             http.Header
		want               bool
	}{
		{"exact", `{"user-type":{"exact":"subscriber"}}`, "", http.Header{"User-Type": {"subscriber"}}, true},
		{"exact is the whole value", `{"user-type":{"exact":"subscriber"}}`, "", http.Header{"User-Type": {"subscribers"}}, false},
		{"value in another case", `{"user-type":{"exact":"subscriber"}}`, "", http.Header{"User-Type": {"Subscriber"}}, false},
		{"name in another case", `{"USER-TYPE":{"exact":"a"}}`, "", http.Header{"User-Type": {"a"}}, true},
		{"absent", `{"user-type":{"exact":""}}`, "", http.Header{}, false},
		{"empty", `{"user-type":{"exact":""}}`, "", http.Header{"User-Type": {""}}, true},
		{"second of two values", `{"x":{"exact":"b"}}`, "", http.Header{"X": {"a", "b"}}, true},
		{"prefix", `{"x":{"prefix":"ab"}}`, "", http.Header{"X": {"abc"}}, true},
		{"not a prefix", `{"x":{"prefix":"bc"}}`, "", http.Header{"X": {"abc"}}, false},
		{"regex matches the whole value", `{"x":{"regex":"\\d+"}}`, "", http.Header{"X": {"123"}}, true},
		{"regex matches a part", `{"x":{"regex":"\\d+"}}`, "", http.Header{"X": {"a123"}}, false},
		{"regex alternatives are one group", `{"x":{"regex":"a|b"}}`, "", http.Header{"X": {"ac"}}, false},
		{"regex with its own anchors", `{"x":{"regex":"^a+$"}}`, "", http.Header{"X": {"aaa"}}, true},
		{"regex before a line break", `{"x":{"regex":"a"}}`, "", http.Header{"X": {"a\n"}}, false},
		{"present", `{"x":{"present":true}}`, "", http.Header{"X": {""}}, true},
		{"not present", `{"x":{"present":true}}`, "", http.Header{"Y": {""}}, false},
		{"both", `{"x":{"exact":"1"},"y":{"exact":"2"}}`, "", http.Header{"X": {"1"}, "Y": {"2"}}, true},
		{"one of both", `{"x":{"exact":"1"},"y":{"exact":"2"}}`, "", http.Header{"X": {"1"}}, false},
		{"host", `{"host":{"exact":"test.com"}}`, "test.com", nil, true},
		{"host with a port", `{"host":{"exact":"test.com"}}`, "test.com:80", nil, true},
		{"host in another case", `{"Host":{"exact":"Test.com"}}`, "TEST.com", nil, true},
		{"host with a final dot", `{"host":{"exact":"test.com"}}`, "test.com.", nil, true},
		{"other host", `{"host":{"exact":"test.com"}}`, "nottest.com", nil, false},
		{"host regex in another case", `{"host":{"regex":"[a-z]+\\.com"}}`, "TEST.com:8080", nil, true},
		{"host prefix", `{"host":{"prefix":"Test."}}`, "test.com", nil, true},
		{"a Host field is not the host", `{"host":{"exact":"test.com"}}`, "other.com", http.Header{"Host": {"test.com"}}, false},
		{"placeholders stay as they are", `{"x":{"exact":"{env.TIER}"}}`, "", http.Header{"X": {"gold"}}, false},
		{"placeholders stay as they are", `{"x":{"exact":"{env.TIER}"}}`, "", http.Header{"X": {"{env.TIER}"}}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m, err := newHeaderMatcher(t, test.config)
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest(http.MethodPost, "/", nil)
			r.Host, r.Header = test.host, test.header
			if got, err := m.MatchWithError(r); got != test.want || err != nil {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestHeaderMatcherRefuses(t *testing.T) {
	tests := map[string]struct{ config, want string }{
		"nothing":          {`{}`, "name at least one header"},
		"null":             {`{"x":null}`, "write one of exact, prefix, regex and present"},
		"no kind of match": {`{"x":{}}`, "write one of exact, prefix, regex and present"},
		"two kinds":        {`{"x":{"exact":"a","prefix":"b"}}`, "write one of exact, prefix, regex and present"},
		"bad name":         {`{":authority":{"exact":"a"}}`, "not a header name"},
		"bad regex":        {`{"x":{"regex":"a("}}`, "not RE2"},
		"escaping regex":   {`{"x":{"regex":"a)|(b"}}`, "not RE2"},
		"long regex":       {`{"x":{"regex":"` + strings.Repeat("a", maxRegex+1) + `"}}`, "write a shorter one"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := newHeaderMatcher(t, test.config); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

func BenchmarkHeaderMatcher(b *testing.B) {
	exact := "subscriber"
	m := &HeaderMatcher{"user-type": {Exact: &exact}}
	if err := m.Provision(caddy.Context{}); err != nil {
		b.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	r.Header.Set("User-Type", "subscriber")
	b.ReportAllocs()
	for b.Loop() {
		if ok, _ := m.MatchWithError(r); !ok {
			b.Fatal("no match")
		}
	}
}
