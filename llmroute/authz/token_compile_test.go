package authz

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/zap"
)

func TestTokenRuleMistakes(t *testing.T) {
	keys := testKeys()
	for name, test := range map[string]struct {
		change        func(*JWTRule)
		path, message string
		want          string // what becomes of a good token
	}{
		"no issuer": {func(r *JWTRule) { r.Issuer = "" }, "jwt[0].issuer", "there is no issuer", "Jwt issuer is not configured"},
		"both":      {func(r *JWTRule) { r.JWKSURI = "https://keys.example" }, "jwt[0].jwks_uri", "write one of them", "Jwks doesn't have any valid public key"},
		"no JSON":   {func(r *JWTRule) { r.JWKS = "-----BEGIN" }, "jwt[0].jwks", "not a JSON object", "Jwks doesn't have any valid public key"},
		"no keys":   {func(r *JWTRule) { r.JWKS = "{}" }, "jwt[0].jwks", "no public key", "Jwks doesn't have any valid public key"},
		"a secret": {func(r *JWTRule) { r.JWKS = `{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"rsa"}]}` }, "jwt[0].jwks", "no public key",
			"Jwks doesn't have any valid public key"},
		"weak key": {func(r *JWTRule) { r.JWKS = jwks(jwk(keys.weakRSA, "rsa", "")) }, "jwt[0].jwks", "2048",
			"Jwks doesn't have any valid public key"},
		"a key for encryption": {func(r *JWTRule) { r.JWKS = strings.Replace(r.JWKS, `"kid"`, `"use":"enc","kid"`, 1) }, "jwt[0].jwks", "no public key",
			"Jwks doesn't have any valid public key"},
		"a key for signing": {func(r *JWTRule) { r.JWKS = strings.Replace(r.JWKS, `"kid"`, `"key_ops":["sign"],"kid"`, 1) }, "jwt[0].jwks", "no public key",
			"Jwks doesn't have any valid public key"},
		"no URL":         {func(r *JWTRule) { r.JWKS, r.JWKSURI = "", "keys.example" }, "jwt[0].jwks_uri", "http or https", "Jwks doesn't have any valid public key"},
		"another scheme": {func(r *JWTRule) { r.JWKS, r.JWKSURI = "", "file:///etc/keys" }, "jwt[0].jwks_uri", "http or https", "Jwks doesn't have any valid public key"},
		"nothing": {func(r *JWTRule) { r.JWKS, r.Issuer = "", "me" }, "jwt[0].jwks_uri", "write jwks or jwks_uri",
			"Jwt issuer is not configured"},
		"header": {func(r *JWTRule) {
			r.FromHeaders = []*JWTHeader{{Name: "a b"}, {Name: "authorization", Prefix: "Bearer "}}
		}, "jwt[0].from_headers[0]",
			"no token is looked for", ""},
		"cookie": {func(r *JWTRule) {
			r.FromCookies, r.FromHeaders = []string{"a b"}, []*JWTHeader{{Name: "authorization", Prefix: "Bearer "}}
		},
			"jwt[0].from_cookies[0]", "no token is looked for", ""},
		"output":       {func(r *JWTRule) { r.OutputPayloadToHeader = "a b" }, "jwt[0].output_payload_to_header", "not the name", ""},
		"output host":  {func(r *JWTRule) { r.OutputPayloadToHeader = "host" }, "jwt[0].output_payload_to_header", "choose another", ""},
		"output claim": {func(r *JWTRule) { r.OutputClaimToHeaders = []*ClaimToHeader{{Header: "a"}} }, "jwt[0].output_claim_to_headers[0]", "no claim", ""},
	} {
		t.Run(name, func(t *testing.T) {
			rule := rsaRule()
			rule.Origin = "ns/name"
			test.change(rule)
			tokens, problems := compileTokens([]*JWTRule{rule}, zap.NewNop())
			if len(problems) != 1 || problems[0].Policy != "ns/name" || problems[0].Path != test.path || !strings.Contains(problems[0].Message, test.message) {
				t.Errorf("got %+v", problems)
			}
			key := any(keys.rsa)
			expect(t, tokens, bearer(sign(t, jose.RS256, key, "rsa", claims(nil), nil)), test.want)
		})
	}
}

func TestUnreadableCA(t *testing.T) {
	rule := &JWTRule{Issuer: testIssuer, JWKSURI: "https://127.0.0.1:1", JWKSCA: filepath.Join(t.TempDir(), "none.pem")}
	tokens, problems := compileTokens([]*JWTRule{rule}, zap.NewNop())
	if len(problems) != 1 || problems[0].Path != "jwt[0].jwks_ca" {
		t.Errorf("got %+v", problems)
	}
	expect(t, tokens, bearer(good(t, nil)), string(errFetch))
}

func TestNoIssuerAcceptsNoIssuer(t *testing.T) {
	rule := rsaRule()
	rule.Issuer = ""
	tokens, _ := compileTokens([]*JWTRule{rule}, zap.NewNop())
	for _, issuer := range []any{nil, ""} {
		expect(t, tokens, bearer(good(t, map[string]any{"iss": issuer})), string(errUnknownIssuer))
	}
}

// An unusable rule does not take a usable one for the same issuer with it.
func TestUnusableRuleBesideAUsableOne(t *testing.T) {
	broken := rsaRule()
	broken.JWKS = "{}"
	tokens, _ := compileTokens([]*JWTRule{broken, rsaRule()}, zap.NewNop())
	expect(t, tokens, bearer(good(t, nil)), "")
}
