// Package k8ssource turns Kubernetes objects into the gateway's configuration:
// the types of LLMProvider and LLMRoute, the reader of YAML files, Translate,
// and the files source.
package k8ssource

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

const (
	// Group is the API group of LLMProvider and LLMRoute.
	Group = "istio.alibabacloud.com"

	// KindLLMProvider is the kind of an LLMProvider.
	KindLLMProvider = "LLMProvider"
	// KindLLMRoute is the kind of an LLMRoute.
	KindLLMRoute = "LLMRoute"

	kindGateway = "Gateway"
)

// versions are the versions of Group, which have the same schema.
var versions = []string{"v1beta1", "v1"}

// LLMProvider is an account at an LLM API that gateways and sidecars send
// requests to.
type LLMProvider struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	Spec LLMProviderSpec `json:"spec,omitzero"`

	// What a gateway made of the object. Gateways write it.
	Status Status `json:"status,omitzero"`
}

// LLMProviderSpec says where the provider is and what is filled into requests.
type LLMProviderSpec struct {
	// Which gateways and sidecars get the provider. Without it, those of the
	// object's namespace; from the root namespace, all.
	WorkloadSelector *WorkloadSelector `json:"workloadSelector,omitempty"`

	// The provider's DNS name, which clients may call and `providerHost` refers
	// to. It belongs to one provider per workload. Required.
	Host string `json:"host,omitempty"`

	// The path of the provider's chat completions endpoint. It replaces the
	// client's. Default: `/v1/chat/completions`.
	Path string `json:"path,omitempty"`

	// What is filled into requests.
	Configs *ProviderConfigs `json:"configs,omitempty"`

	// How the provider is reached: `https` or `http`. Default: `https`.
	Scheme string `json:"scheme,omitempty"`

	// The provider's TCP port. Default: 443 with https, 80 with http.
	Port int32 `json:"port,omitempty"`

	// TLS settings. Default: the system's certificate authorities and the name
	// in `host`.
	TLS *ProviderTLS `json:"tls,omitempty"`

	// Headers that are added to each request, or replace the client's. Values
	// are sent as they are written.
	Headers map[string]string `json:"headers,omitempty"`

	// Time limits.
	Timeouts *ProviderTimeouts `json:"timeouts,omitempty"`
}

// WorkloadSelector selects workloads by their labels.
type WorkloadSelector struct {
	// The labels a workload must have, all of them.
	Labels map[string]string `json:"labels,omitempty"`
}

// ProviderConfigs is what a provider fills into requests.
type ProviderConfigs struct {
	// For every request.
	DefaultConfig *ProviderConfig `json:"defaultConfig,omitempty"`

	// For requests that matched the LLMRoute rule of that name. What an entry
	// leaves unset is taken from `defaultConfig`.
	RouteSpecificConfigs map[string]ProviderConfig `json:"routeSpecificConfigs,omitempty"`
}

// ProviderConfig holds the settings for one kind of API.
type ProviderConfig struct {
	// For APIs that follow OpenAI's.
	OpenAIConfig *OpenAIConfig `json:"openAIConfig,omitempty"`
}

// OpenAIConfig is filled into requests to an OpenAI-compatible API. What is
// unset leaves the client's value.
type OpenAIConfig struct {
	// The model to ask for, whatever the client asked for.
	Model *string `json:"model,omitempty"`

	// Whether to stream the answer, whatever the client asked for.
	Stream *bool `json:"stream,omitempty"`

	// The API key, as it is. Placeholders are not filled in.
	APIKey *string `json:"apiKey,omitempty"`

	// The Secret that holds the API key, in the object's own namespace. Not
	// together with `apiKey`.
	APIKeySecretRef *SecretKeyRef `json:"apiKeySecretRef,omitempty"`
}

// SecretKeyRef names a value in a Secret of the object's own namespace.
type SecretKeyRef struct {
	// The Secret's name. Required.
	Name string `json:"name,omitempty"`

	// The key of the value in the Secret.
	Key string `json:"key,omitempty"`
}

// ProviderTLS are the TLS settings towards a provider.
type ProviderTLS struct {
	// The Secret with the certificates to trust, as PEM, instead of the
	// system's. Its key is `ca.crt` unless named.
	CASecretRef *SecretKeyRef `json:"caSecretRef,omitempty"`

	// The name in the provider's certificate. Default: `host`.
	ServerName string `json:"serverName,omitempty"`

	// Whether to accept any certificate. Only for tests: whoever is between the
	// gateway and the provider can read the key.
	InsecureSkipVerify bool `json:"insecureSkipVerify,omitempty"`
}

// ProviderTimeouts are durations such as `3s` or `10m`.
type ProviderTimeouts struct {
	// How long a connection may take, for its TCP part and its TLS part each.
	// Default: `3s`.
	Connect string `json:"connect,omitempty"`

	// How long the provider may take to begin its answer. Default: `10m`.
	FirstByte string `json:"firstByte,omitempty"`

	// How long the provider may be silent inside an answer. Default: `5m`.
	Idle string `json:"idle,omitempty"`
}
