package llmprovider

import "encoding/json"

// Settings says how a provider is asked: which of its settings a backend of a rule uses,
// and what the attempt is held to.
type Settings struct {
	// Rule is the name of the rule whose settings are laid over the provider's
	// default ones. Empty for the default ones alone.
	Rule string

	// Model is the model that the backend names. It goes before the provider's own.
	// Nil without one.
	Model *FixedModel

	// Address is the host and port that the attempt is sent to: of a pool's endpoint.
	// Empty for the provider's own.
	Address string

	// Strict refuses a request that cannot be translated without loss.
	Strict bool

	// WithoutStreamOptions keeps the attempt from adding stream_options to a body that
	// has none: the provider rejects it.
	WithoutStreamOptions bool
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
