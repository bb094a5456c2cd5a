package condition

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// The reasons of the conditions of an InferencePool, as its API has them.
const (
	reasonNotSupportedByParent = "NotSupportedByParent"
	reasonRouteNotAccepted     = "HTTPRouteNotAccepted"
	reasonInvalidExtensionRef  = "InvalidExtensionRef"
)

// OfPool returns the conditions of an InferencePool with these findings. accepted reports
// whether a route that leads to it is.
func OfPool(findings []spec.Finding, accepted bool, generation int64) []metav1.Condition {
	var refusals, pickers, warnings []spec.Finding
	for _, f := range findings {
		switch {
		case f.Reason == object.ReasonInvalidPicker:
			pickers = append(pickers, f)
		case !f.Used:
			refusals = append(refusals, f)
		default:
			warnings = append(warnings, f)
		}
	}
	is := metav1.Condition{Type: Accepted, Status: metav1.ConditionTrue, Reason: reasonAccepted, Message: messages(warnings)}
	switch {
	case len(refusals) > 0:
		is.Status, is.Reason, is.Message = metav1.ConditionFalse, reasonNotSupportedByParent, messages(refusals)
	case !accepted:
		is.Status, is.Reason, is.Message = metav1.ConditionFalse, reasonRouteNotAccepted, "the routes that refer to the pool are not used; their own status says why"
	}
	resolved := metav1.Condition{Type: ResolvedRefs, Status: metav1.ConditionTrue, Reason: reasonResolvedRefs}
	if len(pickers) > 0 {
		resolved.Status, resolved.Reason, resolved.Message = metav1.ConditionFalse, reasonInvalidExtensionRef, messages(pickers)
	}
	is.ObservedGeneration, resolved.ObservedGeneration = generation, generation
	return []metav1.Condition{is, resolved}
}
