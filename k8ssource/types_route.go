package k8ssource

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// LLMRoute sends requests for a host to providers.
type LLMRoute struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	Spec LLMRouteSpec `json:"spec,omitzero"`

	// What a gateway made of the object. Gateways write it.
	Status Status `json:"status,omitzero"`
}

// LLMRouteSpec is a host with its rules.
type LLMRouteSpec struct {
	// The host the route governs: a provider's, the name of a Kubernetes
	// Service, `*.suffix`, or `*`. Required.
	Host string `json:"host,omitempty"`

	// The Istio Gateways the route is for: `namespace/name`, or `name` in the
	// route's own namespace. `mesh` stands for the sidecars. Default: `mesh`.
	Gateways []string `json:"gateways,omitempty"`

	// The rules, of which the first that matches is used. A request that none
	// matches is answered with 404.
	Rules []LLMRouteRule `json:"rules,omitempty"`
}

// LLMRouteRule sends matching requests to one of its backends.
type LLMRouteRule struct {
	// The rule's name, which selects `routeSpecificConfigs` of providers.
	Name string `json:"name,omitempty"`

	// What a request must match: one of the entries. Default: everything.
	Matches []LLMRouteMatch `json:"matches,omitempty"`

	// Where matching requests go. Required.
	BackendRefs []LLMBackendRef `json:"backendRefs,omitempty"`

	// The most backends that are tried for a request. Default: 1.
	Attempts int32 `json:"attempts,omitempty"`

	// The response statuses that move a request on to another backend, as
	// failures and timeouts before the first byte always do. Default: 429, 500,
	// 502, 503, 504, 529.
	RetryOn []int32 `json:"retryOn,omitempty"`
}

// LLMRouteMatch matches a request if all of its parts do.
type LLMRouteMatch struct {
	// Headers by name, in any case. `host` is the request's host without its
	// port.
	Headers map[string]StringMatch `json:"headers,omitempty"`

	// Labels that the calling workload must have. Not used when `gateways` is
	// set.
	SourceLabels map[string]string `json:"sourceLabels,omitempty"`

	// The gateways that the entry is for, instead of the route's.
	Gateways []string `json:"gateways,omitempty"`
}

// StringMatch matches a value. At most one field is set; none means that the
// header is present.
type StringMatch struct {
	// The value itself.
	Exact *string `json:"exact,omitempty"`

	// What the value begins with.
	Prefix *string `json:"prefix,omitempty"`

	// An RE2 expression for the whole value.
	Regex *string `json:"regex,omitempty"`
}

// LLMBackendRef is a place that requests go to: `providerHost` or `backendRef`.
type LLMBackendRef struct {
	// The host of an LLMProvider.
	ProviderHost string `json:"providerHost,omitempty"`

	// An object of another kind. None is supported yet.
	BackendRef *ObjectRef `json:"backendRef,omitempty"`

	// The share of requests in relation to the other backends' weights. 0 means
	// never. Default: equal shares if no backend of the rule has a weight, else
	// 0.
	Weight *int32 `json:"weight,omitempty"`

	// Backends with a higher number are used only when none with a lower one
	// can be. Default: 0.
	Priority int32 `json:"priority,omitempty"`
}

// ObjectRef names an object.
type ObjectRef struct {
	Group     string `json:"group,omitempty"`
	Kind      string `json:"kind,omitempty"`
	Name      string `json:"name,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Port      int32  `json:"port,omitempty"`
}
