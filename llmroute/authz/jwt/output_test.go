package jwt

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"go.uber.org/zap"
)

func TestHandOnTakesTheTokenAway(t *testing.T) {
	token := good(t, nil)
	rule := func(change func(*Rule)) *Rule {
		r := rsaRule()
		change(r)
		return r
	}
	standard := rule(func(*Rule) {})
	custom := rule(func(r *Rule) {
		r.FromHeaders = []*Header{{Name: "x-token", Prefix: "JWT "}}
		r.FromParams = []string{"token"}
		r.FromCookies = []string{"session"}
	})
	forwarded := rule(func(r *Rule) { r.ForwardOriginalToken = true })
	lenient := rule(func(r *Rule) { r.IgnoreOtherTokens = true })
	for name, test := range map[string]struct {
		rule        *Rule
		header      http.Header
		query       string
		want        http.Header
		wantedQuery string
	}{
		"Authorization": {rule: standard, header: http.Header{"Authorization": {"Bearer " + token}, "X-A": {"b"}}, want: http.Header{"X-A": {"b"}}},
		"not all of it": {rule: standard, header: http.Header{"Authorization": {"Basic YTpi", "Bearer " + token}},
			want: http.Header{"Authorization": {"Basic YTpi"}}},
		"parameter": {rule: standard, header: http.Header{}, query: "a=%41&access_token=" + token + "&b=1+2&;&access%5ftoken=" + token + "&c",
			want: http.Header{}, wantedQuery: "a=%41&b=1+2&;&c"},
		"the only parameter": {rule: standard, header: http.Header{}, query: "access_token=" + token, want: http.Header{}},
		"both": {rule: standard, header: http.Header{"Authorization": {"Bearer " + token}}, query: "access_token=" + token,
			want: http.Header{}},
		"header": {rule: custom, header: http.Header{"X-Token": {"JWT " + token}, "Authorization": {"Bearer " + token}},
			want: http.Header{"Authorization": {"Bearer " + token}}},
		"cookie": {rule: custom, header: http.Header{"Cookie": {"a=b; session=" + token + "; c=d", "session=" + token}}, query: "token=" + token,
			want: http.Header{"Cookie": {"a=b; c=d"}}},
		"first cookie":  {rule: custom, header: http.Header{"Cookie": {`session="` + token + `"; c=d`}}, want: http.Header{"Cookie": {"c=d"}}},
		"forwarded":     {rule: forwarded, header: http.Header{"Authorization": {"Bearer " + token}}, want: http.Header{"Authorization": {"Bearer " + token}}},
		"a virtual key": {rule: lenient, header: http.Header{"Authorization": {"Bearer sk-1"}}, query: "access_token=" + token, want: http.Header{"Authorization": {"Bearer sk-1"}}},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "http://gateway.example/a%2Fb?"+test.query, nil)
			seen := test.header.Clone()
			r.Header = test.header
			shallow := http.Header{}
			for name, values := range r.Header { // as somebody else may hold it
				shallow[name] = values
			}
			tokens := compile(t, test.rule)
			tokens.Forward(r, expect(t, tokens, r, ""))
			if !reflect.DeepEqual(r.Header, test.want) || r.URL.RawQuery != test.wantedQuery {
				t.Errorf("got %v and %q", r.Header, r.URL.RawQuery)
			}
			if test.query != "" && r.RequestURI != strings.TrimSuffix("/a%2Fb?"+test.wantedQuery, "?") {
				t.Errorf("got %q", r.RequestURI)
			}
			if !reflect.DeepEqual(shallow, seen) {
				t.Errorf("others now see %v", shallow)
			}
		})
	}
}

