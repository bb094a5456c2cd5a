package cluster

import (
	"context"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/caddy-llm/gateway/k8ssource/object"
)

// references follows the single objects that others refer to, each by a watch of
// its own, so that no others are read. It is not safe for concurrent use.
type references struct {
	begin     func(context.Context, object.Reference) *follower
	followers map[object.Reference]*follower
}

// follow begins to follow what is new in the list, and stops with what is no longer
// in it.
func (r *references) follow(ctx context.Context, list []object.Reference) {
	wanted := make(map[object.Reference]bool, len(list))
	for _, ref := range list {
		wanted[ref] = true
		if r.followers[ref] == nil {
			r.followers[ref] = r.begin(ctx, ref)
		}
	}
	for ref, f := range r.followers {
		if !wanted[ref] {
			f.stop()
			delete(r.followers, ref)
		}
	}
}

// pending reports whether there is an object of which nothing is known yet, not even
// that it may not be read.
func (r *references) pending() bool {
	for _, f := range r.followers {
		if _, err := f.failure(); !f.isSynced() && !apierrors.IsForbidden(err) {
			return true
		}
	}
	return false
}

// addTo adds the objects to others.
func (r *references) addTo(objects *object.Set) {
	for ref, f := range r.followers {
		found := new(object.Set)
		for _, o := range f.list() {
			found.Add(o.decoded)
		}
		if fault := f.fault(); fault != nil {
			switch ref.Kind {
			case object.KindPod:
				objects.Pools = withoutPods(objects.Pools, ref, fault)
			case object.KindEndpointSlice:
				found.EndpointSlices = append(found.EndpointSlices, unknownEndpoints(ref, fault))
			case object.KindService: // of which the name alone is known otherwise
			case object.KindSecret:
				found.Secrets = faulty(found.Secrets, ref, fault)
			default:
				found.ConfigMaps = faulty(found.ConfigMaps, ref, fault)
			}
		}
		objects.Add(found)
	}
}

// withoutPods adds to the pools with these pods that they cannot be read.
func withoutPods(pools []*object.Item[object.InferencePool], ref object.Reference, fault *object.Fault) []*object.Item[object.InferencePool] {
	out := slices.Clone(pools)
	for i, item := range out {
		if object.PodReference(&item.Object) == ref {
			with := *item
			with.Faults = append(slices.Clone(item.Faults), *fault)
			out[i] = &with
		}
	}
	return out
}

// unknownEndpoints stands for the EndpointSlices of a Service that cannot be read.
func unknownEndpoints(ref object.Reference, fault *object.Fault) *object.Item[object.EndpointSlice] {
	item := &object.Item[object.EndpointSlice]{Faults: []object.Fault{*fault}}
	item.Object.Namespace, item.Object.Labels = ref.Namespace, ref.SliceLabels()
	return item
}

// faulty is the object that was read, or an empty one, with one fault more.
func faulty[T any, P interface {
	*T
	metav1.Object
}](read []*object.Item[T], ref object.Reference, fault *object.Fault) []*object.Item[T] {
	item := new(object.Item[T])
	if len(read) > 0 {
		*item = *read[0]
	}
	P(&item.Object).SetNamespace(ref.Namespace)
	P(&item.Object).SetName(ref.Name)
	item.Faults = append(item.Faults[:len(item.Faults):len(item.Faults)], *fault)
	return []*object.Item[T]{item}
}

// fault is what is to be said of a single object that cannot be read. What was read
// before stays in use.
func (f *follower) fault() *object.Fault {
	attempts, err := f.failure()
	synced := f.isSynced()
	forbidden, unknown := object.ReasonSecretForbidden, object.ReasonInvalidSecret
	if f.kind.name == object.KindPod || f.kind.name == object.KindEndpointSlice {
		forbidden, unknown = object.ReasonPodsForbidden, object.ReasonNoEndpoints
	}
	if f.kind.name == object.KindConfigMap {
		forbidden, unknown = object.ReasonMeshForbidden, object.ReasonInvalidMesh
	}
	switch {
	case apierrors.IsForbidden(err) && (!synced || attempts >= enough):
		return &object.Fault{Reason: forbidden, Message: "the gateway may not read " + f.what() + "; " + f.rule(), Used: synced && len(f.list()) > 0}
	case !synced:
		return &object.Fault{Reason: unknown, Message: "the API server has not given " + f.what() + " yet"}
	}
	return nil
}

// what is what of an object a fault is about.
func (f *follower) what() string {
	switch f.kind.name {
	case object.KindPod:
		return "the pods that the selector matches"
	case object.KindEndpointSlice:
		return "the EndpointSlices of the Service"
	}
	return "it"
}
