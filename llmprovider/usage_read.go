package llmprovider

// ReadUsage reads the usage object of a chat completion or of a Responses API
// response into u. It goes before smaller counts that u holds already. Null or
// another value leaves u as it is.
func (u *Usage) ReadUsage(raw []byte) {
	r := usageReader{Usage: *u, operation: Chat}
	if u.Known {
		c := &r.counts
		c[promptTokens], c[completionTokens], c[reasoningTokens] = u.PromptTokens, u.CompletionTokens, u.ReasoningTokens
		c[cachedTokens], c[writtenTokens] = u.CachedTokens, u.CacheWriteTokens
		r.reported[promptTokens] = true
	}
	r.readUsage(raw)
	*u = r.Usage
}
