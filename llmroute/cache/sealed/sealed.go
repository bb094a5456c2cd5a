// Package sealed is how stores that are elsewhere are given responses: encrypted and bound to
// their key, if the store has a secret, and with tags that a purge finds them by.
//
// It imports its neighbour cache. Begin with Codec.
package sealed

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/llmroute/cache"
)

const (
	// plain and sealed begin values, and say what follows the tags.
	plain  = 1
	sealed = 2

	tagSize = 16
	// HeadSize is the size in bytes of what values begin with: how they are stored, and their tags.
	HeadSize = 1 + 3*tagSize

	// minSecret is the shortest secret, in bytes.
	minSecret = 16
)

// Codec makes values of entries: their head, and then the rest, which is encrypted if there
// is a secret. What a secret has not sealed is not read with one, and what it has sealed is
// bound to the key's name and the head.
type Codec struct {
	keys, tags []byte
	aead       cipher.AEAD // nil without a secret
}

// New returns the codec of a secret, whose placeholders are replaced. An empty one encrypts nothing; others have at
// least 16 bytes.
func New(secret string) (*Codec, error) {
	text, err := caddy.NewReplacer().ReplaceOrErr(secret, true, true)
	switch {
	case err != nil && secret != "":
		return nil, fmt.Errorf("secret: %w", err)
	case secret != "" && len(text) < minSecret:
		return nil, fmt.Errorf("the secret is shorter than %d bytes; make a random one, such as with openssl rand -hex 32", minSecret)
	}
	return newCodec([]byte(text))
}

func newCodec(secret []byte) (*Codec, error) {
	derive := func(what string) ([]byte, error) { return hkdf.Key(sha256.New, secret, nil, "llm-cache "+what, 32) }
	c := new(Codec)
	var err error
	if c.keys, err = derive("keys"); err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	if c.tags, err = derive("tags"); err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	if len(secret) == 0 {
		return c, nil
	}
	key, err := derive("values")
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	c.aead, err = cipher.NewGCM(block)
	return c, err
}

// KeySecret is what keys of entries are made with.
func (c *Codec) KeySecret() []byte { return c.keys }

// Seals reports whether there is a secret.
func (c *Codec) Seals() bool { return c.aead != nil }

// tag is what a name is found by: it tells nothing of the name to those without the secret.
func (c *Codec) tag(what, name string) []byte {
	h := hmac.New(sha256.New, c.tags)
	h.Write([]byte(what + "\x00" + name))
	return h.Sum(nil)[:tagSize]
}

// head is what the value of an entry begins with.
func (c *Codec) head(kind byte, t cache.Tags) []byte {
	out := append(make([]byte, 0, HeadSize), kind)
	out = append(out, c.tag("client", t.Client)...)
	out = append(out, c.tag("model", t.Model)...)
	return append(out, c.tag("rule", t.Rule)...)
}

// Selects reports whether the tags select an entry whose value begins so.
func (c *Codec) Selects(t cache.Tags, head []byte) bool {
	if len(head) < HeadSize { // it is gone
		return false
	}
	want := c.head(0, t)
	for i, name := range [...]string{t.Client, t.Model, t.Rule} {
		at := 1 + i*tagSize
		if name != "" && !hmac.Equal(want[at:at+tagSize], head[at:at+tagSize]) {
			return false
		}
	}
	return true
}

// Encode returns the value of an entry under a name.
func (c *Codec) Encode(name string, e *cache.Entry) ([]byte, error) {
	about, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	kind := byte(plain)
	if c.aead != nil {
		kind = sealed
	}
	head := c.head(kind, e.Tags)
	rest := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(about)+len(e.Body)), uint32(len(about)))
	rest = append(append(rest, about...), e.Body...)
	if c.aead == nil {
		return append(head, rest...), nil
	}
	nonce := make([]byte, c.aead.NonceSize())
	_, _ = rand.Read(nonce) // never fails
	return c.aead.Seal(append(head, nonce...), nonce, rest, append([]byte(name), head...)), nil
}

// Decode returns the entry of a value under a name, nil if it is not one of the codec's.
func (c *Codec) Decode(name string, value []byte) *cache.Entry {
	if len(value) < HeadSize {
		return nil
	}
	head, rest := value[:HeadSize:HeadSize], value[HeadSize:]
	switch {
	case c.aead == nil && head[0] == plain:
	case c.aead != nil && head[0] == sealed && len(rest) >= c.aead.NonceSize():
		nonce, sealed := rest[:c.aead.NonceSize()], rest[c.aead.NonceSize():]
		var err error
		if rest, err = c.aead.Open(nil, nonce, sealed, append([]byte(name), head...)); err != nil {
			return nil
		}
	default:
		return nil
	}
	if len(rest) < 4 {
		return nil
	}
	n := int64(binary.BigEndian.Uint32(rest))
	if rest = rest[4:]; n > int64(len(rest)) {
		return nil
	}
	e := new(cache.Entry)
	if json.Unmarshal(rest[:n], e) != nil || len(e.Header) == 0 {
		return nil
	}
	e.Body = rest[n:]
	return e
}
