package llmroute

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/internal/livefile"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
	"github.com/caddy-llm/gateway/llmroute/capture"
	"github.com/caddy-llm/gateway/llmroute/inbound"
	"github.com/caddy-llm/gateway/llmroute/limit"
	"github.com/caddy-llm/gateway/llmroute/meter"
	"github.com/caddy-llm/gateway/llmroute/price"
	"github.com/caddy-llm/gateway/llmroute/sources"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// Provision loads the providers and the source. It makes no connections.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx, a.logger = ctx, ctx.Logger()
	a.static, a.served = make(map[string]*provider), make(map[string]bool)
	a.done, a.limitsWarned = make(chan struct{}), make(map[string]bool)
	if a.StatusListen == "" {
		a.StatusListen = defaultStatusListen
	}
	if a.DrainTimeout == 0 {
		a.DrainTimeout = caddy.Duration(defaultDrain)
	}
	var err error
	if a.metrics, err = meter.Acquire(ctx.GetMetricsRegistry()); err != nil {
		return err
	}
	if a.Profiles != "" {
		path, err := caddy.NewReplacer().ReplaceOrErr(a.Profiles, true, true)
		if err != nil {
			return fmt.Errorf("profiles: %w", err)
		}
		table, err := dialect.ReadProfiles(path)
		if err != nil {
			return fmt.Errorf("profiles: %w", err)
		}
		ctx.Context = dialect.WithProfiles(ctx.Context, table)
		a.ctx = ctx // of providers of the source
	}
	if a.Prices != "" {
		path, err := caddy.NewReplacer().ReplaceOrErr(a.Prices, true, true)
		if err != nil {
			return fmt.Errorf("prices: %w", err)
		}
		if a.prices, err = livefile.Open(path, price.File, a.logger); err != nil {
			return err
		}
	}
	for _, name := range []string{"tls", "events"} {
		// The status listener needs them; an app cannot be loaded after this.
		if _, err := ctx.App(name); err != nil {
			return fmt.Errorf("getting the %s app: %w", name, err)
		}
	}
	a.outbound, a.bodies = capture.AcquireOutbound(), inbound.AcquireBudget()
	if err := ctx.GetMetricsRegistry().Register(a.metrics.Gateway(func() bool { return a.Unready() == "" }, &a.bodies.All)); err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	raw := maps.Clone(a.ProvidersRaw) // which loading empties
	modules, err := ctx.LoadModule(a, "ProvidersRaw")
	if err != nil {
		return fmt.Errorf("loading providers: %w", err)
	}
	loaded, _ := modules.(map[string]any)
	for name, module := range loaded {
		if err := checkName(name); err != nil {
			return err
		}
		p := a.newProvider(name, module.(llmprovider.Provider), nil)
		p.origin, p.config.raw = "configuration", raw[name]
		if f, ok := module.(llmprovider.Filtered); ok {
			p.guards, p.prompts = f.FilterNames()
		}
		a.static[name] = p
		if err := p.CheckCredentials(); err != nil {
			a.logger.Error("API key unavailable; requests to this provider get 503 until it is", zap.String("provider", name), zap.Error(err))
		}
	}
	if err := a.provisionGuards(ctx); err != nil {
		return err
	}
	if err := a.provisionPrompts(); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(a.static)) {
		if err := a.checkNames(a.static[name].guards, a.static[name].prompts); err != nil {
			return fmt.Errorf("provider %s: %w", name, err)
		}
	}
	if err := a.provisionCache(ctx); err != nil {
		return err
	}
	for name, routes := range a.Routes {
		for i, route := range routes {
			if err := a.provisionRoute(ctx, route); err != nil {
				return fmt.Errorf("table %s: route %d: %w", name, i+1, err)
			}
		}
	}
	for i, l := range a.Listeners {
		if err := l.Validate(); err != nil {
			return fmt.Errorf("listener %d: %w", i+1, err)
		}
	}
	if len(a.Tracing) > 0 {
		module, err := ctx.LoadModuleByID("http.handlers.tracing", a.Tracing)
		if err != nil {
			return fmt.Errorf("tracing: %w", err)
		}
		a.tracing = module.(caddyhttp.MiddlewareHandler)
	}
	if err := a.provisionSource(ctx); err != nil {
		return err
	}
	if err := a.provisionKeys(ctx); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	if err := a.provisionLimits(ctx); err != nil {
		return err
	}
	return nil
}

func checkName(name string) error {
	if name == "" || strings.ContainsAny(name, "/ \t\n{}") {
		return fmt.Errorf("%q is not a provider's name; write one without spaces, slashes and braces", name)
	}
	return nil
}

func (a *App) provisionRoute(ctx caddy.Context, route *spec.Route) error {
	if len(route.Hosts) == 0 {
		return errors.New("no hosts; name at least one, or \"*\"")
	}
	for i, rule := range route.Rules {
		if err := a.provisionRule(ctx, rule); err != nil {
			return fmt.Errorf("rule %d %s: %w", i+1, rule.Name, err)
		}
	}
	return nil
}

// provisionRule provisions a rule of the configuration, whose providers must be
// known unless a source may still supply them.
func (a *App) provisionRule(ctx caddy.Context, rule *spec.Rule) error {
	if err := rule.Provision(ctx); err != nil {
		return err
	}
	for _, b := range rule.Backends {
		if a.static[b.Provider] == nil && a.source == nil && len(a.SourceRaw) == 0 && b.Unusable == "" {
			return fmt.Errorf("there is no provider %q; define it in the llm app, whose providers are: %s", b.Provider, a.providerNames())
		}
		if p := a.static[b.Provider]; rule.PassOther && p != nil && p.pool != nil && p.changes(rule.Name) {
			return fmt.Errorf("pass_other passes requests to %s as clients send them, with their credentials, and the provider has a key or headers of its own; leave these out, or pass_other", b.Provider)
		}
	}
	return a.checkFilters(rule)
}

// changes reports whether requests of the rule get a key or headers of the provider's own.
func (p *provider) changes(rule string) bool {
	pooled, ok := p.Provider.(upstream.Pooled)
	return p.CredentialRef("") != "" || p.CredentialRef(rule) != "" || ok && pooled.SetsHeaders()
}

func (a *App) provisionSource(ctx caddy.Context) error {
	if len(a.SourceRaw) == 0 {
		return nil
	}
	key := string(a.SourceRaw)
	module, err := ctx.LoadModule(a, "SourceRaw")
	if err != nil {
		return fmt.Errorf("loading the source: %w", err)
	}
	a.source = module.(spec.Source)
	if reader, ok := module.(spec.KeysSource); ok && a.Keys != nil && a.Keys.Secret != "" {
		reader.UseKeys(a.Keys.Secret)
		key += " keys " + a.Keys.Secret
	}
	if reader, ok := module.(spec.LimitsSource); ok {
		c := &spec.LimitsConfig{Prices: a.prices != nil, Holds: func(l []*limit.Definition) error { return a.limits.Holds(l) }}
		var store string
		if a.Limits != nil {
			for _, d := range a.Limits.Limits {
				c.Names = append(c.Names, d.Name)
			}
			store = string(a.Limits.StoreRaw)
		}
		reader.UseLimits(c)
		key += fmt.Sprintf(" limits %q prices %t store %s", c.Names, c.Prices, store)
	}
	a.key, a.running = key, sources.Acquire(key)
	return nil
}
