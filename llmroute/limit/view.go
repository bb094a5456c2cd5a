package limit

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"github.com/caddy-llm/gateway/llmroute/limit/period"
)

// fullest is how many counters a view shows of an amount.
const fullest = 10

// View is where a limit stands, for operators. It holds no client's text.
type View struct {
	Name   string `json:"name"`
	Key    []Key  `json:"key,omitempty"`
	Shadow bool   `json:"shadow,omitempty"`
	Tier   bool   `json:"tier,omitempty"`

	// Admitted are the requests that had room, Refused those that had not, by reason,
	// WouldRefuse those that a shadow would have refused, and UsageMissing the
	// responses without usage, all since the process began.
	Admitted     int64            `json:"admitted"`
	Refused      map[string]int64 `json:"refused,omitempty"`
	WouldRefuse  int64            `json:"would_refuse,omitempty"`
	UsageMissing int64            `json:"usage_missing,omitempty"`

	// LastMatch is when a request was last limited, nil if none ever was.
	LastMatch *time.Time `json:"last_match,omitempty"`

	Amounts []AmountView `json:"amounts"`
}

// AmountView is one amount of a limit.
type AmountView struct {
	Unit     Unit   `json:"unit"`
	Amount   Number `json:"amount"`
	Window   string `json:"window,omitempty"`
	Timezone string `json:"timezone,omitempty"`
	Burst    Number `json:"burst,omitempty"`

	// Keys is how many combinations of the key's values have a counter.
	Keys int `json:"keys"`
	// Shared reports whether there are so many that further ones share a counter.
	Shared bool `json:"shared,omitempty"`

	// Spent, Reserved and Overrun are over all counters, since the process began:
	// what was used, what open requests have reserved, and what responses took beyond
	// their reservations. Leased is what may be used without asking the store.
	Spent    Number `json:"spent"`
	Reserved Number `json:"reserved"`
	Overrun  Number `json:"overrun"`
	Leased   Number `json:"leased,omitempty"`

	// Fullest are the counters with the least share left.
	Fullest []CounterView `json:"fullest,omitempty"`
}

// CounterView is one counter.
type CounterView struct {
	// Key shows the combination: names from the configuration as they are, others as
	// the beginning of a SHA-256.
	Key       string    `json:"key,omitempty"`
	Used      Number    `json:"used"`
	Remaining Number    `json:"remaining"`
	Reset     time.Time `json:"reset"`
	// Share is the part that is used, 1 for all of it.
	Share float64 `json:"share"`
}

// Number is an amount as JSON has it, exact.
type Number = json.Number

// View returns where the limits stand.
func (s *Set) View() []View {
	if s == nil {
		return nil
	}
	now := s.e.now()
	out := make([]View, 0, len(s.limits))
	for _, l := range s.limits {
		v := View{
			Name: l.Name, Key: l.Key, Shadow: l.Shadow, Tier: l.Tier,
			Admitted: l.state.admitted.Load(), WouldRefuse: l.state.wouldRefuse.Load(), UsageMissing: l.state.usageMissing.Load(),
		}
		for i := range l.state.refused {
			if n := l.state.refused[i].Load(); n > 0 {
				if v.Refused == nil {
					v.Refused = make(map[string]int64)
				}
				v.Refused[Reason(i).String()] = n
			}
		}
		if at := l.state.lastMatch.Load(); at > 0 {
			last := time.Unix(at, 0).UTC()
			v.LastMatch = &last
		}
		for _, m := range l.meters {
			v.Amounts = append(v.Amounts, m.view(now))
		}
		out = append(out, v)
	}
	return out
}

