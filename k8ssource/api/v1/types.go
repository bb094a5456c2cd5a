// Package v1 has the Go types of LLMProvider and LLMRoute in version v1. It
// differs from v1beta1 in nothing but the version's name: the specs and the
// status are those of package v1beta1. Clusters store v1beta1.
//
// +kubebuilder:object:generate=true
package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
)

// Version is the version of v1beta1.Group that the types of this package are.
const Version = "v1"

// LLMProvider is an account at an LLM API that gateways and sidecars send
// requests to.
//
// +kubebuilder:object:root=true
type LLMProvider struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	Spec   v1beta1.LLMProviderSpec `json:"spec,omitzero"`
	Status v1beta1.Status          `json:"status,omitzero"`
}

// LLMProviderList is a list of LLMProviders.
//
// +kubebuilder:object:root=true
type LLMProviderList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`

	Items []LLMProvider `json:"items"`
}

// LLMRoute sends requests for a host to providers.
//
// +kubebuilder:object:root=true
type LLMRoute struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	Spec   v1beta1.LLMRouteSpec `json:"spec,omitzero"`
	Status v1beta1.Status       `json:"status,omitzero"`
}

// LLMRouteList is a list of LLMRoutes.
//
// +kubebuilder:object:root=true
type LLMRouteList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`

	Items []LLMRoute `json:"items"`
}

// AddToScheme registers the types of this package and their lists. It always
// returns nil and fits runtime.SchemeBuilder.
func AddToScheme(scheme *runtime.Scheme) error {
	gv := schema.GroupVersion{Group: v1beta1.Group, Version: Version}
	scheme.AddKnownTypes(gv, &LLMProvider{}, &LLMProviderList{}, &LLMRoute{}, &LLMRouteList{})
	metav1.AddToGroupVersion(scheme, gv)
	return nil
}
