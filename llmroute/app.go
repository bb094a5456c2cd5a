// Package llmroute routes requests to LLM providers: the llm app with its live
// snapshot, the llm_route handler, the attempt loop and streaming. It tells meter
// what became of a request, and status what there is to show.
package llmroute

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/internal/livefile"
	"github.com/caddy-llm/gateway/internal/placeholder"
	"github.com/caddy-llm/gateway/llmroute/authz"
	"github.com/caddy-llm/gateway/llmroute/cache"
	"github.com/caddy-llm/gateway/llmroute/capture"
	"github.com/caddy-llm/gateway/llmroute/guard"
	"github.com/caddy-llm/gateway/llmroute/inbound"
	"github.com/caddy-llm/gateway/llmroute/inflight"
	"github.com/caddy-llm/gateway/llmroute/limit"
	"github.com/caddy-llm/gateway/llmroute/limit/inforce"
	"github.com/caddy-llm/gateway/llmroute/listen"
	"github.com/caddy-llm/gateway/llmroute/meter"
	"github.com/caddy-llm/gateway/llmroute/price"
	"github.com/caddy-llm/gateway/llmroute/prompt"
	"github.com/caddy-llm/gateway/llmroute/sources"
	"github.com/caddy-llm/gateway/llmroute/spec"
	"github.com/caddy-llm/gateway/llmroute/status"
	"github.com/caddy-llm/gateway/llmroute/virtualkey"
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
	Routes map[string][]*spec.Route `json:"routes,omitempty"`

	// Whether requests at the gateway's own listeners are logged, by the logger
	// `http.log.access` and without credentials and queries. Default: no.
	AccessLog bool `json:"access_log,omitempty"`

	// The origins of web pages whose requests are served at the ports of Gateways and
	// sidecars although a browser sends them without asking first. It is for these
	// what `allowed_origins` of `llm_route` is for sites. Default: none.
	AllowedOrigins []string `json:"allowed_origins,omitempty"`

	// The clients that may use the ports of Gateways and sidecars, by virtual keys: what
	// the handler `llm_keys` is for sites. Policies are checked first. Default: all clients
	// that policies admit.
	Keys *virtualkey.Keys `json:"keys,omitempty"`

	// How requests at the gateway's own listeners are traced: the settings of
	// Caddy's handler [tracing](/docs/json/apps/http/servers/routes/handle/tracing/),
	// which may be `{}`. Default: not at all.
	Tracing json.RawMessage `json:"tracing,omitempty"`

	// What the gateway listens on by itself, beside the sites. A source may add
	// others.
	Listeners []*listen.Listener `json:"listeners,omitempty"`

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
	// and IP addresses. A browser that was directed here under another name gets nothing,
	// since a site that it visits could otherwise read the page (DNS rebinding). Default:
	// none.
	StatusHosts []string `json:"status_hosts,omitempty"`

	// How long streams may go on after the process was told to stop. Then they
	// are ended with an error. Default: 10m.
	DrainTimeout caddy.Duration `json:"drain_timeout,omitempty"`

	// The most bytes of request bodies that are held at once, over all requests. A
	// body is held until the provider that responds has received it. A request beyond the
	// bound gets a 503 with Retry-After, and one that alone is larger a 413. Default: a
	// quarter of the memory limit, which is GOMEMLIMIT, the container's, or the machine's
	// memory.
	MaxBodies int64 `json:"max_bodies,omitempty"`

	// A file with the prices of models, for the cost of each response in logs and
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
	// mistake in the new version is logged, and the last valid one stays in use. Replace it
	// by renaming a new one over it. At most 8 MiB. A relative path starts at Caddy's
	// working directory. Default: no prices.
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

	// Texts that are added to requests before they are sent, by name: messages before and
	// after the conversation, and templates that clients name. Rules name those that are
	// added to their requests. Default: no prompts.
	Prompts map[string]*prompt.Definition `json:"prompts,omitempty"`

	// Where the responses are kept that rules with `cache` give to equal requests, and for
	// how long. Default: in memory, for an hour.
	Cache *cache.Config `json:"cache,omitempty"`

	// The workload that the gateway acts for, as metrics name it. Default: what
	// the source knows.
	Identity spec.Identity `json:"identity,omitzero"`

	ctx            caddy.Context // for snapshots; has no OnCancel functions
	logger         *zap.Logger
	static         map[string]*provider
	handlers       []*Handler
	authenticators authenticators
	served         map[string]bool // tables that sites route by
	source         spec.Source
	running        *sources.Running // nil without a source
	key            string           // of running
	metrics        *meter.Metrics
	prices         *livefile.File[*price.Table] // nil without one
	open           inflight.Set[exchange]
	outbound       *capture.Outbound
	bodies         *inbound.Budget
	status         *listen.Running
	hasPage        bool // somewhere
	gateways       listen.Listeners
	denials        authz.Denials
	tracing        caddyhttp.MiddlewareHandler // nil without
	guards         *guard.Filter               // of the configuration
	prompts        *prompt.Filter              // of the configuration
	limits         *inforce.Limits             // nil without, and without a source that may have some
	limitsWarned   map[string]bool             // what warnOfLimits logged; guarded by mu
	cache          *cache.Cache
	caches         atomic.Bool // some rule uses cache, or it is configured
	done           chan struct{}
	stopOnce       sync.Once

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
		if err := status.CheckHostName(host); err != nil {
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
	a.bodies.Set(a.MaxBodies)
	a.bodies.Metrics.Store(a.metrics)
	if a.running != nil {
		if err := a.running.Start(a, a.source); err != nil {
			return fmt.Errorf("starting the source: %w", err)
		}
	}
	a.SourceChanged()
	a.warnOfGuards()
	a.warnOfPrompts()
	a.warnOfCache()
	a.gateways.Begin(a.listenOptions())
	if a.StatusListen != "off" {
		var err error
		if a.status, err = a.startStatus(); err != nil {
			return fmt.Errorf("starting the status listener: %w; write another address as status_listen, or off", err)
		}
	}
	serving.Store(a, nil)
	if a.hasPage {
		go a.recordHistory()
	}
	go a.drainOnExit()
	if slices.ContainsFunc(a.ownListeners(), (*listen.Listener).IsSidecar) {
		go listen.WarnOfAdmin(a.ctx, a.logger)
	}
	return nil
}

// Stop ends what Start began. It waits for nothing.
func (a *App) Stop() error {
	if a.running != nil {
		a.running.Leave(a)
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
	a.gateways.End()
	if a.status == nil || caddy.Exiting() {
		return nil
	}
	status := a.status
	a.status = nil
	return status.Stop()
}

// Cleanup gives back what Provision acquired. Requests in flight go on.
func (a *App) Cleanup() error {
	a.stopOnce.Do(func() { close(a.done) })
	if err := a.stopListeners(); err != nil { // Caddy stops no app whose Start failed
		a.logger.Error("failed to close listeners", zap.Error(err))
	}
	a.gateways.Wait() // nothing but the end of the process ends the requests then
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		return nil
	}
	a.closed = true
	a.warnOfUnstarted()
	if s := a.current.Load(); s != nil {
		s.life.Release()
	}
	a.mu.Unlock()
	for _, p := range a.static {
		p.release()
	}
	if err := a.closeLimits(); err != nil {
		return err
	}
	if a.outbound != nil {
		if err := capture.ReleaseOutbound(); err != nil {
			return err
		}
		if err := inbound.ReleaseBudget(); err != nil {
			return err
		}
	}
	if a.running != nil {
		a.running.Leave(a)
		return sources.Release(a.key)
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
