package v1beta1

// BedrockConfig is filled into requests to Amazon Bedrock. What is unset leaves the
// client's value. Without an API key and an access key, requests are signed with the
// gateway's own credentials, which needs permission of the gateway's configuration
// (ambient_credentials).
//
// +kubebuilder:validation:XValidation:rule=`!has(self.apiKey) || !has(self.apiKeySecretRef)`,message="apiKey and apiKeySecretRef are both set; keep one of them"
// +kubebuilder:validation:XValidation:rule=`!has(self.apiKey) || !self.apiKey.matches('(?s){{.*}}|[$]{.*}|^\\s*<.*>\\s*$|{([$]|(env|file|vars|http|system)[.])[^{}]*}') && self.apiKey.matches('^\\s*[^\\x00- \\x7f]*\\s*$')`,message="this is not an API key; write the API key itself, or name a Secret with apiKeySecretRef",messageExpression=`(self.apiKey.matches('(?s){{.*}}') ? 'this is a template nobody has filled in ({{…}}), and placeholders are not expanded in objects' : self.apiKey.matches('(?s)[$]{.*}') ? 'this is a template nobody has filled in (${…}), and placeholders are not expanded in objects' : self.apiKey.matches('(?s)^\\s*<.*>\\s*$') ? 'this is a template nobody has filled in (<…>), and placeholders are not expanded in objects' : self.apiKey.matches('{([$]|(env|file|vars|http|system)[.])[^{}]*}') ? 'this is a template nobody has filled in ({…}), and placeholders are not expanded in objects' : 'the key has a space or a control character inside') + '; write the API key itself, or name a Secret with apiKeySecretRef'`,fieldPath=.apiKey
// +kubebuilder:validation:XValidation:rule=`!has(self.secretAccessKeySecretRef) || has(self.secretAccessKeySecretRef.key) && self.secretAccessKeySecretRef.key != ""`,message="a key is required; write under which one the Secret has the value",fieldPath=.secretAccessKeySecretRef.key
// +kubebuilder:validation:XValidation:rule=`!has(self.region) || self.region.matches('^([a-z]+(-[a-z]+)+-[0-9]+)?$')`,message="region is not an AWS region; write one such as eu-central-1"
// +kubebuilder:validation:XValidation:rule=`(has(self.accessKeyID) && self.accessKeyID != "") == has(self.secretAccessKeySecretRef)`,message="an access key has an ID and a secret; write both, or neither"
// +kubebuilder:validation:XValidation:rule=`!has(self.apiKeySecretRef) || has(self.apiKeySecretRef.key) && self.apiKeySecretRef.key != ""`,message="a key is required; write under which one the Secret has the value",fieldPath=.apiKeySecretRef.key
// +kubebuilder:validation:XValidation:rule=`!has(self.roleArn) || self.roleArn == "" || self.roleArn.startsWith('arn:') && self.roleArn.contains(':role/') && !self.roleArn.matches('[ \\t\\r\\n]')`,message="role_arn is not a role ARN; write one such as arn:aws:iam::123456789012:role/llm-gateway"
// +kubebuilder:validation:XValidation:rule=`!has(self.accessKeyID) || self.accessKeyID.matches('^[a-zA-Z0-9-]*$')`,message="accessKeyID is not an access key ID; write it as AWS shows it"
type BedrockConfig struct {
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

	// The region, such as `eu-central-1`. `spec.host` is the host of that region.
	// Required.
	//
	// +kubebuilder:validation:MaxLength=64
	Region string `json:"region,omitempty"`

	// The ARN of the role to assume. Default: none.
	//
	// +kubebuilder:validation:MaxLength=2048
	RoleARN string `json:"roleArn,omitempty"`

	// The ID of an access key.
	//
	// +kubebuilder:validation:MaxLength=128
	AccessKeyID string `json:"accessKeyID,omitempty"`

	// The Secret that holds the access key's secret, in the object's own namespace.
	SecretAccessKeySecretRef *SecretKeyRef `json:"secretAccessKeySecretRef,omitempty"`
}
