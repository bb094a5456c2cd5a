package dialect

// Profile is what is known of the habits of a vendor or of a model. It comes from a
// table of data, never from conditions in translators. The zero value is that of an
// API as its own documentation describes it.
type Profile struct {
	// MaxTokensName is what the vendor calls the output cap in chat completions:
	// max_completion_tokens or max_tokens. Default: max_completion_tokens.
	MaxTokensName string
	// ReasoningName is the member that carries reasoning in chat completions:
	// reasoning_content or reasoning; empty for none.
	ReasoningName string
	// ReplayReasoning reports whether earlier reasoning is sent back in that member.
	ReplayReasoning bool
	// NoDeveloper reports whether the role developer is unknown; system is sent.
	NoDeveloper bool
	// NoSampling reports whether the model rejects temperature, top_p and top_k.
	NoSampling bool
	// Reasoning is how the model is told how much to reason in the Messages API:
	// adaptive, budget or none. Default: adaptive.
	Reasoning string
	// SystemTurns reports whether a system message may stand inside the
	// conversation in the Messages API.
	SystemTurns bool
	// NoPrefill reports whether the last turn must not be the assistant's.
	NoPrefill bool
	// NoStrictTools reports whether strict in tools is rejected.
	NoStrictTools bool
	// NoSchema reports whether structured output by a schema is unknown.
	NoSchema bool
	// DropHostedTools reports whether tools that another vendor runs are left out and
	// not refused.
	DropHostedTools bool
	// TopK reports whether top_k is taken in chat completions.
	TopK bool
	// CacheControl reports whether cache_control is taken in chat completions.
	CacheControl bool
	// ToolIDLength is the exact length of tool call ids that the vendor takes; 0
	// for any.
	ToolIDLength int
	// Efforts replaces a word of effort by another one that the vendor knows.
	Efforts map[Effort]Effort
	// Budgets are the tokens that stand for a word of effort where the model takes
	// a budget.
	Budgets map[Effort]int
}
