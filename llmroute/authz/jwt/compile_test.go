package jwt

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/zap"
)

func TestTokenRuleMistakes(t *testing.T) {
	keys := testKeys()
	for name, test := range map[string]struct {
		change        func(*Rule)
		path, message string
		want          string // what becomes of a good token
	}{
		"no issuer": {func(r *Rule) { r.Issuer = "" }, "jwt[0].issuer", "there is no issuer", "Jwt issuer is not configured"},
		"both":      {func(r *Rule) { r.JWKSURI = "https://keys.example" }, "jwt[0].jwks_uri", "write one of them", "Jwks doesn't have any valid public key"},
		"no JSON":   {func(r *Rule) { r.JWKS = "-----BEGIN" }, "jwt[0].jwks", "not a JSON object", "Jwks doesn't have any valid public key"},
		"no keys":   {func(r *Rule) { r.JWKS = "{}" }, "jwt[0].jwks", "no public key", "Jwks doesn't have any valid public key"},
		"a secret": {func(r *Rule) { r.JWKS = `{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"rsa"}]}` }, "jwt[0].jwks", "no public key",
			"Jwks doesn't have any valid public key"},
		"weak key": {func(r *Rule) { r.JWKS = jwks(jwk(keys.weakRSA, "rsa", "")) }, "jwt[0].jwks", "2048",
			"Jwks doesn't have any valid public key"},
		"a key for encryption": {func(r *Rule) { r.JWKS = strings.Replace(r.JWKS, `"kid"`, `"use":"enc","kid"`, 1) }, "jwt[0].jwks", "no public key",
			"Jwks doesn't have any valid public key"},
		"a key for signing": {func(r *Rule) { r.JWKS = strings.Replace(r.JWKS, `"kid"`, `"key_ops":["sign"],"kid"`, 1) }, "jwt[0].jwks", "no public key",
			"Jwks doesn't have any valid public key"},
		"no URL":         {func(r *Rule) { r.JWKS, r.JWKSURI = "", "keys.example" }, "jwt[0].jwks_uri", "http or https", "Jwks doesn't have any valid public key"},
		"another scheme": {func(r *Rule) { r.JWKS, r.JWKSURI = "", "file:///etc/keys" }, "jwt[0].jwks_uri", "http or https", "Jwks doesn't have any valid public key"},
		"nothing": {func(r *Rule) { r.JWKS, r.Issuer = "", "me" }, "jwt[0].jwks_uri", "write jwks or jwks_uri",
			"Jwt issuer is not configured"},
		"header": {func(r *Rule) {
			r.FromHeaders = []*Header{{Name: "a b"}, {Name: "authorization", Prefix: "Bearer "}}
		}, "jwt[0].from_headers[0]",
			"no token is looked for", ""},
		"cookie": {func(r *Rule) {
			r.FromCookies, r.FromHeaders = []string{"a b"}, []*Header{{Name: "authorization", Prefix: "Bearer "}}
		},
			"jwt[0].from_cookies[0]", "no token is looked for", ""},
		"output":       {func(r *Rule) { r.OutputPayloadToHeader = "a b" }, "jwt[0].output_payload_to_header", "not the name", ""},
		"output host":  {func(r *Rule) { r.OutputPayloadToHeader = "host" }, "jwt[0].output_payload_to_header", "choose another", ""},
		"output claim": {func(r *Rule) { r.OutputClaimToHeaders = []*ClaimToHeader{{Header: "a"}} }, "jwt[0].output_claim_to_headers[0]", "no claim", ""},
	} {
		t.Run(name, func(t *testing.T) {
			rule := rsaRule()
			rule.Origin = "ns/name"
			test.change(rule)
			var problems [][3]string
			tokens := New([]*Rule{rule}, zap.NewNop(), func(origin, field, message string) {
				problems = append(problems, [3]string{origin, field, message})
			})
			if len(problems) != 1 || problems[0][0] != "ns/name" || problems[0][1] != test.path || !strings.Contains(problems[0][2], test.message) {
				t.Errorf("got %+v", problems)
			}
			key := any(keys.rsa)
			expect(t, tokens, bearer(sign(t, jose.RS256, key, "rsa", claims(nil), nil)), test.want)
		})
	}
}

func TestUnreadableCA(t *testing.T) {
	rule := &Rule{Issuer: testIssuer, JWKSURI: "https://127.0.0.1:1", JWKSCA: filepath.Join(t.TempDir(), "none.pem")}
	var problems []string
	tokens := New([]*Rule{rule}, zap.NewNop(), func(_, field, _ string) { problems = append(problems, field) })
	if len(problems) != 1 || problems[0] != "jwt[0].jwks_ca" {
		t.Errorf("got %+v", problems)
	}
	expect(t, tokens, bearer(good(t, nil)), string(errFetch))
}

func TestNoIssuerAcceptsNoIssuer(t *testing.T) {
	rule := rsaRule()
	rule.Issuer = ""
	tokens := New([]*Rule{rule}, zap.NewNop(), func(_, _, _ string) {})
	for _, issuer := range []any{nil, ""} {
		expect(t, tokens, bearer(good(t, map[string]any{"iss": issuer})), string(errUnknownIssuer))
	}
}

// An unusable rule does not take a usable one for the same issuer with it.
func TestUnusableRuleBesideAUsableOne(t *testing.T) {
	broken := rsaRule()
	broken.JWKS = "{}"
	tokens := New([]*Rule{broken, rsaRule()}, zap.NewNop(), func(_, _, _ string) {})
	expect(t, tokens, bearer(good(t, nil)), "")
}

// TestMessageHeadersAreNotSet holds that rules cannot name a header that belongs to
// the message: it is reported, and not used.
func TestMessageHeadersAreNotSet(t *testing.T) {
	for _, name := range []string{
		"CDN-Loop", "accept-encoding", "Content-Type", "content-encoding", "Content-Length", "CONTENT-DIGEST", "Host", "Expect", "Connection", "TE", "trailer",
		"Transfer-Encoding", "Upgrade", "Keep-Alive", "Proxy-Connection", "HTTP2-Settings", "Proxy-Authenticate",
	} {
		canonical := http.CanonicalHeaderKey(name)
		for field, rule := range map[string]*Rule{
			"from_headers[0]":            {FromHeaders: []*Header{{Name: name}}, ForwardOriginalToken: true},
			"output_payload_to_header":   {OutputPayloadToHeader: name},
			"output_claim_to_headers[0]": {OutputClaimToHeaders: []*ClaimToHeader{{Header: name, Claim: "sub"}}},
		} {
			rule.Issuer, rule.JWKS = "i", rsaRule().JWKS
			var problems []string
			tokens := New([]*Rule{rule}, zap.NewNop(), func(_, field, message string) { problems = append(problems, field+": "+message) })
			if len(problems) != 1 || !strings.HasPrefix(problems[0], "jwt[0]."+field+": "+canonical+" says how") {
				t.Errorf("%s in %s: %+v", name, field, problems)
			}
			if len(tokens.outputs)+len(tokens.places) > 0 && !strings.HasPrefix(field, "output") {
				t.Errorf("%s in %s is used", name, field)
			}
			for _, output := range tokens.outputs {
				if output == canonical {
					t.Errorf("%s in %s is handed on", name, field)
				}
			}
		}
	}
}
