// Package lab pins what tests on a real Kubernetes API need: the programs in
// its folders (kube-apiserver, etcd, kubectl) and the modules whose CRDs are
// installed. It is a module of its own so that none of it enters the gateway,
// and ../cluster builds it.
//
// All its code but this comment has the build tag "lab": vet, lint and test of
// every module would otherwise compile all of Kubernetes.
//
// To move to another Kubernetes: the version of k8s.io/kubernetes, the same
// one with 0 for 1 in every other k8s.io module (the replaced ones are those
// k8s.io/kubernetes itself replaces), the etcd that release is tested with,
// then go mod tidy.
package lab
