package object

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Gateway is an Istio Gateway (networking.istio.io), with all of its fields: what
// is not supported is reported. Its comments are Istio's reference.
type Gateway struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	Spec GatewaySpec `json:"spec,omitzero"`
}

// GatewaySpec says which workloads listen where, and for which hosts.
type GatewaySpec struct {
	// The labels of the workloads that act as this gateway. Default: all.
	Selector map[string]string `json:"selector,omitempty"`

	// What to listen on.
	Servers []GatewayServer `json:"servers,omitempty"`
}

// GatewayServer is a port with the hosts it serves.
type GatewayServer struct {
	// The server's name. It is for people.
	Name string `json:"name,omitempty"`

	// Where to listen. Required.
	Port GatewayPort `json:"port,omitzero"`

	// The IP address to listen at. Default: all.
	Bind string `json:"bind,omitempty"`

	// The hosts, as `[namespace/]dnsName`: the name may be `*` or `*.suffix`, and
	// the namespace that of the routes which may bind, `.` for the Gateway's own
	// or `*` for any. Required.
	Hosts []string `json:"hosts,omitempty"`

	// TLS settings, or the redirect to https.
	TLS *GatewayTLS `json:"tls,omitempty"`

	// Not supported.
	DefaultEndpoint string `json:"defaultEndpoint,omitempty"`
}

// GatewayPort is a gateway's external port.
type GatewayPort struct {
	// The port as clients know it. Required.
	Number int32 `json:"number,omitempty"`

	// HTTP, HTTP2, or HTTPS. Required.
	Protocol string `json:"protocol,omitempty"`

	// The port's name. It is for people.
	Name string `json:"name,omitempty"`

	// Not used, as in Istio.
	TargetPort int32 `json:"targetPort,omitempty"`
}

// GatewayTLS are the TLS settings of a server.
type GatewayTLS struct {
	// Whether requests by plain HTTP are redirected to https.
	HTTPSRedirect bool `json:"httpsRedirect,omitempty"`

	// SIMPLE, or MUTUAL for clients with certificates.
	Mode string `json:"mode,omitempty"`

	// The Secret with the certificate (`tls.crt`), its key (`tls.key`) and, for
	// MUTUAL, the authorities of client certificates (`ca.crt`, here or in a
	// Secret whose name has the suffix `-cacert`).
	CredentialName string `json:"credentialName,omitempty"`

	// TLSV1_2 or TLSV1_3. Default: TLSV1_2.
	MinProtocolVersion string `json:"minProtocolVersion,omitempty"`

	// Not supported.
	CredentialNames       []string `json:"credentialNames,omitempty"`
	CACertCredentialName  string   `json:"caCertCredentialName,omitempty"`
	ServerCertificate     string   `json:"serverCertificate,omitempty"`
	PrivateKey            string   `json:"privateKey,omitempty"`
	CACertificates        string   `json:"caCertificates,omitempty"`
	CACRL                 string   `json:"caCrl,omitempty"`
	TLSCertificates       []any    `json:"tlsCertificates,omitempty"`
	SubjectAltNames       []string `json:"subjectAltNames,omitempty"`
	VerifyCertificateSPKI []string `json:"verifyCertificateSpki,omitempty"`
	VerifyCertificateHash []string `json:"verifyCertificateHash,omitempty"`
	MaxProtocolVersion    string   `json:"maxProtocolVersion,omitempty"`
	CipherSuites          []string `json:"cipherSuites,omitempty"`
	InsecureSkipVerify    bool     `json:"insecureSkipVerify,omitempty"`
}
