package policycases

import (
	"crypto/ed25519"
	"encoding/json"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// tokenKey signs tokens.
var tokenKey = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))

// TokenKeys is the key set that verifies what Signed signs.
func TokenKeys(t *testing.T) string {
	t.Helper()
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: tokenKey.Public()}}})
	if err != nil {
		t.Fatal(err)
	}
	return string(keys)
}

// Signed is a token with the claims.
func Signed(t *testing.T, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: tokenKey}, nil)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	object, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := object.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}
