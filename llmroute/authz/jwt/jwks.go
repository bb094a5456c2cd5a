package jwt

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

const (
	// maxKeySet bounds a key set, in bytes.
	maxKeySet = 1 << 20
	// maxKeys bounds how many keys of a set are used: a token that names no key
	// is tried with each.
	maxKeys = 100

	minRSABits = 2048 // RFC 7518, 3.3
	maxRSABits = 8192
)

// keySet are an issuer's public keys. It is immutable.
type keySet struct {
	keys   []publicKey
	unused int // keys that cannot verify tokens
}

// publicKey is a key that verifies tokens.
type publicKey struct {
	id, alg string // either may be empty
	key     any    // *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
}

// parseKeySet reads a JSON Web Key Set (RFC 7517). Keys that are not for
// verifying, or not understood, are left out, as its section 5 asks. A set
// without any other is an error, which says nothing of what is in it.
func parseKeySet(data []byte) (*keySet, error) {
	if len(data) > maxKeySet {
		return nil, fmt.Errorf("the key set is over the limit of %d bytes", maxKeySet)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, errors.New(`the key set is not a JSON object with a list "keys"`)
	}
	s := &keySet{}
	for _, raw := range set.Keys {
		if key, ok := parseKey(raw); ok && len(s.keys) < maxKeys {
			s.keys = append(s.keys, key)
		} else {
			s.unused++
		}
	}
	if len(s.keys) == 0 {
		return nil, fmt.Errorf("the key set has no public key that could verify a token among its %d keys; it needs RSA keys of %d to %d bits, "+
			"EC keys on P-256, P-384 or P-521, or Ed25519 keys", len(set.Keys), minRSABits, maxRSABits)
	}
	return s, nil
}

func parseKey(raw []byte) (publicKey, bool) {
	var use struct {
		Use        *string  `json:"use"`
		Operations []string `json:"key_ops"`
	}
	var key jose.JSONWebKey
	if json.Unmarshal(raw, &use) != nil || key.UnmarshalJSON(raw) != nil {
		return publicKey{}, false
	}
	if use.Use != nil && *use.Use != "sig" || use.Operations != nil && !slices.Contains(use.Operations, "verify") {
		return publicKey{}, false
	}
	p := publicKey{id: key.KeyID, alg: key.Algorithm, key: key.Public().Key}
	if public, ok := p.key.(*rsa.PublicKey); ok {
		if bits := public.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return publicKey{}, false
		}
	}
	// None fits a shared secret, a key for encryption, or one whose algorithm is for
	// another kind of key.
	return p, slices.ContainsFunc(algorithms, func(alg jose.SignatureAlgorithm) bool { return p.fits(string(alg)) })
}

// fits reports whether a token that is signed with the algorithm could be by this key.
func (k *publicKey) fits(alg string) bool {
	if k.alg != "" && k.alg != alg {
		return false
	}
	switch key := k.key.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(alg, "RS") || strings.HasPrefix(alg, "PS")
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			return alg == string(jose.ES256)
		case elliptic.P384():
			return alg == string(jose.ES384)
		case elliptic.P521():
			return alg == string(jose.ES512)
		}
	case ed25519.PublicKey:
		return alg == string(jose.EdDSA)
	}
	return false
}

// verify reports whether a key of the set has signed the token. A token that names
// a key is not tried with keys of other names. Keys and certificates that the
// token itself brings mean nothing.
func (s *keySet) verify(p *parsed) error {
	err := errNoKeyFits
	for i := range s.keys {
		key := &s.keys[i]
		if p.kid != "" && key.id != "" && key.id != p.kid || !key.fits(p.alg) {
			continue
		}
		if _, failed := p.signed.Verify(key.key); failed == nil {
			return nil
		}
		err = errSignature
	}
	return err
}
