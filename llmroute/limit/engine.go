package limit

import (
	"crypto/sha256"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmroute/limit/estimate"
	"github.com/caddy-llm/gateway/llmroute/limit/grant"
	"github.com/caddy-llm/gateway/llmroute/limit/period"
)

// Engine holds what was used of all limits of the process. It outlives
// configurations: each has a Set of it.
type Engine struct {
	// Ratios are what was learned of the tokens of models.
	Ratios estimate.Ratios

	now        func() time.Time
	checkpoint *checkpoint
	pool       sync.Pool // of *Reservation

	mu     sync.Mutex
	sets   []*Set // that were compiled and not closed, in order
	active *Set   // whose numbers are in force
	meters map[string]*meter
	shared map[string]*sharing // by ID
	states map[string]*state
	order  uint64
}

// state is what is counted of a limit, over all of its amounts.
type state struct {
	refs         int          // guarded by Engine.mu
	lastMatch    atomic.Int64 // in seconds since 1970
	admitted     atomic.Int64
	wouldRefuse  atomic.Int64
	usageMissing atomic.Int64
	refused      [reasons]atomic.Int64
}

// engines holds the engine of the process: what was used outlives configurations.
var engines = caddy.NewUsagePool()

// Acquire returns the engine of the process. Release gives it back.
func Acquire() *Engine {
	value, _, _ := engines.LoadOrNew("", func() (caddy.Destructor, error) { return newEngine(time.Now), nil })
	return value.(*Engine)
}

// Release gives back what Acquire returned.
func Release() error {
	_, err := engines.Delete("")
	return err
}

// Destruct implements caddy.Destructor. Sets have stored what is to be kept.
func (e *Engine) Destruct() error { return nil }

// newEngine returns an engine without limits. Its time is now's.
func newEngine(now func() time.Time) *Engine {
	e := &Engine{now: now, meters: make(map[string]*meter), states: make(map[string]*state), shared: make(map[string]*sharing), checkpoint: newCheckpoint(now)}
	e.pool.New = func() any { return new(Reservation) }
	return e
}

// Set is the limits of one configuration.
type Set struct {
	e      *Engine
	limits []*compiled
	once   sync.Once

	numbers map[*meter]numbers
	storage Storage
	shared  grant.Store
	sharing *sharing // nil if every process counts for itself
	logger  *zap.Logger
}

// compiled is a limit, ready for requests.
type compiled struct {
	*Definition
	index     int
	meters    []*meter
	state     *state
	strict    bool
	costs     bool
	byClient  bool
	perTarget bool // it depends on which provider and model a request is sent to
	onFailure string
	maxOutput int64
}

// retargets reports whether what the limit asks for depends on which provider and model
// a request is sent to: for whom it counts, or what that costs.
func (l *compiled) retargets() bool { return l.perTarget || l.costs }

// Compile returns the set of limits that the configuration defines. What was used
// of limits that the engine knows stays used. The configuration must have passed
// Check. The store is nil if every process counts for itself. Close gives the set back.
func (e *Engine) Compile(c *Config, store grant.Store) *Set {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := &Set{e: e, numbers: make(map[*meter]numbers), shared: store, logger: zap.NewNop()}
	if store != nil {
		if s.sharing = e.shared[store.ID()]; s.sharing == nil {
			s.sharing = newSharing(e.now, store)
			e.shared[store.ID()] = s.sharing
		}
		s.sharing.refs++
	}
	e.sets = append(e.sets, s)
	for i, d := range c.Limits {
		l := &compiled{
			Definition: d, index: i, costs: d.Costs(), byClient: slices.Contains(d.Key, KeyClient), onFailure: d.OnStoreFailure, maxOutput: d.MaxOutput,
			perTarget: len(d.Providers) > 0 || len(d.Models) > 0 || slices.Contains(d.Key, KeyProvider) || slices.Contains(d.Key, KeyModel) || d.Scope.perTarget(),
		}
		l.strict = d.Estimate == EstimateStrict || d.Estimate == "" && l.costs
		if l.maxOutput == 0 {
			l.maxOutput = defaultMaxOutput
		}
		if l.onFailure == "" {
			l.onFailure = OnFailureShare
			if l.costs {
				l.onFailure = OnFailureDeny
			}
		}
		if l.state = e.states[d.Name]; l.state == nil {
			l.state = new(state)
			e.states[d.Name] = l.state
		}
		l.state.refs++
		for j := range d.Amounts {
			w, amount, burst, err := d.Amounts[j].parse()
			if err != nil {
				continue // Check has reported it
			}
			l.meters = append(l.meters, e.meter(s, d, d.Amounts[j].Unit, w, numbers{amount, burst}))
		}
		if d.Concurrent > 0 {
			l.meters = append(l.meters, e.meter(s, d, UnitConcurrent, period.Window{}, numbers{d.Concurrent, d.Concurrent}))
		}
		s.limits = append(s.limits, l)
	}
	return s
}

