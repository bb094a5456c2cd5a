package cluster

import (
	"context"
	"reflect"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/caddy-llm/gateway/k8ssource"
	"github.com/caddy-llm/gateway/k8ssource/object"
)

const (
	// controllerPrefix begins the controllerName of what the gateway of a workload writes
	// into the status of an InferencePool; the workload follows, so that gateways of
	// several workloads leave each other's entries alone.
	controllerPrefix = object.Group + "/llm-gateway/"
	// maxParents is the most entries that the API allows.
	maxParents = 32
)

// writePool writes this workload's entries of a pool's status if they are not as they
// should be. All others stay as they are.
func (w *statusWriter) writePool(ctx context.Context, f *follower, outcome k8ssource.PoolOutcome) error {
	name := types.NamespacedName{Namespace: outcome.Object.Namespace, Name: outcome.Object.Name}
	current := f.get(name.String())
	if current == nil || current.uid != outcome.Object.UID || current.generation != outcome.Object.Generation {
		return nil // it is about to be translated again
	}
	parents, changed := nextParents(current.parents, outcome.Parents, controllerPrefix+w.workload, time.Now())
	if !changed {
		return nil
	}
	var want []metav1.Condition
	for _, p := range outcome.Parents {
		want = append(want, p.Conditions...)
	}
	if last, ok := w.sent[current.uid]; ok && last.over == current.resourceVersion && reflect.DeepEqual(last.want, want) {
		return nil
	}
	return w.patch(ctx, f, current, name, map[string]any{"parents": parents}, want)
}

// nextParents returns the entries of a pool's status: those of other controllers, in their
// order, and those wanted. changed reports whether they are others than there are.
func nextParents(current []any, want []k8ssource.PoolParent, controller string, now time.Time) (next []any, changed bool) {
	before := make(map[k8ssource.PoolParentRef]map[string]any)
	next = []any{}
	own := 0
	for _, entry := range current {
		parent, ok := entry.(map[string]any)
		if !ok || parent["controllerName"] != controller {
			next = append(next, entry)
			continue
		}
		own++
		ref, _ := parent["parentRef"].(map[string]any)
		text := func(name string) string { s, _ := ref[name].(string); return s }
		before[k8ssource.PoolParentRef{Group: text("group"), Kind: text("kind"), Namespace: text("namespace"), Name: text("name")}] = parent
	}
	want = want[:max(0, min(len(want), maxParents-len(next)))]
	changed = own != len(want)
	for _, p := range want {
		last, ok := before[p.PoolParentRef]
		conditions, same := parentConditions(last, p.Conditions, now)
		changed = changed || !ok || !same
		next = append(next, map[string]any{
			"parentRef":      map[string]any{"group": p.Group, "kind": p.Kind, "namespace": p.Namespace, "name": p.Name},
			"controllerName": controller,
			"conditions":     conditions,
		})
	}
	return next, changed
}

// parentConditions are the conditions of an entry. same reports whether it has them
// already.
func parentConditions(last map[string]any, want []metav1.Condition, now time.Time) (conditions []metav1.Condition, same bool) {
	var entry struct {
		Conditions []metav1.Condition `json:"conditions"`
	}
	if last == nil || runtime.DefaultUnstructuredConverter.FromUnstructured(last, &entry) != nil {
		return nextConditions(nil, want, now), false
	}
	conditions = nextConditions(entry.Conditions, want, now)
	return conditions, reflect.DeepEqual(conditions, entry.Conditions)
}
