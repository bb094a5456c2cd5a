// Package authorization turns AuthorizationPolicies, RequestAuthentications and the configuration of
// Istio's mesh into what requests are held to (authz.Config). What cannot be read fails closed.
//
// It may import object, header, workload and those packages of llmroute and llmprovider whose
// configuration it makes or whose addresses it checks. It knows nothing of routes.
//
// Start with Read in authorization.go; policy.go makes one policy, authentication.go the rules for
// tokens, mesh.go reads the mesh's ConfigMap.
package authorization
