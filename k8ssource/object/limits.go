package object

import "time"

// What bounds an LLMProvider, an LLMRoute, an LLMPolicy and an LLMLimit. The markers of the types have
// them too, so that a cluster takes no object that files may not hold: it
// cannot tell what its rules cost without them. Where a rule would cost too much
// all the same, as for each regex and each Gateway of an entry of matches, there is
// none, and findings alone tell what is wrong.
const (
	MaxHost        = 253 // bytes
	MaxRouteHost   = MaxHost + len("*.")
	MaxPath        = 4 << 10    // bytes
	MaxInlineKey   = 4 << 10    // bytes, of a key in an object
	MaxRegex       = 4 << 10    // bytes
	MaxRuleConfigs = 128        // in routeSpecificConfigs
	MaxAdded       = 64         // headers of a provider
	MaxAPIs        = 8          // of a provider, beside that of its kind
	MaxGateways    = 64         // of a route
	MaxRules       = 1024       // of a route
	MaxMatches     = 64         // of a rule
	MaxHeaders     = 16         // of an entry of matches
	MaxBackends    = 64         // of a rule, and of llmroute's
	MaxWeight      = 1 << 30    // of a backend, and of llmroute's
	MaxModel       = 256        // bytes, of a model that a backend names
	MaxRetryOn     = 200        // of a rule: there are no more error statuses
	MaxLimitName   = 63         // bytes, of an LLMLimit
	MaxLimiterName = 100        // bytes, of an object of the documented system's kinds
	MaxQuota       = 1000000000 // requests
	MaxInterval    = 366 * 24 * time.Hour
	MaxTimeout     = 24 * time.Hour // of providers and of guards' services
	MaxTargetRefs  = 16
	MaxLimitKeys   = 8   // of a limit
	MaxLimitKey    = 256 // bytes
	MaxAmounts     = 16  // of a limit
	MaxLimitNames  = 64  // in each of a limit's lists of names

	MaxGuards        = 16       // of a policy
	MaxPatterns      = 64       // in deny or mask
	MaxWebhookURL    = 2 << 10  // bytes
	MaxForwarded     = 16       // headers to a webhook
	MaxSecretHeaders = 8        // to a webhook
	MaxMessages      = 16       // in each list of a prompt
	MaxTemplates     = 32       // of a prompt
	MaxPromptText    = 64 << 10 // bytes, of a message or a judge's prompt
)

// What findings say of lengths and numbers, in the words of an API server.
const (
	TooLong = "may not be more than %d bytes"
	TooMany = "must have at most %d items"
)
