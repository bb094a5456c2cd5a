package spec

// Finding is something wrong with one object.
type Finding struct {
	// Object is its kind, namespace and name.
	Object string `json:"object"`
	// Origin is where the object is.
	Origin string `json:"origin,omitempty"`
	// Reason is a word in CamelCase, as in a Kubernetes condition.
	Reason string `json:"reason"`
	// Message says what is wrong and what to write instead.
	Message string `json:"message"`
	// Used is true if the object is used all the same.
	Used bool `json:"used,omitempty"`
}
