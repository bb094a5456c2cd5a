package llmroute

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmroute/listen"
	"github.com/caddy-llm/gateway/llmroute/meter"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// snapshot returns what requests are routed by now.
func (a *App) snapshot() *snapshot {
	if s := a.current.Load(); s != nil {
		return s
	}
	// The first request may come before Start, whose place among the apps is not
	// fixed, and must find what the source knows all the same.
	a.mu.Lock()
	closed := a.closed
	a.mu.Unlock()
	if a.running != nil && !closed {
		_ = a.running.Start(a, a.source) // Start meets the same error, and reports it
	}
	a.replace(true)
	return a.current.Load()
}

// SourceChanged implements sources.Follower: it replaces the snapshot by the one that
// follows from what the source said last.
func (a *App) SourceChanged() { a.replace(false) }

func (a *App) replace(onlyFirst bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	old := a.current.Load()
	var state *spec.State
	if a.running != nil && !a.closed {
		state = a.running.Latest()
	}
	if old != nil && (a.closed || onlyFirst || old.state == state) {
		return
	}
	if old != nil && spec.OnlyEndpoints(old.state, state) {
		next := *old
		next.state = state
		for _, said := range state.Providers {
			if p := next.providers[said.Name]; p != nil {
				p.setEndpoints(said.Endpoints)
			}
		}
		a.current.Store(&next)
		return
	}
	began := time.Now()
	next := a.build(old, state)
	next.number = a.metrics.NextSnapshot()
	a.current.Store(next)
	if l := next.limits; l != nil && (old == nil || old.limits != l) {
		l.Set().Activate()
	}
	if old != nil {
		old.life.Release()
	}
	identity := a.identity(state)
	a.metrics.Identify(meter.Workload{Namespace: identity.Namespace, Name: identity.Workload})
	a.gateways.Change()
	a.metrics.UseSource(next.made, next.source())
	a.warnOfLimits(next)
	if state != nil {
		a.logger.Info("configuration from the source applied", zap.Uint64("snapshot", next.number), zap.Int("providers", len(next.providers)),
			zap.Int("routes", len(next.routes)), zap.Int("findings", len(state.Findings)), zap.Duration("took", time.Since(began)))
	}
}

func (a *App) identity(state *spec.State) spec.Identity {
	if a.Identity.Namespace != "" || a.Identity.Workload != "" || state == nil {
		return a.Identity
	}
	return state.Identity
}

// ready reports whether the source, if any, has been heard, and the process is
// not about to exit.
func (a *App) ready() bool {
	return !caddy.Exiting() && (a.running == nil || a.snapshot().state != nil)
}

// Unready says why the gateway cannot serve, or nothing if it can: the source has
// been heard, if there is one, what the configuration wants to listen on is listened
// on, and the process is not about to exit. A Gateway whose port is not free does not
// count: whoever may write one could stop all pods by it.
func (a *App) Unready() string {
	switch {
	case caddy.Exiting():
		return "shutting down"
	case !a.ready():
		return "waiting for the first configuration from the source"
	}
	for _, l := range a.ownListeners() {
		if problem := a.gateways.Problem(l.Address); problem != "" {
			return "cannot listen at " + l.Address + ": " + problem
		}
	}
	return ""
}

// ownListeners are those of the configuration, as opposed to those that objects of
// the source ask for.
func (a *App) ownListeners() []*listen.Listener {
	if early, ok := a.source.(spec.EarlyListener); ok {
		return slices.Concat(a.Listeners, early.Listeners())
	}
	return a.Listeners
}

func (a *App) providerNames() string {
	if len(a.static) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(maps.Keys(a.static)), ", ")
}
