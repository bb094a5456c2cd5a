// Package workload is the workload that objects are translated for, as far as it is known, and which
// namespaces' objects may be for it. Every room that looks at objects of several namespaces uses it.
//
// It may import llmroute/spec, for the identity alone.
package workload

import (
	"slices"

	"github.com/caddy-llm/gateway/llmroute/spec"
)

// Workload is what a translation is for.
type Workload struct {
	Identity spec.Identity
	// Known is false if the identity says nothing: then every object applies.
	Known bool

	// RootNamespace is the namespace whose objects apply everywhere.
	RootNamespace string
	// SelectorsFrom are the namespaces, beside the root namespace, whose objects may
	// select workloads of other namespaces.
	SelectorsFrom []string
}

// IsHome reports whether objects of a namespace come before those of others: it is
// the workload's own, or the root namespace. Of a workload that is not known, any
// namespace may be its own.
func (w *Workload) IsHome(namespace string) bool {
	return !w.Known || namespace == w.RootNamespace || namespace == w.Identity.Namespace
}

// MaySelect reports whether selectors of objects in a namespace may select the
// workload.
func (w *Workload) MaySelect(namespace string) bool {
	return w.IsHome(namespace) || slices.Contains(w.SelectorsFrom, namespace)
}
