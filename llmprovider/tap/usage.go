package tap

import (
	"bytes"
	"cmp"
	"errors"
	"strconv"
	"strings"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
)

// maxTokens bounds a believable token count; a larger or negative number is
// taken as not reported.
const maxTokens = 1 << 40

// usageReader makes a Usage of what a response reports, in one piece or in many:
// providers report partial counts before the whole ones, or zeros after them. Of
// each count it keeps the largest, so that neither order nor repetition matters,
// and works out the rest from those.
type usageReader struct {
	llmprovider.Usage

	operation llmprovider.Operation
	api       llmprovider.API
	counts    [countKinds]int64
	reported  [countKinds]bool

	// apart says that the cache was reported under Anthropic's names, whose input
	// may be without what was read from the cache and written to it.
	apart bool
}

// count is a number that usage objects report.
type count uint8

const (
	promptTokens count = iota // names of chat completions
	completionTokens
	inputTokens // names of the Responses API
	outputTokens
	billedInput // Cohere's billed_units
	billedOutput
	cohereInput // Cohere's tokens
	cohereOutput
	cacheHit // DeepSeek's prompt_cache_hit_tokens
	cacheMiss
	totalTokens
	cachedTokens
	writtenTokens
	reasoningTokens

	countKinds
)

// readUsage reads a usage object in any of the documented forms. Members that
// are no believable count are passed over. Null or another value leaves r as it
// is.
func (r *usageReader) readUsage(raw []byte) {
	if len(raw) == 0 || raw[0] != '{' {
		return
	}
	jsonscan.EachMember(raw, func(name, value []byte) {
		switch string(name) {
		case "prompt_tokens":
			r.count(promptTokens, value)
		case "completion_tokens":
			r.count(completionTokens, value)
		case "input_tokens":
			r.count(inputTokens, value)
		case "output_tokens":
			r.count(outputTokens, value)
		case "total_tokens":
			r.count(totalTokens, value)
		case "prompt_cache_hit_tokens": // DeepSeek
			r.count(cacheHit, value)
		case "prompt_cache_miss_tokens":
			r.count(cacheMiss, value)
		case "cache_read_input_tokens": // Anthropic
			r.apart = r.count(cachedTokens, value) || r.apart
		case "cache_creation_input_tokens", "cache_creation":
			r.apart = r.countWritten(value) || r.apart
		case "billed_units":
			r.readPair(value, billedInput, billedOutput)
		case "tokens":
			r.readPair(value, cohereInput, cohereOutput)
		case "prompt_tokens_details", "completion_tokens_details", "input_tokens_details", "output_tokens_details",
			"input_token_details", "output_token_details": // of transcriptions
			jsonscan.EachMember(value, r.readDetail)
		default:
			r.readDetail(name, value) // Moonshot, SGLang and Perplexity have no object for them
		}
	})
	r.settle()
}

// readDetail reads a member of the details of the input or of the output.
func (r *usageReader) readDetail(name, value []byte) {
	switch string(name) {
	case "cached_tokens", "cache_read_input_tokens":
		r.count(cachedTokens, value)
	case "reasoning_tokens", "thinking_tokens":
		r.count(reasoningTokens, value)
	default:
		if bytes.HasPrefix(name, []byte("cache_write")) || bytes.HasPrefix(name, []byte("cache_creation")) {
			r.countWritten(value)
		}
	}
}

// readPair reads a pair of counts as Cohere has them.
func (r *usageReader) readPair(object []byte, input, output count) {
	jsonscan.EachMember(object, func(name, value []byte) {
		switch string(name) {
		case "input_tokens":
			r.count(input, value)
		case "output_tokens":
			r.count(output, value)
		}
	})
}

// count notes a count. It returns false for a value that is none.
func (r *usageReader) count(c count, value []byte) bool {
	n, ok := number(value)
	if !ok || n < 0 || n > maxTokens {
		return false
	}
	r.counts[c] = max(r.counts[c], int64(n))
	r.reported[c] = true
	return true
}

