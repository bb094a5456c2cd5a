package v1beta1

// AzureConfig is filled into requests to Azure OpenAI or Microsoft Foundry. What is unset
// leaves the client's value.
//
// +kubebuilder:validation:XValidation:rule=`!has(self.apiKey) || !has(self.apiKeySecretRef)`,message="apiKey and apiKeySecretRef are both set; keep one of them"
// +kubebuilder:validation:XValidation:rule=`!has(self.apiKey) || !self.apiKey.matches('(?s){{.*}}|[$]{.*}|^\\s*<.*>\\s*$|{([$]|(env|file|vars|http|system)[.])[^{}]*}') && self.apiKey.matches('^\\s*[^\\x00- \\x7f]*\\s*$')`,message="this is not an API key; write the API key itself, or name a Secret with apiKeySecretRef",messageExpression=`(self.apiKey.matches('(?s){{.*}}') ? 'this is a template nobody has filled in ({{…}}), and placeholders are not expanded in objects' : self.apiKey.matches('(?s)[$]{.*}') ? 'this is a template nobody has filled in (${…}), and placeholders are not expanded in objects' : self.apiKey.matches('(?s)^\\s*<.*>\\s*$') ? 'this is a template nobody has filled in (<…>), and placeholders are not expanded in objects' : self.apiKey.matches('{([$]|(env|file|vars|http|system)[.])[^{}]*}') ? 'this is a template nobody has filled in ({…}), and placeholders are not expanded in objects' : 'the key has a space or a control character inside') + '; write the API key itself, or name a Secret with apiKeySecretRef'`,fieldPath=.apiKey
// +kubebuilder:validation:XValidation:rule=`!has(self.entra) || !has(self.entra.clientSecretRef) || has(self.entra.clientSecretRef.key) && self.entra.clientSecretRef.key != ""`,message="a key is required; write under which one the Secret has the value",fieldPath=.entra.clientSecretRef.key
// +kubebuilder:validation:XValidation:rule=`!has(self.apiVersion) || self.apiVersion.matches('^[a-z0-9-]*$')`,message="api_version: this is not an API version; write one such as 2024-10-21"
// +kubebuilder:validation:XValidation:rule=`!has(self.apiKeySecretRef) || has(self.apiKeySecretRef.key) && self.apiKeySecretRef.key != ""`,message="a key is required; write under which one the Secret has the value",fieldPath=.apiKeySecretRef.key
// +kubebuilder:validation:XValidation:rule=`!has(self.entra) || !has(self.entra.tenantID) || self.entra.tenantID.matches('^[a-zA-Z0-9.-]*$')`,message="entra: tenant_id has characters that are not allowed in a tenant ID; write one such as 11111111-2222-3333-4444-555555555555"
type AzureConfig struct {
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

	// The version of the API before v1, such as `2024-10-21`. With it, `spec.path` is
	// left out. Default: v1, which has no versions.
	//
	// +kubebuilder:validation:MaxLength=64
	APIVersion string `json:"apiVersion,omitempty"`

	// Tokens of Microsoft Entra ID, which are sent where there is no API key. Default:
	// none.
	Entra *AzureEntra `json:"entra,omitempty"`
}

// AzureEntra says where tokens of Microsoft Entra ID come from. Without a client secret
// they are those of the gateway itself, which needs permission of the gateway's
// configuration (ambient_credentials).
type AzureEntra struct {
	// The tenant's ID. Default: that of the gateway.
	//
	// +kubebuilder:validation:MaxLength=128
	TenantID string `json:"tenantID,omitempty"`

	// The application's ID. Default: that of the gateway.
	//
	// +kubebuilder:validation:MaxLength=128
	ClientID string `json:"clientID,omitempty"`

	// The Secret that holds the application's secret, in the object's own namespace.
	ClientSecretRef *SecretKeyRef `json:"clientSecretRef,omitempty"`

	// What the token is for. Default: by host.
	//
	// +kubebuilder:validation:MaxLength=256
	Scope string `json:"scope,omitempty"`
}
