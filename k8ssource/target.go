package k8ssource

import (
	"fmt"
	"slices"

	"github.com/caddy-llm/gateway/k8ssource/api/v1alpha1"
	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/k8ssource/gatewayapi"
	"github.com/caddy-llm/gateway/k8ssource/object"
)

// targetGroups are the groups of the kinds that an LLMLimit or an LLMPolicy may be for.
var targetGroups = map[string][]string{object.KindLLMRoute: {object.Group}, object.KindLLMProvider: {object.Group}, object.KindGateway: {object.IstioGroup, gatewayapi.Group}}

// targetPath is where a reference stands.
func targetPath(i int) string { return fmt.Sprintf("spec.targetRefs[%d]", i) }

// checkTarget reports what is wrong with the reference at an index.
func checkTarget(i int, ref *v1alpha1.TargetRef) (faults []object.Fault) {
	fault := func(text string) {
		faults = append(faults, *object.Faultf(object.ReasonInvalidField, "%s.%s", targetPath(i), text))
	}
	groups := targetGroups[ref.Kind]
	switch {
	case groups == nil:
		fault("kind: this kind is not supported; write LLMRoute, LLMProvider or Gateway")
	case ref.Group != "" && !slices.Contains(groups, ref.Group):
		fault("group: this group does not have the kind; leave the group out")
	}
	switch {
	case ref.Name == "":
		fault("name: a name is required; write that of an LLMRoute, LLMProvider or Gateway of the object's namespace")
	case !object.IsName(ref.Name):
		fault("name: this is not a name; write lower-case letters, digits, dashes and dots")
	}
	return faults
}

// missingTarget reports that there is no object that the reference at an index of an object of
// the namespace is to, nil if there is.
func (t *translation) missingTarget(i int, namespace string, ref *v1alpha1.TargetRef) *object.Fault {
	if t.hasTarget(ref.Kind, namespace+"/"+ref.Name) {
		return nil
	}
	return object.Warningf(object.ReasonTargetNotFound, "%s: there is no %s of that name in namespace %s; create it, or name another", targetPath(i), ref.Kind, object.ShownName(namespace))
}

// hasTarget reports whether there is an object that a reference may be to. A sidecar does not
// read Gateways, so what it lacks says nothing.
func (t *translation) hasTarget(kind, key string) bool {
	switch kind {
	case object.KindLLMRoute:
		return slices.ContainsFunc(t.objects.Routes, byKey[v1beta1.LLMRoute](key))
	case object.KindLLMProvider:
		return slices.ContainsFunc(t.objects.Providers, byKey[v1beta1.LLMProvider](key))
	}
	return t.gateways[key] != nil || t.api.items[key] != nil || t.options.MeshListen != ""
}

// byKey reports whether an object has the namespace and name.
func byKey[T any, P object.Pointer[T]](key string) func(*object.Item[T]) bool {
	return func(item *object.Item[T]) bool { return object.Key(P(&item.Object)) == key }
}
