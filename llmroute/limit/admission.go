package limit

import (
	"context"
	"time"
)

// storeWait is how long a request waits for the store.
const storeWait = 2 * time.Second

// maxRounds bounds how often a request asks the store again, because others were
// faster to take what it had asked for.
const maxRounds = 8

// admit reserves what the holds need that ask for it: all of it or nothing.
func (r *Reservation) admit(ctx context.Context) *Refusal {
	var deadline *time.Timer
	defer func() {
		if deadline != nil {
			deadline.Stop()
		}
	}()
	expired := false
	for round := 0; ; round++ {
		refused, wait := r.try(round, expired)
		switch {
		case refused != nil:
			return refused
		case wait == nil:
			return nil
		}
		if deadline == nil {
			deadline = time.NewTimer(storeWait)
		}
		select {
		case <-wait.done:
		case <-deadline.C:
			expired = true
		case <-ctx.Done():
			expired = true
		}
	}
}

// try is one try of admit. wait is the write that is to be waited for. If it has
// failed in the round before, or the time for it has expired, limits decide as they
// do without the store.
func (r *Reservation) try(round int, expired bool) (refused *Refusal, wait *batch) {
	now := r.set.e.now()
	for i := range r.holds {
		h := &r.holds[i]
		if !h.asks {
			continue
		}
		h.c.mu.Lock()
		for h.c.dead {
			h.c.mu.Unlock()
			h.c = h.c.m.find([]byte(h.c.combination), now)
			h.c.mu.Lock()
		}
		h.locked = true
	}
	defer func() {
		for i := range r.holds {
			if h := &r.holds[i]; h.locked {
				h.locked = false
				h.c.mu.Unlock()
			}
		}
	}()
	for i := range r.holds {
		h := &r.holds[i]
		if !h.locked {
			continue
		}
		n := h.c.m.numbers.Load()
		h.c.advance(now, n)
		h.stand(now, n)
		h.lacks, h.failed = h.c.available(n) < h.need, false
		if h.lacks && h.l.onFailure != OnFailureAllow || h.c.left >= h.need {
			if h.lacks && !h.l.Shadow {
				if why := h.refusal(now, n); why.worse(refused) {
					refused = why
				}
			}
			continue
		}
		var b *batch
		h.c.want = clip(h.c.want + max(h.need, 1))
		if failed := round > 0 && h.c.m.shardOf(h.c).failed.Load(); !failed && !expired && round < maxRounds {
			b = r.set.e.checkpoint.ask(h.c, true)
		}
		if b != nil {
			wait = b
			continue
		}
		h.failed, h.c.want = true, 0
		switch {
		case h.l.onFailure == OnFailureDeny && !h.l.Shadow:
			why := &Refusal{Standing: h.Standing, Reason: ReasonStore, Needed: h.amount + h.need, RetryAfter: time.Second}
			if refused == nil {
				refused = why
			}
		case h.l.onFailure == OnFailureAllow:
			h.lacks = false
		}
	}
	switch {
	case refused != nil:
		return refused, nil
	case wait != nil:
		return nil, wait
	}
	r.takeAll(now)
	return nil, nil
}

// takeAll reserves what the holds are for. Limits that only count, and would have
// refused, get nothing.
func (r *Reservation) takeAll(now time.Time) {
	for i := range r.holds {
		h := &r.holds[i]
		if !h.asks || !h.lacks || !h.l.Shadow {
			continue
		}
		if r.shadow == "" {
			r.shadow = h.l.Name
		}
		for j := range r.holds { // of the same limit
			if r.holds[j].l == h.l {
				r.holds[j].lacks = true
			}
		}
	}
	var last *compiled
	for i := range r.holds {
		h := &r.holds[i]
		if !h.asks {
			continue
		}
		if h.l != last && h.fresh {
			last = h.l
			if h.lacks {
				h.l.state.wouldRefuse.Add(1)
			} else {
				h.l.state.admitted.Add(1)
			}
		}
		if !h.lacks {
			h.take()
			h.stand(now, h.c.m.numbers.Load())
			if h.c.m.stored && h.c.lowOnLease() && !h.failed {
				r.set.e.checkpoint.ask(h.c, false)
			}
		}
		h.need, h.asks, h.fresh = 0, false, false
	}
}

// take reserves what the hold needs. The caller holds the counter's lock.
func (h *hold) take() {
	c := h.c
	if h.taken && h.gen != c.gen { // the window has ended: it keeps what was reserved in it
		c.m.reserved.Add(-h.amount)
		c.m.spent.Add(h.amount)
		h.before, h.amount = h.before+h.amount, 0
	}
	c.take(h.need)
	if !h.taken {
		c.open++
	}
	h.gen, h.taken, h.amount = c.gen, true, h.amount+h.need
}

// stand notes where the limit stands.
func (h *hold) stand(now time.Time, n *numbers) {
	m := h.c.m
	h.Standing = Standing{
		Limit: h.l.Name, Unit: m.unit, Window: m.name, Length: m.window.every, Amount: n.burst, Remaining: max(h.c.available(n), 0),
		Reset: h.c.resetsIn(now, n), Budget: m.budget,
	}
	if m.window.calendar() {
		h.Length = time.Duration(h.c.end-h.c.start) * time.Second
	}
}

func (h *hold) refusal(now time.Time, n *numbers) *Refusal {
	needed := h.amount + h.need
	why := &Refusal{Standing: h.Standing, Needed: needed, RetryAfter: max(h.c.roomIn(h.need, now, n), time.Second)}
	if needed > n.burst {
		why.Reason, why.RetryAfter = ReasonTooLarge, 0
	}
	return why
}
