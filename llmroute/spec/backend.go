// Package spec is what the configuration and the sources say, as everything that reads or shows
// it needs it: rules with their backends, routes, the state of a source, what is wrong with
// objects, and the workload that the gateway acts for. A rule loads its modules itself.
//
// It imports the packages whose configuration and modules rules and states are made of. Begin
// with Rule, then Source and State.
package spec

import (
	"errors"
	"fmt"
)

// Backend is one of the places a rule sends requests to.
type Backend struct {
	// The provider's name.
	Provider string `json:"provider,omitempty"`

	// The model to ask for. It goes before the provider's own settings, so that one
	// provider can be there twice, with two models. Default: what the provider's
	// settings say.
	Model string `json:"model,omitempty"`

	// The share of requests, in relation to the other backends' weights. 0
	// means never. Default: all backends have equal shares.
	Weight *int `json:"weight,omitempty"`

	// Backends with a higher number are used only when none with a lower one
	// can be. Default: 0.
	Priority int `json:"priority,omitempty"`

	// Whether the provider's settings for rules of this rule's name are left out, and
	// its default ones are used: sources set it for another owner's rule of the same name.
	// Default: no.
	DefaultSettings bool `json:"default_settings,omitempty"`

	// Why a source found that this backend cannot be used. Requests that need
	// it get a 503.
	Unusable string `json:"unusable,omitempty"`
}

// Share is the share of requests in relation to that of other backends.
func (b *Backend) Share() uint32 {
	if b.Weight == nil {
		return 1
	}
	return uint32(*b.Weight)
}

// CheckWeights reports what is wrong with the backends' weights, if anything.
func CheckWeights(backends []*Backend) error {
	set, sum := 0, 0
	for _, b := range backends {
		if b.Weight == nil {
			continue
		}
		set++
		if *b.Weight < 0 || *b.Weight > 1<<30 {
			return fmt.Errorf("weight %d of %s is out of range; write 0 or more", *b.Weight, b.Provider)
		}
		sum += *b.Weight
	}
	if set == 0 {
		return nil
	}
	if set < len(backends) {
		return errors.New("some backends have a weight and some have none; give one to all of them, or to none for equal shares")
	}
	if sum == 0 {
		return errors.New("all weights are 0, so no backend could ever be used; give at least one backend a weight above 0")
	}
	return nil
}
