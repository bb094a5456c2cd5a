package cluster

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/caddy-llm/gateway/k8ssource"
)

// TestNextParents holds that a workload changes its own entries alone, and only if they
// are not as they should be.
func TestNextParents(t *testing.T) {
	const own = "example.com/own"
	theirs := func(n int) (out []any) {
		for i := range n {
			out = append(out, map[string]any{"controllerName": "example.com/theirs", "parentRef": map[string]any{"name": fmt.Sprint("theirs", i)}, "more": "kept"})
		}
		return out
	}
	want := func(reason string, names ...string) (out []k8ssource.PoolParent) {
		for _, name := range names {
			out = append(out, k8ssource.PoolParent{PoolParentRef: k8ssource.PoolParentRef{Group: "g", Kind: "Gateway", Namespace: "ns", Name: name}, Conditions: []metav1.Condition{
				{Type: "Accepted", Status: metav1.ConditionTrue, Reason: reason},
			}})
		}
		return out
	}
	now := time.Now().Truncate(time.Second)
	next := func(current []any, want []k8ssource.PoolParent) ([]any, bool) {
		out, changed := nextParents(current, want, own, now)
		data, err := json.Marshal(out) // as the API server gives it back
		if err != nil {
			t.Fatal(err)
		}
		out = nil
		_ = json.Unmarshal(data, &out)
		return out, changed
	}
	one, changed := next(theirs(2), want("Accepted", "a", "b"))
	if !changed || len(one) != 4 || one[0].(map[string]any)["more"] != "kept" {
		t.Fatalf("changed %v to %v", changed, one)
	}
	now = now.Add(time.Hour)
	if again, changed := next(one, want("Accepted", "a", "b")); changed {
		t.Errorf("what is there is written again: %v", again)
	}
	other, changed := next(one, want("Other", "a", "b"))
	if text := fmt.Sprint(other); !changed || strings.Contains(text, now.UTC().Format(time.RFC3339)) {
		t.Errorf("changed %v, and a transition without another status: %s", changed, text)
	}
	if less, changed := next(one, want("Accepted", "b")); !changed || len(less) != 3 {
		t.Errorf("changed %v to %v", changed, less)
	}
	if none, changed := next(one, nil); !changed || len(none) != 2 {
		t.Errorf("changed %v to %v", changed, none)
	}
	if none, changed := next(theirs(2), nil); changed {
		t.Errorf("changed to %v", none)
	}
	if full, changed := next(theirs(maxParents), want("Accepted", "a")); changed || len(full) != maxParents {
		t.Errorf("changed %v to %d entries where all are taken", changed, len(full))
	}
}
