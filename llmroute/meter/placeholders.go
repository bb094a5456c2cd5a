package meter

import (
	"strconv"

	"github.com/caddy-llm/gateway/llmprovider"
)

// PlaceholderPrefix begins the names of the placeholders for outcomes.
const PlaceholderPrefix = "http.llm."

// Placeholder gives the value of a placeholder, whose name is without the prefix.
func (o *Outcome) Placeholder(name string) (any, bool) {
	u := o.Total()
	switch name {
	case "provider":
		if o.Provider == nil {
			return "", true
		}
		return o.Provider.name, true
	case "endpoint":
		return o.Endpoint, true
	case "model":
		return o.Model, true
	case "rule":
		return o.Rule, true
	case "attempts":
		return o.Attempts, true
	case "cost":
		if !o.Charges.Known() {
			return "", true
		}
		return o.Charges.Amount(), true
	case "finish_reason":
		return o.Usage.FinishReason, true
	case "usage.prompt_tokens":
		return tokens(u, u.PromptTokens), true
	case "usage.completion_tokens":
		return tokens(u, u.CompletionTokens), true
	case "usage.cached_tokens":
		return tokens(u, u.CachedTokens), true
	case "usage.cache_write_tokens":
		return tokens(u, u.CacheWriteTokens), true
	case "usage.reasoning_tokens":
		return tokens(u, u.ReasoningTokens), true
	}
	return nil, false
}

// tokens is a count as a placeholder's value: empty when it is not known.
func tokens(u llmprovider.Usage, n int64) string {
	if !u.Known {
		return ""
	}
	return strconv.FormatInt(n, 10)
}
