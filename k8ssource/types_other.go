package k8ssource

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Service is what the gateway reads of a Kubernetes Service: that there is one.
type Service struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`
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

// Gateway is what the gateway reads of an Istio Gateway.
type Gateway struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	Spec GatewaySpec `json:"spec,omitzero"`
}

// GatewaySpec says which workloads listen where, and for which hosts.
type GatewaySpec struct {
	// The labels of the workloads that act as this gateway. Default: all.
	Selector map[string]string `json:"selector,omitempty"`

	Servers []GatewayServer `json:"servers,omitempty"`
}

// GatewayServer is a port with the hosts it serves.
type GatewayServer struct {
	Name  string      `json:"name,omitempty"`
	Port  GatewayPort `json:"port,omitzero"`
	Bind  string      `json:"bind,omitempty"`
	Hosts []string    `json:"hosts,omitempty"`
	TLS   *GatewayTLS `json:"tls,omitempty"`
}

// GatewayPort is a gateway's external port.
type GatewayPort struct {
	Number   int32  `json:"number,omitempty"`
	Protocol string `json:"protocol,omitempty"`
	Name     string `json:"name,omitempty"`
}

// GatewayTLS are the TLS settings of a server.
type GatewayTLS struct {
	HTTPSRedirect  bool   `json:"httpsRedirect,omitempty"`
	Mode           string `json:"mode,omitempty"`
	CredentialName string `json:"credentialName,omitempty"`
}
