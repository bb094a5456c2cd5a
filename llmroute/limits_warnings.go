package llmroute

import (
	"maps"
	"slices"

	"github.com/caddy-llm/gateway/llmroute/limit"
	"github.com/caddy-llm/gateway/llmroute/limit/unmet"
	"github.com/caddy-llm/gateway/llmroute/spec"
	"github.com/caddy-llm/gateway/llmroute/virtualkey"
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

// warnOfLimits logs which of the configuration's limits cannot work as they are written, or
// match nothing in a snapshot. What was logged once is not logged again.
func (a *App) warnOfLimits(s *snapshot) {
	for _, w := range a.limitWarnings(s) {
		if text := w.Text(); !a.limitsWarned[text] {
			a.limitsWarned[text] = true
			w.Log(a.logger)
		}
	}
}

// limitWarnings returns which of the configuration's limits cannot work as they are written, or
// match nothing in a snapshot.
func (a *App) limitWarnings(s *snapshot) []unmet.Warning {
	if len(a.limits.Definitions()) == 0 || a.source != nil && s.state == nil {
		return nil // what there is to match is not known yet
	}
	known := unmet.Known{
		Providers: func() []string { return slices.Sorted(maps.Keys(s.providers)) },
		Supplies:  func(k limit.Key) bool { return a.supplies(k, s) },
		Rules: func(yield func(unmet.Rule) bool) {
			for rule, targets := range a.rulesOf(s) {
				if !yield(unmet.Rule{Name: rule.Name, Backends: modelsAsked(rule, targets)}) {
					return
				}
			}
		},
	}
	if a.prices != nil {
		known.Prices = a.prices.Get()
	}
	return known.Warnings(a.limits.Definitions())
}

// modelsAsked yields the providers of a rule's targets with the models asked of them.
func modelsAsked(rule *spec.Rule, targets []target) func(yield func(unmet.Backend) bool) {
	return func(yield func(unmet.Backend) bool) {
		for i := range targets {
			t := &targets[i]
			if t.provider == nil {
				continue
			}
			model, fixed := t.RequestModel(modelsProbe, t.settings(rule))
			if !yield(unmet.Backend{Provider: t.name, Model: model, Fixed: fixed}) {
				return
			}
		}
	}
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
