package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/zap"
)

const testIssuer = "https://issuer.example"

// testKeys are made once: RSA keys take long.
var testKeys = sync.OnceValue(func() (k struct {
	rsa, otherRSA, weakRSA *rsa.PrivateKey
	p256, p384, p521       *ecdsa.PrivateKey
	ed                     ed25519.PrivateKey
}) {
	for bits, into := range map[**rsa.PrivateKey]int{&k.rsa: 2048, &k.otherRSA: 2048, &k.weakRSA: 1024} {
		*bits = must(rsa.GenerateKey(rand.Reader, into))
	}
	k.p256 = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	k.p384 = must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	k.p521 = must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))
	_, k.ed, _ = ed25519.GenerateKey(rand.Reader)
	return k
})

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// jwk is the public key as it stands in a set.
func jwk(key any, id, alg string) jose.JSONWebKey {
	k := jose.JSONWebKey{Key: key, KeyID: id, Algorithm: alg}
	return k.Public()
}

func jwks(keys ...jose.JSONWebKey) string {
	return string(must(json.Marshal(jose.JSONWebKeySet{Keys: keys})))
}

// claims are good ones, changed by others; nil takes one away.
func claims(changes map[string]any) map[string]any {
	all := map[string]any{"iss": testIssuer, "sub": "alice", "exp": time.Now().Add(time.Hour).Unix()}
	for name, value := range changes {
		all[name] = value
		if value == nil {
			delete(all, name)
		}
	}
	return all
}

// sign makes a token with extra header fields.
func sign(t testing.TB, alg jose.SignatureAlgorithm, key any, kid string, payload any, header map[jose.HeaderKey]any) string {
	t.Helper()
	options := (&jose.SignerOptions{ExtraHeaders: header}).WithType("JWT")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, options)
	if err != nil {
		t.Fatal(err)
	}
	data, ok := payload.([]byte)
	if !ok {
		data = must(json.Marshal(payload))
	}
	signed, err := signer.Sign(data)
	if err != nil {
		t.Fatal(err)
	}
	return must(signed.CompactSerialize())
}

// good is a token that the rule of rsaRule accepts.
func good(t testing.TB, changes map[string]any) string {
	t.Helper()
	return sign(t, jose.RS256, testKeys().rsa, "rsa", claims(changes), nil)
}

func rsaRule() *Rule {
	return &Rule{Issuer: testIssuer, JWKS: jwks(jwk(testKeys().rsa, "rsa", "RS256"))}
}

// compile makes rules without a problem ready.
func compile(t testing.TB, rules ...*Rule) *Verifier {
	t.Helper()
	return New(rules, zap.NewNop(), func(origin, field, message string) {
		t.Fatalf("%s: %s: %s", origin, field, message)
	})
}

func bearer(token string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "http://gateway.example/v1/chat/completions", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// expect verifies a request, and compares the error, empty for none.
func expect(t *testing.T, tokens *Verifier, r *http.Request, want string) *Token {
	t.Helper()
	token, err := tokens.Verify(r)
	got := ""
	if err != nil {
		got = err.Error()
	}
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if err != nil && token != nil {
		t.Error("a token that was refused was returned")
	}
	return token
}

// rawSign signs header and payload as they are, with the key of rsaRule.
func rawSign(t testing.TB, input string) string {
	t.Helper()
	sum := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(nil, testKeys().rsa, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}
