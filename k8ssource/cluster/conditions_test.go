package cluster

import (
	"reflect"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/k8ssource/condition"
)

func TestMayWrite(t *testing.T) {
	status := func(workload, reason string, generation int64) v1beta1.Status {
		return v1beta1.Status{Workload: workload, Conditions: []metav1.Condition{{Type: condition.Programmed, Reason: reason, ObservedGeneration: generation}}}
	}
	for name, test := range map[string]struct {
		current v1beta1.Status
		applies bool
		want    bool
	}{
		"nobody's":                                 {v1beta1.Status{}, true, true},
		"nobody's, for others":                     {v1beta1.Status{}, false, false},
		"ours":                                     {status("ns/me", "Programmed", 4), true, true},
		"ours, now for others":                     {status("ns/me", "Programmed", 4), false, true},
		"another's":                                {status("ns/other", "Programmed", 5), true, false},
		"another's of a generation before":         {status("ns/other", "Programmed", 4), true, true},
		"another's that does not use it":           {status("ns/other", condition.ReasonNotSelected, 5), true, true},
		"another's that does not use it, nor we":   {status("ns/other", condition.ReasonNotSelected, 5), false, false},
		"another's without conditions":             {v1beta1.Status{Workload: "ns/other"}, true, true},
		"another's of a generation before, not us": {status("ns/other", "Programmed", 4), false, false},
	} {
		if got := mayWrite(test.current, "ns/me", test.applies, 5); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestSettled(t *testing.T) {
	want := condition.Of(nil, true, condition.Problem{}, 2)
	now := time.Now()
	current := v1beta1.Status{Workload: "ns/me", Conditions: nextConditions(nil, want, now)}
	if !settled(current, want, "ns/me") {
		t.Error("what was just written is to be written again")
	}
	for name, change := range map[string]func(*v1beta1.Status){
		"workload":   func(s *v1beta1.Status) { s.Workload = "ns/other" },
		"missing":    func(s *v1beta1.Status) { s.Conditions = s.Conditions[1:] },
		"generation": func(s *v1beta1.Status) { s.Conditions[0].ObservedGeneration = 1 },
		"status":     func(s *v1beta1.Status) { s.Conditions[1].Status = metav1.ConditionUnknown },
		"reason":     func(s *v1beta1.Status) { s.Conditions[2].Reason = "Other" },
		"message":    func(s *v1beta1.Status) { s.Conditions[3].Message = "other" },
	} {
		s := current
		s.Conditions = append([]metav1.Condition(nil), current.Conditions...)
		change(&s)
		if settled(s, want, "ns/me") {
			t.Errorf("%s: a difference is not seen", name)
		}
	}
	later := append([]metav1.Condition(nil), current.Conditions...)
	later[0].LastTransitionTime = metav1.NewTime(now.Add(time.Hour))
	later = append(later, metav1.Condition{Type: "Other"})
	if !settled(v1beta1.Status{Workload: "ns/me", Conditions: later}, want, "ns/me") {
		t.Error("another time, or another's condition, counts as a difference")
	}
}

func TestNextConditions(t *testing.T) {
	then, now := time.Unix(1, 0), time.Unix(2, 0)
	foreign := metav1.Condition{Type: "example.com/Other", Status: metav1.ConditionTrue, LastTransitionTime: metav1.NewTime(then)}
	before := append(nextConditions(nil, condition.Of(nil, true, condition.Problem{}, 1), then), foreign)
	want := condition.Of(nil, false, condition.Problem{}, 2) // Programmed turns false
	got := nextConditions(before, want, now)
	if len(got) != len(want)+1 || !reflect.DeepEqual(got[len(want)], foreign) {
		t.Fatalf("another's condition is not kept as it is: %+v", got)
	}
	for i, c := range got[:len(want)] {
		at := then
		if c.Type == condition.Programmed {
			at = now
		}
		if c.ObservedGeneration != 2 || !c.LastTransitionTime.Time.Equal(at) {
			t.Errorf("%d: %+v, want the time %v", i, c, at)
		}
	}
	if condition.Of(nil, false, condition.Problem{}, 2)[0].LastTransitionTime != want[0].LastTransitionTime {
		t.Error("what was wanted was changed")
	}
}

// TestNextConditionsOfAListener has a type of condition that LLMProviders do not have: the API
// server rejects a list that has one twice.
func TestNextConditionsOfAListener(t *testing.T) {
	want := []metav1.Condition{{Type: condition.Accepted}, {Type: "Conflicted", Status: metav1.ConditionFalse}}
	got := nextConditions(append(nextConditions(nil, want, time.Now()), metav1.Condition{Type: "Other"}), want, time.Now())
	if len(got) != 3 || got[1].Type != "Conflicted" || got[2].Type != "Other" {
		t.Errorf("got %+v", got)
	}
}
