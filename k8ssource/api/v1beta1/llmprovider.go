package v1beta1

import (
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// LLMProvider is an account at an LLM API that gateways and sidecars send
// requests to.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName=llmp,categories=llm
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name=Host,type=string,JSONPath=`.spec.host`
// +kubebuilder:printcolumn:name=Model,type=string,JSONPath=`.spec.configs.defaultConfig.openAIConfig.model`
// +kubebuilder:printcolumn:name=Accepted,type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name=Programmed,type=string,JSONPath=`.status.conditions[?(@.type=="Programmed")].status`
// +kubebuilder:printcolumn:name=Reason,type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Accepted")].reason`
// +kubebuilder:printcolumn:name=Workload,type=string,priority=1,JSONPath=`.status.workload`
// +kubebuilder:printcolumn:name=Age,type=date,JSONPath=`.metadata.creationTimestamp`
type LLMProvider struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// Where the provider is, and what is filled into requests to it. Required.
	//
	// +required
	Spec LLMProviderSpec `json:"spec,omitzero"`

	// What a gateway made of the object. Gateways write it.
	//
	// +optional
	Status Status `json:"status,omitzero"`
}

// LLMProviderList is a list of LLMProviders.
//
// +kubebuilder:object:root=true
type LLMProviderList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`

	Items []LLMProvider `json:"items"`
}

// LLMProviderSpec says where the provider is and what is filled into requests.
//
// The rules about texts stand at the objects that have them, because those of a field
// print its value, which may hold a key.
//
// +kubebuilder:validation:XValidation:rule=`has(self.pool) || has(self.host) && self.host != ""`,message="a host is required; write the provider's DNS name, such as api.example.com",fieldPath=.host
// +kubebuilder:validation:XValidation:rule=`!has(self.pool) || has(self.pool.name) && self.pool.name != ""`,message="there is none; write the name of an InferencePool of the object's namespace",fieldPath=.pool.name
// +kubebuilder:validation:XValidation:rule=`!has(self.pool) || !has(self.host) || self.host == ""`,message="host and pool are both set; keep one of them",fieldPath=.pool
// +kubebuilder:validation:XValidation:rule=`!has(self.pool) || !has(self.port) || self.port == 0`,message="a pool's endpoints have the ports of the InferencePool; leave it out",fieldPath=.port
// +kubebuilder:validation:XValidation:rule=`!has(self.tls) || !has(self.scheme) || self.scheme != 'http'`,message="there are TLS settings, but scheme is http; write https, or leave one of them out",fieldPath=.tls
// +kubebuilder:validation:XValidation:rule=`!has(self.host) || self.host == "" || self.host.matches('^([a-zA-Z0-9_][a-zA-Z0-9._-]*|[0-9a-fA-F.]*:[0-9a-fA-F.]*:[0-9a-fA-F:.]*)$')`,message="this is not a DNS name",messageExpression=`'the host' + (self.host.contains('://') ? ' has a scheme; write the DNS name alone' : self.host.contains('/') ? ' has a path; write the DNS name alone, and the path as path' : self.host.contains(':') ? ' has a port; write the DNS name alone, and the port as port' : self.host.matches('^[.-]') ? ' is not a DNS name' : " is not a DNS name: '" + self.host.find('[^a-zA-Z0-9._-]') + "' is not allowed in one")`,fieldPath=.host
// +kubebuilder:validation:XValidation:rule=`!has(self.host) || self.host.contains(':') || self.host.matches('^((25[0-5]|(2[0-4]|1?[0-9])?[0-9])([.]|$)){4}$') || !self.host.matches('(^|[.])([0-9]+|0[xX][^.]*)$')`,message="the host is neither a DNS name nor an IP address",fieldPath=.host
// +kubebuilder:validation:XValidation:rule=`!has(self.path) || self.path == "" || self.path.matches('^/([^\\x00-\\x20\\x7f%?#]|%[0-9a-fA-F]{2})*([?][^\\x00-\\x20\\x7f#]*)?$')`,message="this is not a URL path; write one such as /v1/chat/completions",messageExpression=`'the path' + (!self.path.startsWith('/') ? ' does not begin with a slash' : self.path.contains('#') ? ' has a fragment, which is never sent; leave it out' : ' is not a URL path') + '; write one such as /v1/chat/completions'`,fieldPath=.path
// +kubebuilder:validation:XValidation:rule=`!has(self.scheme) || self.scheme in ["", 'https', 'http']`,message="this is not supported; write https or http",fieldPath=.scheme
// +kubebuilder:validation:XValidation:rule=`!has(self.path) || self.path == "" || !has(self.configs) || !has(self.configs.defaultConfig) || !has(self.configs.defaultConfig.azureConfig) || !has(self.configs.defaultConfig.azureConfig.apiVersion) || self.configs.defaultConfig.azureConfig.apiVersion == ""`,message="path and api_version are both set: with an API version, requests go to the path of a deployment; remove one of them",fieldPath=.configs.defaultConfig.azureConfig
// +kubebuilder:validation:XValidation:rule=`!has(self.apis) || size(self.apis) == 0 || !has(self.configs) || !((has(self.configs.defaultConfig) && has(self.configs.defaultConfig.anthropicConfig) || has(self.configs.routeSpecificConfigs) && self.configs.routeSpecificConfigs.exists(name, has(self.configs.routeSpecificConfigs[name].anthropicConfig))) || (has(self.configs.defaultConfig) && has(self.configs.defaultConfig.geminiConfig) || has(self.configs.routeSpecificConfigs) && self.configs.routeSpecificConfigs.exists(name, has(self.configs.routeSpecificConfigs[name].geminiConfig))) || (has(self.configs.defaultConfig) && has(self.configs.defaultConfig.vertexConfig) || has(self.configs.routeSpecificConfigs) && self.configs.routeSpecificConfigs.exists(name, has(self.configs.routeSpecificConfigs[name].vertexConfig))))`,message="providers of this kind have no further APIs; leave it out",fieldPath=.apis
// +kubebuilder:validation:XValidation:rule=`!has(self.apis) || !self.apis.exists(api, has(api.name) && api.name in ['responses', 'chat']) || !has(self.configs) || !(has(self.configs.defaultConfig) && has(self.configs.defaultConfig.azureConfig) || has(self.configs.routeSpecificConfigs) && self.configs.routeSpecificConfigs.exists(name, has(self.configs.routeSpecificConfigs[name].azureConfig)))`,message="providers of this kind support these further APIs: messages; leave out all others",fieldPath=.apis
// +kubebuilder:validation:XValidation:rule=`!has(self.apis) || !self.apis.exists(api, has(api.name) && api.name == 'chat') || has(self.configs) && ((has(self.configs.defaultConfig) && has(self.configs.defaultConfig.anthropicConfig) || has(self.configs.routeSpecificConfigs) && self.configs.routeSpecificConfigs.exists(name, has(self.configs.routeSpecificConfigs[name].anthropicConfig))) || (has(self.configs.defaultConfig) && has(self.configs.defaultConfig.azureConfig) || has(self.configs.routeSpecificConfigs) && self.configs.routeSpecificConfigs.exists(name, has(self.configs.routeSpecificConfigs[name].azureConfig))) || (has(self.configs.defaultConfig) && has(self.configs.defaultConfig.bedrockConfig) || has(self.configs.routeSpecificConfigs) && self.configs.routeSpecificConfigs.exists(name, has(self.configs.routeSpecificConfigs[name].bedrockConfig))) || (has(self.configs.defaultConfig) && has(self.configs.defaultConfig.geminiConfig) || has(self.configs.routeSpecificConfigs) && self.configs.routeSpecificConfigs.exists(name, has(self.configs.routeSpecificConfigs[name].geminiConfig))) || (has(self.configs.defaultConfig) && has(self.configs.defaultConfig.vertexConfig) || has(self.configs.routeSpecificConfigs) && self.configs.routeSpecificConfigs.exists(name, has(self.configs.routeSpecificConfigs[name].vertexConfig))))`,message="providers of this kind support these further APIs: messages, responses; leave out all others",fieldPath=.apis
// +kubebuilder:validation:XValidation:rule=`!has(self.apis) || !self.apis.exists(api, !has(api.path) || api.path == "") || !has(self.path) || self.path == "" || self.path.matches('^[^?]*/chat/completions/?([?]|$)') || has(self.configs) && (has(self.configs.defaultConfig) && has(self.configs.defaultConfig.bedrockConfig) || has(self.configs.routeSpecificConfigs) && self.configs.routeSpecificConfigs.exists(name, has(self.configs.routeSpecificConfigs[name].bedrockConfig)))`,message="spec.path does not end in /chat/completions, so the path of an API without one cannot be derived; write its path",fieldPath=.apis
// +kubebuilder:validation:XValidation:rule=`!has(self.fetchMedia) || has(self.configs) && (has(self.configs.defaultConfig) && (has(self.configs.defaultConfig.geminiConfig) || has(self.configs.defaultConfig.vertexConfig) || has(self.configs.defaultConfig.bedrockConfig)) || has(self.configs.routeSpecificConfigs) && self.configs.routeSpecificConfigs.exists(name, has(self.configs.routeSpecificConfigs[name].geminiConfig) || has(self.configs.routeSpecificConfigs[name].vertexConfig) || has(self.configs.routeSpecificConfigs[name].bedrockConfig)))`,message="providers of this kind are sent URLs, and fetch them themselves; leave it out",fieldPath=.fetchMedia
type LLMProviderSpec struct {
	// The vendor whose habits requests are translated for, where a client speaks another
	// API than the provider, such as `deepseek`; `none` for no habits. Default: by host.
	//
	// +kubebuilder:validation:MaxLength=64
	Profile string `json:"profile,omitempty"`

	// Which gateways and sidecars of the object's namespace get the provider; from
	// the root namespace, of all namespaces. Without it, all of them.
	WorkloadSelector *WorkloadSelector `json:"workloadSelector,omitempty"`

	// The provider's DNS name, which clients may call and `providerHost` refers
	// to. It belongs to one provider per workload. Required without a pool.
	Host Host `json:"host,omitempty"`

	// The InferencePool that the provider is, instead of a host: servers of one's own
	// for the same models. What is set here holds for all of them, but scheme is
	// `http` by default, and port is that of the pool.
	Pool *ProviderPool `json:"pool,omitempty"`

	// The path of the provider's chat completions endpoint. It replaces the
	// client's. Default: `/v1/chat/completions`.
	//
	// +kubebuilder:validation:MaxLength=4096
	Path string `json:"path,omitempty"`

	// What is filled into requests.
	Configs *ProviderConfigs `json:"configs,omitempty"`

	// How the provider is reached: `https` or `http`. Default: `https`.
	//
	// +kubebuilder:validation:MaxLength=128
	Scheme string `json:"scheme,omitempty"`

	// The provider's TCP port. Default: 443 with https, 80 with http.
	//
	// +kubebuilder:validation:XValidation:rule=`self >= 0 && self <= 65535`,message="this is not a port; write 1 to 65535"
	Port int32 `json:"port,omitempty"`

	// TLS settings. Default: the system's certificate authorities and the name
	// in `host`.
	TLS *ProviderTLS `json:"tls,omitempty"`

	// Headers that are added to each request, or replace the client's. Values
	// are sent as they are written. At most 64.
	//
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:validation:XValidation:rule=`self.all(name, name.matches('^[a-zA-Z0-9!#$%&\'*+.^_\x60|~-]+$'))`,message="this is not a header name"
	// +kubebuilder:validation:XValidation:rule=`!self.exists(name, name.lowerAscii() in ['connection', 'proxy-connection', 'keep-alive', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'http2-settings', 'expect', 'host', 'cdn-loop', 'content-length', 'content-type', 'content-encoding', 'accept-encoding', 'proxy-authorization'])`,message="the gateway writes this header itself; leave it out"
	// +kubebuilder:validation:XValidation:rule=`self.all(name, self.exists_one(other, other.lowerAscii() == name.lowerAscii()))`,message="the header is set twice, its name written in two ways; keep one of them"
	Headers map[string]string `json:"headers,omitempty"`

	// Time limits.
	Timeouts *ProviderTimeouts `json:"timeouts,omitempty"`

	// Further APIs that the provider has, beside that of its kind. Requests in one of
	// them pass as they are; those in other APIs are translated. At most 8.
	//
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:XValidation:rule=`self.all(api, !has(api.name) || self.exists_one(other, has(other.name) && other.name == api.name))`,message="an API is listed twice; keep one of them"
	APIs []ProviderAPI `json:"apis,omitempty"`

	// Fetches images and documents that clients of other APIs give as URLs, and sends
	// them as data, with `geminiConfig`, `vertexConfig` and `bedrockConfig`, whose APIs
	// take no URLs; `{}` for the default size. Default: such requests are refused.
	FetchMedia *FetchMedia `json:"fetchMedia,omitempty"`
}

// FetchMedia says how media are fetched that clients give as URLs: from servers with
// public addresses alone, and only https and http URLs without a port, up to 20 for a
// request, within 10 seconds. Clients decide which of these servers are called.
type FetchMedia struct {
	// The most to fetch for one request, in bytes, up to 1 GiB. Default: 20971520, which
	// is 20 MiB.
	//
	// +kubebuilder:validation:XValidation:rule=`self >= 1 && self <= 1073741824`,message="the size is not one from 1 byte to 1 GiB; write one such as 20971520"
	MaxSize *int64 `json:"maxSize,omitempty"`
}

// ProviderAPI is a further API of a provider.
//
// +kubebuilder:validation:XValidation:rule=`has(self.name)`,message="a name is required; write messages, responses or chat",fieldPath=.name
// +kubebuilder:validation:XValidation:rule=`!has(self.name) || self.name in ['messages', 'responses', 'chat']`,message="there is no API of this name; write messages, responses or chat",fieldPath=.name
// +kubebuilder:validation:XValidation:rule=`!has(self.path) || self.path == "" || self.path.matches('^/([^\\x00-\\x20\\x7f%?#]|%[0-9a-fA-F]{2})*([?][^\\x00-\\x20\\x7f#]*)?$')`,message="this is not a URL path; write one such as /anthropic/v1/messages",fieldPath=.path
// +kubebuilder:validation:XValidation:rule=`!has(self.keyHeader) || self.keyHeader == "" || self.keyHeader.lowerAscii() in ['x-api-key', 'authorization']`,message="the key is sent as x-api-key or as Authorization; write one of them, or leave it out",fieldPath=.keyHeader
type ProviderAPI struct {
	// The API: `messages`, which is Anthropic's, `responses`, or, at Bedrock, `chat`.
	// Those that a kind may have are those of its Caddyfile. Required.
	//
	// +kubebuilder:validation:MaxLength=128
	Name string `json:"name,omitempty"`

	// The path of its endpoint, such as `/anthropic/v1/messages`. Default: beside the
	// provider's `path`; at Bedrock and at Azure's Foundry, where these have it.
	//
	// +kubebuilder:validation:MaxLength=4096
	Path string `json:"path,omitempty"`

	// The header that the key is sent in: `x-api-key`, or `Authorization` after
	// `Bearer`. Default: `Authorization`.
	//
	// +kubebuilder:validation:MaxLength=128
	KeyHeader string `json:"keyHeader,omitempty"`
}

// ProviderPool names an InferencePool.
type ProviderPool struct {
	// The name of an InferencePool (inference.networking.k8s.io) of the object's
	// namespace. Required.
	//
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`
}

