package k8ssource

import (
	"cmp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/k8ssource/condition"
	"github.com/caddy-llm/gateway/k8ssource/gatewayapi"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// PoolOutcome is what became of one InferencePool.
type PoolOutcome struct {
	Object *object.InferencePool
	// Parents are those through which requests reach the pool, in order; none if no
	// route of this workload refers to it.
	Parents []PoolParent
}

// PoolParent is a parent of an InferencePool: a Gateway that this workload serves, or
// the LLMRoute itself if it is for sidecars.
type PoolParent struct {
	PoolParentRef
	// Conditions are those of the pool's generation, without their times.
	Conditions []metav1.Condition
}

// PoolOutcomes returns what became of each InferencePool in the state that Translate
// made of the objects with the options, in their order.
func PoolOutcomes(objects *object.Set, state *spec.State, options Options) []PoolOutcome {
	if len(objects.Pools) == 0 {
		return nil
	}
	findings := make(map[string][]spec.Finding)
	for _, f := range state.Findings {
		findings[f.Object] = append(findings[f.Object], f)
	}
	t := newTranslation(objects, state.Identity, options)
	for _, item := range objects.Gateways {
		t.gateways[object.Key(&item.Object)] = item
	}
	t.api = t.readGatewayAPI()
	parents, edge := make(map[string]map[PoolParentRef]bool), isEdge(state) // whether a route was accepted, by pool
	for _, item := range objects.Routes {
		accepted := !slices.ContainsFunc(findings[object.OriginOf(object.KindLLMRoute, item).Object], func(f spec.Finding) bool { return !f.Used })
		for _, ref := range t.parentsThrough(&item.Object, edge) {
			for _, key := range t.poolsOf(&item.Object) {
				if parents[key] == nil {
					parents[key] = make(map[PoolParentRef]bool)
				}
				parents[key][ref] = parents[key][ref] || accepted
			}
		}
	}
	for _, r := range t.api.Attached.Routes {
		for _, key := range t.httpPools(r.HTTPRoute) {
			for _, p := range r.Parents {
				if parents[key] == nil {
					parents[key] = make(map[PoolParentRef]bool)
				}
				ref := PoolParentRef{gatewayapi.Group, gatewayapi.KindGateway, cmp.Or(p.Ref.Namespace, r.Namespace), p.Ref.Name}
				parents[key][ref] = parents[key][ref] || p.Reason == gatewayapi.ReasonAccepted
			}
		}
	}
	out := make([]PoolOutcome, 0, len(objects.Pools))
	for _, item := range objects.Pools {
		outcome := PoolOutcome{Object: &item.Object}
		said := findings[object.OriginOf(object.KindInferencePool, item).Object]
		for ref, accepted := range parents[object.Key(&item.Object)] {
			outcome.Parents = append(outcome.Parents, PoolParent{ref, condition.OfPool(said, accepted, item.Object.Generation)})
		}
		slices.SortFunc(outcome.Parents, func(a, b PoolParent) int {
			return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
		})
		out = append(out, outcome)
	}
	return out
}

// PoolParentRef names a PoolParent.
type PoolParentRef struct{ Group, Kind, Namespace, Name string }

// parentsThrough are the parents of pools to which a route of this workload leads.
func (t *translation) parentsThrough(route *v1beta1.LLMRoute, edge bool) []PoolParentRef {
	var out []PoolParentRef
	for _, table := range t.tablesOf(route) {
		switch gateway := t.gateways[table]; {
		case table == MeshTable && !edge:
			out = append(out, PoolParentRef{object.Group, object.KindLLMRoute, route.Namespace, route.Name})
		case gateway != nil && t.selects(&gateway.Object):
			out = append(out, PoolParentRef{object.IstioGroup, object.KindGateway, gateway.Object.Namespace, gateway.Object.Name})
		case gateway == nil && t.api.items[table] != nil:
			g := &t.api.items[table].Object
			out = append(out, PoolParentRef{gatewayapi.Group, gatewayapi.KindGateway, g.Namespace, g.Name})
		}
	}
	return out
}

// poolsOf are the namespaces and names of the pools that a route may use and refers to.
func (t *translation) poolsOf(route *v1beta1.LLMRoute) []string {
	var out []string
	for i := range route.Spec.Rules {
		for _, ref := range route.Spec.Rules[i].BackendRefs {
			if ref.BackendRef == nil || !isPool(ref.BackendRef) {
				continue
			}
			if key, permitted := t.permittedPool(route, ref.BackendRef); permitted {
				out = append(out, key)
			}
		}
	}
	return out
}
