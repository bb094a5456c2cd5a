// Package conformance runs the conformance suites of Gateway API and of its Inference
// Extension against the built gateway, on the real API server of the lab.
//
// The suites come from their modules, unchanged, and so do the programs of their pods: the
// echo server, and the light endpoint picker. What a cluster has beside the API server is
// stood in for, see node_linux_test.go: pods are processes, each in a network namespace of
// its own with an address; Deployments, EndpointSlices and the addresses of Services are
// seen to by a loop.
//
// Reports are in the folder reports. A run fails if its report differs from the one there;
// "go test -update" writes them. It needs Linux and root:
//
//	bash integration/run.sh modules ./integration/kubernetes/conformance
package conformance
