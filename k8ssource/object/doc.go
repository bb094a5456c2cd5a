// Package object is the Kubernetes objects that the gateway reads, and their decoding from YAML files
// (Decode) and from an API server (DecodeObject): which kinds there are, their bounds, what is wrong
// with an object (Fault), how findings name it (Origin), and what of it people are shown (ShownName
// and its like). The types of the gateway's own kinds are in the packages below api.
//
// It knows nothing of what objects mean for requests: it may import those types, gatewayapi and what
// checks the form of hosts and of kinds of providers (llmprovider/upstream, llmprovider/kind), and
// nothing of llmroute.
//
// Start with Set in objects.go, then decode.go, which takes in one file; a kind with a schema of
// its own goes through decode_object.go.
package object
