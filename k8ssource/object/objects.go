package object

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/caddy-llm/gateway/k8ssource/api/v1alpha1"
	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/k8ssource/gatewayapi"
)

// Set is the objects of files or of a cluster, by their kinds: what k8ssource.Translate works on.
type Set struct {
	Providers []*Item[v1beta1.LLMProvider]
	Routes    []*Item[v1beta1.LLMRoute]
	Limits    []*Item[v1alpha1.LLMLimit]

	LocalLimiters, GlobalLimiters []*Item[RateLimiter]

	Gateways   []*Item[Gateway]
	Services   []*Item[Service]
	Secrets    []*Item[Secret]
	ConfigMaps []*Item[ConfigMap]

	GatewayClasses   []*Item[gatewayapi.GatewayClass]
	APIGateways      []*Item[gatewayapi.Gateway]
	HTTPRoutes       []*Item[gatewayapi.HTTPRoute]
	ReferenceGrants  []*Item[gatewayapi.ReferenceGrant]
	NamespaceObjects []*Item[Stray] // of which the labels count

	Pools          []*Item[InferencePool]
	Pods           []*Item[Pod]
	EndpointSlices []*Item[EndpointSlice]

	LLMPolicies []*Item[v1alpha1.LLMPolicy]

	Policies        []*Item[AuthorizationPolicy]
	Authentications []*Item[RequestAuthentication]

	// Strays are documents that were meant to be one of these and are not.
	Strays []*Item[Stray]

	// Namespaces are those that objects of files are in, of whatever kind, apart from
	// Policies and Authentications.
	Namespaces map[string]bool
}

// Item is an object with where it was read.
type Item[T any] struct {
	Object T

	// File is the file the object was read from, as its path was given. It is
	// empty for one from a cluster.
	File string

	// Line is the first line of the object's document, from 1.
	Line int

	// Faults are what reading found wrong with the object. One that has any is
	// not used, but what could be read of it is still in Object. One that says who
	// may call is used as far as it could be read, so that no more requests pass.
	Faults []Fault

	// Unplaced reports whether the object names no namespace, and what it names may be
	// what could not be read.
	Unplaced bool
}

// Stray is a document of which no object could be made.
type Stray struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`
}

// Add appends the objects of other.
func (o *Set) Add(other *Set) {
	o.Providers = append(o.Providers, other.Providers...)
	o.Routes = append(o.Routes, other.Routes...)
	o.Limits = append(o.Limits, other.Limits...)
	o.LocalLimiters = append(o.LocalLimiters, other.LocalLimiters...)
	o.GlobalLimiters = append(o.GlobalLimiters, other.GlobalLimiters...)
	o.LLMPolicies = append(o.LLMPolicies, other.LLMPolicies...)
	o.Gateways = append(o.Gateways, other.Gateways...)
	o.Services = append(o.Services, other.Services...)
	o.Secrets = append(o.Secrets, other.Secrets...)
	o.ConfigMaps = append(o.ConfigMaps, other.ConfigMaps...)
	o.GatewayClasses = append(o.GatewayClasses, other.GatewayClasses...)
	o.APIGateways = append(o.APIGateways, other.APIGateways...)
	o.HTTPRoutes = append(o.HTTPRoutes, other.HTTPRoutes...)
	o.ReferenceGrants = append(o.ReferenceGrants, other.ReferenceGrants...)
	o.NamespaceObjects = append(o.NamespaceObjects, other.NamespaceObjects...)
	o.Pools = append(o.Pools, other.Pools...)
	o.Pods = append(o.Pods, other.Pods...)
	o.EndpointSlices = append(o.EndpointSlices, other.EndpointSlices...)
	o.Policies = append(o.Policies, other.Policies...)
	o.Authentications = append(o.Authentications, other.Authentications...)
	o.Strays = append(o.Strays, other.Strays...)
	for namespace := range other.Namespaces {
		o.inNamespace(namespace)
	}
}

// inNamespace notes that there is an object in a namespace.
func (o *Set) inNamespace(namespace string) {
	if o.Namespaces == nil {
		o.Namespaces = make(map[string]bool)
	}
	o.Namespaces[namespace] = true
}
