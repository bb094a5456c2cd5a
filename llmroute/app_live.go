package llmroute

import (
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmroute/listen"
	"github.com/caddy-llm/gateway/llmroute/meter"
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
	if a.runner != nil && !closed {
		_ = a.runner.start(a, a.source) // Start meets the same error, and reports it
	}
	a.replace(true)
	return a.current.Load()
}

// apply replaces the snapshot by the one that follows from what the source said
// last.
func (a *App) apply() { a.replace(false) }

func (a *App) replace(onlyFirst bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	old := a.current.Load()
	var state *State
	if a.runner != nil && !a.closed {
		state = a.runner.latest.Load()
	}
	if old != nil && (a.closed || onlyFirst || old.state == state) {
		return
	}
	if old != nil && onlyEndpoints(old.state, state) {
		next := *old
		next.state = state
		for _, spec := range state.Providers {
			if p := next.providers[spec.Name]; p != nil {
				p.setEndpoints(spec.Endpoints)
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
		l.filter.Set().Activate()
	}
	if old != nil {
		old.life.release()
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

func (a *App) identity(state *State) Identity {
	if a.Identity.Namespace != "" || a.Identity.Workload != "" || state == nil {
		return a.Identity
	}
	return state.Identity
}

// ready reports whether the source, if any, has been heard, and the process is
// not about to exit.
func (a *App) ready() bool {
	return !caddy.Exiting() && (a.runner == nil || a.snapshot().state != nil)
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
	if early, ok := a.source.(EarlyListener); ok {
		return slices.Concat(a.Listeners, early.Listeners())
	}
	return a.Listeners
}

func (a *App) providerNames() string {
	names := make([]string, 0, len(a.static))
	for name := range a.static {
		names = append(names, name)
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(sorted(names), ", ")
}
