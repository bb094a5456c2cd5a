package k8ssource

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// InferencePool is what the gateway reads of an InferencePool of the Gateway API
// Inference Extension (inference.networking.k8s.io/v1): servers for the same models.
type InferencePool struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	Spec InferencePoolSpec `json:"spec,omitzero"`
}

// InferencePoolSpec says which pods the servers are.
type InferencePoolSpec struct {
	Selector struct {
		MatchLabels map[string]string `json:"matchLabels,omitempty"`
	} `json:"selector,omitzero"`

	// TargetPorts are the ports of a pod: each is an endpoint of its own.
	TargetPorts []struct {
		Number int32 `json:"number,omitempty"`
	} `json:"targetPorts,omitempty"`

	// AppProtocol is http, or kubernetes.io/h2c. Default: http.
	AppProtocol string `json:"appProtocol,omitempty"`

	EndpointPickerRef *EndpointPickerRef `json:"endpointPickerRef,omitempty"`
}

// EndpointPickerRef names the service that chooses among a pool's endpoints.
type EndpointPickerRef struct {
	// Group and Kind are those of a Service: empty, and Service. Default: these.
	Group string `json:"group,omitempty"`
	Kind  string `json:"kind,omitempty"`

	// Name is that of the Service, in the pool's namespace.
	Name string `json:"name,omitempty"`

	// Port is one of the Service's own ports.
	Port *struct {
		Number int32 `json:"number,omitempty"`
	} `json:"port,omitempty"`

	// FailureMode is FailClose or FailOpen. Default: FailClose.
	FailureMode string `json:"failureMode,omitempty"`
}

// Pod is what the gateway reads of a Pod: where it is, and whether it is ready.
type Pod struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	Status struct {
		PodIP      string `json:"podIP,omitempty"`
		Conditions []struct {
			Type   string `json:"type,omitempty"`
			Status string `json:"status,omitempty"`
		} `json:"conditions,omitempty"`
	} `json:"status,omitzero"`
}

// ready reports whether new requests may be sent to the pod.
func (p *Pod) ready() bool {
	if p.DeletionTimestamp != nil || p.Status.PodIP == "" {
		return false
	}
	for _, c := range p.Status.Conditions {
		if c.Type == "Ready" {
			return c.Status == "True"
		}
	}
	return false
}

// EndpointSlice is what the gateway reads of an EndpointSlice (discovery.k8s.io/v1). Its
// ports are not used: those of a pool are.
type EndpointSlice struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	Endpoints []SliceEndpoint `json:"endpoints,omitempty"`
}

// SliceEndpoint is an endpoint of an EndpointSlice.
type SliceEndpoint struct {
	Addresses  []string `json:"addresses,omitempty"`
	Conditions struct {
		Ready       *bool `json:"ready,omitempty"`
		Terminating *bool `json:"terminating,omitempty"`
	} `json:"conditions,omitzero"`
}

// ready reports whether new requests may be sent to the endpoint. What is not said is
// true of being ready, and false of terminating.
func (e *SliceEndpoint) ready() bool {
	return (e.Conditions.Ready == nil || *e.Conditions.Ready) && (e.Conditions.Terminating == nil || !*e.Conditions.Terminating)
}
