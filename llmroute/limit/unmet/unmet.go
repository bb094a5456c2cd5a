// Package unmet finds what limits cannot do as they are written: they match nothing, count by
// what no request has, or count money for a model without a price.
//
// It imports limit and price. Begin with Known.
package unmet

import (
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmroute/limit"
	"github.com/caddy-llm/gateway/llmroute/price"
)

// Reasons of warnings about limits.
const (
	ReasonNeverMatches = "NeverMatches" // it names what no request has
	ReasonNoPrice      = "NoPrice"      // it counts money, and a model has no price
	ReasonNotSupplied  = "NotSupplied"  // it counts by what requests do not have
)

// Warning says what a limit of the configuration cannot do as it is written.
type Warning struct {
	Limit   string   // its name
	Reason  string   // NeverMatches, NoPrice or NotSupplied
	Message string   // what is wrong, in words that do not depend on the configuration
	Kind    string   // what it is wrong with: key, model, provider or rule
	Name    string   // which of these
	Known   []string // those that exist, sorted; nil if that does not matter
}

// Text is the warning in words.
func (w *Warning) Text() string { return w.Message + " " + w.Limit + " " + w.Name }

// Log logs the warning.
func (w *Warning) Log(logger *zap.Logger) {
	fields := []zap.Field{zap.String(w.Kind, w.Name), zap.String("limit", w.Limit)}
	if w.Known != nil {
		fields = append(fields, zap.String(w.Kind+"s", strings.Join(w.Known, ", ")))
	}
	logger.Warn(w.Message, fields...)
}

// Known is what is known of the requests that limits may be about.
type Known struct {
	// Rules are those that there are.
	Rules iter.Seq[Rule]
	// Providers returns the names of those that there are, sorted.
	Providers func() []string
	// Supplies reports whether some request may have a value of a key.
	Supplies func(limit.Key) bool
	// Prices are those of models, nil without any.
	Prices *price.Table
}

// Rule is a rule with the backends that requests of it may be sent to.
type Rule struct {
	Name     string
	Backends iter.Seq[Backend]
}

// Backend is a provider with the model that is asked for there, unless clients choose it.
type Backend struct {
	Provider, Model string
	Fixed           bool
}

// Warnings returns what limits cannot do.
func (k *Known) Warnings(limits []*limit.Definition) (out []Warning) {
	rules := make(map[string]bool)
	for r := range k.Rules {
		if r.Name != "" {
			rules[r.Name] = true
		}
	}
	providers := k.Providers()
	for _, d := range limits {
		for _, name := range d.Rules {
			if !rules[name] {
				out = append(out, Warning{d.Name, ReasonNeverMatches, "limit names a rule that does not exist", "rule", name, slices.Sorted(maps.Keys(rules))})
			}
		}
		for _, name := range d.Providers {
			if !slices.Contains(providers, name) {
				out = append(out, Warning{d.Name, ReasonNeverMatches, "limit names a provider that does not exist", "provider", name, providers})
			}
		}
		for _, key := range d.Key {
			_, claim := key.Claim()
			switch {
			case k.Supplies(key):
			case key == limit.KeyClient || claim:
				out = append(out, Warning{d.Name, ReasonNotSupplied, "limit counts by what no authentication supplies, so all requests count together; put llm_keys or llm_authz before llm_route, for claims llm_authz with jwt", "key", string(key), nil})
			default:
				out = append(out, Warning{d.Name, ReasonNotSupplied, "limit counts by what the gateway does not know; set it in the llm app", "key", string(key), nil})
			}
		}
		out = append(out, k.ofModels(d)...)
	}
	return out
}

// ofModels returns which models of a limit no request is sent with, and for which models a
// limit of cost has no price.
func (k *Known) ofModels(d *limit.Definition) (out []Warning) {
	fixed := k.models(d)
	if len(fixed) > 0 {
		for _, pattern := range d.Models {
			if !slices.ContainsFunc(fixed, func(model string) bool { return limit.Matches(pattern, model) }) {
				out = append(out, Warning{d.Name, ReasonNeverMatches, "limit names a model that no request is sent with", "model", pattern, fixed})
			}
		}
	}
	if !d.Costs() || k.Prices == nil {
		return out
	}
	sent := d.Models
	if len(sent) == 0 {
		sent = fixed
	}
	for _, model := range sent {
		if !strings.Contains(model, "*") && !k.Prices.Knows(model, time.Now()) {
			out = append(out, Warning{d.Name, ReasonNoPrice, "limit of cost has no price for a model, whose requests are refused; add the price", "model", model, nil})
		}
	}
	return out
}

// models returns the models that requests are sent with that the limit may be about, sorted; none
// if clients choose the model of some.
func (k *Known) models(d *limit.Definition) []string {
	models := make(map[string]bool)
	for r := range k.Rules {
		if len(d.Rules) > 0 && !slices.Contains(d.Rules, r.Name) {
			continue
		}
		for b := range r.Backends {
			if len(d.Providers) > 0 && !slices.Contains(d.Providers, b.Provider) {
				continue
			}
			if !b.Fixed {
				return nil
			}
			models[b.Model] = true
		}
	}
	return slices.Sorted(maps.Keys(models))
}
