package jwt

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
)

func TestTokenCacheIsBounded(t *testing.T) {
	var cache tokenCache
	add := func(i, size int) {
		token := &Token{text: fmt.Sprintf("%0*d", size, i)}
		cache.add(sha256.Sum256([]byte(token.text)), token)
		length := 0
		for _, token := range cache.tokens {
			length += len(token.text)
		}
		if len(cache.tokens) > maxCachedTokens || length > maxCachedText || length != cache.text {
			t.Fatalf("%d tokens of %d bytes, counted as %d", len(cache.tokens), length, cache.text)
		}
		if cache.find(sha256.Sum256([]byte(token.text))) != token {
			t.Fatal("the last one is not there")
		}
	}
	for i := range maxCachedTokens + 20 {
		add(i, 20)
		add(i, 20) // which is the same
	}
	if len(cache.tokens) != maxCachedTokens {
		t.Errorf("%d tokens", len(cache.tokens))
	}
	for i := range 600 {
		add(i, maxToken)
	}
	if len(cache.tokens) == 0 || cache.text < maxCachedText-maxToken-20 {
		t.Errorf("%d tokens of %d bytes", len(cache.tokens), cache.text)
	}
	for sum := range cache.tokens {
		cache.remove(sum)
	}
	if cache.text != 0 {
		t.Errorf("%d bytes of nothing", cache.text)
	}
}

func TestOnlyGoodTokensAreRemembered(t *testing.T) {
	tokens := compile(t, rsaRule())
	token := good(t, nil)
	for range 3 {
		expect(t, tokens, bearer(token[:len(token)-8]+"AAAAAAAA"), string(errSignature))
		expect(t, tokens, bearer("a.b.c"), string(errHeaderBase64))
		expect(t, tokens, bearer(good(t, map[string]any{"iss": "other"})), string(errUnknownIssuer))
	}
	if len(tokens.cache.tokens) != 0 {
		t.Errorf("%d tokens", len(tokens.cache.tokens))
	}
}

// BenchmarkRememberedToken is what a token costs each request but the first.
func BenchmarkRememberedToken(b *testing.B) {
	rule := rsaRule()
	rule.OutputClaimToHeaders = []*ClaimToHeader{{Header: "x-sub", Claim: "sub"}}
	tokens := compile(b, rule)
	r := bearer(good(b, map[string]any{"groups": strings.Split(strings.Repeat("group ", 100), " ")}))
	authorization := r.Header["Authorization"]
	b.ReportAllocs()
	for b.Loop() {
		r.Header["Authorization"] = authorization
		token, err := tokens.Verify(r)
		if err != nil {
			b.Fatal(err)
		}
		tokens.Forward(r, token)
	}
}

// BenchmarkNewToken is what the first request costs.
func BenchmarkNewToken(b *testing.B) {
	tokens := compile(b, rsaRule())
	r := bearer(good(b, nil))
	b.ReportAllocs()
	for b.Loop() {
		tokens.cache = tokenCache{}
		if _, err := tokens.Verify(r); err != nil {
			b.Fatal(err)
		}
	}
}
