package limit

import (
	"context"
	"errors"
	"strings"

	"github.com/caddy-llm/gateway/llmroute/limit/grant"
	"github.com/caddy-llm/gateway/llmroute/limit/tuple"
)

// changeTimeout bounds a change of the counters in a shared store.
const changeTimeout = 4 * callTimeout

// change edits one counter of the meter, or all, in the store: for all gateways. Those
// see it when they ask for more.
func (s *sharing) change(m *meter, combination []byte, one bool, ed edit) (counters int, err error) {
	s.calling.Lock()
	defer s.calling.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), changeTimeout)
	defer cancel()
	s.mu.Lock()
	store := s.store
	s.mu.Unlock()
	now, n := s.now(), m.numbers.Load()
	start := int64(0)
	if m.window.Calendar() {
		start, _ = m.bounds(now)
	}
	prefix := m.storePrefix(start)
	keys := []string{m.storeKey(start, tuple.HashOf(string(combination)))}
	if !one && len(m.keys) > 0 {
		if keys, err = store.Keys(ctx, prefix); err != nil {
			return 0, err
		}
	}
	calls := make([]grant.Call, len(keys))
	for i, key := range keys {
		calls[i] = m.storeCall(grant.OpReset, start, tuple.Hash{}, n, now)
		if calls[i].Key = key; !ed.reset {
			calls[i].Op, calls[i].Target = grant.OpCredit, ed.credit/m.unit.quantum()
		}
	}
	done := make(map[string]*grant.Reply, len(keys))
	replies := store.Do(ctx, calls)
	for i := range replies {
		if err = errors.Join(err, replies[i].Err); replies[i].Err == nil {
			done[strings.TrimPrefix(keys[i], prefix)] = &replies[i]
		}
	}
	m.each(now, func(c *counter, _ *numbers) {
		r := done[c.hash.String()]
		switch {
		case r == nil || c.start != start:
		case ed.reset:
			c.renew(r.Gen)
		default:
			ed.shared(c)
		}
	})
	return len(done), err
}

// shared notes a credit that the store has given.
func (e edit) shared(c *counter) {
	if c.m.bucket() {
		c.level = clipSigned(c.level + e.credit)
	} else {
		c.others = clipSigned(c.others - e.credit)
	}
}
