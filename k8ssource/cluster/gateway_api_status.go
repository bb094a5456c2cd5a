package cluster

import (
	"context"
	"encoding/json"
	"reflect"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/caddy-llm/gateway/k8ssource"
	"github.com/caddy-llm/gateway/k8ssource/gatewayapi"
)

// apiStatus is what is read of the status of an object of Gateway API.
type apiStatus struct {
	Conditions []metav1.Condition          `json:"conditions"`
	Listeners  []gatewayapi.ListenerStatus `json:"listeners"`
	Parents    []json.RawMessage           `json:"parents"`
}

// writeAPI writes the status of an object of Gateway API if it is not as it should be. What
// others wrote stays: parents of a route that are other controllers', and conditions of
// other types.
func (w *statusWriter) writeAPI(ctx context.Context, f *follower, status *gatewayapi.Status) error {
	name := types.NamespacedName{Namespace: status.Object.GetNamespace(), Name: status.Object.GetName()}
	if status.Kind == gatewayapi.KindGatewayClass {
		name.Namespace = "" // it is in none
	}
	current := f.get(name.String())
	if current == nil || current.uid != status.Object.GetUID() || current.generation != status.Object.GetGeneration() {
		return nil // it is about to be translated again
	}
	if status.Kind == gatewayapi.KindHTTPRoute && len(status.Parents) == 0 && !hasParent(current.rawStatus) {
		return nil // it is none of ours
	}
	next, want := nextAPIStatus(current.rawStatus, status, time.Now())
	if sameJSON(next, current.rawStatus) {
		return nil
	}
	if last, ok := w.sent[current.uid]; ok && last.over == current.resourceVersion && reflect.DeepEqual(last.want, want) {
		return nil
	}
	return w.patch(ctx, f, current, name, next, want)
}

// nextAPIStatus is the status to write, as much of it as the gateway writes, and all of
// its conditions.
func nextAPIStatus(raw map[string]any, status *gatewayapi.Status, now time.Time) (next map[string]any, want []metav1.Condition) {
	var current apiStatus
	if data, err := json.Marshal(raw); err == nil {
		_ = json.Unmarshal(data, &current) // what does not fit is written anew
	}
	next = make(map[string]any)
	if status.Kind != gatewayapi.KindHTTPRoute {
		next["conditions"] = nextConditions(current.Conditions, status.Conditions, now)
		want = append(want, status.Conditions...)
	}
	if status.Kind == gatewayapi.KindGateway {
		listeners := []gatewayapi.ListenerStatus{}
		for _, l := range status.Listeners {
			want = append(want, l.Conditions...)
			var last []metav1.Condition
			for _, c := range current.Listeners {
				if c.Name == l.Name {
					last = c.Conditions
				}
			}
			l.Conditions = nextConditions(last, l.Conditions, now)
			listeners = append(listeners, l)
		}
		next["listeners"] = listeners
		if len(status.Addresses) > 0 { // or what others wrote stays
			next["addresses"] = status.Addresses
		}
	}
	if status.Kind != gatewayapi.KindHTTPRoute {
		return next, want
	}
	// Each entry keeps its place: a controller that moved its own to the end would never be
	// done with another one that does so.
	parents := []any{}
	wanted := make(map[string]gatewayapi.ParentStatus, len(status.Parents))
	for _, p := range status.Parents {
		want = append(want, p.Conditions...)
		wanted[parentKey(&p)] = p
	}
	add := func(p gatewayapi.ParentStatus, before []metav1.Condition) {
		delete(wanted, parentKey(&p))
		p.Conditions = nextConditions(before, p.Conditions, now)
		parents = append(parents, p)
	}
	for _, entry := range current.Parents {
		var parent gatewayapi.ParentStatus
		if json.Unmarshal(entry, &parent) != nil || parent.Controller != k8ssource.ControllerName {
			parents = append(parents, entry)
		} else if p, ok := wanted[parentKey(&parent)]; ok {
			add(p, parent.Conditions)
		}
	}
	for _, p := range status.Parents {
		if _, missing := wanted[parentKey(&p)]; missing {
			add(p, nil)
		}
	}
	next["parents"] = parents
	return next, want
}

// hasParent reports whether the status of a route has an entry of the gateway's.
func hasParent(raw map[string]any) bool {
	parents, _ := raw["parents"].([]any)
	for _, entry := range parents {
		if parent, ok := entry.(map[string]any); ok && parent["controllerName"] == k8ssource.ControllerName {
			return true
		}
	}
	return false
}

// parentKey is a parent's reference without what the API server fills in.
func parentKey(p *gatewayapi.ParentStatus) string {
	ref := p.Ref
	ref.Group, ref.Kind = nil, ""
	data, _ := json.Marshal(ref) // text and numbers alone
	return string(data)
}

// sameJSON reports whether all that is wanted is there.
func sameJSON(want, have map[string]any) bool {
	data, err := json.Marshal(want)
	var plain map[string]any
	if err != nil || json.Unmarshal(data, &plain) != nil {
		return false
	}
	for field, value := range plain {
		other, err := json.Marshal(have[field])
		var normal any
		if err != nil || json.Unmarshal(other, &normal) != nil || !reflect.DeepEqual(value, normal) {
			return false
		}
	}
	return true
}
