package object

import (
	"fmt"
	"slices"

	"github.com/caddy-llm/gateway/k8ssource/api/v1alpha1"
	"github.com/caddy-llm/gateway/k8ssource/gatewayapi"
)

// targetGroups are the groups of the kinds that an LLMLimit or an LLMPolicy may be for.
var targetGroups = map[string][]string{KindLLMRoute: {Group}, KindLLMProvider: {Group}, KindGateway: {IstioGroup, gatewayapi.Group}}

// TargetPath is where a reference stands.
func TargetPath(i int) string { return fmt.Sprintf("spec.targetRefs[%d]", i) }

// CheckTarget reports what is wrong with the reference at an index.
func CheckTarget(i int, ref *v1alpha1.TargetRef) (faults []Fault) {
	fault := func(text string) {
		faults = append(faults, *Faultf(ReasonInvalidField, "%s.%s", TargetPath(i), text))
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
	case !IsName(ref.Name):
		fault("name: this is not a name; write lower-case letters, digits, dashes and dots")
	}
	return faults
}

// IsTargetKind reports whether an LLMLimit or an LLMPolicy may be for objects of a kind.
func IsTargetKind(kind string) bool { return targetGroups[kind] != nil }

// MissingTarget says that there is no object that the reference at an index of an object of
// the namespace is to.
func MissingTarget(i int, namespace string, ref *v1alpha1.TargetRef) *Fault {
	return Warningf(ReasonTargetNotFound, "%s: there is no %s of that name in namespace %s; create it, or name another", TargetPath(i), ref.Kind, ShownName(namespace))
}

// ByKey is a function that reports whether an object has the namespace and name.
func ByKey[T any, P Pointer[T]](key string) func(*Item[T]) bool {
	return func(item *Item[T]) bool { return Key(P(&item.Object)) == key }
}
