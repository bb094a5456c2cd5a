package limit

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// storeWait is how long a request waits for the store.
const storeWait = 2 * time.Second

// maxRounds bounds how often a request asks the store again, because others were
// faster to take what it had asked for.
const maxRounds = 8

// hold is what a request has reserved of one counter.
type hold struct {
	c      *counter
	l      *compiled
	gen    uint64
	amount int64 // reserved
	before int64 // reserved in windows that have ended since, and charged to them
	output int64 // that amount is for
	used   int64
	taken  bool
	active bool // it is for the provider and model that the request is sent to now

	lacks  bool // of the last try
	failed bool // the store could not be asked
	Standing
}

// Reservation is what a request has reserved, from its admission to its end. It is
// used by one goroutine.
type Reservation struct {
	set     *Set
	req     Request
	holds   []hold
	grown   int64 // output that is reserved
	step    int64
	retry   int64 // from which output on to try again
	sent    bool
	settled bool
	shadow  string // the first limit that would have refused, but only counts
	room    [12]hold
}

// Reserve admits the request if all limits that apply to it have room: then it has
// reserved what it may need of all of them, and Settle must be called, whatever
// happens. Otherwise it has reserved nothing. ctx bounds how long it waits for the
// store, which most requests do not need.
func (s *Set) Reserve(ctx context.Context, req *Request) (*Reservation, *Refusal) {
	r := s.e.pool.Get().(*Reservation)
	r.set, r.req = s, *req
	r.holds, r.grown, r.step, r.retry, r.sent, r.settled, r.shadow = r.room[:0], firstStep, firstStep, 0, false, false, ""
	refused := r.collect(false)
	if refused == nil {
		refused = r.admit(ctx, 0)
	}
	if refused != nil {
		r.count(refused)
	}
	return r, refused
}

// Retarget is called before the request is sent to another provider or with another
// model: it reserves what the limits of these ask for, beside what is reserved
// already, or nothing.
func (r *Reservation) Retarget(ctx context.Context, provider, model string, price *Price) *Refusal {
	if r.req.Provider == provider && r.req.Model == model {
		return nil
	}
	oldProvider, oldModel := r.req.Provider, r.req.Model
	r.req.Provider, r.req.Model = provider, model
	if price != nil {
		r.req.Price = price
	}
	from := len(r.holds)
	for i := range r.holds {
		r.holds[i].active = !r.holds[i].l.perTarget
	}
	refused := r.collect(true)
	if refused == nil {
		refused = r.admit(ctx, from)
	}
	if refused != nil {
		r.count(refused)
		r.holds = r.holds[:from]
		r.req.Provider, r.req.Model = oldProvider, oldModel
		return refused
	}
	slices.SortStableFunc(r.holds, func(a, b hold) int { return cmp.Compare(a.c.m.order, b.c.m.order) }) // for Grow
	return nil
}

func (r *Reservation) count(refused *Refusal) {
	for _, l := range r.set.limits {
		if l.Name == refused.Limit {
			l.state.refused[refused.Reason].Add(1)
		}
	}
}

// collect finds the counters of the limits that apply, in the order in which they
// are locked; with perTarget only of those that depend on provider and model.
func (r *Reservation) collect(perTarget bool) *Refusal {
	now := r.set.e.now()
	from := len(r.holds)
	tiered := r.req.Tier != "" && r.set.has(r.req.Tier)
	for _, l := range r.set.limits {
		if perTarget && !l.perTarget || !l.applies(&r.req, tiered) {
			continue
		}
		if last := l.state.lastMatch.Load(); last != now.Unix() {
			l.state.lastMatch.Store(now.Unix())
		}
		if l.costs && r.req.Price == nil {
			if l.Shadow {
				l.state.wouldRefuse.Add(1)
				continue
			}
			return &Refusal{Standing: Standing{Limit: l.Name, Unit: UnitCost, Budget: true}, Reason: ReasonPrice, Model: r.req.Model}
		}
		var room [256]byte
		combination := room[:0]
		missing := Key("")
		for _, k := range l.Key {
			value := r.req.value(k)
			if value == "" {
				missing = k
			}
			combination = appendValue(combination, value)
		}
		if l.Require && missing != "" {
			if l.Shadow {
				l.state.wouldRefuse.Add(1)
				continue
			}
			return &Refusal{Standing: Standing{Limit: l.Name}, Reason: ReasonKey, Key: missing}
		}
		for _, m := range l.meters {
			r.add(from, l, m.find(combination, now))
		}
	}
	return nil
}

// perTarget reports whether any limit depends on where a request is sent.
func (s *Set) perTarget() bool {
	for _, l := range s.limits {
		if l.perTarget {
			return true
		}
	}
	return false
}

func (s *Set) has(name string) bool {
	for _, l := range s.limits {
		if l.Name == name {
			return true
		}
	}
	return false
}

