package cluster

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/caddy-llm/gateway/k8ssource/object"
)

// newTestReferences follows nothing, and notes what was begun and stopped.
func newTestReferences(log *[]string) *references {
	return &references{followers: make(map[object.Reference]*follower), begin: func(_ context.Context, ref object.Reference) *follower {
		*log = append(*log, "begin "+ref.Name)
		return &follower{
			store:  newStore(referable[ref.Kind], hooks{func() {}, func() {}}),
			target: target{kind: referable[ref.Kind], namespace: ref.Namespace, name: ref.Name},
			stop:   func() { *log = append(*log, "stop "+ref.Name) },
		}
	}}
}

func TestReferencesComeAndGo(t *testing.T) {
	var log []string
	r := newTestReferences(&log)
	a, b := object.Reference{Kind: "Secret", Namespace: "ns", Name: "a"}, object.Reference{Kind: "Secret", Namespace: "ns", Name: "b"}
	r.follow(t.Context(), []object.Reference{a})
	r.follow(t.Context(), []object.Reference{a, b})
	r.follow(t.Context(), []object.Reference{b})
	r.follow(t.Context(), nil)
	if want := []string{"begin a", "begin b", "stop a", "stop b"}; !slices.Equal(log, want) {
		t.Errorf("got %v, want %v", log, want)
	}
}

func TestReferencesFaults(t *testing.T) {
	const rule = `a Role in namespace ns needs the rule {apiGroups: [""], resources: [secrets], resourceNames: [a], verbs: [list, watch]}`
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "a", errors.New("RBAC"))
	ref := object.Reference{Kind: "Secret", Namespace: "ns", Name: "a"}
	secret := []any{&unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "a", "namespace": "ns"}, "data": map[string]any{"key": "c2s="},
	}}}
	for name, test := range map[string]struct {
		list     []any   // what was read, nil if nothing was
		attempts []error // after that
		pending  bool
		secrets  int
		want     *object.Fault
	}{
		"nothing known yet":    {pending: true, secrets: 1, want: &object.Fault{Reason: "InvalidSecret", Message: "the API server has not given it yet"}},
		"not reached":          {attempts: []error{errors.New("refused")}, pending: true, secrets: 1, want: &object.Fault{Reason: "InvalidSecret", Message: "the API server has not given it yet"}},
		"forbidden":            {attempts: []error{forbidden}, secrets: 1, want: &object.Fault{Reason: "SecretForbidden", Message: "the gateway may not read it; " + rule}},
		"not there":            {list: []any{}},
		"there":                {list: secret, secrets: 1},
		"there, not reached":   {list: secret, attempts: []error{errors.New("refused"), errors.New("refused"), errors.New("refused")}, secrets: 1},
		"refused for a moment": {list: secret, attempts: []error{forbidden}, secrets: 1},
		"no longer allowed": {list: secret, attempts: []error{forbidden, forbidden, forbidden}, secrets: 1,
			want: &object.Fault{Reason: "SecretForbidden", Message: "the gateway may not read it; " + rule, Used: true}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newTestReferences(new([]string))
			r.follow(t.Context(), []object.Reference{ref})
			f := r.followers[ref]
			if test.list != nil {
				if err := f.Replace(test.list, "1"); err != nil {
					t.Fatal(err)
				}
			}
			for _, err := range test.attempts {
				_, _ = f.note(err)
			}
			if got := r.pending(); got != test.pending {
				t.Errorf("pending %v", got)
			}
			var objects object.Set
			r.addTo(&objects)
			if len(objects.Secrets) != test.secrets {
				t.Fatalf("%d Secrets, want %d", len(objects.Secrets), test.secrets)
			}
			if test.secrets == 0 {
				return
			}
			var want []object.Fault
			if test.want != nil {
				want = []object.Fault{*test.want}
			}
			item := objects.Secrets[0]
			if !reflect.DeepEqual(item.Faults, want) || item.Object.Name != "a" || item.Object.Namespace != "ns" {
				t.Errorf("got %+v of %s, want %+v", item.Faults, item.Object.Name, want)
			}
			if (test.list != nil) != (string(item.Object.Data["key"]) == "sk") {
				t.Errorf("the value is %q", item.Object.Data["key"])
			}
		})
	}
}

// TestReferencesFaultsOfTheMesh has the ConfigMap with the mesh's configuration.
func TestReferencesFaultsOfTheMesh(t *testing.T) {
	r := newTestReferences(new([]string))
	ref := object.Reference{Kind: object.KindConfigMap, Namespace: "ns", Name: "istio"}
	r.follow(t.Context(), []object.Reference{ref})
	f := r.followers[ref]
	faults := func() []object.Fault {
		t.Helper()
		var objects object.Set
		r.addTo(&objects)
		if len(objects.ConfigMaps) != 1 || objects.ConfigMaps[0].Object.Namespace != "ns" || objects.ConfigMaps[0].Object.Name != "istio" {
			t.Fatalf("got %d ConfigMaps", len(objects.ConfigMaps))
		}
		return objects.ConfigMaps[0].Faults
	}
	if got := faults(); !r.pending() || len(got) != 1 || got[0].Reason != object.ReasonInvalidMesh || got[0].Used {
		t.Errorf("before anything is known: %+v", got)
	}
	_, _ = f.note(apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "istio", errors.New("RBAC")))
	const rule = `the gateway may not read it; a Role in namespace ns needs the rule {apiGroups: [""], resources: [configmaps], resourceNames: [istio], verbs: [list, watch]}`
	if got := faults(); r.pending() || len(got) != 1 || got[0].Reason != object.ReasonMeshForbidden || got[0].Message != rule || got[0].Used {
		t.Errorf("forbidden: %+v", got)
	}
	_, _ = f.note(nil)
	if err := f.Replace([]any{&unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "istio", "namespace": "ns"}, "data": map[string]any{"mesh": ""},
	}}}, "1"); err != nil {
		t.Fatal(err)
	}
	if got := faults(); len(got) != 0 {
		t.Errorf("read: %+v", got)
	}
}
