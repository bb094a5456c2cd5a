package llmprovider

import "encoding/json"

// Settings says which of a provider's settings a backend of a rule uses.
type Settings struct {
	// Rule is the name of the rule whose settings are laid over the provider's
	// default ones. Empty for the default ones alone.
	Rule string

	// Model is the model that the backend names. It goes before the provider's own.
	// Nil without one.
	Model *FixedModel
}

// FixedModel is a model that the configuration names.
type FixedModel struct {
	Name string
	JSON []byte // Name as a JSON string
}

// NewFixedModel returns the model of that name, nil for an empty name.
func NewFixedModel(name string) *FixedModel {
	if name == "" {
		return nil
	}
	data, _ := json.Marshal(name) // a string always marshals
	return &FixedModel{Name: name, JSON: data}
}
