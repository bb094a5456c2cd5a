package object

import (
	v1 "github.com/caddy-llm/gateway/k8ssource/api/v1"
	"github.com/caddy-llm/gateway/k8ssource/api/v1alpha1"
	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
)

const (
	// Group is the API group of LLMProvider and LLMRoute.
	Group = v1beta1.Group
	// KindLLMProvider is the kind of an LLMProvider.
	KindLLMProvider = "LLMProvider"
	// KindLLMRoute is the kind of an LLMRoute.
	KindLLMRoute = "LLMRoute"
	// KindLocalRateLimiter is the kind of an ASMLocalRateLimiter of the documented system.
	KindLocalRateLimiter = "ASMLocalRateLimiter"
	// KindGlobalRateLimiter is the kind of an ASMGlobalRateLimiter of the documented system.
	KindGlobalRateLimiter = "ASMGlobalRateLimiter"
)

// Versions are the versions of Group, which have the same schema.
var Versions = []string{v1beta1.Version, v1.Version}

const (
	// OwnGroup is the API group of the kinds that only this gateway has.
	OwnGroup = v1alpha1.Group
	// KindLLMLimit is the kind of an LLMLimit.
	KindLLMLimit = "LLMLimit"
	// KindLLMPolicy is the kind of an LLMPolicy.
	KindLLMPolicy = "LLMPolicy"
)

const (
	// IstioGroup is the API group of Istio's Gateways.
	IstioGroup = "networking.istio.io"
	// KindGateway is the kind of a Gateway, of Istio's and of Gateway API.
	KindGateway = "Gateway"

	// SecurityGroup is the API group of Istio's policies.
	SecurityGroup = "security.istio.io"
	// KindAuthorizationPolicy is the kind of an AuthorizationPolicy of Istio's.
	KindAuthorizationPolicy = "AuthorizationPolicy"
	// KindRequestAuthentication is the kind of a RequestAuthentication of Istio's.
	KindRequestAuthentication = "RequestAuthentication"
)

const (
	// PoolGroup is the API group of InferencePools.
	PoolGroup = "inference.networking.k8s.io"
	// OldPoolGroup is the API group that they had before.
	OldPoolGroup = "inference.networking.x-k8s.io"
	// KindInferencePool is the kind of an InferencePool.
	KindInferencePool = "InferencePool"
)

const (
	// KindService is the kind of a Service.
	KindService = "Service"
	// KindEndpointSlice is the kind of an EndpointSlice.
	KindEndpointSlice = "EndpointSlice"
	// KindPod is the kind of a Pod.
	KindPod = "Pod"
	// KindSecret is the kind of a Secret.
	KindSecret = "Secret"
	// KindConfigMap is the kind of a ConfigMap.
	KindConfigMap = "ConfigMap"
)
