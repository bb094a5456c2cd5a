// Package v1beta1 has the Go types of LLMProvider and LLMRoute, for programs that
// read or write these objects in a cluster. It imports nothing of Caddy and
// nothing else of the gateway.
//
//	scheme := runtime.NewScheme()
//	err := v1beta1.AddToScheme(scheme)
//
// The CustomResourceDefinitions and the deepcopy functions are generated from
// these types with "go generate ./k8ssource": the comments are what kubectl
// explain prints, and the markers what kubectl apply rejects, in the words of
// the findings. Start reading in llmprovider.go and llmroute.go.
//
// +kubebuilder:object:generate=true
package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Group is the API group of LLMProvider and LLMRoute.
const Group = "istio.alibabacloud.com"

// Version is the version of Group that the types of this package are.
const Version = "v1beta1"

// AddToScheme registers the types of this package and their lists. It always
// returns nil and fits runtime.SchemeBuilder.
func AddToScheme(scheme *runtime.Scheme) error {
	gv := schema.GroupVersion{Group: Group, Version: Version}
	scheme.AddKnownTypes(gv, &LLMProvider{}, &LLMProviderList{}, &LLMRoute{}, &LLMRouteList{})
	metav1.AddToGroupVersion(scheme, gv)
	return nil
}