func (m *meter) view(now time.Time) AmountView {
	n := m.numbers.Load()
	number := func(n int64) Number { return Number(m.unit.Format(n)) }
	v := AmountView{
		Unit: m.unit, Amount: number(n.amount), Spent: number(m.spent.Load()), Reserved: number(m.reserved.Load()), Overrun: number(m.overrun.Load()),
	}
	if v.Window = m.name; m.window.Calendar() && m.window.Period != period.Fixed {
		v.Timezone = m.window.Zone.String()
	}
	if n.burst != n.amount {
		v.Burst = number(n.burst)
	}
	leased := int64(0)
	m.each(now, func(c *counter, n *numbers) {
		v.Keys++
		if m.stored {
			leased += max(c.left, 0)
		}
		left := c.available(n)
		used := n.burst - left
		if used <= 0 {
			return
		}
		share := float64(used) / float64(n.burst)
		if len(v.Fullest) == fullest && v.Fullest[fullest-1].Share >= share {
			return
		}
		one := CounterView{Used: number(used), Remaining: number(max(left, 0)), Reset: now.Add(c.resetsIn(now, n)).UTC(), Share: share}
		if c == m.overflow {
			one.Key = "further keys together"
		} else {
			one.Key = show(m.keys, c.combination)
		}
		i, _ := slices.BinarySearchFunc(v.Fullest, share, func(c CounterView, share float64) int { return cmp.Compare(share, c.Share) })
		v.Fullest = slices.Insert(v.Fullest, i, one)
		v.Fullest = v.Fullest[:min(len(v.Fullest), fullest)]
	})
	if m.stored {
		v.Leased = number(leased)
	}
	m.mu.RLock()
	v.Shared = m.overflow != nil
	m.mu.RUnlock()
	return v
}

// Stats is what metrics show of a limit, since the process began.
type Stats struct {
	Name                                string
	Shadow                              bool
	Admitted, WouldRefuse, UsageMissing int64
	Refused                             map[Reason]int64
	Amounts                             []AmountStats
}

// AmountStats is what metrics show of an amount, in its unit.
type AmountStats struct {
	Unit   Unit
	Window string

	Spent, Reserved, Overrun float64
	// Leased has a meaning if the amount is Stored.
	Leased float64
	Stored bool
	// Used is the used part of the fullest counter, 1 for all of it.
	Used float64
}

// Stats returns where the limits stand in numbers. It formats nothing.
func (s *Set) Stats() []Stats {
	now := s.e.now()
	out := make([]Stats, 0, len(s.limits))
	for _, l := range s.limits {
		v := Stats{
			Name: l.Name, Shadow: l.Shadow, Admitted: l.state.admitted.Load(), WouldRefuse: l.state.wouldRefuse.Load(), UsageMissing: l.state.usageMissing.Load(),
			Refused: make(map[Reason]int64, reasons), Amounts: make([]AmountStats, len(l.meters)),
		}
		for i := range l.state.refused {
			if n := l.state.refused[i].Load(); n > 0 {
				v.Refused[Reason(i)] = n
			}
		}
		for i, m := range l.meters {
			v.Amounts[i] = m.stats(now)
		}
		out = append(out, v)
	}
	return out
}

func (m *meter) stats(now time.Time) AmountStats {
	scale := 1.0
	if m.unit == UnitCost {
		scale = Nano
	}
	in := func(n int64) float64 { return float64(n) / scale }
	v := AmountStats{
		Unit: m.unit, Window: m.name, Spent: in(m.spent.Load()), Reserved: in(m.reserved.Load()), Overrun: in(m.overrun.Load()), Stored: m.stored,
	}
	m.each(now, func(c *counter, n *numbers) {
		if m.stored {
			v.Leased += in(max(c.left, 0))
		}
		v.Used = max(v.Used, float64(n.burst-c.available(n))/float64(n.burst))
	})
	return v
}

// StoreErrors returns how often the store could not be used.
func (e *Engine) StoreErrors() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.checkpoint.Errors.Load()
	for _, s := range e.shared {
		n += s.Errors.Load()
	}
	return n
}

// StoreDown reports whether the store could not be used at the last try.
func (e *Engine) StoreDown() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.shared {
		if s.down() {
			return true
		}
	}
	e.checkpoint.mu.Lock()
	defer e.checkpoint.mu.Unlock()
	return e.checkpoint.Broken
}
