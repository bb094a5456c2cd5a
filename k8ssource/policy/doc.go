// Package policy turns LLMPolicies into guards, prompts and caches (Build), and gives them to the rules
// and providers that requests take (Attachments). What cannot be used is attached all the same, under a
// name without a definition, so that requests for it are refused.
//
// It may import object, header for the headers that no object may set, the API types, and those packages
// of llmroute and llmprovider whose configuration it makes or whose addresses it checks. It does not know
// which objects are for the workload: what it needs of others it is handed.
//
// Start with Build in build.go; guard.go, prompt.go and cache.go each make a part of a policy, and
// attached.go says what applies where.
package policy
