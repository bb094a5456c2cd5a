package llmprovider

import (
	"errors"
	"strconv"
	"strings"
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

// Add adds the tokens of another answer.
func (u *Usage) Add(other *Usage) {
	u.Known = u.Known || other.Known
	u.PromptTokens += other.PromptTokens
	u.CompletionTokens += other.CompletionTokens
	u.CachedTokens += other.CachedTokens
	u.ReasoningTokens += other.ReasoningTokens
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
	count := func(into *int64, value []byte) {
		switch n, isNumber := number(value); {
		case !isNumber:
		case n >= 0 && n <= maxTokens:
			*into = int64(n)
		default:
			ok = false
		}
	}
	eachMember(raw, func(name, value []byte) {
		switch string(name) {
		case "prompt_tokens", "input_tokens":
			count(&found.PromptTokens, value)
		case "completion_tokens", "output_tokens":
			count(&found.CompletionTokens, value)
		case "prompt_tokens_details", "input_tokens_details":
			eachMember(value, func(name, value []byte) {
				if string(name) == "cached_tokens" {
					count(&found.CachedTokens, value)
				}
			})
		case "completion_tokens_details", "output_tokens_details":
			eachMember(value, func(name, value []byte) {
				if string(name) == "reasoning_tokens" {
					count(&found.ReasoningTokens, value)
				}
			})
		case "prompt_cache_hit_tokens", "cached_tokens": // DeepSeek, Moonshot
			count(&found.CachedTokens, value)
		}
	})
	if !ok || found.PromptTokens < 0 && found.CompletionTokens < 0 {
		return
	}
	found.PromptTokens = max(found.PromptTokens, 0)
	found.CompletionTokens = max(found.CompletionTokens, 0)
	*u = found
}

// number reads a JSON number, as long as it can be told from other values.
func number(value []byte) (n float64, ok bool) {
	if len(value) == 0 || value[0] != '-' && (value[0] < '0' || value[0] > '9') {
		return 0, false
	}
	if len(value) < 16 { // token counts are whole numbers
		for _, c := range value {
			if c < '0' || c > '9' {
				n = -1
				break
			}
			n = 10*n + float64(c-'0')
		}
		if n >= 0 {
			return n, true
		}
	}
	n, err := strconv.ParseFloat(string(value), 64)
	return n, err == nil || errors.Is(err, strconv.ErrRange) // beyond every number is infinite
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
