package cluster

import (
	"context"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/caddy-llm/gateway/k8ssource"
)

// references follows the single objects that others refer to, each by a watch of
// its own, so that no others are read. It is not safe for concurrent use.
type references struct {
	begin     func(context.Context, k8ssource.Reference) *follower
	followers map[k8ssource.Reference]*follower
}

// follow begins to follow what is new in the list, and stops with what is no longer
// in it.
func (r *references) follow(ctx context.Context, list []k8ssource.Reference) {
	wanted := make(map[k8ssource.Reference]bool, len(list))
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
func (r *references) addTo(objects *k8ssource.Objects) {
	for ref, f := range r.followers {
		found := new(k8ssource.Objects)
		for _, o := range f.list() {
			found.Add(o.decoded)
		}
		if fault := f.fault(); fault != nil {
			switch ref.Kind {
			case k8ssource.KindPod:
				objects.Pools = withoutPods(objects.Pools, ref, fault)
			case k8ssource.KindService: // of which the name alone is known otherwise
			case k8ssource.KindSecret:
				found.Secrets = faulty(found.Secrets, ref, fault)
			default:
				found.ConfigMaps = faulty(found.ConfigMaps, ref, fault)
			}
		}
		objects.Add(found)
	}
}

// withoutPods adds to the pools with these pods that they cannot be read.
func withoutPods(pools []*k8ssource.Item[k8ssource.InferencePool], ref k8ssource.Reference, fault *k8ssource.Fault) []*k8ssource.Item[k8ssource.InferencePool] {
	out := slices.Clone(pools)
	for i, item := range out {
		if k8ssource.PodReference(&item.Object) == ref {
			with := *item
			with.Faults = append(slices.Clone(item.Faults), *fault)
			out[i] = &with
		}
	}
	return out
}

// faulty is the object that was read, or an empty one, with one fault more.
func faulty[T any, P interface {
	*T
	metav1.Object
}](read []*k8ssource.Item[T], ref k8ssource.Reference, fault *k8ssource.Fault) []*k8ssource.Item[T] {
	item := new(k8ssource.Item[T])
	if len(read) > 0 {
		*item = *read[0]
	}
	P(&item.Object).SetNamespace(ref.Namespace)
	P(&item.Object).SetName(ref.Name)
	item.Faults = append(item.Faults[:len(item.Faults):len(item.Faults)], *fault)
	return []*k8ssource.Item[T]{item}
}

// fault is what is to be said of a single object that cannot be read. What was read
// before stays in use.
func (f *follower) fault() *k8ssource.Fault {
	attempts, err := f.failure()
	synced := f.isSynced()
	forbidden, unknown := k8ssource.ReasonSecretForbidden, k8ssource.ReasonInvalidSecret
	if f.kind.name == k8ssource.KindPod {
		forbidden, unknown = k8ssource.ReasonPodsForbidden, k8ssource.ReasonNoEndpoints
	}
	if f.kind.name == k8ssource.KindConfigMap {
		forbidden, unknown = k8ssource.ReasonMeshForbidden, k8ssource.ReasonInvalidMesh
	}
	switch {
	case apierrors.IsForbidden(err) && (!synced || attempts >= enough):
		return &k8ssource.Fault{Reason: forbidden, Message: "the gateway may not read " + f.what() + "; " + f.rule(), Used: synced && len(f.list()) > 0}
	case !synced:
		return &k8ssource.Fault{Reason: unknown, Message: "the API server has not given " + f.what() + " yet"}
	}
	return nil
}

// what is what of an object a fault is about.
func (f *follower) what() string {
	if f.kind.name == k8ssource.KindPod {
		return "the pods that the selector matches"
	}
	return "it"
}