// Host is a DNS name or an IP address.
//
// +kubebuilder:validation:MaxLength=253
type Host string

// WorkloadSelector selects workloads by their labels.
type WorkloadSelector struct {
	// The labels a workload must have, all of them.
	Labels map[string]string `json:"labels,omitempty"`
}

// ProviderConfigs is what a provider fills into requests. All of it is for one kind of
// provider.
//
// +kubebuilder:validation:XValidation:rule=`((has(self.defaultConfig) && has(self.defaultConfig.anthropicConfig) || has(self.routeSpecificConfigs) && self.routeSpecificConfigs.exists(name, has(self.routeSpecificConfigs[name].anthropicConfig))) ? 1 : 0) + ((has(self.defaultConfig) && has(self.defaultConfig.azureConfig) || has(self.routeSpecificConfigs) && self.routeSpecificConfigs.exists(name, has(self.routeSpecificConfigs[name].azureConfig))) ? 1 : 0) + ((has(self.defaultConfig) && has(self.defaultConfig.bedrockConfig) || has(self.routeSpecificConfigs) && self.routeSpecificConfigs.exists(name, has(self.routeSpecificConfigs[name].bedrockConfig))) ? 1 : 0) + ((has(self.defaultConfig) && has(self.defaultConfig.geminiConfig) || has(self.routeSpecificConfigs) && self.routeSpecificConfigs.exists(name, has(self.routeSpecificConfigs[name].geminiConfig))) ? 1 : 0) + ((has(self.defaultConfig) && has(self.defaultConfig.openAIConfig) || has(self.routeSpecificConfigs) && self.routeSpecificConfigs.exists(name, has(self.routeSpecificConfigs[name].openAIConfig))) ? 1 : 0) + ((has(self.defaultConfig) && has(self.defaultConfig.vertexConfig) || has(self.routeSpecificConfigs) && self.routeSpecificConfigs.exists(name, has(self.routeSpecificConfigs[name].vertexConfig))) ? 1 : 0) <= 1`,message="there are settings for providers of different kinds; keep those of one kind, and create an object for each other"
// +kubebuilder:validation:XValidation:rule=`!has(self.routeSpecificConfigs) || self.routeSpecificConfigs.all(name, !has(self.routeSpecificConfigs[name].azureConfig) || (!has(self.routeSpecificConfigs[name].azureConfig.apiVersion) || self.routeSpecificConfigs[name].azureConfig.apiVersion == "") && !has(self.routeSpecificConfigs[name].azureConfig.entra))`,message="a rule's azureConfig has settings of the provider itself (apiVersion, entra); they hold for all requests to a provider; write them into defaultConfig",fieldPath=.routeSpecificConfigs
// +kubebuilder:validation:XValidation:rule=`!has(self.routeSpecificConfigs) || self.routeSpecificConfigs.all(name, !has(self.routeSpecificConfigs[name].vertexConfig) || (!has(self.routeSpecificConfigs[name].vertexConfig.project) || self.routeSpecificConfigs[name].vertexConfig.project == "") && (!has(self.routeSpecificConfigs[name].vertexConfig.location) || self.routeSpecificConfigs[name].vertexConfig.location == "") && (!has(self.routeSpecificConfigs[name].vertexConfig.quotaProject) || self.routeSpecificConfigs[name].vertexConfig.quotaProject == "") && !has(self.routeSpecificConfigs[name].vertexConfig.credentialsSecretRef))`,message="a rule's vertexConfig has settings of the provider itself (project, location, quotaProject, credentialsSecretRef); they hold for all requests to a provider; write them into defaultConfig",fieldPath=.routeSpecificConfigs
// +kubebuilder:validation:XValidation:rule=`!has(self.routeSpecificConfigs) || self.routeSpecificConfigs.all(name, !has(self.routeSpecificConfigs[name].bedrockConfig) || (!has(self.routeSpecificConfigs[name].bedrockConfig.region) || self.routeSpecificConfigs[name].bedrockConfig.region == "") && (!has(self.routeSpecificConfigs[name].bedrockConfig.roleArn) || self.routeSpecificConfigs[name].bedrockConfig.roleArn == "") && (!has(self.routeSpecificConfigs[name].bedrockConfig.accessKeyID) || self.routeSpecificConfigs[name].bedrockConfig.accessKeyID == "") && !has(self.routeSpecificConfigs[name].bedrockConfig.secretAccessKeySecretRef))`,message="a rule's bedrockConfig has settings of the provider itself (region, roleArn, accessKeyID, secretAccessKeySecretRef); they hold for all requests to a provider; write them into defaultConfig",fieldPath=.routeSpecificConfigs
// +kubebuilder:validation:XValidation:rule=`!(has(self.defaultConfig) && has(self.defaultConfig.bedrockConfig) || has(self.routeSpecificConfigs) && self.routeSpecificConfigs.exists(name, has(self.routeSpecificConfigs[name].bedrockConfig))) || has(self.defaultConfig) && has(self.defaultConfig.bedrockConfig) && has(self.defaultConfig.bedrockConfig.region) && self.defaultConfig.bedrockConfig.region != ""`,message="region is required; write one such as eu-central-1",fieldPath=.defaultConfig.bedrockConfig
// +kubebuilder:validation:XValidation:rule=`!(has(self.defaultConfig) && has(self.defaultConfig.vertexConfig) || has(self.routeSpecificConfigs) && self.routeSpecificConfigs.exists(name, has(self.routeSpecificConfigs[name].vertexConfig))) || has(self.defaultConfig) && has(self.defaultConfig.vertexConfig) && (has(self.defaultConfig.vertexConfig.project) && self.defaultConfig.vertexConfig.project != "" || (has(self.defaultConfig.vertexConfig.apiKeySecretRef) || has(self.defaultConfig.vertexConfig.apiKey) && !self.defaultConfig.vertexConfig.apiKey.matches("^\\s*$")) && (!has(self.routeSpecificConfigs) || !self.routeSpecificConfigs.exists(name, has(self.routeSpecificConfigs[name].vertexConfig) && has(self.routeSpecificConfigs[name].vertexConfig.apiKey) && self.routeSpecificConfigs[name].vertexConfig.apiKey.matches("^\\s*$"))))`,message="project is required; write a project ID, or set api_key",fieldPath=.defaultConfig.vertexConfig
type ProviderConfigs struct {
	// For every request.
	DefaultConfig *ProviderConfig `json:"defaultConfig,omitempty"`

	// For requests that matched the LLMRoute rule of that name. What an entry
	// leaves unset is taken from `defaultConfig`. At most 128 entries.
	//
	// +kubebuilder:validation:MaxProperties=128
	// +kubebuilder:validation:XValidation:rule=`!('' in self)`,message="the name of a rule is empty; write the name of an LLMRoute's rule, or move the settings into defaultConfig"
	RouteSpecificConfigs map[string]ProviderConfig `json:"routeSpecificConfigs,omitempty"`
}

