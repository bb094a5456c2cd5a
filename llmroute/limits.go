package llmroute

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmroute/life"
	"github.com/caddy-llm/gateway/llmroute/limit"
	"github.com/caddy-llm/gateway/llmroute/limit/limithttp"
	"github.com/caddy-llm/gateway/llmroute/meter"
)

// configLimits are the limits of the configuration, with what those of a source need to
// hold beside them.
type configLimits struct {
	config limit.Config // as it was written; loading modules takes parts of it away
	engine *limit.Engine
	live   *liveLimits     // of these alone
	warned map[string]bool // what warnOfLimits logged; guarded by App.mu
}

// liveLimits are the limits of snapshots: all that hold at one time are one set, since a
// request reserves of all that apply or of none.
type liveLimits struct {
	filter *limithttp.Filter
	spec   []*limit.Definition // the source's
	life   *life.Life          // nil if they are those of the configuration alone
}

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
	c := &configLimits{config: copyLimits(config), engine: limit.Acquire(), warned: make(map[string]bool)}
	f, err := limithttp.New(ctx, config, c.engine)
	if err != nil {
		return errors.Join(fmt.Errorf("limits: %w", err), limit.Release())
	}
	a.limits = c
	c.live = &liveLimits{filter: f}
	if err := ctx.GetMetricsRegistry().Register(meter.Limits(a.limitSet, c.engine)); err != nil {
		return fmt.Errorf("registering metrics of limits: %w", err)
	}
	return nil
}

// copyLimits returns limits that can be made a set of: the store of these can be loaded, and their
// keys be brought into the canonical form, without a change to the ones given.
func copyLimits(c *limit.Config) limit.Config {
	out := limit.Config{StoreRaw: c.StoreRaw}
	for _, d := range c.Limits {
		d := *d
		d.Key = slices.Clone(d.Key)
		out.Limits = append(out.Limits, &d)
	}
	return out
}

// closeLimits gives back what provisionLimits acquired.
func (a *App) closeLimits() error {
	if a.limits == nil {
		return nil
	}
	if s := a.current.Load(); s != nil && s.limits != nil {
		s.limits.filter.Close() // even if requests have it still: what they settle is counted, and is to be stored now
	}
	a.limits.live.filter.Close()
	return limit.Release()
}

// limitsOf makes the limits of a snapshot, or takes them over from old. It is nil without
// any.
func (a *App) limitsOf(g *life.Generation, next, old *snapshot) *liveLimits {
	switch {
	case a.limits == nil:
		return nil
	case next.state == nil || len(next.state.Limits) == 0:
		if len(a.limits.config.Limits) == 0 {
			return nil
		}
		return a.limits.live
	}
	if l := old.heldLimits(); l != nil {
		if reflect.DeepEqual(l.spec, next.state.Limits) {
			return l
		}
		defer l.life.Release()
	}
	made := &liveLimits{spec: next.state.Limits}
	held, ctx := g.Member(func() {
		if made.filter != nil {
			go made.filter.Close() // it may wait for the store, and is called while a request ends
		}
	})
	made.life = held
	config := a.withLimits(next.state.Limits)
	var err error
	if made.filter, err = limithttp.New(ctx, &config, a.limits.engine); err == nil {
		return made
	}
	held.Release()
	a.logger.Error("limits of the source cannot be set up; keeping the previous ones", zap.Error(err))
	if l := old.heldLimits(); l != nil {
		return l
	}
	return a.limits.live
}

// heldLimits returns the snapshot's limits with those of a source, held once more; nil
// without any.
func (s *snapshot) heldLimits() *liveLimits {
	if s == nil || s.limits == nil || s.limits.life == nil || !s.limits.life.Hold() {
		return nil
	}
	return s.limits
}

// withLimits returns the limits of the configuration and, of the source's, those that can
// be used.
func (a *App) withLimits(spec []*limit.Definition) limit.Config {
	config := copyLimits(&a.limits.config)
	more := copyLimits(&limit.Config{Limits: spec})
	for _, d := range more.Limits {
		err := d.Check()
		if err == nil && slices.ContainsFunc(config.Limits, func(other *limit.Definition) bool { return other.Name == d.Name }) {
			err = errors.New("there is another limit of this name, which holds")
		}
		if err == nil {
			err = a.limits.live.filter.Holds(append(config.Limits[:len(config.Limits):len(config.Limits)], d))
		}
		if err != nil {
			a.logger.Error("limit left out", zap.String("limit", d.Name), zap.Error(err))
			continue
		}
		config.Limits = append(config.Limits, d)
	}
	return config
}

// filterOf is the filter of the limits, nil without any.
func (l *liveLimits) filterOf() *limithttp.Filter {
	if l == nil {
		return nil
	}
	return l.filter
}

// limitSet is the limits that hold now, nil without any.
func (a *App) limitSet() *limit.Set {
	if s := a.current.Load(); s != nil && s.limits != nil {
		return s.limits.filter.Set()
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
