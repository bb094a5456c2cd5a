package cluster

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/k8ssource/condition"
)

// ours are the types of the conditions that the gateway writes.
var ours = []string{condition.Accepted, condition.ResolvedRefs, condition.Programmed, condition.Conflict}

// mayWrite reports whether a status is this workload's to write. One that the gateway
// of another workload wrote for the object as it is stays, unless it says that the
// object is not for that workload.
func mayWrite(current v1beta1.Status, workload string, applies bool, generation int64) bool {
	if current.Workload == "" || current.Workload == workload {
		return applies || current.Workload == workload
	}
	programmed := meta.FindStatusCondition(current.Conditions, condition.Programmed)
	return applies && (programmed == nil || programmed.ObservedGeneration != generation || programmed.Reason == condition.ReasonNotSelected)
}

// settled reports whether a status says what it should.
func settled(current v1beta1.Status, want []metav1.Condition, workload string) bool {
	if current.Workload != workload {
		return false
	}
	for _, w := range want {
		c := meta.FindStatusCondition(current.Conditions, w.Type)
		if c == nil || c.Status != w.Status || c.Reason != w.Reason || c.Message != w.Message || c.ObservedGeneration != w.ObservedGeneration {
			return false
		}
	}
	return true
}

// nextConditions are the conditions to write: those wanted, with the time of their
// last transition, and those of other writers.
func nextConditions(current, want []metav1.Condition, now time.Time) []metav1.Condition {
	var out []metav1.Condition
	for _, w := range want {
		w.LastTransitionTime = metav1.NewTime(now)
		if c := meta.FindStatusCondition(current, w.Type); c != nil && c.Status == w.Status {
			w.LastTransitionTime = c.LastTransitionTime
		}
		out = append(out, w)
	}
	for _, c := range current {
		if !slices.Contains(ours, c.Type) && meta.FindStatusCondition(want, c.Type) == nil {
			out = append(out, c)
		}
	}
	return out
}
