package meter

import (
	"sync"
	"sync/atomic"

	"github.com/caddy-llm/gateway/llmroute/cooldown"
	"github.com/caddy-llm/gateway/llmroute/pool"
)

// known are the providers in use, by name.
var known sync.Map // string to *Provider

// Provider is what the process knows of a provider by its name, as metrics and the status
// page show it. It outlives configurations and snapshots. It is safe for concurrent use.
type Provider struct {
	name string

	// InFlight is the number of attempts under way.
	InFlight atomic.Int64

	// Pauses are those that it asked for or earned.
	Pauses cooldown.Pauses

	// Endpoints are those of a pool, if the provider is one.
	Endpoints pool.Registry

	// The label sets that were used so far.
	series   sync.Map // seriesKey to *series
	outcomes sync.Map // outcomeKey to *outcome
	tallies  sync.Map // rule to *ruleTallies

	// The ones used last are mostly those used next.
	lastSeries  atomic.Pointer[series]
	lastOutcome atomic.Pointer[outcome]
	lastCost    atomic.Pointer[costSeries]
	lastName    atomic.Pointer[modelName]
}

// NewProvider returns a provider of that name, of which nothing is known yet. It is shown
// until Close is called.
func NewProvider(name string) *Provider {
	p := &Provider{name: name}
	known.Store(name, p)
	return p
}

// Close has the provider shown no more.
func (p *Provider) Close() { known.CompareAndDelete(p.name, p) }
