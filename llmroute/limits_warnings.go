package llmroute

import (
	"maps"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmroute/limit"
)

// authenticators are what of the configuration may say who clients are. They are noted while
// handlers are provisioned.
type authenticators struct {
	keys   bool // virtual keys
	tokens bool // verified tokens
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
	if a.limits == nil || len(a.limits.config.Limits) == 0 || a.source != nil && s.state == nil {
		return // what there is to match is not known yet
	}
	warn := func(message string, d *limit.Definition, fields ...zap.Field) {
		text := message + " " + d.Name + " " + fields[0].String
		if !a.limits.warned[text] {
			a.limits.warned[text] = true
			a.logger.Warn(message, append(fields, zap.String("limit", d.Name))...)
		}
	}
	rules := make(map[string]bool)
	for r := range a.rulesOf(s) {
		rules[r.Name] = true
	}
	for _, d := range a.limits.config.Limits {
		for _, name := range d.Rules {
			if !rules[name] {
				warn("limit names a rule that does not exist", d, zap.String("rule", name), zap.String("rules", strings.Join(slices.Sorted(maps.Keys(rules)), ", ")))
			}
		}
		for _, name := range d.Providers {
			if s.providers[name] == nil {
				warn("limit names a provider that does not exist", d, zap.String("provider", name), zap.String("providers", strings.Join(slices.Sorted(maps.Keys(s.providers)), ", ")))
			}
		}
		for _, k := range d.Key {
			_, claim := k.Claim()
			switch {
			case a.supplies(k, s):
			case k == limit.KeyClient || claim:
				warn("limit counts by what no authentication supplies, so all requests count together; put llm_keys or llm_authz before llm_route, for claims llm_authz with jwt", d, zap.String("key", string(k)))
			default:
				warn("limit counts by what the gateway does not know; set it in the llm app", d, zap.String("key", string(k)))
			}
		}
		a.warnOfModels(s, d, warn)
	}
}

// warnOfModels warns of models that no request is sent with, and of those without a price
// under a limit of money.
func (a *App) warnOfModels(s *snapshot, d *limit.Definition, warn func(string, *limit.Definition, ...zap.Field)) {
	if len(d.Models) == 0 {
		return
	}
	if fixed, chosen := a.modelsFor(s, d); !chosen && len(fixed) > 0 {
		for _, pattern := range d.Models {
			if !slices.ContainsFunc(fixed, func(model string) bool { return limit.Matches(pattern, model) }) {
				warn("limit names a model that no request is sent with", d, zap.String("model", pattern), zap.String("models", strings.Join(fixed, ", ")))
			}
		}
	}
	if !d.Costs() || a.prices == nil {
		return
	}
	table := a.prices.Get()
	for _, model := range d.Models {
		if !strings.Contains(model, "*") && !table.Knows(model, time.Now()) {
			warn("limit of cost names a model without a price, whose requests are refused; add the price", d, zap.String("model", model))
		}
	}
}

// modelsFor returns the models that the configuration has requests sent with that the limit may be
// about, and reports whether clients choose the model of some.
func (a *App) modelsFor(s *snapshot, d *limit.Definition) (fixed []string, chosen bool) {
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
				return nil, true
			}
			models[model] = true
		}
	}
	return slices.Sorted(maps.Keys(models)), false
}

// rulesOf yields the rules of a snapshot, each with its targets: those of sites and of tables, and
// the ones that providers have by themselves.
func (a *App) rulesOf(s *snapshot) func(yield func(*Rule, []target) bool) {
	return func(yield func(*Rule, []target) bool) {
		each := func(rules []*Rule, targets [][]target) bool {
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
