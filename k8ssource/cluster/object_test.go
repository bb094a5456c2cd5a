package cluster

import (
	"encoding/json"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const testProvider = `{
	"apiVersion": "istio.alibabacloud.com/v1beta1", "kind": "LLMProvider",
	"metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "1", "generation": 1, "creationTimestamp": "2026-01-31T12:00:00Z",
		"managedFields": [{"manager": "kubectl"}],
		"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{\"apiKey\": \"sk-1\"}"}},
	"spec": {"host": "a.example.com", "port": 8443},
	"status": {"workload": "n/gw"}
}`

func decodeTest(t *testing.T, change func(*unstructured.Unstructured)) *stored {
	t.Helper()
	u := new(unstructured.Unstructured)
	if err := u.UnmarshalJSON([]byte(testProvider)); err != nil {
		t.Fatal(err)
	}
	change(u)
	o, err := kinds[0].decode(u)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestDecode(t *testing.T) {
	first := decodeTest(t, func(*unstructured.Unstructured) {})
	if len(first.decoded.Providers) != 1 {
		t.Fatalf("got %+v", first.decoded)
	}
	item := first.decoded.Providers[0]
	if p := item.Object; len(item.Faults) > 0 || p.Spec.Host != "a.example.com" || p.Spec.Port != 8443 || p.ResourceVersion != "1" || p.Generation != 1 || first.status.Workload != "n/gw" || first.generation != 1 {
		t.Errorf("got %+v with %v", p, item.Faults)
	}
	if m := item.Object.ObjectMeta; len(m.ManagedFields) > 0 || len(m.Annotations) > 0 {
		t.Errorf("notes that nobody needs are kept: %+v", m)
	}
	for name, test := range map[string]struct {
		change func(*unstructured.Unstructured)
		same   bool
	}{
		"status": {func(u *unstructured.Unstructured) {
			u.SetResourceVersion("2")
			_ = unstructured.SetNestedField(u.Object, "n/other", "status", "workload")
		}, true},
		"managed fields": {func(u *unstructured.Unstructured) { u.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: "x"}}) }, true},
		"spec": {func(u *unstructured.Unstructured) {
			_ = unstructured.SetNestedField(u.Object, "b.example.com", "spec", "host")
		}, false},
		"generation": {func(u *unstructured.Unstructured) { u.SetGeneration(2) }, false},
		"made anew":  {func(u *unstructured.Unstructured) { u.SetUID("v") }, false},
	} {
		if got := decodeTest(t, test.change); (got.content == first.content) != test.same {
			t.Errorf("%s: the content counts as the same: %v", name, !test.same)
		}
	}
}

func TestDecodeMetadata(t *testing.T) {
	service := kinds[len(kinds)-1]
	if !service.metadata {
		t.Fatal("the last kind is not the Service")
	}
	var from metav1.PartialObjectMetadata
	if err := json.Unmarshal([]byte(`{"metadata": {"name": "a", "namespace": "n", "labels": {"x": "y"}}}`), &from); err != nil {
		t.Fatal(err)
	}
	o, err := service.decode(&from)
	if err != nil || len(o.decoded.Services) != 1 || o.decoded.Services[0].Object.Name != "a" || o.decoded.Services[0].Object.Namespace != "n" {
		t.Errorf("got %+v, %v", o, err)
	}
}

// TestStoreKeepsWhatDidNotChange holds that an object of which only the status is
// another is not translated again.
func TestStoreKeepsWhatDidNotChange(t *testing.T) {
	changed, touched := 0, 0
	s := newStore(kinds[0], hooks{func() { changed++ }, func() { touched++ }})
	put := func(change func(*unstructured.Unstructured)) *stored {
		t.Helper()
		u := new(unstructured.Unstructured)
		if err := u.UnmarshalJSON([]byte(testProvider)); err != nil {
			t.Fatal(err)
		}
		change(u)
		if err := s.Update(u); err != nil {
			t.Fatal(err)
		}
		return s.get("n/a")
	}
	first := put(func(*unstructured.Unstructured) {})
	if same := put(func(*unstructured.Unstructured) {}); same != first || changed != 1 || touched != 0 {
		t.Errorf("the same version: %d changes, %d touches", changed, touched)
	}
	second := put(func(u *unstructured.Unstructured) {
		u.SetResourceVersion("2")
		_ = unstructured.SetNestedField(u.Object, "n/other", "status", "workload")
	})
	if second.decoded != first.decoded || second.status.Workload != "n/other" || second.resourceVersion != "2" || changed != 1 || touched != 1 {
		t.Errorf("another status: %+v, %d changes, %d touches", second.status, changed, touched)
	}
	third := put(func(u *unstructured.Unstructured) {
		u.SetResourceVersion("3")
		_ = unstructured.SetNestedField(u.Object, "b.example.com", "spec", "host")
	})
	if third.decoded == first.decoded || changed != 2 {
		t.Errorf("another host: %d changes", changed)
	}
}
