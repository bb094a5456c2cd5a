package llmroute

import (
	"maps"
	"reflect"
	"slices"

	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmroute/prompt"
	"github.com/caddy-llm/gateway/llmroute/spec"
	"github.com/caddy-llm/gateway/llmroute/virtualkey"
)

// provisionPrompts makes a filter of the prompts of the configuration.
func (a *App) provisionPrompts() error {
	for _, name := range slices.Sorted(maps.Keys(a.Prompts)) {
		if err := prompt.Check(name, a.Prompts[name]); err != nil {
			return err
		}
	}
	var err error
	a.prompts, err = prompt.New(a.Prompts)
	return err
}

// promptsWith returns the filter for the prompts of the configuration and those of a state,
// which may be nil. It is that of old where nothing changed.
func (a *App) promptsWith(old *snapshot, state *spec.State) *prompt.Filter {
	if state == nil || len(state.Prompts) == 0 {
		return a.prompts
	}
	if old != nil && old.state != nil && reflect.DeepEqual(old.state.Prompts, state.Prompts) {
		return old.chains.prompts
	}
	f, failed := a.prompts.With(state.Prompts)
	for _, name := range slices.Sorted(maps.Keys(failed)) {
		a.logger.Error("prompt unusable; its requests get 503", zap.String("prompt", name), zap.Error(failed[name]))
	}
	return f
}

// checkFilters reports whether a rule names guards or prompts that do not exist, and gives
// it the cache that it wants.
func (a *App) checkFilters(rule *spec.Rule) error {
	if rule.Cache != nil {
		rule.SetCacheFilter(a.cacheOf(rule))
	}
	if err := a.checkNames(rule.Guards, rule.Prompts); err != nil {
		return err
	}
	return a.checkTemplates(rule)
}

// checkTemplates reports whether the prompts of a rule and of the providers that it names, which
// are all added to its requests, have two templates of one name: one would replace the other.
func (a *App) checkTemplates(rule *spec.Rule) error {
	named := []prompt.Named{{By: "the rule", Names: rule.Prompts}}
	for _, b := range rule.Backends {
		if p := a.static[b.Provider]; p != nil && len(p.prompts) > 0 {
			named = append(named, prompt.Named{By: "provider " + b.Provider, Names: p.prompts})
		}
	}
	if len(named) == 1 {
		return nil // checkNames has looked
	}
	return a.prompts.CheckTemplates(named)
}

// warnOfPrompts logs which prompts no rule, no provider and no virtual key names, once all
// handlers are known.
func (a *App) warnOfPrompts() {
	used := a.named(func(r *spec.Rule) []string { return r.Prompts }, func(p *provider) []string { return p.prompts }, func(c *virtualkey.Client) []string { return c.Prompts })
	for _, name := range slices.Sorted(maps.Keys(a.Prompts)) {
		if used != nil && !used[name] {
			a.logger.Warn("prompt is unused: no rule, no provider and no virtual key names it; add prompt NAME to a rule, to a provider or to the line of a virtual key", zap.String("prompt", name))
		}
	}
}
