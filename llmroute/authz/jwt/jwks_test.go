package jwt

import (
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// The example of RFC 7515, A.3, which expired in March 2011.
func TestExampleOfRFC7515(t *testing.T) {
	const (
		key = `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`

		token = "eyJhbGciOiJFUzI1NiJ9" +
			".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ" +
			".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
	)
	tokens := compile(t, &Rule{Issuer: "joe", JWKS: `{"keys":[` + key + `]}`})
	expect(t, tokens, bearer(token), "Jwt is expired")
	tokens.now = func() time.Time { return time.Unix(1300819380+60, 0) }
	for range 2 {
		if got := expect(t, tokens, bearer(token), ""); got == nil || got.Claims["http://example.com/is_root"] != true {
			t.Errorf("got %+v", got)
		}
	}
	tokens.now = func() time.Time { return time.Unix(1300819380+61, 0) } // it was remembered
	expect(t, tokens, bearer(token), "Jwt is expired")
}

// The example of RFC 8037, A.1 and A.4, whose payload is no token.
func TestExampleOfRFC8037(t *testing.T) {
	set, err := parseKeySet([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	const signed = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc" +
		".hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
	for text, want := range map[string]error{signed: nil, strings.Replace(signed, "RXh", "rXh", 1): errSignature} {
		if got := set.verify(&parsed{alg: "EdDSA", signed: must(jose.ParseSignedCompact(text, algorithms))}); got != want { //nolint:errorlint // as it is
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

func TestKeySetIsBounded(t *testing.T) {
	one := jwk(testKeys().p256, "", "")
	keys := make([]jose.JSONWebKey, 3*maxKeys)
	for i := range keys {
		keys[i] = one
	}
	set, err := parseKeySet([]byte(jwks(keys...)))
	if err != nil || len(set.keys) != maxKeys || set.unused != 2*maxKeys {
		t.Errorf("got %d keys, %v", len(set.keys), err)
	}
	if _, err := parseKeySet([]byte(strings.Repeat(" ", maxKeySet) + jwks(one))); err == nil {
		t.Error("a huge set is taken")
	}
}

// A private key that was put into a set by mistake verifies as its public one.
func TestPrivateKeyInASet(t *testing.T) {
	rule := rsaRule()
	rule.JWKS = jwks(jose.JSONWebKey{Key: testKeys().rsa, KeyID: "rsa"})
	expect(t, compile(t, rule), bearer(good(t, nil)), "")
}

// A key without an ID is for tokens with any, as for Envoy.
func TestKeyWithoutID(t *testing.T) {
	rule := rsaRule()
	rule.JWKS = jwks(jwk(testKeys().rsa, "", ""))
	expect(t, compile(t, rule), bearer(good(t, nil)), "")
}

// unusableKeys are keys that cannot verify a token.
var unusableKeys = map[string]string{
	"encryption, as Keycloak has it": `{"kty":"RSA","kid":"enc","use":"enc","alg":"RSA-OAEP","n":"` + strings.Repeat("u", 342) + `","e":"AQAB"}`,
	"encryption by its algorithm":    `{"kty":"RSA","kid":"enc","alg":"RSA-OAEP-256","n":"` + strings.Repeat("u", 342) + `","e":"AQAB"}`,
	"another operation":              `{"kty":"RSA","kid":"x","key_ops":["encrypt"],"n":"` + strings.Repeat("u", 342) + `","e":"AQAB"}`,
	"another kind":                   `{"kty":"new","kid":"x"}`,
	"no kind":                        `{"kid":"x"}`,
	"another curve":                  `{"kty":"EC","crv":"secp256k1","x":"AQ","y":"AQ"}`,
	"a curve for agreement":          `{"kty":"OKP","crv":"X25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`,
	"an algorithm of another curve":  `{"kty":"EC","crv":"P-256","alg":"ES512","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`,
	"a shared secret":                `{"kty":"oct","k":"c2VjcmV0"}`,
	"a small key":                    `{"kty":"RSA","n":"AQAB","e":"AQAB"}`,
	"broken":                         `{"kty":"RSA","n":"!","e":"AQAB"}`,
	"members of other types":         `{"kty":1,"use":2,"key_ops":{}}`,
	"no object":                      `"x"`,
	"null":                           `null`,
}

// TestKeysThatCannotVerify holds that they are passed over, wherever the set is, and
// that a set without any other key is named.
func TestKeysThatCannotVerify(t *testing.T) {
	usable := must(jwk(testKeys().rsa, "rsa", "").MarshalJSON())
	for name, key := range unusableKeys {
		for _, set := range []string{`{"keys":[` + key + `,` + string(usable) + `]}`, `{"keys":[` + string(usable) + `,` + key + `]}`} {
			rule := rsaRule()
			rule.JWKS = set
			expect(t, compile(t, rule), bearer(good(t, nil)), "") // without a problem
			if parsed, err := parseKeySet([]byte(set)); err != nil || len(parsed.keys) != 1 || parsed.unused != 1 {
				t.Errorf("%s: %+v, %v", name, parsed, err)
			}
		}
		if _, err := parseKeySet([]byte(`{"keys":[` + key + `]}`)); err == nil || !strings.Contains(err.Error(), "no public key that could verify a token") {
			t.Errorf("%s alone: %v", name, err)
		}
	}
}
