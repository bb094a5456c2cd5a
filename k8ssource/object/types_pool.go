package object

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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

// Ready reports whether new requests may be sent to the pod.
func (p *Pod) Ready() bool {
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

// EndpointSlice is what the gateway reads of an EndpointSlice (discovery.k8s.io/v1). A pool
// has ports of its own.
type EndpointSlice struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	Endpoints []SliceEndpoint `json:"endpoints,omitempty"`

	// Ports are those of all endpoints, by the names of the Service's ports.
	Ports []struct {
		Name string `json:"name,omitempty"`
		Port int32  `json:"port,omitempty"`
	} `json:"ports,omitempty"`
}

// SliceEndpoint is an endpoint of an EndpointSlice.
type SliceEndpoint struct {
	Addresses  []string `json:"addresses,omitempty"`
	Conditions struct {
		Ready       *bool `json:"ready,omitempty"`
		Terminating *bool `json:"terminating,omitempty"`
	} `json:"conditions,omitzero"`
}

// Ready reports whether new requests may be sent to the endpoint. What is not said is
// true of being ready, and false of terminating.
func (e *SliceEndpoint) Ready() bool {
	return (e.Conditions.Ready == nil || *e.Conditions.Ready) && (e.Conditions.Terminating == nil || !*e.Conditions.Terminating)
}

// IsService reports whether the reference may be to a Service.
func (r *EndpointPickerRef) IsService() bool {
	return r.Group == "" && (r.Kind == "" || r.Kind == KindService) && IsName(r.Name)
}

// Port is the number of a slice's port of that name, 0 if it has none.
func (s *EndpointSlice) Port(name string) int {
	for _, p := range s.Ports {
		if p.Name == name && p.Port > 0 && p.Port <= 65535 {
			return int(p.Port)
		}
	}
	return 0
}

// ProtocolH2C is the appProtocol of a port that speaks HTTP/2 without TLS.
const ProtocolH2C = "kubernetes.io/h2c"
