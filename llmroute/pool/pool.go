// Package pool is the endpoints of a provider that has more than one server: where
// they come from, what is known of each, and which of them a request goes to. It
// imports internal/jsonscan and nothing of the gateway's requests. Begin with Pool,
// then choose.go; scrape.go reads what the servers say of their queues.
package pool

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Options are what a Pool is made of.
type Options struct {
	// Addresses are the endpoints, as hosts with ports, without a Source.
	Addresses []string

	// Source returns the endpoints of now. It is asked every second, and keeps answers
	// for as long as they hold. While it fails, the last endpoints stay.
	Source func(ctx context.Context) ([]string, error)

	// Origin says what the Source is. Until it returns endpoints for the first time, those
	// that one with the same Origin returned last are used, such as the one of the
	// configuration before.
	Origin string

	// Scrape fetches the metrics of the endpoint at that address. Nil for none.
	Scrape func(ctx context.Context, address string) (*http.Response, error)

	// Logger is for changes that an operator wants to know of.
	Logger *zap.Logger
}

// Pool is the endpoints of one provider in one configuration. It is safe for
// concurrent use.
type Pool struct {
	registry *Registry
	options  Options
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc

	current atomic.Pointer[set] // nil until the endpoints are known
	known   chan struct{}       // closed when they are

	began    atomic.Int64 // when following began, in ticks; 0 before
	used     atomic.Int64 // the last choice, in ticks
	scraping atomic.Bool
	starting sync.Once

	mu      sync.Mutex // guards what follows
	closed  bool
	problem string // of the source, empty while it works
}

// New returns a pool. It makes no connections before Start.
func New(registry *Registry, options Options) *Pool {
	p := &Pool{registry: registry, options: options, known: make(chan struct{})}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	registry.mu.Lock()
	registry.pools++
	registry.mu.Unlock()
	if options.Source == nil {
		p.Set(options.Addresses)
	} else if last := registry.lastOf(options.Origin); last != nil {
		p.Set(last)
	}
	return p
}

// Start begins to follow the endpoints. Calls after the first one do nothing.
func (p *Pool) Start() {
	if p.options.Source != nil {
		p.starting.Do(func() {
			p.began.Store(ticks(time.Now()))
			go p.follow()
		})
	}
}

// Close ends what Start began and gives the endpoints back. Requests in flight go on,
// and may still choose among the last endpoints.
func (p *Pool) Close() {
	p.cancel()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.closed = true
	p.registry.mu.Lock()
	p.registry.pools--
	p.registry.mu.Unlock()
	if s := p.current.Load(); s != nil {
		for _, e := range s.endpoints {
			p.registry.drop(e)
		}
	}
}

// Set makes these addresses the endpoints, in use from now on. Those that stay keep what
// is known of them.
func (p *Pool) Set(addresses []string) {
	addresses = slices.Clone(addresses)
	slices.Sort(addresses)
	addresses = slices.Compact(addresses)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	if len(addresses) > maxEndpoints {
		p.options.Logger.Error("pool has too many endpoints; ignoring the rest", zap.Int("endpoints", len(addresses)), zap.Int("most", maxEndpoints))
		addresses = addresses[:maxEndpoints]
	}
	old := p.current.Load()
	if old != nil && slices.EqualFunc(old.endpoints, addresses, func(e *Endpoint, address string) bool { return e.Address == address }) {
		return
	}
	endpoints := make([]*Endpoint, len(addresses))
	for i, address := range addresses {
		endpoints[i] = p.registry.take(address)
	}
	p.current.Store(newSet(endpoints))
	if old == nil {
		close(p.known)
		return
	}
	for _, e := range old.endpoints {
		p.registry.drop(e)
	}
	p.options.Logger.Info("pool endpoints changed", zap.Int("endpoints", len(endpoints)), zap.Int("before", len(old.endpoints)))
}

// PickerFailed notes that the pool's endpoint picker made no choice for a request.
func (p *Pool) PickerFailed() { p.registry.pickerFailures.Add(1) }

// Cooling reports whether the pool has endpoints and all of them cool down.
func (p *Pool) Cooling(now time.Time) bool {
	s, at := p.current.Load(), ticks(now)
	if s == nil || len(s.endpoints) == 0 {
		return false
	}
	for _, e := range s.endpoints {
		if !e.cooling(at) {
			return false
		}
	}
	return true
}

// Empty reports whether the pool has no endpoint that is known. While the first ones are
// looked up it is not empty, unless that has failed.
func (p *Pool) Empty() bool {
	if s := p.current.Load(); s != nil {
		return len(s.endpoints) == 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.problem != "" || p.began.Load() != 0 && p.firstLeft() <= 0
}

// Any returns the address of an endpoint for a request that any of them can answer,
// such as one for the list of models; empty without one. It waits for the endpoints to
// be known.
func (p *Pool) Any(ctx context.Context) string {
	s := p.await(ctx)
	if s == nil {
		return ""
	}
	if e, _ := s.choose(new(Key), nil, nil, time.Now()); e != nil {
		return e.Address
	}
	return ""
}

// firstWait bounds the wait of requests for a pool's first endpoints, from when they began
// to be looked up: while that keeps failing, later requests must not wait as well.
const firstWait = 5 * time.Second

// firstLeft is what is left of firstWait.
func (p *Pool) firstLeft() time.Duration {
	return firstWait - time.Duration(ticks(time.Now())-p.began.Load())
}

// await returns the endpoints, and waits for the first ones if they are not known yet:
// nil if they stay unknown.
func (p *Pool) await(ctx context.Context) *set {
	if s := p.current.Load(); s != nil {
		return s
	}
	p.Start()
	left := p.firstLeft()
	if left <= 0 {
		return nil
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-p.known:
	case <-ctx.Done():
	case <-timer.C:
	}
	return p.current.Load()
}
