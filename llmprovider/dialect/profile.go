package dialect

// Profile is what is known of the habits of a vendor and of a model. It comes from a
// table (Profiles), never from conditions in translators. The zero value is that of
// an API as its own documentation describes it.
type Profile struct {
	// Vendor is the origin tag of the opaque state that the models make; see Carrier.
	// Default: none.
	Vendor string `yaml:"vendor"`

	// Of chat completions:

	// MaxTokensName is what the output cap is called: max_completion_tokens or
	// max_tokens. Default: max_completion_tokens.
	MaxTokensName string `yaml:"max_tokens_name"`
	// SeedName is what the seed is called. Default: seed.
	SeedName string `yaml:"seed_name"`
	// ReasoningName is the member that carries reasoning: reasoning_content or
	// reasoning. Default: none.
	ReasoningName string `yaml:"reasoning_name"`
	// ReplayReasoning reports whether earlier reasoning is sent back in that member.
	ReplayReasoning bool `yaml:"replay_reasoning"`
	// ThinkingName is the member that switches reasoning on and off: thinking, whose
	// type is enabled or disabled, or enable_thinking, which is true or false.
	// Default: none.
	ThinkingName string `yaml:"thinking_name"`
	// BudgetName is the member that takes a budget for reasoning. Default: none.
	BudgetName string `yaml:"budget_name"`
	// AnyWord is the word that makes the model call a tool. Default: required.
	AnyWord string `yaml:"any_word"`
	// NoDeveloper reports whether the role developer is unknown; system is sent.
	NoDeveloper bool `yaml:"no_developer"`
	// NoEffortWithTools reports whether the effort is rejected beside tools.
	NoEffortWithTools bool `yaml:"no_effort_with_tools"`
	// NoneWithTools reports whether reasoning must be switched off beside tools, since the
	// model's default is rejected as well.
	NoneWithTools bool `yaml:"none_with_tools"`
	// NoCustomTools reports whether tools are functions alone: a tool that takes free text is
	// sent as one with the property input.
	NoCustomTools bool `yaml:"no_custom_tools"`
	// TopK reports whether top_k is taken (in Converse: as an additional field).
	TopK bool `yaml:"top_k"`
	// ToolIDLength is the exact length of the ids of tool calls. Default: any.
	ToolIDLength int `yaml:"tool_id_length"`

	// Of several APIs:

	// CacheControl reports whether cache markers are taken (chat completions as
	// cache_control, Converse as cachePoint).
	CacheControl bool `yaml:"cache_control"`
	// NoResultCache reports whether a cache marker must not follow a tool's result.
	NoResultCache bool `yaml:"no_result_cache"`
	// NoToolCache reports whether Converse takes no cache marker among the tools.
	NoToolCache bool `yaml:"no_tool_cache"`
	// NoSampling reports whether temperature, top_p and top_k are rejected.
	NoSampling bool `yaml:"no_sampling"`
	// Reasoning is how the model is told how much to reason. In the Messages API:
	// adaptive, budget or none; default: adaptive. In Google's: level, budget or none;
	// default: level. In Converse: effort or none; default: none. In OpenAI's APIs:
	// none for models that do not reason; default: by effort.
	Reasoning string `yaml:"reasoning"`
	// AlwaysThinks reports whether reasoning cannot be switched off.
	AlwaysThinks bool `yaml:"always_thinks"`
	// NoForcedTools reports whether the model cannot be made to call a tool.
	NoForcedTools bool `yaml:"no_forced_tools"`
	// SystemTurns reports whether a system message may stand inside the conversation
	// in the Messages API.
	SystemTurns bool `yaml:"system_turns"`
	// NoPrefill reports whether the last turn must not be the assistant's.
	NoPrefill bool `yaml:"no_prefill"`
	// NoURLs reports whether images and documents are taken as data alone, and not by
	// their URLs, in the Messages API.
	NoURLs bool `yaml:"no_urls"`
	// NoChatURLs reports whether images are taken as data or from Amazon S3, and not by
	// other URLs, in chat completions.
	NoChatURLs bool `yaml:"no_chat_urls"`
	// NoStrictTools reports whether strict in tools is rejected.
	NoStrictTools bool `yaml:"no_strict_tools"`
	// NoSchema reports whether structured output by a schema is unknown.
	NoSchema bool `yaml:"no_schema"`
	// FlatCount reports whether a count of tokens in Google's API has the members of
	// the request at its top, as Vertex AI has it.
	FlatCount bool `yaml:"flat_count"`
	// Efforts replaces a word of effort by another one that the vendor knows; an
	// empty one is left out.
	Efforts map[Effort]Effort `yaml:"efforts"`
	// Budgets are the tokens that stand for a word of effort where the model takes
	// a budget.
	Budgets map[Effort]int `yaml:"budgets"`
}
