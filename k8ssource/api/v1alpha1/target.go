package v1alpha1

// TargetRef names an object of the same namespace that requests concern: the LLMRoute by
// which they are routed, the LLMProvider that they are sent to, or the Gateway that they
// come in by.
//
// +kubebuilder:validation:XValidation:rule=`has(self.name) && self.name != ""`,message="a name is required; write that of an LLMRoute, LLMProvider or Gateway of the object's namespace",fieldPath=.name
// +kubebuilder:validation:XValidation:rule=`has(self.kind) && self.kind in ['LLMRoute', 'LLMProvider', 'Gateway']`,message="this kind is not supported; write LLMRoute, LLMProvider or Gateway",fieldPath=.kind
// +kubebuilder:validation:XValidation:rule=`!has(self.group) || self.group == "" || !has(self.kind) || !(self.kind in ['LLMRoute', 'LLMProvider', 'Gateway']) || self.group in (self.kind == 'Gateway' ? ['networking.istio.io', 'gateway.networking.k8s.io'] : ['istio.alibabacloud.com'])`,message="this group does not have the kind; leave the group out",fieldPath=.group
type TargetRef struct {
	// The object's API group. Default: that of the kind; for a Gateway, Istio's and
	// that of Gateway API.
	//
	// +kubebuilder:validation:MaxLength=253
	Group string `json:"group,omitempty"`

	// The object's kind: `LLMRoute`, `LLMProvider` or `Gateway`. Required.
	//
	// +kubebuilder:validation:MaxLength=63
	Kind string `json:"kind,omitempty"`

	// The object's name. Required.
	//
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`
}
