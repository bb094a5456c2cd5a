package v1beta1

// GeminiConfig is filled into requests to Google's Gemini API. What is unset leaves the
// client's value.
//
// +kubebuilder:validation:XValidation:rule=`!has(self.apiKey) || !has(self.apiKeySecretRef)`,message="apiKey and apiKeySecretRef are both set; keep one of them"
// +kubebuilder:validation:XValidation:rule=`!has(self.apiKey) || !self.apiKey.matches('(?s){{.*}}|[$]{.*}|^\\s*<.*>\\s*$|{([$]|(env|file|vars|http|system)[.])[^{}]*}') && self.apiKey.matches('^\\s*[^\\x00- \\x7f]*\\s*$')`,message="this is not an API key; write the API key itself, or name a Secret with apiKeySecretRef",messageExpression=`(self.apiKey.matches('(?s){{.*}}') ? 'this is a template nobody has filled in ({{…}}), and placeholders are not expanded in objects' : self.apiKey.matches('(?s)[$]{.*}') ? 'this is a template nobody has filled in (${…}), and placeholders are not expanded in objects' : self.apiKey.matches('(?s)^\\s*<.*>\\s*$') ? 'this is a template nobody has filled in (<…>), and placeholders are not expanded in objects' : self.apiKey.matches('{([$]|(env|file|vars|http|system)[.])[^{}]*}') ? 'this is a template nobody has filled in ({…}), and placeholders are not expanded in objects' : 'the key has a space or a control character inside') + '; write the API key itself, or name a Secret with apiKeySecretRef'`,fieldPath=.apiKey
// +kubebuilder:validation:XValidation:rule=`!has(self.apiKeySecretRef) || has(self.apiKeySecretRef.key) && self.apiKeySecretRef.key != ""`,message="a key is required; write under which one the Secret has the value",fieldPath=.apiKeySecretRef.key
type GeminiConfig struct {
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
