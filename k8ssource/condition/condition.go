package condition

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// The types of the conditions of an LLMProvider, LLMRoute, LLMPolicy or LLMLimit. All but
// Conflict are true when all is well.
const (
	// Accepted is true if nothing keeps the object from being used.
	Accepted = "Accepted"
	// ResolvedRefs is true if what the object refers to was found and
	// can be used.
	ResolvedRefs = "ResolvedRefs"
	// Programmed is true if the object is in use: of an LLMRoute, that
	// requests can reach it.
	Programmed = "Programmed"
	// Conflict is true if another object has the host, or one of the
	// hosts, that this one claims.
	Conflict = "Conflict"
)

// ReasonNotSelected is the reason of Programmed where an object is for
// other workloads.
const ReasonNotSelected = "NotSelected"

// The reasons of conditions that no finding gives a reason to.
const (
	reasonAccepted     = "Accepted"
	reasonResolvedRefs = "ResolvedRefs"
	reasonProgrammed   = "Programmed"
	reasonNotAccepted  = "NotAccepted"
	reasonNoConflict   = "NoConflict"
)

// unresolved are the reasons of findings about other objects.
var unresolved = []string{
	object.ReasonSecretNotFound, object.ReasonSecretForbidden, object.ReasonInvalidSecret, object.ReasonProviderNotFound, object.ReasonProviderRefused, object.ReasonUnsupportedBackend, object.ReasonGatewayNotFound,
	object.ReasonHostNotServed, object.ReasonTargetNotFound, object.ReasonPoolNotFound, object.ReasonPoolRefused, object.ReasonPoolNotPermitted,
}

// Problem is why a condition is not as it should be, the zero value if it is.
type Problem struct{ Reason, Message string }

// maxMessage is the longest message of a condition, in bytes.
const maxMessage = 32 << 10

// Of returns the conditions of one object, of which generation was translated with these
// findings. applies tells that the object is for this workload, so that it is in use unless a
// finding refuses it, and unreachable why no request can reach it all the same. The times of
// transition are left to the caller, who knows the conditions before.
func Of(findings []spec.Finding, applies bool, unreachable Problem, generation int64) []metav1.Condition {
	var refusals, warnings, references, conflicts []spec.Finding
	for _, f := range findings {
		if !f.Used {
			refusals = append(refusals, f)
		}
		switch {
		case slices.Contains(unresolved, f.Reason):
			references = append(references, f)
		case f.Reason == object.ReasonConflict:
			conflicts = append(conflicts, f)
		case f.Used:
			warnings = append(warnings, f)
		}
	}

	// What does not stand in the way of a condition is still to be read there.
	accepted := metav1.Condition{Status: metav1.ConditionTrue, Reason: reasonAccepted, Message: messages(warnings)}
	if len(refusals) > 0 {
		accepted = metav1.Condition{Status: metav1.ConditionFalse, Reason: refusals[0].Reason, Message: messages(findings)}
	}
	resolved := metav1.Condition{Status: metav1.ConditionTrue, Reason: reasonResolvedRefs}
	if len(references) > 0 {
		resolved = metav1.Condition{Status: metav1.ConditionFalse, Reason: references[0].Reason, Message: messages(references)}
	}
	programmed := metav1.Condition{Status: metav1.ConditionTrue, Reason: reasonProgrammed}
	switch {
	case len(refusals) > 0:
		programmed = metav1.Condition{Status: metav1.ConditionFalse, Reason: reasonNotAccepted, Message: "the object is not used; the condition Accepted says why"}
	case !applies:
		programmed = metav1.Condition{Status: metav1.ConditionFalse, Reason: ReasonNotSelected, Message: "the object is for other workloads"}
	case unreachable.Reason != "":
		programmed = metav1.Condition{Status: metav1.ConditionFalse, Reason: unreachable.Reason, Message: unreachable.Message}
	}
	conflict := metav1.Condition{Status: metav1.ConditionFalse, Reason: reasonNoConflict}
	if len(conflicts) > 0 {
		conflict = metav1.Condition{Status: metav1.ConditionTrue, Reason: conflicts[0].Reason, Message: messages(conflicts)}
	}

	accepted.Type, resolved.Type, programmed.Type, conflict.Type = Accepted, ResolvedRefs, Programmed, Conflict
	out := []metav1.Condition{accepted, resolved, programmed, conflict}
	for i := range out {
		out[i].ObservedGeneration = generation
	}
	return out
}

// messages are those of all findings, each on a line of its own.
func messages(findings []spec.Finding) string {
	lines := make([]string, len(findings))
	for i, f := range findings {
		lines[i] = f.Message
	}
	return joined(lines)
}

// joined are lines as the message of a condition. API servers refuse a status with a longer one.
func joined(lines []string) string {
	text := strings.Join(lines, "\n")
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage-len("…")], "") + "…"
	}
	return text
}