// ProviderConfig holds the settings for one kind of API.
type ProviderConfig struct {
	// For APIs that follow OpenAI's.
	OpenAIConfig *OpenAIConfig `json:"openAIConfig,omitempty"`

	// For Anthropic's API.
	AnthropicConfig *AnthropicConfig `json:"anthropicConfig,omitempty"`

	// For Google's Gemini API.
	GeminiConfig *GeminiConfig `json:"geminiConfig,omitempty"`

	// For Azure OpenAI and Microsoft Foundry.
	AzureConfig *AzureConfig `json:"azureConfig,omitempty"`

	// For Vertex AI of Google Cloud.
	VertexConfig *VertexConfig `json:"vertexConfig,omitempty"`

	// For Amazon Bedrock.
	BedrockConfig *BedrockConfig `json:"bedrockConfig,omitempty"`

	// Others are the settings for kinds that are not part of the gateway itself, by the
	// names of their fields. They are not part of the CustomResourceDefinition.
	Others map[string]KindConfig `json:"-"`
}

// KindConfig is what the settings for all kinds have in common.
type KindConfig struct {
	// The model to ask for, whatever the client asked for.
	Model *string `json:"model,omitempty"`

	// Whether to stream the response, whatever the client asked for.
	Stream *bool `json:"stream,omitempty"`

	// The API key, as it is.
	APIKey *string `json:"apiKey,omitempty"`

	// The Secret that holds the API key.
	APIKeySecretRef *SecretKeyRef `json:"apiKeySecretRef,omitempty"`

	// The most tokens to ask for where the client's API needs no number, for kinds that
	// have it.
	MaxTokens *int32 `json:"maxTokens,omitempty"`

	// Options are the kind's own settings, by name.
	Options map[string]json.RawMessage `json:"-"`

	// Secrets are those of them that refer to Secrets.
	Secrets map[string]*SecretKeyRef `json:"-"`
}

