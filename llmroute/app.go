// Package llmroute routes requests to LLM providers: the llm app with its live
// snapshot, the llm_route handler, selection policies, the attempt loop,
// streaming, and what is counted and logged of them.
package llmroute

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/internal/livefile"
	"github.com/caddy-llm/gateway/internal/placeholder"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmroute/filter"
	"github.com/caddy-llm/gateway/llmroute/guard"
	"github.com/caddy-llm/gateway/llmroute/limit"
	"github.com/caddy-llm/gateway/llmroute/limit/limithttp"
)

func init() {
	caddy.RegisterModule(new(App))
}

const (
	defaultStatusListen = "127.0.0.1:2020"
	defaultDrain        = 10 * time.Minute
)

// App holds the LLM providers, the routes that a source supplies, and the state
// of both. Sites use it through the `llm_route` handler.
type App struct {
	// The providers, by name. Names have no slash; those with one belong to
	// sources.
	ProvidersRaw map[string]json.RawMessage `json:"providers,omitempty" caddy:"namespace=llm.providers inline_key=kind"`

	// Routes by table, for `llm_route` handlers that name a table.
	Routes map[string][]*Route `json:"routes,omitempty"`

	// Whether requests at the gateway's own listeners are logged, by the logger
	// `http.log.access` and without credentials and queries. Default: no.
	AccessLog bool `json:"access_log,omitempty"`

	// The origins of web pages whose requests are served at the ports of Gateways and
	// sidecars although a browser sends them without asking first. It is for these
	// what `allowed_origins` of `llm_route` is for sites. Default: none.
	AllowedOrigins []string `json:"allowed_origins,omitempty"`

	// The clients that may use the ports of Gateways and sidecars, by virtual keys: what
	// the handler `llm_keys` is for sites. Policies are asked first. Default: whoever
	// policies let pass.
	Keys *Keys `json:"keys,omitempty"`

	// How requests at the gateway's own listeners are traced: the settings of
	// Caddy's handler [tracing](/docs/json/apps/http/servers/routes/handle/tracing/),
	// which may be `{}`. Default: not at all.
	Tracing json.RawMessage `json:"tracing,omitempty"`

	// What the gateway listens on by itself, beside the sites. A source may add
	// others.
	Listeners []*Listener `json:"listeners,omitempty"`

	// Where further providers and routes come from. They are replaced while
	// the gateway runs, without a reload.
	SourceRaw json.RawMessage `json:"source,omitempty" caddy:"namespace=llm.sources inline_key=source"`

	// Where the status listener is, which serves `/healthz`, `/readyz`,
	// `/metrics` and the status page, or `off`. Default: `127.0.0.1:2020`.
	StatusListen string `json:"status_listen,omitempty"`

	// Whether the status listener has a page for people at `/`, and its data at
	// `/status.json`. It shows the names and hosts of providers,
	// rules and routes, what is counted of them, and the requests that are open.
	// Default: true.
	StatusPage *bool `json:"status_page,omitempty"`

	// The names of hosts by which the page may be asked for, beside `localhost`
	// and IP addresses. A browser that was led here by another name gets nothing:
	// a site that it visits could otherwise read the page. Default: none.
	StatusHosts []string `json:"status_hosts,omitempty"`

	// How long streams may go on after the process was told to stop. Then they
	// are ended with an error. Default: 10m.
	DrainTimeout caddy.Duration `json:"drain_timeout,omitempty"`

	// The most bytes of request bodies that are held at once, over all requests. A
	// body is held until the provider that answers has it. A request beyond the bound
	// gets a 503 with Retry-After, and one that alone is larger a 413. Default: a
	// quarter of the memory limit, which is GOMEMLIMIT, the container's, or the
	// machine's memory.
	MaxBodies int64 `json:"max_bodies,omitempty"`

	// A file with the prices of models, for the cost of each answer in logs and
	// metrics. It is YAML: the currency, and a list of prices of a million tokens.
	//
	//	currency: USD
	//	prices:
	//	  - model: gpt-4o*          # or a name as it is
	//	    provider: api.openai.com # its name or host. Default: any
	//	    from: 2026-01-31         # Default: always
	//	    input: 2.50
	//	    cached: 1.25             # of the input. Default: input
	//	    output: 10
	//	    reasoning: 10            # of the output. Default: output
	//
	// Of several that fit, one for the provider comes before one for any, an
	// exact model before a wildcard, a longer wildcard before a shorter one, and
	// a later date before an earlier one.
	//
	// The file is read when the configuration is loaded, and a mistake in it stops
	// that. It is read again at most once a second while requests arrive; a
	// mistake in the new version is logged, and the last good one stays in force.
	// Replace it by renaming a new one over it. At most 8 MiB. A relative path
	// starts at Caddy's working directory. Default: no prices.
	Prices string `json:"prices,omitempty"`

	// A file with what is known of vendors and models whose APIs requests are translated
	// for: their limits, and what they call things. It is YAML in the form of the
	// gateway's own table, llmprovider/dialect/profiles.yaml, and replaces it. It is read
	// when the configuration is loaded. Placeholders are replaced; a relative path starts
	// at Caddy's working directory. Default: the gateway's own table.
	Profiles string `json:"profiles,omitempty"`

	// How much clients, teams and workloads may use, at sites, Gateways' ports and in
	// sidecars alike. Default: no limits.
	Limits *limit.Config `json:"limits,omitempty"`

	// What looks at the text of requests before they are sent, and of responses before
	// clients get them, by name: guards deny and mask. Rules name those that look at their requests. Default: no guards.
	Guards map[string]*guard.Definition `json:"guards,omitempty"`

	// The workload that the gateway acts for, as metrics name it. Default: what
	// the source knows.
	Identity Identity `json:"identity,omitzero"`

	ctx      caddy.Context // for snapshots; has no OnCancel functions
	logger   *zap.Logger
	static   map[string]*provider
	handlers []*Handler
	served   map[string]bool // tables that sites route by
	source   Source
	runner   *runner
	key      string // of runner
	metrics  *metrics
	prices   *livefile.File[*priceTable] // nil without one
	open     openRequests
	outbound *outbound
	bodies   *budget
	status   *listener
	hasPage  bool // somewhere
	gateways listeners
	denials  denials
	tracing  caddyhttp.MiddlewareHandler // nil without
	filters  []filter.Filter             // of the configuration, in their order, without guards
	guarded  []filter.Filter             // the same with guards, nil without any
	guards   *guard.Filter               // nil without
	limits   *limithttp.Filter           // nil without
	done     chan struct{}
	stopOnce sync.Once

	mu      sync.Mutex // guards changes of current
	closed  bool
	current atomic.Pointer[snapshot]
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "llm",
		New: func() caddy.Module { return new(App) },
	}
}

