package object

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Service is what the gateway reads of a Kubernetes Service: that there is one, and which
// pods it is for.
type Service struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	Spec struct {
		Selector map[string]string `json:"selector,omitempty"`

		// Type, ClusterIP and Ports are read of a Service that an InferencePool or an
		// HTTPRoute names.
		Type      string        `json:"type,omitempty"`
		ClusterIP string        `json:"clusterIP,omitempty"`
		Ports     []ServicePort `json:"ports,omitempty"`
	} `json:"spec,omitzero"`
}

// ServicePort is a port of a Service.
type ServicePort struct {
	Name        string `json:"name,omitempty"`
	Port        int32  `json:"port,omitempty"`
	Protocol    string `json:"protocol,omitempty"` // empty is TCP
	AppProtocol string `json:"appProtocol,omitempty"`
}

// Secret is what the gateway reads of a Kubernetes Secret.
type Secret struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// The values, in base64 as JSON and YAML.
	Data map[string][]byte `json:"data,omitempty"`

	// Values as plain text. They win over those of the same key in Data.
	StringData map[string]string `json:"stringData,omitempty"`
}

// Value returns the value of key.
func (s *Secret) Value(key string) (string, bool) {
	if v, ok := s.StringData[key]; ok {
		return v, true
	}
	v, ok := s.Data[key]
	return string(v), ok
}

// ConfigMap is what the gateway reads of a Kubernetes ConfigMap.
type ConfigMap struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	Data map[string]string `json:"data,omitempty"`
}

// Port is a Service's port of that number, nil if it has none.
func (s *Service) Port(number int32) *ServicePort {
	for i := range s.Spec.Ports {
		if p := &s.Spec.Ports[i]; p.Port == number {
			return p
		}
	}
	return nil
}

// HasPort reports whether a Service has a port. One of which no ports are known may have any.
func (s *Service) HasPort(number int32) bool {
	return len(s.Spec.Ports) == 0 || s.Port(number) != nil
}

// TypeExternalName is the type of a Service that is another name of a host.
const TypeExternalName = "ExternalName"
