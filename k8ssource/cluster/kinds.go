package cluster

import (
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/caddy-llm/gateway/k8ssource"
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

	// gateways tells that it is a Gateway, or of meaning only at Gateways.
	gateways bool
}

const kindGateway = "Gateway"

// kinds are all that can be followed. A group that is not served is no error: it is
// looked for again and again, but for Kubernetes' own.
var kinds = []kind{
	{group: k8ssource.Group, versions: []string{"v1beta1", "v1"}, resource: "llmproviders", name: k8ssource.KindLLMProvider},
	{group: k8ssource.Group, versions: []string{"v1beta1", "v1"}, resource: "llmroutes", name: k8ssource.KindLLMRoute},
	{group: "networking.istio.io", versions: []string{"v1", "v1beta1", "v1alpha3"}, resource: "gateways", name: kindGateway, gateways: true},
	{group: "security.istio.io", versions: []string{"v1", "v1beta1"}, resource: "authorizationpolicies", name: k8ssource.KindAuthorizationPolicy, gateways: true},
	{group: "security.istio.io", versions: []string{"v1", "v1beta1"}, resource: "requestauthentications", name: k8ssource.KindRequestAuthentication, gateways: true},
	{group: "inference.networking.k8s.io", versions: []string{"v1"}, resource: "inferencepools", name: k8ssource.KindInferencePool, optional: true},
	{versions: []string{"v1"}, resource: "services", name: k8ssource.KindService, metadata: true},
}

// referable are the kinds of which single objects, or those with certain labels, are
// followed while others refer to them.
var referable = map[string]kind{
	k8ssource.KindSecret:    {versions: []string{"v1"}, resource: "secrets", name: k8ssource.KindSecret},
	k8ssource.KindConfigMap: {versions: []string{"v1"}, resource: "configmaps", name: k8ssource.KindConfigMap},
	k8ssource.KindService:   {versions: []string{"v1"}, resource: "services", name: k8ssource.KindService},
	k8ssource.KindPod:       {versions: []string{"v1"}, resource: "pods", name: k8ssource.KindPod},
}

// at returns the resource in a version.
func (k kind) at(version string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: k.group, Version: version, Resource: k.resource}
}