// OpenAIConfig is filled into requests to an OpenAI-compatible API. What is
// unset leaves the client's value.
//
// +kubebuilder:validation:XValidation:rule=`!has(self.apiKey) || !has(self.apiKeySecretRef)`,message="apiKey and apiKeySecretRef are both set; keep one of them"
// +kubebuilder:validation:XValidation:rule=`!has(self.apiKey) || !self.apiKey.matches('(?s){{.*}}|[$]{.*}|^\\s*<.*>\\s*$|{([$]|(env|file|vars|http|system)[.])[^{}]*}') && self.apiKey.matches('^\\s*[^\\x00- \\x7f]*\\s*$')`,message="this is not an API key; write the API key itself, or name a Secret with apiKeySecretRef",messageExpression=`(self.apiKey.matches('(?s){{.*}}') ? 'this is a template nobody has filled in ({{…}}), and placeholders are not expanded in objects' : self.apiKey.matches('(?s)[$]{.*}') ? 'this is a template nobody has filled in (${…}), and placeholders are not expanded in objects' : self.apiKey.matches('(?s)^\\s*<.*>\\s*$') ? 'this is a template nobody has filled in (<…>), and placeholders are not expanded in objects' : self.apiKey.matches('{([$]|(env|file|vars|http|system)[.])[^{}]*}') ? 'this is a template nobody has filled in ({…}), and placeholders are not expanded in objects' : 'the key has a space or a control character inside') + '; write the API key itself, or name a Secret with apiKeySecretRef'`,fieldPath=.apiKey
// +kubebuilder:validation:XValidation:rule=`!has(self.apiKeySecretRef) || has(self.apiKeySecretRef.key) && self.apiKeySecretRef.key != ""`,message="a key is required; write under which one the Secret has the value",fieldPath=.apiKeySecretRef.key
type OpenAIConfig struct {
	// The model to ask for, whatever the client asked for.
	Model *string `json:"model,omitempty"`

	// Whether to stream the response, whatever the client asked for.
	Stream *bool `json:"stream,omitempty"`

	// The API key, as it is. Placeholders are not filled in. At most 4096 bytes.
	//
	// +kubebuilder:validation:MaxLength=4096
	APIKey *string `json:"apiKey,omitempty"`

	// The Secret that holds the API key, in the object's own namespace. Not
	// together with `apiKey`.
	APIKeySecretRef *SecretKeyRef `json:"apiKeySecretRef,omitempty"`
}

