package jwt

import (
	"crypto/sha256"
	"sync"
)

const (
	// maxCachedTokens bounds how many verified tokens are remembered, and
	// maxCachedText how long they may be together, in bytes.
	maxCachedTokens = 4096
	maxCachedText   = 8 << 20
)

// tokenCache remembers verified tokens. Others are never remembered, so that a
// client without a token can fill nothing.
type tokenCache struct {
	mu     sync.RWMutex
	tokens map[[sha256.Size]byte]*Token
	text   int // the length of all of them
}

func (c *tokenCache) find(sum [sha256.Size]byte) *Token {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.tokens[sum]
}

func (c *tokenCache) add(sum [sha256.Size]byte, token *Token) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(sum)
	// Any will do: what is in use comes back with one more verification.
	for other := range c.tokens {
		if len(c.tokens) < maxCachedTokens && c.text+len(token.text) <= maxCachedText {
			break
		}
		c.drop(other)
	}
	if c.tokens == nil {
		c.tokens = make(map[[sha256.Size]byte]*Token)
	}
	c.tokens[sum] = token
	c.text += len(token.text)
}

func (c *tokenCache) remove(sum [sha256.Size]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(sum)
}

func (c *tokenCache) drop(sum [sha256.Size]byte) {
	if token := c.tokens[sum]; token != nil {
		c.text -= len(token.text)
		delete(c.tokens, sum)
	}
}
