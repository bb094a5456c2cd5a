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

// admit reserves what the holds need that ask for it: all of it or nothing. A request that ends
// while the store is waited for gets nothing.
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
			return &Refusal{Reason: ReasonGone}
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
		asks := h.c.left < h.need && (!h.lacks || h.l.onFailure == OnFailureAllow)
		if h.lacks && h.c.m.sharing != nil { // other gateways may have given something back
			asks = h.c.stale(now) && h.amount+h.need <= n.burst
		}
		if !asks {
			if h.lacks && !h.l.Shadow {
				if why := h.refusal(now, n); why.worse(refused) {
					refused = why
				}
			}
			continue
		}
		var b *batch
		if failed := round > 0 && h.c.failed(); !failed && !expired && round < maxRounds {
			b = r.set.e.ask(h.c, h.need, true)
		}
		if b != nil {
			wait = b
			continue
		}
		h.failed = true
		why := h.unstored(now, n)
		if h.lacks = why != nil; h.lacks && !h.l.Shadow && (why.Reason != ReasonStore || refused == nil) && why.worse(refused) {
			refused = why
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
			h.take(now)
			h.stand(now, h.c.m.numbers.Load())
			if !h.failed {
				r.set.e.topUp(h.c, now)
			}
		}
		h.need, h.asks, h.fresh = 0, false, false
	}
}

// take reserves what the hold needs. The caller holds the counter's lock.
func (h *hold) take(now time.Time) {
	c := h.c
	if h.taken && h.gen != c.gen { // the window has ended: it keeps what was reserved in it
		c.m.reserved.Add(-h.amount)
		c.m.spent.Add(h.amount)
		h.before, h.amount = h.before+h.amount, 0
	}
	c.take(h.need)
	c.touched, c.last = now, h.need
	if !h.taken {
		c.open++
	}
	h.gen, h.taken, h.amount = c.gen, true, h.amount+h.need
}

// stand notes where the limit stands.
func (h *hold) stand(now time.Time, n *numbers) {
	m := h.c.m
	h.Standing = Standing{
		Limit: h.l.Name, Unit: m.unit, Window: m.name, Length: m.window.Every, Amount: n.burst, Rate: n.amount, Remaining: max(h.c.available(n), 0),
		Reset: h.c.resetsIn(now, n), Budget: m.budget,
	}
	if m.window.Calendar() {
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

// unstored decides on the hold while the store cannot be used.
func (h *hold) unstored(now time.Time, n *numbers) *Refusal {
	c := h.c
	switch {
	case h.l.onFailure == OnFailureAllow:
		return nil
	case h.lacks:
		return h.refusal(now, n) // by what is known
	case h.l.onFailure == OnFailureShare && (c.m.sharing == nil || c.failed() && c.unshared(now, n) >= h.need):
		return nil
	case h.l.onFailure == OnFailureDeny && h.l.Shadow:
		return nil
	}
	return &Refusal{Standing: h.Standing, Reason: ReasonStore, Needed: h.amount + h.need, RetryAfter: time.Second}
}

// failed reports whether the store could not be used for the counter at the last try.
func (c *counter) failed() bool {
	if s := c.m.sharing; s != nil {
		return c.unreachable || s.down()
	}
	return c.m.shardOf(c).failed.Load()
}

// ask has the store asked for more of the counter, which the caller holds locked. The
// result is nil while the store is left alone after a failure.
func (e *Engine) ask(c *counter, need int64, urgent bool) *batch {
	before := c.want
	c.want = clip(c.want + max(need, 1))
	if urgent && (c.least == 0 || need < c.least) {
		c.least = need
	}
	var b *batch
	if s := c.m.sharing; s != nil {
		b = s.ask(c)
	} else {
		b = e.checkpoint.ask(c, urgent)
	}
	if b == nil {
		c.want = before
	}
	return b
}

// topUp has the store asked for more if the lease of the counter runs low.
func (e *Engine) topUp(c *counter, now time.Time) {
	switch {
	case !c.m.stored || !c.lowOnLease():
	case c.m.sharing == nil:
		e.checkpoint.ask(c, false)
	case c.dry && now.Sub(c.contact) < fresh:
	default:
		c.m.sharing.ask(c)
	}
}
