package meter

import (
	"sync"
	"time"
)

const (
	// historyStep is how long each part of the history is.
	historyStep = 5 * time.Second
	// historySteps is how many parts are kept beside the one that goes on.
	historySteps = 60
)

// history remembers what was counted in the last five minutes. It belongs to
// the process, as the counters do: a reload forgets nothing.
type history struct {
	mu    sync.Mutex
	began time.Time
	at    int64 // the number of the part that goes on, from 0 at the beginning
	parts [historySteps + 1]historyPart
	total sums // since the beginning
	// currency is that of the costs.
	currency string
}

// historyPart is what was counted in one step.
type historyPart struct {
	all     sums
	changes []change // to take them back from recent counts when they are old
}

type change struct {
	of *tally
	by uint64
}

// sums add up the tallies of all providers and rules.
type sums struct {
	requests, failed, left uint64 // failed: answered with an error; left: the client did
	prompt, completion     uint64
	cost                   uint64 // in billionths of the currency in use
	first                  firstCounts
	open                   uint64 // the most at a time
}

// firstCounts are streams by their time to first token, as firstBuckets has it.
type firstCounts [len(firstBuckets) + 1]uint64

func (c *firstCounts) add(o *firstCounts) {
	for i, n := range o {
		c[i] += n
	}
}

func (s *sums) add(o *sums) {
	s.requests += o.requests
	s.failed += o.failed
	s.left += o.left
	s.prompt += o.prompt
	s.completion += o.completion
	s.cost += o.cost
	s.first.add(&o.first)
	s.open = max(s.open, o.open)
}

// quantile is an estimate of a quantile in seconds, as Prometheus makes it. ok
// is false if there is nothing to estimate it from.
func (c *firstCounts) quantile(q float64) (seconds float64, ok bool) {
	total := uint64(0)
	for _, n := range c {
		total += n
	}
	if total == 0 {
		return 0, false
	}
	rank, below, lower := q*float64(total), 0.0, 0.0
	for i, n := range c {
		if i == len(firstBuckets) {
			break
		}
		if upper := firstBuckets[i]; below+float64(n) >= rank && n > 0 {
			return lower + (upper-lower)*(rank-below)/float64(n), true
		}
		below += float64(n)
		lower = firstBuckets[i]
	}
	return firstBuckets[len(firstBuckets)-1], true
}

// record takes in what was counted since the last time; open is how many requests are being
// served. What was counted before the
// first time is part of the total alone.
func (h *history) record(m *Metrics, now time.Time, currency string, open int) {
	h.price(currency)
	first := h.began.IsZero()
	part := &h.parts[h.at%int64(len(h.parts))]
	var all sums
	take := func(t *tally) uint64 {
		n := t.n.Load()
		d := n - t.seen
		if t.seen = n; d == 0 || first {
			return d
		}
		t.recent += d
		if t.place >= len(part.changes) || part.changes[t.place].of != t {
			t.place = len(part.changes)
			part.changes = append(part.changes, change{of: t})
		}
		part.changes[t.place].by += d
		return d
	}
	all.requests = take(&m.endings.well)
	m.endings.byError.Range(func(failure, value any) bool {
		n := take(value.(*tally))
		all.requests += n
		if failure == ErrorClientGone {
			all.left += n
		} else {
			all.failed += n
		}
		return true
	})
	known.Range(func(_, value any) bool {
		usage := value.(*Provider)
		usage.outcomes.Range(func(_, value any) bool {
			take(&value.(*outcome).tally)
			return true
		})
		usage.tallies.Range(func(_, value any) bool {
			t := value.(*ruleTallies)
			all.prompt += take(&t.prompt)
			all.completion += take(&t.completion)
			for i := range t.first {
				all.first[i] += take(&t.first[i])
			}
			t.broken.byError.Range(func(_, value any) bool {
				take(value.(*tally))
				return true
			})
			return true
		})
		return true
	})
	m.costs.series.Range(func(_, value any) bool {
		if s := value.(*costSeries); s.key.currency == currency {
			all.cost += take(&s.tally)
		}
		return true
	})
	all.open = uint64(open)
	if !first {
		part.all.add(&all)
	}
	h.total.add(&all)
	h.advance(now)
}

// price forgets the costs that were in another currency.
func (h *history) price(currency string) {
	if h.currency == currency {
		return
	}
	h.currency, h.total.cost = currency, 0
	for i := range h.parts {
		h.parts[i].all.cost = 0
	}
}

// advance begins a new part if it is time, and forgets old ones.
func (h *history) advance(now time.Time) {
	if h.began.IsZero() {
		h.began = now
	}
	at := int64(now.Sub(h.began) / historyStep)
	h.at = max(h.at, at-int64(len(h.parts))) // what is older than all parts needs no visit
	for h.at < at {
		h.at++
		part := &h.parts[h.at%int64(len(h.parts))]
		for _, c := range part.changes {
			c.of.recent -= c.by
		}
		clear(part.changes) // holds on to no provider that is gone
		part.all, part.changes = sums{}, part.changes[:0]
	}
}

// complete returns the parts that have ended, the oldest first.
func (h *history) complete() []*sums {
	out := make([]*sums, 0, historySteps)
	for i := max(0, h.at-historySteps); i < h.at; i++ {
		out = append(out, &h.parts[i%int64(len(h.parts))].all)
	}
	return out
}

// window sums up the parts that have ended and the one that goes on.
func (h *history) window() (s sums) {
	for i := range h.parts {
		s.add(&h.parts[i].all)
	}
	return s
}

// Record takes in what was counted since the last time; currency is that of the prices, and
// open is how many requests are being served. It is to be called about once a second, so
// that counts fall into the right part.
func (m *Metrics) Record(now time.Time, currency string, open int) {
	m.history.mu.Lock()
	m.history.record(m, now, currency, open)
	m.history.mu.Unlock()
	m.expireNames(now)
}
