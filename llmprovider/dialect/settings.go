package dialect

import "strconv"

// Settings are a request's settings. Numbers and texts are as the source wrote
// them; nil means that the client does not say.
type Settings struct {
	MaxOutput        JSON
	Temperature      JSON
	TopP             JSON
	TopK             JSON
	PresencePenalty  JSON
	FrequencyPenalty JSON
	LogitBias        JSON
	Seed             JSON
	Candidates       JSON // how many choices
	LogProbs         JSON // a boolean
	TopLogProbs      JSON
	Stop             []JSON // strings
	Verbosity        JSON   // a string
	User             JSON   // the end user's identifier, a string
	Metadata         JSON   // an object
	ServiceTier      JSON   // a string
	Store            *bool
	CacheKey         JSON   // prompt_cache_key, a string
	Cache            *Cache // a breakpoint at the last block that can have one

	// Effort is how much the model is to reason.
	Effort Effort
	// Budget is how many tokens it may reason; nil for no limit of its own.
	Budget JSON
	// Thinking is the source's own switch of reasoning.
	Thinking Thinking
	// Summary reports whether the client says that it wants to see a summary of the reasoning.
	Summary bool

	// Format is the form that the response's text must have.
	Format Format
}

// Effort is how much a model is to reason: the words of OpenAI's reasoning_effort,
// and max.
type Effort string

// The efforts. The zero value is that the client does not say.
const (
	EffortNone    Effort = "none"
	EffortMinimal Effort = "minimal"
	EffortLow     Effort = "low"
	EffortMedium  Effort = "medium"
	EffortHigh    Effort = "high"
	EffortXHigh   Effort = "xhigh"
	EffortMax     Effort = "max"
)

// Thinking is whether a model reasons.
type Thinking uint8

// The switches. The zero value is that the client does not say.
const (
	ThinkingOff      Thinking = iota + 1
	ThinkingOn                // with Settings.Budget
	ThinkingAdaptive          // as the model sees fit
)

// FormatKind is the form that a response's text must have.
type FormatKind uint8

// The forms. The zero value is any text.
const (
	FormatJSON   FormatKind = iota + 1 // any JSON object
	FormatSchema                       // JSON that fits Format.Schema
)

// Format is the form that a response's text must have.
type Format struct {
	Kind FormatKind
	// Schema is a JSON Schema.
	Schema JSON
	// Closed reports whether objects of Schema have no further properties unless they say so.
	Closed bool
	// Name and Description are JSON strings or nil.
	Name, Description JSON
	Strict            *bool
}

// EffortOf returns the word of effort that corresponds to a budget of tokens.
func EffortOf(budget JSON) Effort {
	n, err := strconv.ParseFloat(string(budget), 64)
	switch {
	case err != nil:
		return EffortMedium
	case n == 0:
		return EffortNone
	case n < 0: // Gemini's dynamic budget
		return EffortMedium
	case n < 2000:
		return EffortLow
	case n < 8000:
		return EffortMedium
	case n < 24000:
		return EffortHigh
	}
	return EffortXHigh
}
