package limit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddy-llm/gateway/llmroute/limit/grant"
)

// StoreModel is a shared store as its interface says, without a network. The script of
// the redis store is held to it.
type StoreModel struct {
	mu       sync.Mutex
	Now      func() time.Time
	counters map[string]counterModel
	gateways map[string]bool
	closed   bool
}

type counterModel struct {
	gen, total  int64
	lost        bool // data was, and known was said of before
	known       int64
	fresh       int64
	level, rest int64
	at          time.Time
	burst       int64
	holders     map[string]holderModel
}

type holderModel struct {
	granted int64
	seq     uint64
	heard   time.Time
}

func NewStoreModel(now func() time.Time) *StoreModel {
	return &StoreModel{Now: now, counters: make(map[string]counterModel), gateways: make(map[string]bool)}
}

func (s *StoreModel) ID() string { return "model" }

func (s *StoreModel) Traits() grant.Traits { return grant.Traits{} }

func (s *StoreModel) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

func (s *StoreModel) Gateways(_ context.Context, id string, gone bool) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gateways[id] = true; gone {
		delete(s.gateways, id)
	}
	return len(s.gateways), nil
}

func (s *StoreModel) Keys(_ context.Context, prefix string) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []string
	for key := range s.counters {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

func (s *StoreModel) Do(_ context.Context, calls []grant.Call) []grant.Reply {
	replies := make([]grant.Reply, len(calls))
	for i := range calls {
		replies[i] = s.One(&calls[i])
	}
	return replies
}

// Lose loses all data.
func (s *StoreModel) Lose() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counters = make(map[string]counterModel)
}

// Copy returns a store that stands where this one does.
func (s *StoreModel) Copy() *StoreModel {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := NewStoreModel(s.Now)
	for key, counter := range s.counters {
		counter.holders = maps.Clone(counter.holders)
		c.counters[key] = counter
	}
	return c
}

// String is all of it, in an order.
func (s *StoreModel) String() string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(s.counters)) {
		c := s.counters[key]
		fmt.Fprint(&b, key, c.gen, c.total, c.lost, c.known, c.fresh, c.level, c.rest)
		for _, h := range slices.Sorted(maps.Keys(c.holders)) {
			fmt.Fprint(&b, h, c.holders[h].granted, c.holders[h].seq)
		}
	}
	return b.String()
}

func (c *counterModel) used(sort grant.Sort) int64 {
	switch {
	case sort == grant.SortBucket:
		return c.level
	case c.lost:
		return max(c.total, c.known+c.fresh)
	}
	return c.total
}

// One makes one call.
func (s *StoreModel) One(call *grant.Call) grant.Reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.Now()
	c, known := s.counters[call.Key]
	if known {
		c.holders = maps.Clone(c.holders)
	}
	gen := c.gen
	if !known || call.Op == grant.OpReset || call.Gen > c.gen {
		gen = max(gen, call.Gen)
		if call.Op == grant.OpReset {
			gen++
		}
		c = counterModel{gen: gen, holders: make(map[string]holderModel), level: call.Burst, at: now, burst: call.Burst}
	}
	switch call.Sort {
	case grant.SortBucket:
		if c.level > call.Burst && call.Burst < c.burst {
			c.level, c.rest = call.Burst, 0
		}
		if since := now.Sub(c.at).Microseconds(); c.level < call.Burst && since > 0 {
			every := call.Every.Microseconds()
			gained := since*call.Amount + c.rest
			c.level, c.rest = c.level+gained/every, gained%every
			if c.level >= call.Burst {
				c.level, c.rest = call.Burst, 0
			}
		}
		c.burst = call.Burst
		if now.After(c.at) {
			c.at = now
		}
	case grant.SortSlots:
		c.total = 0
		for name, h := range c.holders {
			if now.Sub(h.heard) > grant.DeadAfter && name != call.Holder {
				delete(c.holders, name)
			} else {
				c.total += h.granted
			}
		}
	}
	h, holds := c.holders[call.Holder]
	give := func(n int64) {
		more := n - h.granted
		h.granted = n
		c.total += more
		if c.lost {
			c.fresh += more
		}
		if call.Sort == grant.SortBucket {
			before := c.level
			c.level -= more
			if more < 0 {
				c.level = min(c.level, max(call.Burst, before))
			}
		}
	}
	switch {
	case call.Op == grant.OpReset:
	case call.Op == grant.OpCredit && call.Sort == grant.SortBucket:
		c.level += call.Target
	case call.Op == grant.OpCredit:
		c.total -= call.Target
		if c.lost {
			c.fresh -= call.Target
		}
	case call.Gen < c.gen:
		return grant.Reply{Total: c.used(call.Sort), Gen: c.gen}
	case holds && call.Seq <= h.seq:
		return grant.Reply{Granted: h.granted, Total: c.used(call.Sort), Gen: c.gen}
	default:
		if !holds && call.Base > 0 {
			h.granted = call.Base
			if call.Sort == grant.SortBucket {
				c.level = min(c.level, call.Known)
			} else {
				c.total += call.Base
			}
			if call.Sort == grant.SortWindow {
				c.known, c.lost = max(c.known, call.Known-(call.Claim-call.Base)), true
			}
		}
		if call.Claim > h.granted {
			give(call.Claim)
		}
		room := max(c.level, 0)
		if call.Sort != grant.SortBucket {
			room = max(call.Amount-c.used(call.Sort), 0)
		}
		switch {
		case call.Op == grant.OpLower && call.Target < h.granted:
			give(call.Target)
		case call.Op == grant.OpRaise && call.Target > h.granted && h.granted+room >= call.Least:
			give(h.granted + min(call.Target-h.granted, room))
		}
		h.seq, h.heard = call.Seq, now
		c.holders[call.Holder] = h
	}
	if s.counters[call.Key] = c; call.Op == grant.OpLower && call.Sort == grant.SortWindow && c.total == 0 && !c.lost && c.gen == 0 {
		delete(s.counters, call.Key)
	}
	return grant.Reply{Granted: h.granted, Total: c.used(call.Sort), Gen: c.gen}
}

var errLost = errors.New("no reply came")
