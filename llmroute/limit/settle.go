package limit

import "math"

// Usage is what an attempt used.
type Usage struct {
	Input, Output int64 // in tokens
	// Cost is in billionths of the currency; below 0 if it is not known.
	Cost int64
}

// Ending is how it is known what an attempt used.
type Ending int

const (
	// Metered is that the provider reported it.
	Metered Ending = iota
	// Unbegun is that the client left before the response began, that the gateway ended the
	// attempt since a guard denied the request meanwhile, or that none began in time. It is
	// charged the prompt.
	Unbegun
	// Cut is that a stream broke off, was ended by the gateway, or the client left in it. It
	// is charged the prompt and what was produced, which is Usage.Output.
	Cut
	// Unreported is a whole stream without usage. It is charged what was produced or
	// the prompt, whichever is larger.
	Unreported
	// Unmetered is another response without usage, or one that broke off before it. It is
	// charged its reservation.
	Unmetered
	// Rejected is that the provider refused the request. Only the request counts.
	Rejected
)

// Charge adds what the attempt that was made last used. It is called once for each
// attempt that reached a provider. What the provider reported of the prompt, Usage.Input,
// is charged in place of the estimate, whatever the ending.
func (r *Reservation) Charge(how Ending, u Usage) {
	r.sent = true
	var last *compiled
	for i := range r.holds {
		h := &r.holds[i]
		if !h.active {
			continue
		}
		h.used = clip(h.used + r.charged(h, how, u))
		if h.l != last && (how == Unreported || how == Unmetered) {
			last = h.l
			h.l.state.usageMissing.Add(1)
		}
	}
}

func (r *Reservation) charged(h *hold, how Ending, u Usage) int64 {
	unit := h.c.m.unit
	prompt, produced := r.req.prompt(h.l), clip(u.Output)
	if unit == UnitRequests || unit == UnitConcurrent {
		return 0 // End has it
	}
	if u.Input > 0 || how == Metered {
		prompt = clip(u.Input)
	}
	switch how {
	case Rejected:
		return 0
	case Unmetered:
		if u.Input == 0 {
			return h.before + h.amount
		}
		produced = max(produced, h.output)
	case Unbegun:
		produced = 0
	case Unreported:
		switch unit {
		case UnitTokens:
			return clip(max(prompt, produced))
		case UnitCost:
			return max(clip(u.Cost), r.req.Price.cost(prompt, 0), r.req.Price.cost(0, produced))
		}
	case Metered:
		if unit == UnitCost && u.Cost >= 0 {
			return clip(u.Cost)
		}
	}
	switch unit {
	case UnitInput:
		return clip(prompt)
	case UnitOutput:
		return produced
	case UnitCost:
		return max(clip(u.Cost), r.req.Price.cost(prompt, produced))
	}
	return clip(prompt + produced)
}

// End ends the reservation: what was charged stays used, the rest is free again. It is
// called once, and the reservation is not used any more.
func (r *Reservation) End() {
	e := r.set.e
	now := e.now()
	for i := range r.holds {
		h := &r.holds[i]
		if !h.taken {
			continue
		}
		used := h.used
		if h.c.m.unit == UnitRequests && r.sent {
			used = 1
		}
		c := h.c
		n := c.m.numbers.Load()
		c.mu.Lock()
		c.advance(now, n)
		c.settle(h.gen, h.amount, max(used-h.before, 0), n)
		c.open--
		if c.m.stored && c.left < 0 && !h.failed {
			e.ask(c, 1, false)
		}
		c.mu.Unlock()
	}
	clear(r.holds)
	r.holds, r.req, r.set = nil, Request{}, nil
	e.pool.Put(r)
}

// Grow reserves more while a stream is produced: produced is how many output tokens
// it has so far, about. It returns false if the stream is to be cut, since a limit
// has no room for more; the refusal is why.
func (r *Reservation) Grow(produced int64) (*Refusal, bool) {
	if !r.req.Stream || produced+r.step/2 < r.grown || produced < r.retry {
		return nil, true
	}
	var cut *Refusal
	for step := min(r.step*2, maxStep); step >= lastStep; step /= 2 {
		to := max(r.grown, produced) + step
		var fits bool
		if cut, fits = r.grow(produced, to); fits {
			r.grown, r.step = to, step
			if most, until := r.expected(produced); to > most {
				r.grown, r.retry = most, until+1
			}
			return nil, true
		}
	}
	if produced < r.grown {
		return nil, true // it may use what it has
	}
	r.retry = produced + retryStep
	if cut != nil {
		r.count(cut)
	}
	return cut, cut == nil
}

// expected is how much output is reserved at most until more is produced than until.
func (r *Reservation) expected(produced int64) (most, until int64) {
	most, until = math.MaxInt64, math.MaxInt64
	for i := range r.holds {
		if h := &r.holds[i]; h.growing() {
			if m, u := r.req.expected(h.l, produced); u < until {
				most, until = m, u
			}
		}
	}
	return most, until
}

// grow reserves output up to a number of tokens in all holds or none, after so much was
// produced. The refusal is one of a limit that wants the stream to be cut.
func (r *Reservation) grow(produced, to int64) (cut *Refusal, fits bool) {
	now := r.set.e.now()
	for i := range r.holds {
		if h := &r.holds[i]; h.growing() {
			h.c.mu.Lock()
		}
	}
	defer func() {
		for i := range r.holds {
			if h := &r.holds[i]; h.growing() {
				h.c.mu.Unlock()
			}
		}
	}()
	lacks := false
	for i := range r.holds {
		h := &r.holds[i]
		if h.lacks = false; !h.growing() {
			continue
		}
		n := h.c.m.numbers.Load()
		h.c.advance(now, n)
		delta, _ := r.delta(h, produced, to)
		room := h.c.available(n) >= delta
		if delta == 0 || h.failed || room && (h.c.m.sharing == nil || h.c.left >= delta) {
			continue
		}
		h.lacks = true
		if h.l.Shadow {
			continue
		}
		lacks = true
		if room { // the store is to be asked first; the stream does not wait for it
			r.set.e.ask(h.c, delta, false)
			continue
		}
		if h.l.OnExceeded == OnExceededCut {
			h.stand(now, n)
			h.need = delta
			why := h.refusal(now, n)
			h.need = 0
			if why.Reason = ReasonCut; why.worse(cut) {
				cut = why
			}
		}
	}
	if lacks {
		return cut, false
	}
	for i := range r.holds {
		h := &r.holds[i]
		if !h.growing() || h.lacks {
			continue
		}
		c := h.c
		h.need, h.output = r.delta(h, produced, to)
		h.take(now)
		h.need = 0
		if !h.failed {
			r.set.e.topUp(c, now)
		}
	}
	return nil, true
}

func (h *hold) growing() bool { return h.taken && h.active && h.c.m.unit.grows() }

// delta is what the hold lacks for that much output.
func (r *Reservation) delta(h *hold, produced, to int64) (delta, output int64) {
	most, _ := r.req.expected(h.l, produced)
	output = max(min(to, most), h.output)
	return max(r.req.amount(h.l, h.c.m.unit, output)-h.before-h.amount, 0), output
}
