package cluster

import (
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/caddy-llm/gateway/k8ssource/gatewayapi"
	"github.com/caddy-llm/gateway/k8ssource/object"
)

// kind is a kind of objects that is followed.
type kind struct {
	group    string
	versions []string // that can be read, the preferred one first
	resource string
	name     string

	// metadata tells that no more than the metadata is needed.
	metadata bool

	// optional tells that the source goes on without the objects if it may not read
	// them.
	optional bool

	// clusterWide tells that it is followed only where the objects of all namespaces are.
	clusterWide bool

	// gateways tells that it is a Gateway, or of meaning only at Gateways.
	gateways bool
}

const (
	kindGateway   = "Gateway"
	kindNamespace = "Namespace"
)

// kinds are all that can be followed. A group that is not served is no error: it is
// looked for again and again, but for Kubernetes' own.
var kinds = []kind{
	{group: object.Group, versions: []string{"v1beta1", "v1"}, resource: "llmproviders", name: object.KindLLMProvider},
	{group: object.Group, versions: []string{"v1beta1", "v1"}, resource: "llmroutes", name: object.KindLLMRoute},
	{group: object.OwnGroup, versions: []string{"v1alpha1"}, resource: "llmlimits", name: object.KindLLMLimit, optional: true},
	{group: object.Group, versions: []string{"v1beta1", "v1"}, resource: "asmlocalratelimiters", name: object.KindLocalRateLimiter, optional: true},
	{group: object.Group, versions: []string{"v1beta1", "v1"}, resource: "asmglobalratelimiters", name: object.KindGlobalRateLimiter, optional: true},
	{group: object.OwnGroup, versions: []string{"v1alpha1"}, resource: "llmpolicies", name: object.KindLLMPolicy},
	{group: "networking.istio.io", versions: []string{"v1", "v1beta1", "v1alpha3"}, resource: "gateways", name: kindGateway, gateways: true},
	{group: "security.istio.io", versions: []string{"v1", "v1beta1"}, resource: "authorizationpolicies", name: object.KindAuthorizationPolicy, gateways: true},
	{group: "security.istio.io", versions: []string{"v1", "v1beta1"}, resource: "requestauthentications", name: object.KindRequestAuthentication, gateways: true},
	{group: "inference.networking.k8s.io", versions: []string{"v1"}, resource: "inferencepools", name: object.KindInferencePool, optional: true},
	{group: gatewayapi.Group, versions: []string{"v1"}, resource: "gatewayclasses", name: gatewayapi.KindGatewayClass, optional: true, gateways: true, clusterWide: true},
	{group: gatewayapi.Group, versions: []string{"v1"}, resource: "gateways", name: gatewayapi.KindGateway, optional: true, gateways: true, clusterWide: true},
	{group: gatewayapi.Group, versions: []string{"v1"}, resource: "httproutes", name: gatewayapi.KindHTTPRoute, optional: true, gateways: true, clusterWide: true},
	{group: gatewayapi.Group, versions: []string{"v1", "v1beta1"}, resource: "referencegrants", name: gatewayapi.KindReferenceGrant, optional: true, gateways: true, clusterWide: true},
	{versions: []string{"v1"}, resource: "namespaces", name: kindNamespace, metadata: true, optional: true, gateways: true, clusterWide: true},
	{versions: []string{"v1"}, resource: "services", name: object.KindService, metadata: true},
}

// referable are the kinds of which single objects, or those with certain labels, are
// followed while others refer to them.
var referable = map[string]kind{
	object.KindSecret:        {versions: []string{"v1"}, resource: "secrets", name: object.KindSecret},
	object.KindConfigMap:     {versions: []string{"v1"}, resource: "configmaps", name: object.KindConfigMap},
	object.KindService:       {versions: []string{"v1"}, resource: "services", name: object.KindService},
	object.KindEndpointSlice: {group: "discovery.k8s.io", versions: []string{"v1"}, resource: "endpointslices", name: object.KindEndpointSlice},
	object.KindPod:           {versions: []string{"v1"}, resource: "pods", name: object.KindPod},
}

// at returns the resource in a version.
func (k kind) at(version string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: k.group, Version: version, Resource: k.resource}
}
