package v1beta1

// VertexConfig is filled into requests to Vertex AI of Google Cloud. What is unset leaves
// the client's value. Without an API key and a Secret with credentials, requests are sent
// the gateway's own, which needs permission of the gateway's configuration
// (ambient_credentials).
//
// +kubebuilder:validation:XValidation:rule=`!has(self.apiKey) || !has(self.apiKeySecretRef)`,message="apiKey and apiKeySecretRef are both set; keep one of them"
// +kubebuilder:validation:XValidation:rule=`!has(self.apiKey) || !self.apiKey.matches('(?s){{.*}}|[$]{.*}|^\\s*<.*>\\s*$|{([$]|(env|file|vars|http|system)[.])[^{}]*}') && self.apiKey.matches('^\\s*[^\\x00- \\x7f]*\\s*$')`,message="this is not an API key; write the API key itself, or name a Secret with apiKeySecretRef",messageExpression=`(self.apiKey.matches('(?s){{.*}}') ? 'this is a template nobody has filled in ({{…}}), and placeholders are not expanded in objects' : self.apiKey.matches('(?s)[$]{.*}') ? 'this is a template nobody has filled in (${…}), and placeholders are not expanded in objects' : self.apiKey.matches('(?s)^\\s*<.*>\\s*$') ? 'this is a template nobody has filled in (<…>), and placeholders are not expanded in objects' : self.apiKey.matches('{([$]|(env|file|vars|http|system)[.])[^{}]*}') ? 'this is a template nobody has filled in ({…}), and placeholders are not expanded in objects' : 'the key has a space or a control character inside') + '; write the API key itself, or name a Secret with apiKeySecretRef'`,fieldPath=.apiKey
// +kubebuilder:validation:XValidation:rule=`!has(self.credentialsSecretRef) || has(self.credentialsSecretRef.key) && self.credentialsSecretRef.key != ""`,message="a key is required; write under which one the Secret has the value",fieldPath=.credentialsSecretRef.key
// +kubebuilder:validation:XValidation:rule=`!has(self.project) || self.project.matches('^([a-zA-Z0-9_:-][a-zA-Z0-9_.:-]*)?$')`,message="project is not a project ID; write one such as my-project"
// +kubebuilder:validation:XValidation:rule=`!has(self.location) || self.location.matches('^[a-z0-9-]*$')`,message="location is not a Google Cloud location; write one such as europe-west4, or global"
// +kubebuilder:validation:XValidation:rule=`!has(self.apiKeySecretRef) || has(self.apiKeySecretRef.key) && self.apiKeySecretRef.key != ""`,message="a key is required; write under which one the Secret has the value",fieldPath=.apiKeySecretRef.key
// +kubebuilder:validation:XValidation:rule=`!has(self.quotaProject) || self.quotaProject.matches('^[a-zA-Z0-9_.:-]*$')`,message="quota_project is not a project ID; write one such as my-project"
type VertexConfig struct {
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

	// The most tokens to ask for where the client's API needs no number and that of the
	// model does. Default: 8192.
	//
	// +kubebuilder:validation:XValidation:rule=`self >= 1`,message="this is not positive; write a number of tokens, such as 8192"
	MaxTokens *int32 `json:"maxTokens,omitempty"`

	// The project's ID. Required without an API key.
	//
	// +kubebuilder:validation:MaxLength=128
	Project string `json:"project,omitempty"`

	// The location, such as `europe-west4`. `spec.host` is the host of that location.
	// Default: `global`.
	//
	// +kubebuilder:validation:MaxLength=64
	Location string `json:"location,omitempty"`

	// The project whose quota is used.
	//
	// +kubebuilder:validation:MaxLength=128
	QuotaProject string `json:"quotaProject,omitempty"`

	// The Secret that holds the key of a service account, as Google made it, in the
	// object's own namespace. Credentials of other types are not taken.
	CredentialsSecretRef *SecretKeyRef `json:"credentialsSecretRef,omitempty"`
}
