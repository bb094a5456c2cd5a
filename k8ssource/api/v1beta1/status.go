package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Status is what a gateway made of an LLMProvider or LLMRoute.
type Status struct {
	// `Accepted`: nothing is wrong with the object. `ResolvedRefs`: all that it
	// refers to was found and can be used. `Programmed`: it is in use, and requests
	// can reach an LLMRoute: a server that is listened at has its host and, for
	// HTTPS, a certificate. `Conflict`: another object has its host.
	//
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// The workload whose gateway wrote the conditions, as `namespace/workload`.
	// Where several gateways see the object, the one that wrote for the current
	// generation keeps it, and the others leave it alone.
	// A workload whose gateways are gone is corrected by those of others.
	Workload string `json:"workload,omitempty"`

	// The Lease in the workload's namespace that its gateways renew as long as one
	// of them runs.
	Lease string `json:"lease,omitempty"`
}
