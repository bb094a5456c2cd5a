// Package badobjects holds LLMProviders, LLMRoutes, LLMLimits, LLMPolicies and policies that are wrong, and
// what is said of each, by whatever reads it: one table for all of them, so that the
// reason is the same text everywhere.
package badobjects

import (
	_ "embed"
	"fmt"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

//go:embed objects.yaml
var objects []byte

// Beside is a manifest of the objects that the bad ones refer to, and of good
// ones: LLMProvider `good` with the host good.example.com, and LLMRoute `good`
// with the host good-service. No object has a namespace.
//
//go:embed beside.yaml
var Beside string

// Object is an object that can be written and is wrong.
type Object struct {
	// Name says in a few words what is wrong.
	Name string `json:"name"`

	// Kind is LLMProvider, LLMRoute, LLMLimit, LLMPolicy, AuthorizationPolicy or RequestAuthentication.
	Kind string `json:"kind"`

	// Spec is the object's.
	Spec any `json:"spec"`

	// Reason is the finding's reason.
	Reason string `json:"reason"`

	// Finding is the finding's message, which begins with a field's path.
	// `{namespace}` stands for the object's namespace.
	Finding string `json:"message"`

	// Refused is true if an API server refuses the object, saying the same.
	Refused bool `json:"refused"`

	// Says is what the API server says instead, where the definition is Istio's.
	Says string `json:"says"`

	// Used is true if the object is used all the same.
	Used bool `json:"used"`
}

// All returns the table.
func All(t testing.TB) []Object {
	t.Helper()
	var all []Object
	if err := yaml.UnmarshalStrict(objects, &all); err != nil {
		t.Fatalf("the table of bad objects cannot be read: %v", err)
	}
	if len(all) < 50 {
		t.Fatalf("the table has only %d bad objects", len(all))
	}
	return all
}

// Manifest is the object as YAML, with the name `bad` and no namespace.
func (o *Object) Manifest(t testing.TB) string {
	t.Helper()
	data, err := yaml.Marshal(map[string]any{
		"apiVersion": o.apiVersion(),
		"kind":       o.Kind,
		"metadata":   map[string]string{"name": "bad"},
		"spec":       o.Spec,
	})
	if err != nil {
		t.Fatalf("%s: %v", o.Name, err)
	}
	return string(data)
}

// Ours reports whether the object's kind is the gateway's own.
func (o *Object) Ours() bool {
	return o.Kind == "LLMProvider" || o.Kind == "LLMRoute" || o.Kind == "LLMLimit" || o.Kind == "LLMPolicy"
}

func (o *Object) apiVersion() string {
	switch {
	case o.Kind == "LLMLimit", o.Kind == "LLMPolicy":
		return "caddy-llm.github.io/v1alpha1"
	case o.Ours():
		return "istio.alibabacloud.com/v1beta1"
	}
	return "security.istio.io/v1beta1"
}

// Message is the finding's message for an object in a namespace.
func (o *Object) Message(namespace string) string {
	return strings.ReplaceAll(o.Finding, "{namespace}", namespace)
}

// Text is the finding in one line, as tests compare it.
func (o *Object) Text(namespace string) string {
	used := ""
	if o.Used {
		used = " (used)"
	}
	return fmt.Sprintf("%s%s: %s", o.Reason, used, o.Message(namespace))
}
