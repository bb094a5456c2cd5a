package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
)

// LLMPolicy is what looks at the text of requests and responses, what is added to
// requests, and whose responses are kept. Guards of a Gateway come first, then those of an LLMRoute, of a rule and of an
// LLMProvider; prompts likewise. Requests that a policy is for get a 503 while it is not
// accepted.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName=llmpol,categories=llm
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name=Guards,type=string,JSONPath=`.spec.guards[*].name`
// +kubebuilder:printcolumn:name=Accepted,type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name=ResolvedRefs,type=string,JSONPath=`.status.conditions[?(@.type=="ResolvedRefs")].status`
// +kubebuilder:printcolumn:name=Programmed,type=string,JSONPath=`.status.conditions[?(@.type=="Programmed")].status`
// +kubebuilder:printcolumn:name=Reason,type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Accepted")].reason`
// +kubebuilder:printcolumn:name=Workload,type=string,priority=1,JSONPath=`.status.workload`
// +kubebuilder:printcolumn:name=Age,type=date,JSONPath=`.metadata.creationTimestamp`
type LLMPolicy struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// What the policy is for, and what it does. Required.
	//
	// +required
	Spec LLMPolicySpec `json:"spec,omitzero"`

	// What a gateway made of the object. Gateways write it.
	//
	// +optional
	Status v1beta1.Status `json:"status,omitzero"`
}

// LLMPolicyList is a list of LLMPolicies.
//
// +kubebuilder:object:root=true
type LLMPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`

	Items []LLMPolicy `json:"items"`
}

// LLMPolicySpec is what a policy is for, and what it does.
//
// +kubebuilder:validation:XValidation:rule=`has(self.targetRefs) && size(self.targetRefs) > 0`,message="there are none, so the policy is for no requests; write at least one LLMRoute, LLMProvider or Gateway of the object's namespace",fieldPath=.targetRefs
// +kubebuilder:validation:XValidation:rule=`has(self.guards) && size(self.guards) > 0 || has(self.prompt) || has(self.cache)`,message="there is nothing to do; write at least one guard, spec.prompt or spec.cache",fieldPath=.guards
type LLMPolicySpec struct {
	// What the policy is for, any of these: LLMRoutes or single rules of them by which
	// requests are routed, LLMProviders that they may be sent to, Gateways that they come
	// in by; all of the object's namespace. Required, at most 16.
	//
	// +kubebuilder:validation:MaxItems=16
	TargetRefs []PolicyTargetRef `json:"targetRefs,omitempty"`

	// What looks at the text of requests and responses, in this order. At most 16.
	//
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule=`self.all(g, !has(g.name) || self.exists_one(other, has(other.name) && other.name == g.name))`,message="two guards have the same name; give each one of its own"
	Guards []Guard `json:"guards,omitempty"`

	// What is added to requests.
	Prompt *Prompt `json:"prompt,omitempty"`

	// That responses are kept, and given to equal requests in place of asking the provider
	// again; `{}` for the gateway's own settings. That of a rule goes before that of its
	// LLMRoute, that before a Gateway's, and that before an LLMProvider's, which is used for rules whose backends
	// all have one.
	Cache *PolicyCache `json:"cache,omitempty"`
}

// PolicyTargetRef names an object of the policy's namespace, or a rule of an LLMRoute.
//
// +kubebuilder:validation:XValidation:rule=`!has(self.sectionName) || self.sectionName == "" || !has(self.kind) || self.kind == 'LLMRoute'`,message="only an LLMRoute has sections, which are its rules; leave it out",fieldPath=.sectionName
type PolicyTargetRef struct {
	TargetRef `json:",inline"`

	// The name of a rule of the LLMRoute. Default: all of its rules.
	//
	// +kubebuilder:validation:MaxLength=253
	SectionName string `json:"sectionName,omitempty"`
}

// PolicyCache is how responses are kept. Where they are is what the gateway's own
// configuration says.
//
// +kubebuilder:validation:XValidation:rule=`!has(self.ttl) || self.ttl == "" || self.ttl.matches('^[+-]?(([0-9]+([.][0-9]*)?|[.][0-9]+)(ns|us|µs|μs|ms|s|m|h))+$') && duration(self.ttl) > duration('0s') && duration(self.ttl) <= duration('87600h')`,message="this is not a duration above zero and up to 87600h; write one such as 1h",fieldPath=.ttl
type PolicyCache struct {
	// How long a response may be used. Default: what the gateway's configuration says, else
	// `1h`.
	TTL v1beta1.Duration `json:"ttl,omitempty"`

	// Which clients share responses: `Client` for none, `Workload` for those of a workload,
	// `Route` for those that call the same address by the same rule, `Everyone` for all.
	// Default: what the gateway's configuration says, else `Client`.
	//
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule=`self in ['', 'Client', 'Workload', 'Route', 'Everyone']`,message="this is unknown; write Client, Workload, Route or Everyone"
	Scope string `json:"scope,omitempty"`
}
