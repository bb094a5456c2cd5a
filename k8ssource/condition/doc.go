// Package condition is what the status of objects says of them: the conditions of the gateway's own
// kinds (Of) and of InferencePools (OfPool), made of findings, and the whole status of objects of
// Gateway API (GatewayAPI).
//
// It may import gatewayapi, which has the types of that status, object, and llmroute/spec for findings and
// states. It does not translate, and it writes nothing to an API server: that is cluster's.
//
// Start with Of in condition.go; reach.go says why no request can reach a route.
package condition
