package k8ssource

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/k8ssource/condition"
	"github.com/caddy-llm/gateway/k8ssource/limits"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/k8ssource/policy"
	"github.com/caddy-llm/gateway/llmroute/limit"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// Outcome is what became of one LLMProvider, LLMRoute, LLMPolicy or LLMLimit.
type Outcome struct {
	Kind   string
	Object metav1.Object

	// Applies is true if the object is for the workload, used or not.
	Applies bool
	// Conditions are those of the object's generation, without their times.
	Conditions []metav1.Condition
}

// Outcomes returns what became of each LLMProvider, LLMRoute, LLMPolicy and LLMLimit in the
// state that Translate made of the objects with the options, in their order. unbound has
// the addresses of listeners at which nothing could listen.
func Outcomes(objects *object.Set, state *spec.State, options Options, unbound map[string]bool) []Outcome {
	findings := make(map[string][]spec.Finding)
	for _, f := range state.Findings {
		findings[f.Object] = append(findings[f.Object], f)
	}
	t := newTranslation(objects, state.Identity, options)
	for _, item := range objects.Gateways {
		t.gateways[object.Key(&item.Object)] = item
	}
	t.api = t.readGatewayAPI()
	out := make([]Outcome, 0, len(objects.Providers)+len(objects.Routes)+len(objects.LLMPolicies)+len(objects.Limits))
	add := func(kind string, object metav1.Object, o object.Origin, applies bool, missing condition.Problem) {
		out = append(out, Outcome{kind, object, applies, condition.Of(findings[o.Object], applies, missing, object.GetGeneration())})
	}
	for _, item := range objects.Providers {
		add(object.KindLLMProvider, &item.Object, object.OriginOf(object.KindLLMProvider, item), t.applies(item), condition.Problem{})
	}
	ways := condition.WaysIn(state, unbound)
	edge := isEdge(state)
	for _, item := range objects.Routes {
		o := object.OriginOf(object.KindLLMRoute, item)
		// One for sidecars, which write nothing, is refused here as it is there.
		refused := slices.ContainsFunc(findings[o.Object], func(f spec.Finding) bool { return !f.Used })
		applies := slices.ContainsFunc(t.tablesOf(&item.Object), func(table string) bool { return t.serves(table) && (table != MeshTable || !edge || refused) })
		add(object.KindLLMRoute, &item.Object, o, applies, t.unreachable(&item.Object, o, ways, edge))
	}
	policies := policy.InState(state)
	for _, item := range objects.LLMPolicies {
		o := object.OriginOf(object.KindLLMPolicy, item)
		attached, missing := policies[object.Key(&item.Object)], condition.Problem{}
		if !attached {
			missing = condition.Problem{Reason: object.ReasonTargetNotFound, Message: "nothing that the policy is for is served here"}
		}
		// What is wrong with one that is attached to nothing is nobody else's to report.
		add(object.KindLLMPolicy, &item.Object, o, attached || len(findings[o.Object]) > 0, missing)
	}
	for _, item := range objects.Limits {
		o := object.OriginOf(object.KindLLMLimit, item)
		i := slices.IndexFunc(state.Limits, func(d *limit.Definition) bool { return d.Name == limits.Name(item.Object.Namespace, item.Object.Name) })
		// One that is refused, or that names nothing that is there, is nobody else's to report.
		applies, missing := i < 0 || limits.InUse(state, state.Limits[i].Scope), condition.Problem{}
		if !applies && slices.ContainsFunc(findings[o.Object], func(f spec.Finding) bool { return f.Reason == object.ReasonTargetNotFound }) {
			applies, missing = true, condition.Problem{Reason: object.ReasonTargetNotFound, Message: "none of the objects that the limit names is there"}
		}
		add(object.KindLLMLimit, &item.Object, o, applies, missing)
	}
	return out
}

// unreachable is why no request can reach a route. Those of sidecars are reached where they
// are: at a listener, or a site that the objects say nothing of.
func (t *translation) unreachable(route *v1beta1.LLMRoute, o object.Origin, ways *condition.Ways, edge bool) condition.Problem {
	tables := t.tablesOf(route)
	if slices.Contains(tables, MeshTable) && !edge {
		return condition.Problem{}
	}
	selected := slices.ContainsFunc(tables, func(table string) bool {
		return t.gateways[table] != nil && t.serves(table) || t.api.items[table] != nil
	})
	return ways.Unreachable(o.Stable(), tables, selected)
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
func isEdge(state *spec.State) bool {
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
