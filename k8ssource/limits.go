package k8ssource

// The limits of an LLMProvider and an LLMRoute. The markers of the types have
// them too, so that a cluster takes no object that files may not hold: it
// cannot tell what its rules cost without them. Where a rule would cost too much
// all the same, as for each regex and each Gateway of an entry of matches, there is
// none, and findings alone tell what is wrong.
const (
	maxHost        = 253 // bytes
	maxRouteHost   = maxHost + len("*.")
	maxPath        = 4 << 10 // bytes
	maxInlineKey   = 4 << 10 // bytes, of a key in an object
	maxRegex       = 4 << 10 // bytes
	maxRuleConfigs = 128     // in routeSpecificConfigs
	maxAdded       = 64      // headers of a provider
	maxAPIs        = 8       // of a provider, beside that of its kind
	maxGateways    = 64      // of a route
	maxRules       = 1024    // of a route
	maxMatches     = 64      // of a rule
	maxHeaders     = 16      // of an entry of matches
	maxBackends    = 64      // of a rule, and of llmroute's
	maxWeight      = 1 << 30 // of a backend, and of llmroute's
	maxModel       = 256     // bytes, of a model that a backend names
	maxRetryOn     = 200     // of a rule: there are no more error statuses
)

// What findings say of lengths and numbers, in the words of an API server.
const (
	tooLong = "may not be more than %d bytes"
	tooMany = "must have at most %d items"
)
