package llmroute

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/authz"
	"github.com/caddy-llm/gateway/llmroute/guard"
	"github.com/caddy-llm/gateway/llmroute/limit"
	"github.com/caddy-llm/gateway/llmroute/listen"
	"github.com/caddy-llm/gateway/llmroute/prompt"
	"github.com/caddy-llm/gateway/llmroute/spec"
	"github.com/caddy-llm/gateway/llmroute/virtualkey"
)

// Source is a module in the llm.sources namespace. It watches objects outside
// of the Caddy configuration and reports the providers and routes that follow
// from them. The module holds settings alone: one that is started outlives the
// configuration it came with, for as long as later ones have the same settings.
type Source interface {
	caddy.Module

	// Start begins to watch and returns. It reports each new state, the first
	// one before it returns if that takes no waiting. The error is settings or
	// objects that no state can be made of. It stops when ctx is done.
	Start(ctx context.Context, report func(*State)) error
}

// EarlyListener is a Source that knows what to listen on before its first state.
// Until then requests there are answered with 503.
type EarlyListener interface {
	Listeners() []*listen.Listener
}

// State is everything a source knows at one time. It is immutable once
// reported.
type State struct {
	Identity  Identity
	Providers []*ProviderSpec
	// Tables are the routes of each table, such as "mesh", in order of
	// precedence: of two routes with the same host the first is used.
	Tables map[string][]*Route
	// Listeners are what the gateway listens on by itself.
	Listeners []*listen.Listener
	// Authorization is what requests to the source's Gateways are held to, at the
	// gateway's own listeners and at sites that route by a Gateway's table; nil
	// if they may all pass.
	Authorization *authz.Config
	// Keys are the clients of the Secret that UseKeys named; nil lets nobody pass.
	Keys *virtualkey.Table
	// Limits are those of objects, which hold beside the configuration's. Their names have
	// a dot, as in namespace.name, and those with a name of the configuration's are left
	// out.
	Limits []*limit.Definition
	// Guards and Prompts are those that rules and providers of the state name, beside those
	// of the configuration. Their names have a slash, as in namespace/policy/guard. A name
	// without a definition is one of a guard or a prompt that cannot be used: requests
	// that it is for are refused.
	Guards  map[string]*guard.Definition
	Prompts map[string]*prompt.Definition
	// Findings are what is wrong with single objects.
	Findings []Finding

	// Observer, if there is one, is told what became of the listeners.
	Observer ListenObserver
}

// ListenObserver is told at which addresses of a state's listeners nothing could
// listen, each time that may have changed: none is an empty map. It must not block.
type ListenObserver interface {
	Listening(failed map[string]bool)
}

// ProviderSpec is a provider that a source found.
type ProviderSpec struct {
	// Name is unique in the state. It has a slash, as in namespace/name, so
	// that it cannot be that of a provider in the Caddy configuration.
	Name string
	// Origin is where the object is, such as a file and a line.
	Origin string
	// Provider is the configuration, not provisioned.
	Provider llmprovider.Provider
	// Endpoints are the addresses of a pool that is Fed, none for others. A state that
	// differs in them alone makes no new snapshot.
	Endpoints []string
	// Guards and Prompts are the names of those for all requests that may be sent to the
	// provider, after those of the rule.
	Guards, Prompts []string
}

// Finding is something wrong with one object.
type Finding = spec.Finding

// Identity is the workload that the gateway acts for.
type Identity = spec.Identity

// Route is one entry of a table: the rules for requests to its hosts.
type Route struct {
	// The hosts that the route is for: exact names, `*.suffix`, or `*`.
	Hosts []string `json:"hosts,omitempty"`

	// The rules, of which the first that matches is used.
	Rules []*Rule `json:"rules,omitempty"`

	// Where the route comes from, such as an object's namespace and name.
	Origin string `json:"origin,omitempty"`

	// Why no request to these hosts can be served. They get a 503 and are never passed on to
	// another route.
	Unusable string `json:"unusable,omitempty"`
}

// runners holds the sources that run, by settings.
var runners = caddy.NewUsagePool()

// runner is a running source and the last state it reported.
type runner struct {
	latest atomic.Pointer[State]

	mu      sync.Mutex
	started bool
	cancel  context.CancelFunc
	sinks   map[*App]struct{}
}

// acquireRunner returns the runner for a source's settings, started or not.
func acquireRunner(key string) *runner {
	value, _ := runners.LoadOrStore(key, &runner{sinks: make(map[*App]struct{})})
	return value.(*runner)
}

// Destruct implements caddy.Destructor. It only signals: whoever waits for a
// source while Caddy holds its configuration lock can wait forever.
func (r *runner) Destruct() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cancel != nil {
		r.cancel()
	}
	return nil
}

// start starts the source unless it runs, and sends its states to app.
func (r *runner) start(app *App, source Source) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sinks[app] = struct{}{}
	if r.started {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	// What is reported while the lock is held is only kept; the app takes it when
	// the source has started.
	var started atomic.Bool
	err := source.Start(ctx, func(s *State) {
		r.latest.Store(s)
		if started.Load() {
			r.publish()
		}
	})
	if err != nil {
		cancel()
		delete(r.sinks, app)
		return err
	}
	started.Store(true)
	r.started, r.cancel = true, cancel
	return nil
}

func (r *runner) publish() {
	r.mu.Lock()
	apps := make([]*App, 0, len(r.sinks))
	for app := range r.sinks {
		apps = append(apps, app)
	}
	r.mu.Unlock()
	for _, app := range apps {
		app.apply()
	}
}

// leave ends the reports to app.
func (r *runner) leave(app *App) {
	r.mu.Lock()
	delete(r.sinks, app)
	r.mu.Unlock()
}

// Interface guards
var _ caddy.Destructor = (*runner)(nil)
