package llmroute

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmroute/limit"
	"github.com/caddy-llm/gateway/llmroute/limit/limithttp"
)

// provisionLimits makes a filter of the limits, the last one: what others refuse or
// answer uses nothing.
func (a *App) provisionLimits(ctx caddy.Context) error {
	if a.Limits == nil || len(a.Limits.Limits) == 0 {
		return nil
	}
	if err := a.checkLimits(); err != nil {
		return fmt.Errorf("limits: %w", err)
	}
	engine := limit.Acquire()
	f, err := limithttp.New(ctx, a.Limits, engine)
	if err != nil {
		return errors.Join(fmt.Errorf("limits: %w", err), limit.Release())
	}
	a.limits = f
	a.filters = append(a.filters, f)
	if err := ctx.GetMetricsRegistry().Register(limitCollector{a.limits, engine}); err != nil {
		return fmt.Errorf("registering metrics of limits: %w", err)
	}
	return nil
}

// closeLimits gives back what provisionLimits acquired.
func (a *App) closeLimits() error {
	if a.limits == nil {
		return nil
	}
	a.limits.Close()
	return limit.Release()
}

// checkLimits reports limits that could never work.
func (a *App) checkLimits() error {
	for _, d := range a.Limits.Limits {
		if d.Costs() && a.prices == nil {
			return fmt.Errorf("limit %s is one of cost, and the gateway knows no prices; name a file of them: llm { prices FILE }", d.Name)
		}
		for _, name := range d.Providers {
			if a.static[name] == nil && a.source == nil {
				return fmt.Errorf("limit %s: there is no provider %q; the llm app's providers are: %s", d.Name, name, a.providerNames())
			}
		}
	}
	return nil
}

// startLimits puts the limits in force.
func (a *App) startLimits() {
	if a.limits != nil {
		a.limits.Set().Activate()
		a.warnOfLimits()
	}
}

// warnOfLimits logs which limits match nothing, as far as that is known once all
// handlers are.
func (a *App) warnOfLimits() {
	if a.source != nil {
		return
	}
	rules := make(map[string]bool)
	for _, h := range a.handlers {
		for _, r := range h.Rules {
			rules[r.Name] = true
		}
	}
	for _, routes := range a.Routes {
		for _, route := range routes {
			for _, r := range route.Rules {
				rules[r.Name] = true
			}
		}
	}
	for _, d := range a.Limits.Limits {
		for _, name := range d.Rules {
			if !rules[name] {
				a.logger.Warn("limit names a rule that does not exist", zap.String("limit", d.Name), zap.String("rule", name),
					zap.String("rules", strings.Join(slices.Sorted(maps.Keys(rules)), ", ")))
			}
		}
		for _, k := range d.Key {
			if id := a.identity(nil); k == limit.KeyWorkload && id.Workload == "" || k == limit.KeyNamespace && id.Namespace == "" {
				a.logger.Warn("limit counts by what the gateway does not know; set it in the llm app", zap.String("limit", d.Name), zap.String("key", string(k)))
			}
		}
	}
}

// limitsStatus is where the limits stand, for the status page.
func (a *App) limitsStatus(filter string) ViewList[limit.View] {
	if a.limits == nil {
		return cut[limit.View](nil, 0)
	}
	var matching []limit.View
	all := a.limits.Set().View()
	for _, v := range all {
		if matchesFilter(filter, v.Name) {
			matching = append(matching, v)
		}
	}
	return cut(matching, len(all))
}
