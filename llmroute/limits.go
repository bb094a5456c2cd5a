package llmroute

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/llmroute/life"
	"github.com/caddy-llm/gateway/llmroute/limit"
	"github.com/caddy-llm/gateway/llmroute/limit/inforce"
	"github.com/caddy-llm/gateway/llmroute/meter"
)

// provisionLimits makes a filter of the configuration's limits.
func (a *App) provisionLimits(ctx caddy.Context) error {
	config := a.Limits
	if config == nil {
		config = new(limit.Config)
	}
	if len(config.Limits) == 0 && a.source == nil {
		return nil
	}
	if err := a.checkLimits(config); err != nil {
		return fmt.Errorf("limits: %w", err)
	}
	var err error
	if a.limits, err = inforce.New(ctx, config, a.logger); err != nil {
		return fmt.Errorf("limits: %w", err)
	}
	if err := ctx.GetMetricsRegistry().Register(meter.Limits(a.limitSet, a.limits.Engine())); err != nil {
		return fmt.Errorf("registering metrics of limits: %w", err)
	}
	return nil
}

// closeLimits gives back what provisionLimits acquired.
func (a *App) closeLimits() error {
	var last *inforce.Live
	if s := a.current.Load(); s != nil {
		last = s.limits
	}
	return a.limits.Close(last)
}

// limitsOf makes the limits of a snapshot, or takes them over from old.
func (a *App) limitsOf(g *life.Generation, next, old *snapshot) *inforce.Live {
	var ofSource []*limit.Definition
	if next.state != nil {
		ofSource = next.state.Limits
	}
	var last *inforce.Live
	if old != nil {
		last = old.limits
	}
	return a.limits.With(g, ofSource, last)
}

// limitSet is the limits that hold now, nil without any.
func (a *App) limitSet() *limit.Set {
	if s := a.current.Load(); s != nil {
		return s.limits.Set()
	}
	return nil
}

// checkLimits reports limits that could never work.
func (a *App) checkLimits(c *limit.Config) error {
	for _, d := range c.Limits {
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