func TestHandOnSetsHeaders(t *testing.T) {
	rule := rsaRule()
	rule.OutputPayloadToHeader = "x-payload"
	for header, claim := range map[string]string{
		"x-sub": "sub", "x-nested": "a.b.c", "x-number": "n", "x-large": "large", "x-float": "f", "x-exponent": "e", "x-bool": "yes",
		"x-url": "https://claims.example/team", "x-list": "list", "x-object": "a", "x-none": "none", "x-lines": "lines", "x-empty": "empty",
	} {
		rule.OutputClaimToHeaders = append(rule.OutputClaimToHeaders, &ClaimToHeader{Header: header, Claim: claim})
	}
	token := good(t, map[string]any{
		"a": map[string]any{"b": map[string]any{"c": "deep"}}, "n": 42, "large": uint64(1<<63 + 1), "f": 1.25, "e": 1e21, "yes": true,
		"https://claims.example/team": "blue", "list": []string{"a"}, "lines": "a\r\nX-Admin: 1", "empty": "",
	})
	tokens := compile(t, rule)
	r := bearer(token)
	for _, name := range []string{"X-Payload", "X-Sub", "X-None", "X-List", "X-Lines", "X-Empty"} {
		r.Header[name] = []string{"forged", "twice"}
	}
	tokens.Forward(r, expect(t, tokens, r, ""))
	want := http.Header{
		"X-Payload": {strings.Split(token, ".")[1]}, "X-Sub": {"alice"}, "X-Nested": {"deep"}, "X-Number": {"42"}, "X-Large": {"9223372036854775809"},
		"X-Float": {"1.25"}, "X-Exponent": {"1000000000000000000000"}, "X-Bool": {"true"}, "X-Url": {"blue"},
	}
	if !reflect.DeepEqual(r.Header, want) {
		t.Errorf("got  %v\nwant %v", r.Header, want)
	}
	if _, err := base64.RawURLEncoding.DecodeString(r.Header.Get("X-Payload")); err != nil {
		t.Error(err)
	}

	r = httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header = http.Header{"X-Sub": {"forged"}, "X-Payload": {"forged"}, "X-A": {"b"}}
	tokens.Forward(r, expect(t, tokens, r, ""))
	if want := (http.Header{"X-A": {"b"}}); !reflect.DeepEqual(r.Header, want) {
		t.Errorf("without a token: got %v", r.Header)
	}
}

func TestHandOnOfTwoTokens(t *testing.T) {
	first, second := rsaRule(), rsaRule()
	first.FromHeaders = []*Header{{Name: "x-first"}}
	second.FromHeaders, second.Issuer, second.ForwardOriginalToken = []*Header{{Name: "x-second"}}, "second", true
	for _, rule := range []*Rule{first, second} {
		rule.OutputClaimToHeaders = []*ClaimToHeader{{Header: "x-sub", Claim: "sub"}}
	}
	other := good(t, map[string]any{"iss": "second", "sub": "bob"})
	tokens := compile(t, first, second)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header = http.Header{"X-First": {good(t, nil)}, "X-Second": {other}}
	tokens.Forward(r, expect(t, tokens, r, ""))
	if want := (http.Header{"X-Second": {other}, "X-Sub": {"alice"}}); !reflect.DeepEqual(r.Header, want) {
		t.Errorf("got %v", r.Header)
	}
}

func TestClaim(t *testing.T) {
	rule := rsaRule()
	rule.SpaceDelimitedClaims = []string{"roles"}
	tokens := compile(t, rule)
	token := expect(t, tokens, bearer(good(t, map[string]any{
		"scope": "read  write", "permission": "all", "roles": "a b", "name": "Al Ice", "groups": []any{"a", 1, "b"}, "n": 1, "yes": true,
		"realm": map[string]any{"roles": []string{"x"}, "scope": "p q"},
	})), "")
	for path, want := range map[string][]string{
		"scope": {"read", "write"}, "permission": {"all"}, "roles": {"a", "b"}, "name": {"Al Ice"}, "groups": {"a", "b"}, "n": nil, "yes": nil,
		"realm": nil, "realm/roles": {"x"}, "realm/scope": {"p q"}, "none": nil, "name/none": nil, "iss": {testIssuer},
	} {
		if got := token.Claim(strings.Split(path, "/")); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}

func TestWhatIsMadeOfATokenIsForwarded(t *testing.T) {
	rule := rsaRule()
	rule.OutputPayloadToHeader = "x-payload"
	rule.OutputClaimToHeaders = []*ClaimToHeader{{Header: "x-subject", Claim: "sub"}}
	tokens := compile(t, rule)
	r := httptest.NewRequest(http.MethodGet, "http://gateway.example/", nil)
	r.Header.Set("Authorization", "Bearer "+good(t, nil))
	if got := expect(t, tokens, r, "").Forwarded(); !reflect.DeepEqual(got, []string{"X-Payload", "X-Subject"}) {
		t.Errorf("got %v", got)
	}
}

// TestClearLeavesTokens holds that a header which a client may not write is gone before the
// token is looked for, unless the token is in it.
func TestClearLeavesTokens(t *testing.T) {
	tokens := New([]*Rule{{
		Issuer: testIssuer, JWKSURI: testIssuer, FromHeaders: []*Header{{Name: "x-token"}}, OutputPayloadToHeader: "x-payload",
		OutputClaimToHeaders: []*ClaimToHeader{{Header: "x-token", Claim: "sub"}},
	}}, zap.NewNop(), func(_, field, message string) { t.Error(field, message) })
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	r.Header.Set("X-Payload", "the client's")
	r.Header.Set("X-Token", "the client's")
	tokens.Clear(r)
	if got := r.Header.Get("X-Payload") + r.Header.Get("X-Token"); got != "the client's" {
		t.Errorf("left is %q", got)
	}
	tokens.Forward(r, nil)
	if len(r.Header) != 0 {
		t.Errorf("left is %v", r.Header)
	}
}
