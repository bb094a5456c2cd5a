// Package v1alpha1 has the Go types of LLMLimit and LLMPolicy, for programs that read or write these
// objects in a cluster. It imports nothing of Caddy, and of the gateway only package
// v1beta1, whose Status all kinds have.
//
//	scheme := runtime.NewScheme()
//	err := v1alpha1.AddToScheme(scheme)
//
// The CustomResourceDefinition and the deepcopy functions are generated from these types
// with "go generate ./k8ssource": the comments are what kubectl explain prints, and the
// markers what kubectl apply rejects, in the words of the findings. Start reading in
// llmlimit.go and llmpolicy.go.
//
// +kubebuilder:object:generate=true
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Group is the API group of the types of this package.
const Group = "caddy-llm.github.io"

// Version is the version of Group that they are.
const Version = "v1alpha1"

// AddToScheme registers the types of this package and their lists. It always
// returns nil and fits runtime.SchemeBuilder.
func AddToScheme(scheme *runtime.Scheme) error {
	gv := schema.GroupVersion{Group: Group, Version: Version}
	scheme.AddKnownTypes(gv, &LLMLimit{}, &LLMLimitList{}, &LLMPolicy{}, &LLMPolicyList{})
	metav1.AddToGroupVersion(scheme, gv)
	return nil
}
