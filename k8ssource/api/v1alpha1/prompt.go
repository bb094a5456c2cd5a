package v1alpha1

// Prompt is what is added to requests before they are sent.
//
// +kubebuilder:validation:XValidation:rule=`has(self.prepend) && size(self.prepend) > 0 || has(self.append) && size(self.append) > 0 || has(self.templates) && size(self.templates) > 0`,message="it adds nothing; write prepend, append or templates"
type Prompt struct {
	// What is put before the conversation. Messages of the role `system` go before the
	// client's own system prompt, or before all messages where the API has it among them.
	// Default: nothing. At most 16.
	//
	// +kubebuilder:validation:MaxItems=16
	Prepend []PromptMessage `json:"prepend,omitempty"`

	// What is put after the conversation. Messages of the role `system` go after the
	// client's own system prompt, or after all messages where the API has it among them.
	// Default: nothing. At most 16.
	//
	// +kubebuilder:validation:MaxItems=16
	Append []PromptMessage `json:"append,omitempty"`

	// Conversations by name: letters, digits, `_` and `-`, at most 32. A client that sends
	// the name as `template`, and an object of values as `properties`, has that template's
	// messages put before its own. In the texts, `{{name}}` stands for the property of that
	// name. Default: none. At most 32.
	//
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule=`self.all(name, name.matches('^[A-Za-z0-9_-]{1,32}$'))`,message="this is not the name of a template; write letters, digits, _ and -, at most 32"
	Templates map[string]PromptTemplate `json:"templates,omitempty"`
}

// PromptTemplate is a conversation that a client may name.
//
// +kubebuilder:validation:XValidation:rule=`has(self.messages) && size(self.messages) > 0`,message="there are none; write at least one message",fieldPath=.messages
type PromptTemplate struct {
	// The messages. Required, at most 16.
	//
	// +kubebuilder:validation:MaxItems=16
	Messages []PromptMessage `json:"messages,omitempty"`
}

// PromptMessage is a text of a role.
//
// +kubebuilder:validation:XValidation:rule=`has(self.role) && self.role in ['system', 'user', 'assistant']`,message="there is no such role; write system, user or assistant",fieldPath=.role
// +kubebuilder:validation:XValidation:rule=`has(self.content) && self.content != ""`,message="the message is empty; write its text",fieldPath=.content
type PromptMessage struct {
	// Whose text it is: `system`, `user` or `assistant`. Required.
	//
	// +kubebuilder:validation:MaxLength=63
	Role string `json:"role,omitempty"`

	// The text. Required, at most 65536 bytes.
	//
	// +kubebuilder:validation:MaxLength=65536
	Content string `json:"content,omitempty"`
}
