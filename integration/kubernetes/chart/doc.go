// Package chart tests examples/kubernetes: the Helm chart is rendered with the
// real Helm, applied to a real API server, and what it lets the gateway do is
// tried with the token that a pod gets. It is a module of its own because of
// Helm's dependencies.
//
// After a change of the chart, write what is compared with it anew:
//
//	go -C integration/kubernetes/chart test -run 'TestPlainManifests|TestAllOptions' -update
package chart
