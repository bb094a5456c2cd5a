package k8ssource

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/caddy-llm/gateway/llmroute"
)

// Outcome is what became of one LLMProvider or LLMRoute.
type Outcome struct {
	Kind   string
	Object metav1.Object

	// Applies tells that the object is for the workload, used or not.
	Applies bool
	// Conditions are those of the object's generation, without their times.
	Conditions []metav1.Condition
}

// Outcomes returns what became of each LLMProvider and LLMRoute in the state that
// Translate made of the objects, in their order.
func Outcomes(objects *Objects, state *llmroute.State) []Outcome {
	findings := make(map[string][]llmroute.Finding)
	for _, f := range state.Findings {
		findings[f.Object] = append(findings[f.Object], f)
	}
	used := make(map[string]bool, len(objects.Providers)+len(objects.Routes))
	for _, spec := range state.Providers {
		used[spec.Origin] = true
	}
	for _, table := range state.Tables {
		for _, route := range table {
			used[route.Origin] = true
		}
	}
	edge := isEdge(state)
	out := make([]Outcome, 0, len(objects.Providers)+len(objects.Routes))
	add := func(kind string, object metav1.Object, o origin, elsewhere bool) {
		found := findings[o.object]
		// One that lost all its hosts is in no table.
		applies := !elsewhere && (used[o.stable()] || slices.ContainsFunc(found, func(f llmroute.Finding) bool { return f.Reason == ReasonConflict }))
		out = append(out, Outcome{kind, object, applies, Conditions(found, applies, object.GetGeneration())})
	}
	for _, item := range objects.Providers {
		// Nothing is said of a provider for other workloads, and one without a
		// host has no route.
		o := origins(KindLLMProvider, item)
		used[o.stable()] = used[o.stable()] || len(findings[o.object]) > 0
		add(KindLLMProvider, &item.Object, o, false)
	}
	for _, item := range objects.Routes {
		add(KindLLMRoute, &item.Object, origins(KindLLMRoute, item), edge && item.Object.isForMesh())
	}
	return out
}

// isEdge tells whether the workload serves Gateways and no sidecar routes. What such
// a one lacks for a sidecar's route says nothing about the route.
func isEdge(state *llmroute.State) bool {
	edge := false
	for _, l := range state.Listeners {
		for _, server := range l.Servers {
			if server.Table == MeshTable {
				return false
			}
			edge = true
		}
	}
	return edge
}

// isForMesh tells whether the route is for sidecars alone.
func (r *LLMRoute) isForMesh() bool {
	named := slices.Clone(r.Spec.Gateways)
	for _, rule := range r.Spec.Rules {
		for _, m := range rule.Matches {
			named = append(named, m.Gateways...)
		}
	}
	return !slices.ContainsFunc(named, func(name string) bool { return name != MeshTable })
}
