package object

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/caddy-llm/gateway/k8ssource/api/v1alpha1"
)

// isOwnGroup reports whether a group is OwnGroup, or was most likely meant to be.
func isOwnGroup(group string) bool {
	return strings.Contains(strings.ToLower(group), "caddy-llm")
}

// ownKinds are the kinds of OwnGroup.
var ownKinds = []string{KindLLMLimit, KindLLMPolicy}

// own takes in an object of OwnGroup. One that is misspelt must not go unnoticed: it says
// what is not allowed.
func (d *decoder) own(t metav1.TypeMeta, data []byte, line int, faults []Fault) {
	kind := MeantKind(t.Kind, ownKinds)
	switch {
	case kind == "":
		d.objects.Strays = append(d.objects.Strays, decode[Stray](d, data, line, append(faults,
			*Faultf(ReasonInvalidObject, "there is no kind of that name in %s; write %s", OwnGroup, strings.Join(ownKinds, " or ")))))
		return
	case t.Kind != kind:
		faults = append(faults, *Faultf(ReasonInvalidObject, "there is no kind of that name; write %s", kind))
	case t.APIVersion != OwnGroup+"/"+v1alpha1.Version:
		faults = append(faults, *Faultf(ReasonInvalidObject, "there is no such apiVersion of %s; write %s/%s", kind, OwnGroup, v1alpha1.Version))
	}
	if kind == KindLLMPolicy {
		d.objects.LLMPolicies = append(d.objects.LLMPolicies, decode[v1alpha1.LLMPolicy](d, data, line, strictly[v1alpha1.LLMPolicy](d, data, faults)))
	} else {
		d.objects.Limits = append(d.objects.Limits, decode[v1alpha1.LLMLimit](d, data, line, strictly[v1alpha1.LLMLimit](d, data, faults)))
	}
}

// limiterFaults adds what does not fit a rate limiter. Fields that are not known are not
// used, and keep nothing from being limited.
func (d *decoder) limiterFaults(data []byte, faults []Fault) []Fault {
	found := strictly[RateLimiter](d, data, nil)
	for i := range found {
		if found[i].Reason == ReasonUnknownField {
			path, _, _ := strings.Cut(found[i].Message, ": ")
			found[i] = Fault{Reason: ReasonUnsupportedField, Message: path + ": this field is not used", Used: true}
		}
	}
	return append(faults, found...)
}