// meter returns the meter for an amount. If it is known, its numbers stay until the set
// is activated.
func (e *Engine) meter(s *Set, d *Definition, unit Unit, w period.Window, n numbers) *meter {
	keys := make([]string, len(d.Key))
	for i, k := range d.Key {
		keys[i] = string(k)
	}
	sharing := s.sharing
	if d.Scope != nil && d.Scope.Local {
		sharing = nil
	}
	if sharing != nil && s.shared.Traits().CountsUp {
		w = w.Fixed()
	}
	id := strings.Join([]string{d.Name, strings.Join(keys, "\x1f"), string(unit), windowName(unit, w)}, "\x1e")
	sum, known := sha256.Sum256([]byte(id)), id
	if sharing != nil {
		known += "\x1e" + s.shared.ID()
	}
	m := e.meters[known]
	if m == nil {
		e.order++
		m = &meter{
			id: known, sum: sum, sharing: sharing, limit: d.Name, keys: slices.Clone(d.Key), unit: unit, window: w, name: w.Short(), order: e.order, counters: make(map[string]*counter),
			budget: unit == UnitCost || unit != UnitConcurrent && w.Budget(),
			stored: sharing != nil || s.sharing == nil && unit != UnitConcurrent && (w.Calendar() || unit == UnitCost || w.Every >= storedWindow),
		}
		m.numbers.Store(&n)
		switch {
		case m.sharing != nil:
			m.sharing.add(m)
		case m.stored:
			m.makeShards()
		}
		e.meters[known] = m
	}
	m.refs++
	s.numbers[m] = n
	return m
}

// Use says where the set's budgets are kept through restarts. Nothing is read or
// written before a request needs it.
func (s *Set) Use(storage Storage, logger *zap.Logger) {
	s.storage, s.logger = storage, logger
	if storage != nil {
		s.e.checkpoint.useFirst(storage, logger)
	}
}

// Activate puts the set's numbers and storage in force, for limits that another set
// has too: once its configuration is in use, and not when it is only checked. Closing
// the set puts back those of the one before.
func (s *Set) Activate() {
	s.e.mu.Lock()
	defer s.e.mu.Unlock()
	s.activate()
}

func (s *Set) activate() {
	s.e.active = s
	if s.storage != nil {
		s.e.checkpoint.use(s.storage, s.logger)
	}
	if s.sharing != nil {
		s.sharing.use(s.shared, s.logger)
	}
	for m, n := range s.numbers {
		if old := m.numbers.Swap(&n); n.burst < old.burst && m.bucket() {
			m.each(s.e.now(), func(c *counter, n *numbers) {
				c.level = min(c.level, n.burst)
			})
		}
	}
}

// storedWindow is from which length on a bucket is kept through restarts. Shorter
// ones are full again soon.
const storedWindow = time.Hour

func windowName(unit Unit, w period.Window) string {
	if unit == UnitConcurrent {
		return ""
	}
	return w.String()
}

// Close gives the set back. What is known of limits that no set has any more is
// stored and forgotten; requests in flight may still settle.
func (s *Set) Close() {
	s.once.Do(func() {
		var gone []*meter
		e := s.e
		e.mu.Lock()
		for _, l := range s.limits {
			if l.state.refs--; l.state.refs == 0 {
				delete(e.states, l.Name)
			}
			for _, m := range l.meters {
				if m.refs--; m.refs == 0 {
					delete(e.meters, m.id)
					m.closed.Store(true)
					gone = append(gone, m)
				}
			}
		}
		var unused *sharing
		if s.sharing != nil {
			if s.sharing.refs--; s.sharing.refs == 0 {
				delete(e.shared, s.shared.ID())
				unused = s.sharing
			}
		}
		e.sets = slices.DeleteFunc(e.sets, func(other *Set) bool { return other == s })
		if e.active == s {
			if e.active = nil; len(e.sets) > 0 {
				e.sets[len(e.sets)-1].activate()
			}
		}
		e.mu.Unlock()
		done := make(chan struct{})
		go func() {
			defer close(done)
			for _, m := range gone {
				if m.sharing != nil {
					m.sharing.remove(m)
				} else if !m.flush(e.checkpoint) {
					return // what is stored already has more than was used
				}
			}
			switch {
			case unused != nil:
				unused.close()
			case s.sharing != nil && len(gone) > 0:
				s.sharing.flush()
			}
			if s.sharing != nil {
				s.sharing.closeStore(s.shared)
			}
		}()
		select {
		case <-done:
		case <-time.After(closeWait): // storage hangs, and the end of the process must not
		}
	})
}

// closeWait bounds how long Close takes.
const closeWait = 5 * time.Second

// flush stores what was used, without what is leased beyond it. It returns false if
// storage failed.
func (m *meter) flush(k *checkpoint) bool {
	k.mu.Lock()
	storage := k.storage
	k.mu.Unlock()
	for _, s := range m.shards {
		m.mu.RLock()
		used := len(s.members) > 0
		m.mu.RUnlock()
		if used && k.write(s, storage, true) != nil { // the error is logged and counted
			return false
		}
	}
	return true
}

// HasCost reports whether any limit is one of money.
func (s *Set) HasCost() bool {
	for _, l := range s.limits {
		if l.costs {
			return true
		}
	}
	return false
}
