package llmroute

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/filter"
	"github.com/caddy-llm/gateway/llmroute/guard"
)

// provisionGuards makes a filter of the guards, the first one: nothing else is to look at
// what is denied or masked.
func (a *App) provisionGuards(ctx caddy.Context) error {
	if len(a.Guards) == 0 {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(a.Guards)) {
		if d := a.Guards[name]; d != nil && d.Moderation != nil && a.static[d.Moderation.Provider] == nil {
			return fmt.Errorf("guard %s: moderation: there is no provider %q; define it in the llm app, whose providers are: %s", name, d.Moderation.Provider, a.providerNames())
		}
	}
	f, err := guard.New(a.Guards, ctx.Logger(), func(name, direction string, action guard.Action, category string) {
		a.metrics.guards.WithLabelValues(name, direction, string(action), category).Inc()
	}, a.ask)
	if err != nil {
		return fmt.Errorf("guards: %w", err)
	}
	a.guards = f
	return nil
}

// ask sends a request of the gateway's own to a provider.
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
	p := a.static[provider]
	attempt, refused := p.NewAttempt(ctx, in, llmprovider.Settings{})
	if refused != nil {
		return 0, nil, refused
	}
	res, err := p.RoundTrip(attempt.Request)
	if err != nil {
		return 0, nil, fmt.Errorf("the provider %s could not be reached", p.host)
	}
	defer res.Body.Close()
	said, err = io.ReadAll(io.LimitReader(res.Body, limit))
	return res.StatusCode, said, err
}

// checkGuards reports whether a rule names guards that do not exist.
func (a *App) checkGuards(rule *Rule) error {
	for _, name := range rule.Guards {
		if a.Guards[name] == nil {
			known := "none"
			if len(a.Guards) > 0 {
				known = strings.Join(a.guards.Names(), ", ")
			}
			return fmt.Errorf("there is no guard %q; define it in the llm app, whose guards are: %s", name, known)
		}
	}
	return nil
}

// warnOfGuards logs which guards no rule names, once all handlers are known.
func (a *App) warnOfGuards() {
	if a.guards == nil {
		return
	}
	used := make(map[string]bool)
	use := func(rules []*Rule) {
		for _, r := range rules {
			for _, name := range r.Guards {
				used[name] = true
			}
		}
	}
	for _, h := range a.handlers {
		use(h.Rules)
	}
	for _, routes := range a.Routes {
		for _, route := range routes {
			use(route.Rules)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.Guards)) {
		if !used[name] && !a.Guards[name].Everything {
			a.logger.Warn("guard looks at no requests: no rule names it; write guards NAME in a rule, or everything in the guard", zap.String("guard", name))
		}
	}
}

// filtersOf returns the filters that look at a request of the rule, which may be nil, in
// their order.
func (a *App) filtersOf(rule *Rule) []filter.Filter {
	if a.guards == nil || !a.guards.Everything() && (rule == nil || len(rule.Guards) == 0) {
		return a.filters
	}
	return a.guarded
}
