// Package k8ssource turns Kubernetes objects into the gateway's configuration:
// the reader of YAML files, Translate, and the files source. The types of
// LLMProvider and LLMRoute are in the packages below api.
package k8ssource

import (
	v1 "github.com/caddy-llm/gateway/k8ssource/api/v1"
	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
)

// The CustomResourceDefinitions and the deepcopy functions are generated from
// the types in api.
//go:generate go run -C crdgen . ../../examples/kubernetes/crds ../api

const (
	// Group is the API group of LLMProvider and LLMRoute.
	Group = v1beta1.Group

	// KindLLMProvider is the kind of an LLMProvider.
	KindLLMProvider = "LLMProvider"
	// KindLLMRoute is the kind of an LLMRoute.
	KindLLMRoute = "LLMRoute"

	// KindAuthorizationPolicy is the kind of an AuthorizationPolicy of Istio's.
	KindAuthorizationPolicy = "AuthorizationPolicy"
	// KindRequestAuthentication is the kind of a RequestAuthentication of Istio's.
	KindRequestAuthentication = "RequestAuthentication"

	kindGateway   = "Gateway"
	securityGroup = "security.istio.io"
)

// versions are the versions of Group, which have the same schema.
var versions = []string{v1beta1.Version, v1.Version}