// AnthropicConfig is filled into requests to Anthropic's API, or one that has its
// messages. What is
// unset leaves the client's value.
//
// +kubebuilder:validation:XValidation:rule=`!has(self.apiKey) || !has(self.apiKeySecretRef)`,message="apiKey and apiKeySecretRef are both set; keep one of them"
// +kubebuilder:validation:XValidation:rule=`!has(self.apiKey) || !self.apiKey.matches('(?s){{.*}}|[$]{.*}|^\\s*<.*>\\s*$|{([$]|(env|file|vars|http|system)[.])[^{}]*}') && self.apiKey.matches('^\\s*[^\\x00- \\x7f]*\\s*$')`,message="this is not an API key; write the API key itself, or name a Secret with apiKeySecretRef",messageExpression=`(self.apiKey.matches('(?s){{.*}}') ? 'this is a template nobody has filled in ({{…}}), and placeholders are not expanded in objects' : self.apiKey.matches('(?s)[$]{.*}') ? 'this is a template nobody has filled in (${…}), and placeholders are not expanded in objects' : self.apiKey.matches('(?s)^\\s*<.*>\\s*$') ? 'this is a template nobody has filled in (<…>), and placeholders are not expanded in objects' : self.apiKey.matches('{([$]|(env|file|vars|http|system)[.])[^{}]*}') ? 'this is a template nobody has filled in ({…}), and placeholders are not expanded in objects' : 'the key has a space or a control character inside') + '; write the API key itself, or name a Secret with apiKeySecretRef'`,fieldPath=.apiKey
// +kubebuilder:validation:XValidation:rule=`!has(self.apiKeySecretRef) || has(self.apiKeySecretRef.key) && self.apiKeySecretRef.key != ""`,message="a key is required; write under which one the Secret has the value",fieldPath=.apiKeySecretRef.key
type AnthropicConfig struct {
	// The model to ask for, whatever the client asked for.
	Model *string `json:"model,omitempty"`

	// Whether to stream the response, whatever the client asked for.
	Stream *bool `json:"stream,omitempty"`

	// The API key, as it is. Placeholders are not filled in. At most 4096 bytes.
	//
	// +kubebuilder:validation:MaxLength=4096
	APIKey *string `json:"apiKey,omitempty"`

	// The Secret that holds the API key, in the object's own namespace. Not
	// together with `apiKey`.
	APIKeySecretRef *SecretKeyRef `json:"apiKeySecretRef,omitempty"`

	// The most tokens to ask for where the client's API needs no number. Default: 8192.
	//
	// +kubebuilder:validation:XValidation:rule=`self >= 1`,message="this is not positive; write a number of tokens, such as 8192"
	MaxTokens *int32 `json:"maxTokens,omitempty"`
}

