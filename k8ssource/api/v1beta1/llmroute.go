package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// LLMRoute sends requests for a host to providers.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName=llmr,categories=llm
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name=Host,type=string,JSONPath=`.spec.host`
// +kubebuilder:printcolumn:name=Accepted,type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name=ResolvedRefs,type=string,JSONPath=`.status.conditions[?(@.type=="ResolvedRefs")].status`
// +kubebuilder:printcolumn:name=Programmed,type=string,JSONPath=`.status.conditions[?(@.type=="Programmed")].status`
// +kubebuilder:printcolumn:name=Reason,type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Accepted")].reason`
// +kubebuilder:printcolumn:name=Workload,type=string,priority=1,JSONPath=`.status.workload`
// +kubebuilder:printcolumn:name=Age,type=date,JSONPath=`.metadata.creationTimestamp`
type LLMRoute struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// The host with its rules. Required.
	//
	// +required
	Spec LLMRouteSpec `json:"spec,omitzero"`

	// What a gateway made of the object. Gateways write it.
	//
	// +optional
	Status Status `json:"status,omitzero"`
}

// LLMRouteList is a list of LLMRoutes.
//
// +kubebuilder:object:root=true
type LLMRouteList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`

	Items []LLMRoute `json:"items"`
}

// LLMRouteSpec is a host with its rules.
//
// +kubebuilder:validation:XValidation:rule=`has(self.host) && self.host != ""`,message="a host is required; write a provider's host, the name of a Service, or \"*\"",fieldPath=.host
// +kubebuilder:validation:XValidation:rule=`has(self.rules) && size(self.rules) > 0`,message="there are none, so every request would be answered with 404; write at least one rule with backendRefs",fieldPath=.rules
// +kubebuilder:validation:XValidation:rule=`!has(self.host) || self.host in ["", '*'] || self.host.matches('^([*][.])?([a-zA-Z0-9_][a-zA-Z0-9._-]*|[0-9a-fA-F.]*:[0-9a-fA-F.]*:[0-9a-fA-F:.]*)$')`,message="this is neither a DNS name nor *.suffix or *",messageExpression=`self.host.substring(1).contains('*') || self.host.matches('^[*]([^.]|[.]?$)') ? 'there is a star in a place where there can be none; write a name, *.suffix, or "*"' : self.host.matches('^[^:]*:[0-9]+$') ? 'the host has a port, and routes are for all ports; write the name alone' : 'the host' + (self.host.contains('://') ? ' has a scheme; write the DNS name alone' : self.host.contains('/') ? ' has a path; write the DNS name alone, and the path as path' : self.host.contains(':') ? ' has a port; write the DNS name alone, and the port as port' : self.host.matches('^([*][.])?[.-]') ? ' is not a DNS name' : " is not a DNS name: '" + self.host.replace('*.', "").find('[^a-zA-Z0-9._-]') + "' is not allowed in one")`,fieldPath=.host
// +kubebuilder:validation:XValidation:rule=`!has(self.host) || self.host.contains(':') || self.host.matches('^([*][.])?((25[0-5]|(2[0-4]|1?[0-9])?[0-9])([.]|$)){4}$') || !self.host.matches('(^|[.])([0-9]+|0[xX][^.]*)$')`,message="the host is neither a DNS name nor an IP address",fieldPath=.host
type LLMRouteSpec struct {
	// The host the route governs: a provider's, the name of a Kubernetes
	// Service, `*.suffix`, or `*`. Required.
	//
	// +kubebuilder:validation:MaxLength=255
	Host string `json:"host,omitempty"`

	// The Istio Gateways the route is for: `namespace/name`, or `name` in the
	// route's own namespace. `mesh` stands for the sidecars. Default: `mesh`.
	// At most 64.
	//
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=507
	// +kubebuilder:validation:XValidation:rule=`self.all(g, g.matches('^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?$'))`,message="this is not the name of a Gateway; write namespace/name, name for one in the route's own namespace, or mesh"
	Gateways []string `json:"gateways,omitempty"`

	// The rules, of which the first that matches is used. A request that none
	// matches gets a 404. Required, at most 1024.
	//
	// +kubebuilder:validation:MaxItems=1024
	Rules []LLMRouteRule `json:"rules,omitempty"`
}

// LLMRouteRule sends matching requests to one of its backends.
//
// +kubebuilder:validation:XValidation:rule=`has(self.backendRefs) && size(self.backendRefs) > 0`,message="there are none; write at least one with a providerHost",fieldPath=.backendRefs
// +kubebuilder:validation:XValidation:rule=`!has(self.backendRefs) || size(self.backendRefs) == 1 || !self.backendRefs.exists(b, has(b.weight)) || self.backendRefs.exists(b, has(b.weight) && b.weight != 0)`,message="the weights add up to 0, so no backend would ever be used; give at least one of them a weight above 0, or none of them any for equal shares",fieldPath=.backendRefs
type LLMRouteRule struct {
	// The rule's name, which selects `routeSpecificConfigs` of providers.
	Name string `json:"name,omitempty"`

	// What a request must match: one of the entries. Default: everything. At
	// most 64.
	//
	// +kubebuilder:validation:MaxItems=64
	Matches []LLMRouteMatch `json:"matches,omitempty"`

	// Where matching requests go. Required, at most 64.
	//
	// +kubebuilder:validation:MaxItems=64
	BackendRefs []LLMBackendRef `json:"backendRefs,omitempty"`

	// The most backends that are tried for a request. Default: 1.
	//
	// +kubebuilder:validation:XValidation:rule=`self >= 0`,message="this is negative; write how many backends may be tried"
	Attempts int32 `json:"attempts,omitempty"`

	// The response statuses that move a request on to another backend, as
	// failures and timeouts before the first byte always do. Default: 408, 424, 429,
	// 500, 502, 503, 504, 520 to 530, and 401, 402 and 403 where the key is the
	// gateway's own. At most 200.
	//
	// +kubebuilder:validation:MaxItems=200
	// +kubebuilder:validation:items:XValidation:rule=`self >= 400 && self <= 599`,message="this is not an error status; write a number from 400 to 599"
	RetryOn []int32 `json:"retryOn,omitempty"`

	// What becomes of a request whose provider speaks another API, in which some of it
	// cannot be said: `strict` answers it with a 400 that names the fields. Default: it
	// is sent without them, and the response's headers `Llm-Dropped` and
	// `Llm-Approximated` name them.
	//
	// +kubebuilder:validation:XValidation:rule=`self == 'strict'`,message="this is unknown; write strict, or leave it out"
	Translation string `json:"translation,omitempty"`
}

// LLMRouteMatch matches a request if all of its parts do.
type LLMRouteMatch struct {
	// Headers by name, in any case. `host` is the request's host without its
	// port. At most 16.
	//
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule=`!self.exists(name, name.startsWith('@'))`,message="claims of a token are not matched; write the name of a header"
	// +kubebuilder:validation:XValidation:rule=`!self.exists(name, name.startsWith(':'))`,message="this is not a header name; write host for the request's host"
	Headers map[string]StringMatch `json:"headers,omitempty"`

	// Labels that the calling workload must have. Not used when `gateways` is
	// set.
	SourceLabels map[string]string `json:"sourceLabels,omitempty"`

	// The gateways that the entry is for, instead of the route's.
	Gateways []string `json:"gateways,omitempty"`
}

// StringMatch matches a value. At most one field is set; none means that the
// header is present.
//
// +kubebuilder:validation:XValidation:rule=`!(has(self.exact) && has(self.prefix) || has(self.exact) && has(self.regex) || has(self.prefix) && has(self.regex))`,message="more than one of exact, prefix and regex is set; keep one of them"
type StringMatch struct {
	// The value itself.
	Exact *string `json:"exact,omitempty"`

	// What the value begins with.
	Prefix *string `json:"prefix,omitempty"`

	// An RE2 expression for the whole value. At most 4096 bytes.
	//
	// +kubebuilder:validation:MaxLength=4096
	Regex *string `json:"regex,omitempty"`
}

// LLMBackendRef is a place that requests go to: `providerHost` or `backendRef`.
//
// +kubebuilder:validation:XValidation:rule=`!has(self.providerHost) || self.providerHost == "" || !has(self.backendRef)`,message="providerHost and backendRef are both set; keep one of them"
// +kubebuilder:validation:XValidation:rule=`has(self.providerHost) && self.providerHost != "" || has(self.backendRef)`,message="there is no providerHost; write the host of an LLMProvider"
type LLMBackendRef struct {
	// The host of an LLMProvider.
	ProviderHost string `json:"providerHost,omitempty"`

	// An object of another kind: an InferencePool of `inference.networking.k8s.io`.
	BackendRef *ObjectRef `json:"backendRef,omitempty"`

	// The model to ask for. It goes before the provider's own settings, so that one
	// provider can be there twice, with two models. Default: what the provider's
	// settings say.
	//
	// +kubebuilder:validation:MaxLength=256
	Model string `json:"model,omitempty"`

	// The share of requests in relation to the other backends' weights. 0 means
	// never. Default: equal shares if no backend of the rule has a weight, else
	// 0.
	//
	// +kubebuilder:validation:XValidation:rule=`self >= 0`,message="this is negative; write 0 or more"
	// +kubebuilder:validation:XValidation:rule=`self <= 1073741824`,message="this is too large; write at most 1073741824"
	Weight *int32 `json:"weight,omitempty"`

	// Backends with a higher number are used only when none with a lower one
	// can be. Default: 0.
	//
	// +kubebuilder:validation:XValidation:rule=`self >= 0`,message="this is negative; write 0 for the first choice and higher numbers for standbys"
	Priority int32 `json:"priority,omitempty"`
}

// ObjectRef names an object.
type ObjectRef struct {
	// The object's API group, such as `inference.networking.k8s.io`.
	Group string `json:"group,omitempty"`

	// The object's kind, such as `InferencePool`.
	Kind string `json:"kind,omitempty"`

	// The object's name.
	Name string `json:"name,omitempty"`

	// The object's namespace. Default: the route's.
	Namespace string `json:"namespace,omitempty"`

	// Not used: an InferencePool has its own ports.
	Port int32 `json:"port,omitempty"`
}
