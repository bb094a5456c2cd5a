package k8ssource

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/llmroute"
)

// Outcome is what became of one LLMProvider or LLMRoute.
type Outcome struct {
	Kind   string
	Object metav1.Object

	// Applies is true if the object is for the workload, used or not.
	Applies bool
	// Conditions are those of the object's generation, without their times.
	Conditions []metav1.Condition
}

// Outcomes returns what became of each LLMProvider and LLMRoute in the state that
// Translate made of the objects with the options, in their order. unbound has the
// addresses of listeners at which nothing could listen.
func Outcomes(objects *Objects, state *llmroute.State, options Options, unbound map[string]bool) []Outcome {
	findings := make(map[string][]llmroute.Finding)
	for _, f := range state.Findings {
		findings[f.Object] = append(findings[f.Object], f)
	}
	t := newTranslation(objects, state.Identity, options)
	for _, item := range objects.Gateways {
		t.gateways[keyOf(&item.Object)] = item
	}
	out := make([]Outcome, 0, len(objects.Providers)+len(objects.Routes))
	add := func(kind string, object metav1.Object, o origin, applies bool, missing unreachable) {
		out = append(out, Outcome{kind, object, applies, conditions(findings[o.object], applies, missing, object.GetGeneration())})
	}
	for _, item := range objects.Providers {
		add(KindLLMProvider, &item.Object, origins(KindLLMProvider, item), t.applies(item), unreachable{})
	}
	ways := waysIn(state, unbound)
	edge := isEdge(state)
	for _, item := range objects.Routes {
		o := origins(KindLLMRoute, item)
		// One for sidecars, which write nothing, is refused here as it is there.
		refused := slices.ContainsFunc(findings[o.object], func(f llmroute.Finding) bool { return !f.Used })
		applies := slices.ContainsFunc(t.tablesOf(&item.Object), func(table string) bool { return t.serves(table) && (table != MeshTable || !edge || refused) })
		add(KindLLMRoute, &item.Object, o, applies, t.missing(&item.Object, o, ways, edge))
	}
	return out
}

// tablesOf are the tables that a route names, good or not.
func (t *translation) tablesOf(route *v1beta1.LLMRoute) []string {
	b := &routeBuilder{t: t, object: route}
	out := b.gateways(route.Spec.Gateways)
	for _, rule := range route.Spec.Rules {
		for _, m := range rule.Matches {
			if len(m.Gateways) > 0 {
				out = append(out, b.gateways(m.Gateways)...)
			}
		}
	}
	return out
}

// isEdge reports whether the workload serves Gateways and no sidecars' routes. What
// such a one lacks for a sidecar's route says nothing about the route.
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