// Provision loads the providers and the source. It contacts nobody.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx, a.logger = ctx, ctx.Logger()
	a.static, a.served = make(map[string]*provider), make(map[string]bool)
	a.done = make(chan struct{})
	if a.StatusListen == "" {
		a.StatusListen = defaultStatusListen
	}
	if a.DrainTimeout == 0 {
		a.DrainTimeout = caddy.Duration(defaultDrain)
	}
	var err error
	if a.metrics, err = acquireMetrics(ctx.GetMetricsRegistry()); err != nil {
		return err
	}
	if err := ctx.GetMetricsRegistry().Register(appCollector{a}); err != nil {
		return fmt.Errorf("registering metrics: %w", err)
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
		if a.prices, err = livefile.Open(path, pricesKind, a.logger); err != nil {
			return err
		}
	}
	for _, name := range []string{"tls", "events"} {
		// The status listener needs them; an app cannot be loaded after this.
		if _, err := ctx.App(name); err != nil {
			return fmt.Errorf("getting the %s app: %w", name, err)
		}
	}
	a.outbound, a.bodies = acquireOutbound(), acquireBudget()
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
		p.origin = "configuration"
		a.static[name] = p
		if err := p.CheckCredentials(); err != nil {
			a.logger.Error("API key unavailable; requests to this provider get 503 until it is", zap.String("provider", name), zap.Error(err))
		}
	}
	if err := a.provisionGuards(ctx); err != nil {
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
		if err := l.validate(); err != nil {
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
	if a.guards != nil { // whatever else looks at a request sees it masked
		a.guarded = slices.Concat([]filter.Filter{a.guards}, a.filters)
	}
	return nil
}

func checkName(name string) error {
	if name == "" || strings.ContainsAny(name, "/ \t\n{}") {
		return fmt.Errorf("%q is not a provider's name; write one without spaces, slashes and braces", name)
	}
	return nil
}

func (a *App) provisionRoute(ctx caddy.Context, route *Route) error {
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
func (a *App) provisionRule(ctx caddy.Context, rule *Rule) error {
	if err := rule.Provision(ctx); err != nil {
		return err
	}
	for _, b := range rule.Backends {
		if a.static[b.Provider] == nil && a.source == nil && len(a.SourceRaw) == 0 && b.Unusable == "" {
			return fmt.Errorf("there is no provider %q; define it in the llm app, whose providers are: %s", b.Provider, a.providerNames())
		}
	}
	return a.checkGuards(rule)
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
	a.source = module.(Source)
	if reader, ok := module.(KeysSource); ok && a.Keys != nil && a.Keys.Secret != "" {
		reader.UseKeys(a.Keys.Secret)
		key += " keys " + a.Keys.Secret
	}
	a.key, a.runner = key, acquireRunner(key)
	return nil
}

// Validate checks that the configuration can work.
func (a *App) Validate() error {
	if err := placeholder.RefuseIn(a, "prices", "profiles"); err != nil { // in which they are replaced
		return err
	}
	if a.DrainTimeout < 0 {
		return errors.New("drain_timeout is negative; write how long streams may go on, such as 10m")
	}
	if a.MaxBodies < 0 {
		return errors.New("max_bodies is negative; write a number of bytes")
	}
	for _, host := range a.StatusHosts {
		if err := CheckHostName(host); err != nil {
			return fmt.Errorf("status_hosts: %w", err)
		}
	}
	if a.StatusListen != "off" {
		if _, err := caddy.ParseNetworkAddress(a.StatusListen); err != nil {
			return fmt.Errorf("status_listen: %w", err)
		}
	}
	return nil
}

// Start starts the source and the listeners.
func (a *App) Start() error {
	a.bodies.set(a.MaxBodies)
	a.bodies.metrics.Store(a.metrics)
	if a.runner != nil {
		if err := a.runner.start(a, a.source); err != nil {
			return fmt.Errorf("starting the source: %w", err)
		}
	}
	a.apply()
	a.startLimits()
	a.warnOfGuards()
	a.gateways.begin(a)
	if a.StatusListen != "off" {
		var err error
		if a.status, err = a.startStatus(); err != nil {
			return fmt.Errorf("starting the status listener: %w; write another address as status_listen, or off", err)
		}
	}
	a.metrics.started.Store(a, nil)
	if a.hasPage {
		go a.keepHistory()
	}
	go a.drainOnExit()
	if slices.ContainsFunc(a.ownListeners(), (*Listener).isSidecar) {
		go a.warnOfAdmin()
	}
	return nil
}

// Stop ends what Start began. It waits for nothing.
func (a *App) Stop() error {
	if a.runner != nil {
		a.runner.leave(a)
	}
	if !caddy.Exiting() {
		a.stopOnce.Do(func() { close(a.done) })
	}
	// At exit the status listener stays to the end: whoever asks is to hear that
	// the gateway is not ready, and not nothing. Stopping it would also wait for
	// requests of earlier configurations, with the sites still open if the http
	// app is stopped after this one.
	return a.stopListeners()
}

func (a *App) stopListeners() error {
	a.gateways.end()
	if a.status == nil || caddy.Exiting() {
		return nil
	}
	status := a.status
	a.status = nil
	return status.stop()
}

// Cleanup gives back what Provision acquired. Requests in flight go on.
func (a *App) Cleanup() error {
	a.stopOnce.Do(func() { close(a.done) })
	if err := a.stopListeners(); err != nil { // Caddy stops no app whose Start failed
		a.logger.Error("closing listeners", zap.Error(err))
	}
	a.gateways.wait() // nothing but the end of the process ends the requests then
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		return nil
	}
	a.closed = true
	if s := a.current.Load(); s != nil {
		s.life.release()
	}
	a.mu.Unlock()
	for _, p := range a.static {
		p.release()
	}
	if err := a.closeLimits(); err != nil {
		return err
	}
	if a.outbound != nil {
		if _, err := outbounds.Delete(""); err != nil {
			return err
		}
		if err := releaseBudget(); err != nil {
			return err
		}
	}
	if a.runner != nil {
		a.runner.leave(a)
		_, err := runners.Delete(a.key)
		return err
	}
	return nil
}

// register makes the handler's rules part of every snapshot, and returns their
// place in it.
func (a *App) register(h *Handler) int {
	a.handlers = append(a.handlers, h)
	return len(a.handlers) - 1
}

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.Validator    = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
