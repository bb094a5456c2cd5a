package jwt

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// No text but a token that the issuer has signed is accepted, wherever it is.
func FuzzToken(f *testing.F) {
	token := good(f, map[string]any{"aud": []string{"a"}, "nested": map[string]any{"a": 1}})
	parts := strings.Split(token, ".")
	for _, text := range []string{
		token, "", ".", "..", "a.b.c", "a.b.c.d.e", parts[0] + "." + parts[1] + ".", parts[0] + ".." + parts[2], token + "\n", token + "=",
		b64(`{"alg":"none"}`) + "." + parts[1] + ".", b64(`{"alg":"HS256"}`) + "." + parts[1] + "." + parts[2],
		b64(`{"alg":"RS256","kid":"rsa","jwk":{"kty":"RSA"}}`) + "." + parts[1] + "." + parts[2], b64(strings.Repeat("[", 5000)) + ".a.b",
		b64(`{"alg":"ES256","x5c":["AA"],"jwk":{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}}`) + "." + parts[1] + ".AAAA",
	} {
		f.Add(text)
	}
	rule := rsaRule()
	rule.FromHeaders = []*Header{{Name: "authorization", Prefix: "Bearer "}, {Name: "x-token"}}
	rule.FromParams, rule.FromCookies = []string{"access_token"}, []string{"session"}
	rule.OutputPayloadToHeader = "x-payload"
	tokens := compile(f, rule)
	f.Fuzz(func(t *testing.T, text string) {
		for _, where := range []string{"Authorization", "X-Token", "Cookie", ""} {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			switch where {
			case "":
				r.URL.RawQuery = "a=b&access_token=" + text + "&c"
			case "Cookie":
				r.Header.Set(where, "a=b; session="+text)
			default:
				r.Header.Set(where, "Bearer "+text)
			}
			got, err := tokens.Verify(r)
			if got != nil && got.text != token {
				t.Fatalf("%q was accepted", got.text)
			}
			if err == nil {
				tokens.Forward(r, got)
			}
			if got != nil && (strings.Contains(r.URL.RawQuery, token) || strings.Contains(strings.Join(r.Header[where], ""), token)) {
				t.Fatalf("the token is still there: %v %q", r.Header, r.URL.RawQuery)
			}
		}
	})
}
