package limit

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-llm/gateway/llmroute/limit/period"
	"github.com/caddy-llm/gateway/llmroute/limit/tuple"
)

// meter counts one amount of one limit, for each combination of its key's values.
// It outlives reloads as long as the limit's name and key, the unit and the window
// stay the same; the numbers may change while it counts.
type meter struct {
	id      string
	limit   string
	keys    []Key
	unit    Unit
	window  period.Window
	name    string // of the window, as clients see it
	order   uint64 // in which counters are locked
	stored  bool   // what is used is kept through restarts, or shared: it is leased before
	budget  bool
	sharing *sharing // that lends what is used, nil for none
	sum     [32]byte // of the id
	numbers atomic.Pointer[numbers]
	current atomic.Pointer[bounds]

	spent, reserved, overrun atomic.Int64 // over all counters and windows

	refs   int         // guarded by Engine.mu
	closed atomic.Bool // no set has it any more

	mu       sync.RWMutex
	counters map[string]*counter
	overflow *counter // for combinations beyond maxCounters
	swept    time.Time
	shards   []*shard
}

// numbers are what a reload may change.
type numbers struct{ amount, burst int64 }

// bounds is the window of the calendar that is running.
type bounds struct{ start, end int64 }

// maxCounters bounds how many combinations a meter counts apart. Further ones are
// counted together until others are idle.
const maxCounters = 1 << 16

// sweepEvery bounds how often idle counters are looked for when there is no room.
const sweepEvery = time.Second

func (m *meter) bucket() bool { return m.unit != UnitConcurrent && !m.window.Calendar() }

// bounds returns the running window of the calendar.
func (m *meter) bounds(now time.Time) (start, end int64) {
	s := now.Unix()
	if b := m.current.Load(); b != nil && s >= b.start && s < b.end {
		return b.start, b.end
	}
	from, to := m.window.Bounds(now)
	b := &bounds{from.Unix(), to.Unix()}
	m.current.Store(b)
	return b.start, b.end
}

// find returns the counter of a combination, and creates it if there is none.
func (m *meter) find(combination []byte, now time.Time) *counter {
	m.mu.RLock()
	c := m.counters[string(combination)]
	m.mu.RUnlock()
	if c != nil {
		return c
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.counters[string(combination)]; c != nil {
		return c
	}
	if len(m.counters) >= maxCounters && now.Sub(m.swept) >= sweepEvery {
		m.sweep(now)
	}
	if len(m.counters) >= maxCounters {
		if m.overflow == nil {
			m.overflow = m.newCounter("\xfe", now) // no combination begins so
		}
		return m.overflow
	}
	c = m.newCounter(string(combination), now)
	m.counters[c.combination] = c
	return c
}

func (m *meter) newCounter(combination string, now time.Time) *counter {
	n := m.numbers.Load()
	c := &counter{m: m, combination: combination, hash: tuple.HashOf(combination), level: n.burst, at: now, left: unlimited, restored: true}
	if m.window.Calendar() {
		c.start, c.end = m.bounds(now)
	}
	switch {
	case m.sharing != nil:
		c.left = 0
		c.holder = m.sharing.gateway + "-" + strconv.FormatUint(m.sharing.serial.Add(1), 36)
	case m.stored:
		c.left, c.restored = 0, false
		m.shardOf(c).members[c.hash] = c
	}
	return c
}

// sweep evicts the counters that are as new ones would be: nothing that was used is
// given back. The caller holds m.mu.
func (m *meter) sweep(now time.Time) {
	m.swept = now
	n := m.numbers.Load()
	for key, c := range m.counters {
		c.mu.Lock()
		c.advance(now, n)
		if c.idle(n) && c.restored {
			c.dead = true
			delete(m.counters, key)
			if m.stored && m.sharing == nil {
				delete(m.shardOf(c).members, c.hash)
			}
		}
		c.mu.Unlock()
	}
}

// each calls f with every counter, locked and brought to the time now.
func (m *meter) each(now time.Time, f func(c *counter, n *numbers)) {
	m.mu.RLock()
	all := make([]*counter, 0, len(m.counters)+1)
	for _, c := range m.counters {
		all = append(all, c)
	}
	if m.overflow != nil {
		all = append(all, m.overflow)
	}
	m.mu.RUnlock()
	n := m.numbers.Load()
	for _, c := range all {
		c.mu.Lock()
		if !c.dead {
			c.advance(now, n)
			f(c, n)
		}
		c.mu.Unlock()
	}
}