// SecretKeyRef names a value in a Secret of the object's own namespace.
//
// +kubebuilder:validation:XValidation:rule=`has(self.name) && self.name != ""`,message="a name is required; write that of a Secret in the object's own namespace",fieldPath=.name
// +kubebuilder:validation:XValidation:rule=`!has(self.name) || self.name == "" || self.name.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')`,message="this is not the name of a Secret; write one of the object's own namespace, since no others are read",fieldPath=.name
type SecretKeyRef struct {
	// The Secret's name. Required.
	//
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// The key of the value in the Secret.
	//
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key,omitempty"`
}

// ProviderTLS are the TLS settings towards a provider.
//
// +kubebuilder:validation:XValidation:rule=`!has(self.serverName) || self.serverName == "" || self.serverName.matches('^([a-zA-Z0-9_][a-zA-Z0-9._-]*|[0-9a-fA-F.]*:[0-9a-fA-F.]*:[0-9a-fA-F:.]*)$')`,message="this is not a DNS name",messageExpression=`'the host' + (self.serverName.contains('://') ? ' has a scheme; write the DNS name alone' : self.serverName.contains('/') ? ' has a path; write the DNS name alone, and the path as path' : self.serverName.contains(':') ? ' has a port; write the DNS name alone, and the port as port' : self.serverName.matches('^[.-]') ? ' is not a DNS name' : " is not a DNS name: '" + self.serverName.find('[^a-zA-Z0-9._-]') + "' is not allowed in one")`,fieldPath=.serverName
// +kubebuilder:validation:XValidation:rule=`!has(self.serverName) || self.serverName.contains(':') || self.serverName.matches('^((25[0-5]|(2[0-4]|1?[0-9])?[0-9])([.]|$)){4}$') || !self.serverName.matches('(^|[.])([0-9]+|0[xX][^.]*)$')`,message="the host is neither a DNS name nor an IP address",fieldPath=.serverName
type ProviderTLS struct {
	// The Secret with the certificates to trust, as PEM, instead of the
	// system's. Its key is `ca.crt` unless named.
	CASecretRef *SecretKeyRef `json:"caSecretRef,omitempty"`

	// The name in the provider's certificate. Default: `host`.
	ServerName Host `json:"serverName,omitempty"`

	// Whether to accept any certificate. Only for tests: anyone between the gateway and the
	// provider can read the key.
	InsecureSkipVerify bool `json:"insecureSkipVerify,omitempty"`
}

