// Package header is the headers that objects match requests by: the matchers for them (New), which of
// them never match or match all that others do, and those that Caddy drops before anyone sees them
// (Matched), with what listeners must keep for that (Kept). LLMRoutes, HTTPRoutes, LLMLimits, rate
// limiters and policies use it.
//
// It may import object, the API types, and of llmroute and llmprovider the matchers, listeners and names
// of headers. It knows nothing of what the objects are for.
//
// Start with New in match.go.
package header
