package llmprovider

import (
	"strings"

	"github.com/tidwall/gjson"
)

// Usage is what a provider's answer says of itself. It comes from the provider,
// so its texts are bounded before they are used as labels.
type Usage struct {
	// Known tells whether the provider reported token counts.
	Known bool

	// PromptTokens is the number of input tokens, cached ones included.
	PromptTokens int64
	// CompletionTokens is the number of output tokens, reasoning included.
	CompletionTokens int64
	// CachedTokens is the part of PromptTokens read from the provider's cache.
	CachedTokens int64
	// ReasoningTokens is the part of CompletionTokens spent on reasoning.
	ReasoningTokens int64

	// Model is the model that the provider says it used.
	Model string

	// FinishReason is why the first choice ended, such as "stop" or "length".
	FinishReason string
}

// maxTokens bounds a believable token count; a larger or negative number is
// taken as not reported.
const maxTokens = 1 << 40

// readUsage reads a usage object in the form of chat completions or of the
// Responses API. Null or another value leaves u as it is.
func (u *Usage) readUsage(raw []byte) {
	if len(raw) == 0 || raw[0] != '{' {
		return
	}
	found := Usage{Known: true, PromptTokens: -1, CompletionTokens: -1, Model: u.Model, FinishReason: u.FinishReason}
	ok := true
	number := func(into *int64, v gjson.Result) {
		if v.Type != gjson.Number {
			return
		}
		if n := v.Num; n >= 0 && n <= maxTokens {
			*into = int64(n)
		} else {
			ok = false
		}
	}
	gjson.ParseBytes(raw).ForEach(func(key, v gjson.Result) bool {
		switch key.Str {
		case "prompt_tokens", "input_tokens":
			number(&found.PromptTokens, v)
		case "completion_tokens", "output_tokens":
			number(&found.CompletionTokens, v)
		case "prompt_tokens_details", "input_tokens_details":
			number(&found.CachedTokens, v.Get("cached_tokens"))
		case "completion_tokens_details", "output_tokens_details":
			number(&found.ReasoningTokens, v.Get("reasoning_tokens"))
		case "prompt_cache_hit_tokens", "cached_tokens": // DeepSeek, Moonshot
			number(&found.CachedTokens, v)
		}
		return true
	})
	if !ok || found.PromptTokens < 0 && found.CompletionTokens < 0 {
		return
	}
	found.PromptTokens = max(found.PromptTokens, 0)
	found.CompletionTokens = max(found.CompletionTokens, 0)
	*u = found
}

// maxFinishReason bounds a believable finish reason, in bytes.
const maxFinishReason = 32

// setFinish takes the reason if it is a plain word.
func (u *Usage) setFinish(reason string) {
	if reason == "" || len(reason) > maxFinishReason {
		return
	}
	for _, c := range []byte(reason) {
		if c != '_' && c != '-' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return
		}
	}
	u.FinishReason = strings.Clone(reason) // it may be part of a large text
}

// setModel takes the JSON string value as the model's name.
func (u *Usage) setModel(value []byte) {
	if u.Model == "" {
		u.Model = decodeString(value)
	}
}
