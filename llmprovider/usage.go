package llmprovider

// Usage is what a provider's response says of itself. It comes from the provider,
// so its texts are bounded before they are used as labels.
type Usage struct {
	// Known reports whether the provider reported token counts.
	Known bool

	// PromptTokens is the number of input tokens, cached ones included.
	PromptTokens int64
	// CompletionTokens is the number of output tokens, reasoning included.
	CompletionTokens int64
	// CachedTokens is the part of PromptTokens read from the provider's cache.
	CachedTokens int64
	// CacheWriteTokens is the part of PromptTokens written to the provider's
	// cache. It does not overlap with CachedTokens.
	CacheWriteTokens int64
	// ReasoningTokens is the part of CompletionTokens spent on reasoning.
	ReasoningTokens int64

	// Model is the model that the provider says it used.
	Model string

	// Background reports whether a stored response was made without anybody waiting for
	// it, so that its usage was not reported when it was asked for.
	Background bool

	// FinishReason is why the first choice ended, such as "stop" or "length".
	FinishReason string
}

// Add adds the tokens of another response.
func (u *Usage) Add(other *Usage) {
	u.Known = u.Known || other.Known
	u.PromptTokens += other.PromptTokens
	u.CompletionTokens += other.CompletionTokens
	u.CachedTokens += other.CachedTokens
	u.CacheWriteTokens += other.CacheWriteTokens
	u.ReasoningTokens += other.ReasoningTokens
}

// Zero reports whether there are no tokens to count.
func (u *Usage) Zero() bool { return u.PromptTokens == 0 && u.CompletionTokens == 0 }
