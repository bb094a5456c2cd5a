// Package provider turns LLMProviders (Build) and InferencePools (ForPool, Picker) into the
// configuration of providers, and says which Secrets they refer to (References).
//
// It may import internal/options, object, header, the API types and llmprovider with its kinds. It knows nothing of
// routes, and not which of several objects has a host: that is above it.
//
// Start with Build in provider.go, whose builder has a step for each part of the object.
package provider