// ProviderTimeouts are durations such as `3s` or `10m`.
//
// +kubebuilder:validation:XValidation:rule=`!has(self.connect) || self.connect == "" || self.connect.matches('^[+-]?(([0-9]+([.][0-9]*)?|[.][0-9]+)(ns|us|µs|μs|ms|s|m|h))+$') && duration(self.connect) > duration('0s') && duration(self.connect) <= duration('24h')`,message="this is not a duration above zero and up to 24h; write one such as 30s or 10m",fieldPath=.connect
// +kubebuilder:validation:XValidation:rule=`!has(self.firstByte) || self.firstByte == "" || self.firstByte.matches('^[+-]?(([0-9]+([.][0-9]*)?|[.][0-9]+)(ns|us|µs|μs|ms|s|m|h))+$') && duration(self.firstByte) > duration('0s') && duration(self.firstByte) <= duration('24h')`,message="this is not a duration above zero and up to 24h; write one such as 30s or 10m",fieldPath=.firstByte
// +kubebuilder:validation:XValidation:rule=`!has(self.idle) || self.idle == "" || self.idle.matches('^[+-]?(([0-9]+([.][0-9]*)?|[.][0-9]+)(ns|us|µs|μs|ms|s|m|h))+$') && duration(self.idle) > duration('0s') && duration(self.idle) <= duration('24h')`,message="this is not a duration above zero and up to 24h; write one such as 30s or 10m",fieldPath=.idle
type ProviderTimeouts struct {
	// How long connecting may take, TLS included. Default: `3s`.
	Connect Duration `json:"connect,omitempty"`

	// How long the provider may take to begin its response. Default: `10m`.
	FirstByte Duration `json:"firstByte,omitempty"`

	// How long the provider may be silent inside a response. Default: `5m`.
	Idle Duration `json:"idle,omitempty"`
}

// Duration is a time limit such as `30s` or `10m`, up to `24h`.
//
// +kubebuilder:validation:MaxLength=128
type Duration string
