// Package status shows what the gateway does and how it is: the handler llm_status with its page
// for people, its probes and its metrics, and the admin endpoint /llm, which also changes limits
// and the cache. What there is to show it asks of the llm app.
//
// It imports what it shows: of the gateway spec, meter, authz, cache, guard, httproute, limit,
// listen and pool. Begin with App and Gateway, then PageOf.
package status

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/authz"
	"github.com/caddy-llm/gateway/llmroute/cache"
	"github.com/caddy-llm/gateway/llmroute/guard"
	"github.com/caddy-llm/gateway/llmroute/httproute"
	"github.com/caddy-llm/gateway/llmroute/limit"
	"github.com/caddy-llm/gateway/llmroute/meter"
	"github.com/caddy-llm/gateway/llmroute/pool"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// App is the llm app, as far as what is shown depends on it.
type App interface {
	// Gateway returns what there is to show now.
	Gateway() *Gateway
	// Unready says why the gateway cannot serve, or nothing if it can.
	Unready() string
	// KeepHistory has what pages show be recorded. It is called while handlers are provisioned.
	KeepHistory()
	// Registry has the configuration's metrics. A listener of the gateway's own has a context
	// with a registry apart.
	Registry() *prometheus.Registry
}

// Gateway is what there is to show of the gateway at one time.
type Gateway struct {
	// Unready is why the gateway cannot serve, empty if it can.
	Unready string
	// Number is that of the snapshot in use, Made when it was made.
	Number uint64
	Made   time.Time

	Providers []Provider // in no order
	// Routes are those of sites, then those of tables.
	Routes    []Route
	Listeners []ListenerView // by address
	Findings  []spec.Finding

	// Authorization is nil if all requests to Gateways may pass and llm_authz has refused
	// none.
	Authorization *authz.View
	Limits        *limit.Set    // nil without
	Guards        *guard.Filter // those of the snapshot
	Cache         *cache.Cache  // nil if no rule uses it

	Metrics *meter.Metrics
	// Currency is that of the prices, empty without any.
	Currency string

	// OpenRequests is how many requests the configuration serves.
	OpenRequests int
	// EachOpen calls f with the requests that are being served, those of configurations that
	// were replaced included. f must be quick.
	EachOpen func(f func(*Open))
}

// Provider is a provider in use.
type Provider struct {
	llmprovider.Provider
	Name, Host, Origin string

	State *meter.Provider
	Pool  *pool.Pool // nil if it is one server
}

// poolView is what is known of the provider's pool, nil without one.
func (p *Provider) poolView(now time.Time, rows int) *pool.View {
	if p.Pool == nil {
		return nil
	}
	v := p.Pool.View(now, rows)
	return &v
}

// Route is a route in use.
type Route struct {
	Table            string // empty for one of a site
	Hosts            []string
	Origin, Unusable string
	// Rules returns its rules. There may be many, of which few are shown.
	Rules func() []Rule
}

// Rule is a rule in use.
type Rule struct {
	Name     string
	Matchers []string // the names of its matchers
	Attempts int
	Backends []Backend
	Targets  []httproute.Target // of a rule with a handler
}

// Backend is a backend of a rule in use.
type Backend struct {
	*spec.Backend
	// Missing reports that there is no such provider, Usable that requests can be sent to it.
	Missing, Usable bool
}

// Open is a request that is being served.
type Open struct {
	Began time.Time
	// Provider, Rule and Model are those of the attempt under way, empty before the first.
	Provider, Rule, Model string
	Client                string // the name of the virtual key
	Stream                bool
	Answering             bool // the first byte of the response's body has come
}
