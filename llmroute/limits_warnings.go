package llmroute

import (
	"maps"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmroute/limit"
	"github.com/caddy-llm/gateway/llmroute/spec"
	"github.com/caddy-llm/gateway/llmroute/virtualkey"
)

// Reasons of warnings about limits.
const (
	ReasonNeverMatches = "NeverMatches" // it names what no request has
	ReasonNoPrice      = "NoPrice"      // it counts money, and a model has no price
	ReasonNotSupplied  = "NotSupplied"  // it counts by what requests do not have
)

// authenticators are what of the configuration may say who clients are. They are noted while
// handlers are provisioned.
type authenticators struct {
	keys   bool                      // virtual keys
	known  []func() virtualkey.Table // these
	tokens bool                      // verified tokens
}

// VerifiesTokens notes that an llm_authz verifies tokens, whose claims limits may count by.
func (a *App) VerifiesTokens() { a.authenticators.tokens = true }

// supplies reports whether some request may have a value of the key.
func (a *App) supplies(k limit.Key, s *snapshot) bool {
	known := a.authenticators
	known.keys = known.keys || a.Keys != nil
	known.tokens = known.tokens || s.state != nil && s.state.Authorization != nil && len(s.state.Authorization.JWT) > 0
	_, claim := k.Claim()
	identity := a.identity(s.state)
	switch {
	case k == limit.KeyClient:
		return known.keys || known.tokens
	case claim:
		return known.tokens
	case k == limit.KeyWorkload:
		return identity.Workload != ""
	case k == limit.KeyNamespace:
		return identity.Namespace != ""
	}
	return true
}

// LimitWarning says what a limit of the configuration cannot do as it is written.
type LimitWarning struct {
	Limit   string   // its name
	Reason  string   // NeverMatches, NoPrice or NotSupplied
	Message string   // what is wrong, in words that do not depend on the configuration
	Kind    string   // what it is wrong with: key, model, provider or rule
	Name    string   // which of these
	Known   []string // those that exist, sorted; nil if that does not matter
}

// warnOfLimits logs which of the configuration's limits cannot work as they are written, or
// match nothing in a snapshot. What was logged once is not logged again.
func (a *App) warnOfLimits(s *snapshot) {
	for _, w := range a.limitWarnings(s) {
		text := w.Message + " " + w.Limit + " " + w.Name
		if a.limits.warned[text] {
			continue
		}
		a.limits.warned[text] = true
		fields := []zap.Field{zap.String(w.Kind, w.Name), zap.String("limit", w.Limit)}
		if w.Known != nil {
			fields = append(fields, zap.String(w.Kind+"s", strings.Join(w.Known, ", ")))
		}
		a.logger.Warn(w.Message, fields...)
	}
}

// limitWarnings returns which of the configuration's limits cannot work as they are written, or
// match nothing in a snapshot.
func (a *App) limitWarnings(s *snapshot) (out []LimitWarning) {
	if a.limits == nil || len(a.limits.config.Limits) == 0 || a.source != nil && s.state == nil {
		return nil // what there is to match is not known yet
	}
	rules := make(map[string]bool)
	for r := range a.rulesOf(s) {
		if r.Name != "" {
			rules[r.Name] = true
		}
	}
	for _, d := range a.limits.config.Limits {
		for _, name := range d.Rules {
			if !rules[name] {
				out = append(out, LimitWarning{d.Name, ReasonNeverMatches, "limit names a rule that does not exist", "rule", name, slices.Sorted(maps.Keys(rules))})
			}
		}
		for _, name := range d.Providers {
			if s.providers[name] == nil {
				out = append(out, LimitWarning{d.Name, ReasonNeverMatches, "limit names a provider that does not exist", "provider", name, slices.Sorted(maps.Keys(s.providers))})
			}
		}
		for _, k := range d.Key {
			_, claim := k.Claim()
			switch {
			case a.supplies(k, s):
			case k == limit.KeyClient || claim:
				out = append(out, LimitWarning{d.Name, ReasonNotSupplied, "limit counts by what no authentication supplies, so all requests count together; put llm_keys or llm_authz before llm_route, for claims llm_authz with jwt", "key", string(k), nil})
			default:
				out = append(out, LimitWarning{d.Name, ReasonNotSupplied, "limit counts by what the gateway does not know; set it in the llm app", "key", string(k), nil})
			}
		}
		out = append(out, a.modelWarnings(s, d)...)
	}
	return out
}

// modelWarnings returns which models of a limit no request is sent with, and for which models a
// limit of cost has no price.
func (a *App) modelWarnings(s *snapshot, d *limit.Definition) (out []LimitWarning) {
	fixed := a.modelsFor(s, d)
	if len(fixed) > 0 {
		for _, pattern := range d.Models {
			if !slices.ContainsFunc(fixed, func(model string) bool { return limit.Matches(pattern, model) }) {
				out = append(out, LimitWarning{d.Name, ReasonNeverMatches, "limit names a model that no request is sent with", "model", pattern, fixed})
			}
		}
	}
	if !d.Costs() || a.prices == nil {
		return out
	}
	sent := d.Models
	if len(sent) == 0 {
		sent = fixed
	}
	table := a.prices.Get()
	for _, model := range sent {
		if !strings.Contains(model, "*") && !table.Knows(model, time.Now()) {
			out = append(out, LimitWarning{d.Name, ReasonNoPrice, "limit of cost has no price for a model, whose requests are refused; add the price", "model", model, nil})
		}
	}
	return out
}

// modelsFor returns the models that the configuration has requests sent with that the limit may be
// about, sorted; none if clients choose the model of some.
func (a *App) modelsFor(s *snapshot, d *limit.Definition) []string {
	models := make(map[string]bool)
	for rule, targets := range a.rulesOf(s) {
		if len(d.Rules) > 0 && !slices.Contains(d.Rules, rule.Name) {
			continue
		}
		for i := range targets {
			t := &targets[i]
			if t.provider == nil || len(d.Providers) > 0 && !slices.Contains(d.Providers, t.name) {
				continue
			}
			model, isFixed := t.RequestModel(modelsProbe, t.settings(rule))
			if !isFixed {
				return nil
			}
			models[model] = true
		}
	}
	return slices.Sorted(maps.Keys(models))
}

// rulesOf yields the rules of a snapshot, each with its targets: those of sites and of tables, and
// the ones that providers have by themselves.
func (a *App) rulesOf(s *snapshot) func(yield func(*spec.Rule, []target) bool) {
	return func(yield func(*spec.Rule, []target) bool) {
		each := func(rules []*spec.Rule, targets [][]target) bool {
			for i, r := range rules {
				if !yield(r, targets[i]) {
					return false
				}
			}
			return true
		}
		for i, h := range a.handlers {
			if !each(h.Rules, s.static[i]) {
				return
			}
		}
		for _, t := range s.tables {
			for _, entry := range t.entries {
				if !each(entry.Rules, entry.targets) {
					return
				}
			}
		}
		for _, p := range s.byHost {
			if p.spec != nil && !each(p.rules[:], p.ruleTargets[:]) {
				return
			}
		}
	}
}
