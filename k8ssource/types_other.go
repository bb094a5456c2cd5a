package k8ssource

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Service is what the gateway reads of a Kubernetes Service: that there is one, and which
// pods it is for.
type Service struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	Spec struct {
		Selector map[string]string `json:"selector,omitempty"`

		// Type, ClusterIP and Ports are read of a Service that an InferencePool names.
		Type      string `json:"type,omitempty"`
		ClusterIP string `json:"clusterIP,omitempty"`
		Ports     []struct {
			Port int32 `json:"port,omitempty"`
		} `json:"ports,omitempty"`
	} `json:"spec,omitzero"`
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

// value returns the value of key.
func (s *Secret) value(key string) (string, bool) {
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