// countWritten notes how many tokens were written to the cache: a number, or one
// for each lifetime.
func (r *usageReader) countWritten(value []byte) bool {
	if len(value) == 0 || value[0] != '{' {
		return r.count(writtenTokens, value)
	}
	sum := float64(0)
	jsonscan.EachMember(value, func(_, value []byte) {
		if n, ok := number(value); ok && n >= 0 && n <= maxTokens {
			sum += n
		}
	})
	if sum == 0 || sum > maxTokens {
		return false
	}
	r.counts[writtenTokens] = max(r.counts[writtenTokens], int64(sum))
	r.reported[writtenTokens] = true
	return true
}

// settle works out the usage from the counts so far. The names of the API that
// was called go before those of another, and a zero is no count where another
// name has one.
func (r *usageReader) settle() {
	c := &r.counts
	in, out, otherIn, otherOut := promptTokens, completionTokens, inputTokens, outputTokens
	switch r.operation {
	case llmprovider.Responses, llmprovider.StoredResponse, llmprovider.Images, llmprovider.Audio:
		in, out, otherIn, otherOut = otherIn, otherOut, in, out
	}
	prompt := cmp.Or(c[in], c[otherIn], c[billedInput], c[cohereInput], c[cacheHit]+c[cacheMiss])
	completion := cmp.Or(c[out], c[otherOut], c[billedOutput], c[cohereOutput])
	total, reasoning, written := c[totalTokens], c[reasoningTokens], c[writtenTokens]
	cached := max(c[cachedTokens], c[cacheHit])

	known := false
	for _, n := range [...]count{in, out, otherIn, otherOut, billedInput, billedOutput, cohereInput, cohereOutput, cacheHit, cacheMiss} {
		known = known || r.reported[n]
	}
	switch {
	case prompt+completion > 0 || total == 0:
	case r.hasOutput():
		known = false // which part of the total is which is not known
	default:
		prompt, known = total, true
	}

	if cache := cached + written; r.apart && cache > 0 && total != prompt+completion {
		byInput := c[promptTokens] == 0 && c[inputTokens] > 0
		if byInput || cache > prompt || total == prompt+completion+cache {
			prompt += cache
		}
	}
	// xAI reports reasoning beside the completion, others as a part of it.
	if all := prompt + completion + reasoning; reasoning > 0 && (total == all || total > all && reasoning > completion) {
		completion += reasoning
	}
	if !known {
		prompt, completion, cached, written, reasoning = 0, 0, 0, 0, 0
	}
	r.Known = known
	r.PromptTokens, r.CompletionTokens = prompt, completion
	r.CachedTokens, r.CacheWriteTokens, r.ReasoningTokens = cached, written, reasoning
}

// hasOutput reports whether the operation generates tokens.
func (r *usageReader) hasOutput() bool {
	switch r.operation {
	case llmprovider.Embeddings, llmprovider.Rerank, llmprovider.Moderations:
		return false
	}
	return true
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
func (r *usageReader) setFinish(reason string) {
	if reason == "" || len(reason) > maxFinishReason {
		return
	}
	for _, c := range []byte(reason) {
		if c != '_' && c != '-' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return
		}
	}
	r.FinishReason = strings.Clone(reason) // it may be part of a large text
}

// setModel takes the JSON string value as the model's name.
func (r *usageReader) setModel(value []byte) {
	if r.Model == "" {
		r.Model = llmprovider.ShortText(value)
	}
}

// ReadUsage reads the usage object of a chat completion or of a Responses API
// response into u. It goes before smaller counts that u holds already. Null or
// another value leaves u as it is.
func ReadUsage(u *llmprovider.Usage, raw []byte) {
	r := usageReader{Usage: *u, operation: llmprovider.Chat}
	if u.Known {
		c := &r.counts
		c[promptTokens], c[completionTokens], c[reasoningTokens] = u.PromptTokens, u.CompletionTokens, u.ReasoningTokens
		c[cachedTokens], c[writtenTokens] = u.CachedTokens, u.CacheWriteTokens
		r.reported[promptTokens] = true
	}
	r.readUsage(raw)
	*u = r.Usage
}
