package llmroute

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/tap"
	"github.com/caddy-llm/gateway/llmroute/guard"
	"github.com/caddy-llm/gateway/llmroute/spec"
	"github.com/caddy-llm/gateway/llmroute/virtualkey"
)

// provisionGuards makes a filter of the guards of the configuration.
func (a *App) provisionGuards(ctx caddy.Context) error {
	for _, name := range slices.Sorted(maps.Keys(a.Guards)) {
		d := a.Guards[name]
		switch {
		case d == nil:
			return fmt.Errorf("guard %s: it is null; write what it looks for", name)
		case d.Moderation != nil && a.static[d.Moderation.Provider] == nil:
			return fmt.Errorf("guard %s: moderation: there is no provider %q; define it in the llm app, whose providers are: %s", name, d.Moderation.Provider, a.providerNames())
		case d.Judge != nil && a.static[d.Judge.Provider] == nil:
			return fmt.Errorf("guard %s: judge: there is no provider %q; define it in the llm app, whose providers are: %s", name, d.Judge.Provider, a.providerNames())
		case d.Judge != nil && d.Judge.Model == "" && len(a.static[d.Judge.Provider].ConfiguredModels()) == 0:
			return fmt.Errorf("guard %s: judge: the provider %q names no model; write: judge PROVIDER model MODEL prompt_file FILE", name, d.Judge.Provider)
		}
		if err := guard.Check(name, d); err != nil {
			return fmt.Errorf("guards: %w", err)
		}
	}
	f, err := guard.New(a.Guards, ctx.Logger(), func(name, direction string, action guard.Action, category string) {
		a.metrics.Guarded(name, direction, action, category)
	}, a.ask)
	if err != nil {
		return fmt.Errorf("guards: %w", err)
	}
	a.guards = f
	return nil
}

// guardsWith returns the filter for the guards of the configuration and those of a state,
// which may be nil. It is that of old where nothing changed.
func (a *App) guardsWith(old *snapshot, state *spec.State) *guard.Filter {
	if state == nil || len(state.Guards) == 0 {
		return a.guards
	}
	last := a.guards
	if old != nil && old.state != nil {
		if last = old.chains.guards; reflect.DeepEqual(old.state.Guards, state.Guards) {
			return last
		}
	}
	f, failed := a.guards.With(state.Guards, last)
	for _, name := range slices.Sorted(maps.Keys(failed)) {
		a.logger.Error("guard unusable; its requests get 503", zap.String("guard", name), zap.Error(failed[name]))
	}
	return f
}

// providerInUse returns the provider of that name, held until release is called.
func (a *App) providerInUse(name string) (p *provider, release func(), err error) {
	snap, held := a.use()
	defer held.Release()
	if p = snap.providers[name]; p == nil || !p.life.Hold() {
		return nil, nil, fmt.Errorf("there is no provider %q", name)
	}
	return p, p.life.Release, nil
}

// ask sends a request of the gateway's own to a provider, and returns the response in the
// API of the path. No filter sees it.
func (a *App) ask(ctx context.Context, provider, path string, body []byte, limit int64) (status int, said []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://localhost"+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	in, refused := llmprovider.NewInbound(r)
	if refused != nil {
		return 0, nil, refused
	}
	defer in.Release()
	if refused := in.Read(r, int64(len(body))); refused != nil {
		return 0, nil, refused
	}
	p, release, err := a.providerInUse(provider)
	if err != nil {
		return 0, nil, err
	}
	defer release()
	var settings llmprovider.Settings
	if p.pool != nil {
		if settings.Address = p.pool.Any(ctx); settings.Address == "" {
			return 0, nil, fmt.Errorf("the provider %s has no endpoint that is ready", p.host)
		}
	}
	attempt, refused := p.NewAttempt(ctx, in, settings)
	if refused != nil {
		return 0, nil, refused
	}
	res, err := p.RoundTrip(attempt.Request)
	if err != nil {
		return 0, nil, fmt.Errorf("the provider %s could not be reached", p.host)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, limit))
	if err != nil {
		return 0, nil, fmt.Errorf("the provider %s broke off", p.host)
	}
	reader := tap.NewReader(attempt, res, llmprovider.IsEvents(res.Header))
	head := &llmprovider.Head{Status: res.StatusCode, Header: res.Header}
	reader.Head(head)
	pass := func(b []byte) error {
		said = append(said, b...)
		return nil
	}
	if err := reader.Write(raw, pass); err != nil {
		return 0, nil, err
	}
	if err := reader.Finish(pass); err != nil {
		return 0, nil, err
	}
	return head.Status, said, nil
}

// checkNames reports whether guards and prompts that are named do not exist.
func (a *App) checkNames(guards, prompts []string) error {
	for _, name := range guards {
		if a.Guards[name] == nil {
			known := "none"
			if len(a.Guards) > 0 {
				known = strings.Join(a.guards.Names(), ", ")
			}
			return fmt.Errorf("there is no guard %q; define it in the llm app, whose guards are: %s", name, known)
		}
	}
	return a.prompts.CheckNames(prompts)
}

// warnOfGuards logs which guards no rule, no provider and no virtual key names, once all
// handlers are known.
func (a *App) warnOfGuards() {
	used := a.named(func(r *spec.Rule) []string { return r.Guards }, func(p *provider) []string { return p.guards }, func(c *virtualkey.Client) []string { return c.Guards })
	for _, name := range slices.Sorted(maps.Keys(a.Guards)) {
		if used != nil && !used[name] && !a.Guards[name].Everything {
			a.logger.Warn("guard is unused: no rule, no provider and no virtual key names it; add guards NAME to a rule, to a provider or to the line of a virtual key, or everything to the guard", zap.String("guard", name))
		}
	}
}

// named returns which names the rules and the providers of the configuration and the lines of
// virtual keys have; nil if these are in a Secret, which is read later.
func (a *App) named(of func(*spec.Rule) []string, ofProvider func(*provider) []string, ofClient func(*virtualkey.Client) []string) map[string]bool {
	if a.Keys != nil && a.Keys.Secret != "" {
		return nil
	}
	named := make(map[string]bool)
	for _, known := range a.authenticators.known {
		table := known()
		for client := range table.Clients() {
			for _, name := range ofClient(client) {
				named[name] = true
			}
		}
	}
	for _, p := range a.static {
		for _, name := range ofProvider(p) {
			named[name] = true
		}
	}
	a.eachRule(func(r *spec.Rule) {
		for _, name := range of(r) {
			named[name] = true
		}
	})
	return named
}

// eachRule calls f with the rules of the configuration, once all handlers are known.
func (a *App) eachRule(f func(*spec.Rule)) {
	each := func(rules []*spec.Rule) {
		for _, r := range rules {
			f(r)
		}
	}
	for _, h := range a.handlers {
		each(h.Rules)
	}
	for _, routes := range a.Routes {
		for _, route := range routes {
			each(route.Rules)
		}
	}
}