// add adds a hold of the counter in its place among those from an index on.
func (r *Reservation) add(from int, l *compiled, c *counter) {
	for i := range r.holds[:from] { // of an earlier attempt at the same target
		if h := &r.holds[i]; h.c == c && h.l == l {
			h.active = true
			return
		}
	}
	h := hold{c: c, l: l, active: true}
	h.output = r.req.maxOutput(l)
	if r.req.Stream {
		h.output = min(h.output, r.grown)
	}
	h.amount = r.req.amount(l, c.m.unit, h.output)
	i := len(r.holds)
	r.holds = append(r.holds, h)
	for ; i > from && r.holds[i-1].c.m.order > c.m.order; i-- {
		r.holds[i] = r.holds[i-1]
	}
	r.holds[i] = h
}

// admit reserves what the holds from an index on are for: all of it or nothing.
func (r *Reservation) admit(ctx context.Context, from int) *Refusal {
	var deadline *time.Timer
	defer func() {
		if deadline != nil {
			deadline.Stop()
		}
	}()
	expired := false
	for round := 0; ; round++ {
		refused, wait := r.try(from, round, expired)
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
func (r *Reservation) try(from, round int, expired bool) (refused *Refusal, wait *batch) {
	holds := r.holds[from:]
	now := r.set.e.now()
	for i := range holds {
		h := &holds[i]
		h.c.mu.Lock()
		for h.c.dead {
			h.c.mu.Unlock()
			h.c = h.c.m.find([]byte(h.c.combination), now)
			h.c.mu.Lock()
		}
	}
	defer func() {
		for i := range holds {
			holds[i].c.mu.Unlock()
		}
	}()
	for i := range holds {
		h := &holds[i]
		n := h.c.m.numbers.Load()
		h.c.advance(now, n)
		h.stand(now, n)
		h.lacks, h.failed = h.c.available(n) < h.amount, false
		if h.lacks && h.l.onFailure != OnFailureAllow || h.c.left >= h.amount {
			if h.lacks && !h.l.Shadow {
				if why := h.refusal(now, n); why.worse(refused) {
					refused = why
				}
			}
			continue
		}
		var b *batch
		h.c.want = clip(h.c.want + max(h.amount, 1))
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
			why := &Refusal{Standing: h.Standing, Reason: ReasonStore, Needed: h.amount, RetryAfter: time.Second}
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
	r.takeAll(from, now)
	return nil, nil
}

// takeAll reserves what the holds are for. Limits that only count, and would have
// refused, get nothing.
func (r *Reservation) takeAll(from int, now time.Time) {
	holds := r.holds[from:]
	for i := range holds {
		h := &holds[i]
		if !h.lacks || !h.l.Shadow {
			continue
		}
		if r.shadow == "" {
			r.shadow = h.l.Name
		}
		for j := range holds { // of the same limit
			if holds[j].l == h.l {
				holds[j].lacks = true
			}
		}
	}
	var last *compiled
	for i := range holds {
		h := &holds[i]
		if h.l != last {
			last = h.l
			if h.lacks {
				h.l.state.wouldRefuse.Add(1)
			} else {
				h.l.state.admitted.Add(1)
			}
		}
		if h.lacks {
			continue
		}
		h.c.take(h.amount)
		h.c.open++
		h.gen, h.taken = h.c.gen, true
		h.stand(now, h.c.m.numbers.Load())
		if h.c.m.stored && h.c.lowOnLease() && !h.failed {
			r.set.e.checkpoint.ask(h.c, false)
		}
	}
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
	why := &Refusal{Standing: h.Standing, Needed: h.amount, RetryAfter: max(h.c.roomIn(h.amount, now, n), time.Second)}
	if h.amount > n.burst {
		why.Reason, why.RetryAfter = ReasonTooLarge, 0
	}
	return why
}

// Shadow returns the name of the first limit that would have refused the request
// but only counts, empty without one.
func (r *Reservation) Shadow() string { return r.shadow }

// Any reports whether any limit holds for the request, if only to count.
func (r *Reservation) Any() bool { return len(r.holds) > 0 || r.set.perTarget() }

// Applied reports whether any limit holds for the request that does not only count.
func (r *Reservation) Applied() bool {
	for i := range r.holds {
		if !r.holds[i].l.Shadow {
			return true
		}
	}
	return false
}

// Least returns where the limit stands that has the least share left, of those that
// count one of the units; without units, of all but open requests. It is what was so
// at the admission.
func (r *Reservation) Least(units ...Unit) (Standing, bool) {
	var least *Standing
	for i := range r.holds {
		h := &r.holds[i]
		if h.Limit == "" || h.l.Shadow || !h.active || len(units) == 0 && h.c.m.unit == UnitConcurrent {
			continue
		}
		fits := len(units) == 0
		for _, u := range units {
			fits = fits || h.c.m.unit == u
		}
		if fits && (least == nil || h.share() < least.share()) {
			least = &h.Standing
		}
	}
	if least == nil {
		return Standing{}, false
	}
	return *least, true
}

// Reserved returns the most tokens that are reserved in any limit.
func (r *Reservation) Reserved() int64 {
	most := int64(0)
	for i := range r.holds {
		if h := &r.holds[i]; h.taken && h.c.m.unit == UnitTokens {
			most = max(most, h.amount)
		}
	}
	return most
}
