// Package k8ssource turns Kubernetes objects into the gateway's configuration (Translate), and says
// what became of each object (Outcomes).
//
// It may import object, which has the objects as they were read, the rooms that translate a part of
// them (provider, authorization, policy, httprule and limits, and header and workload, which these share),
// condition for what is said of objects in their status, gatewayapi, and those packages of llmprovider and
// llmroute whose configuration it makes. What reads objects is above it: the sources files and cluster, with
// source for what they share, and manifests for the adapter and the commands.
//
// Start with translate.go: its run lists the steps, each in a file or a room of its name.
package k8ssource

// The CustomResourceDefinitions and the deepcopy functions are generated from
// the types in api.
//go:generate go run -C crdgen . ../../examples/kubernetes/crds ../api
