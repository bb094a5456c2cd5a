package k8ssource

import (
	"slices"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/k8ssource/object"
)

// hasTarget reports whether there is an object that a reference may be to. A sidecar does not
// read Gateways, so what it lacks says nothing.
func (t *translation) hasTarget(kind, key string) bool {
	switch kind {
	case object.KindLLMRoute:
		return slices.ContainsFunc(t.objects.Routes, object.ByKey[v1beta1.LLMRoute](key))
	case object.KindLLMProvider:
		return slices.ContainsFunc(t.objects.Providers, object.ByKey[v1beta1.LLMProvider](key))
	}
	return t.gateways[key] != nil || t.api.items[key] != nil || t.options.MeshListen != ""
}

// hasRule reports whether an LLMRoute has a rule of the name.
func (t *translation) hasRule(key, name string) bool {
	return slices.ContainsFunc(t.objects.Routes, func(item *object.Item[v1beta1.LLMRoute]) bool {
		return object.Key(&item.Object) == key && slices.ContainsFunc(item.Object.Spec.Rules, func(r v1beta1.LLMRouteRule) bool { return r.Name == name })
	})
}
