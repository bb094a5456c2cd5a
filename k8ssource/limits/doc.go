// Package limits turns LLMLimits (Translation.Add) and the rate limiters of the documented system
// (Translation.AddLimiters) into limits of a state whose providers and routes are there. An object that
// becomes invalid keeps the limits that it had.
//
// It may import object, header, workload, the API types, and of llmprovider and llmroute what limits are
// made of and named after.
//
// Start with Translation in limit.go; unmet.go reports what a limit names and is not there.
package limits
