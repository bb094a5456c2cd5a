package limit

import (
	"cmp"
	"context"
	"slices"

	"github.com/caddy-llm/gateway/llmroute/limit/tuple"
)

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

	need   int64 // what the admission that is running reserves, beyond amount if it is not fresh
	asks   bool  // the admission that is running is for it
	fresh  bool  // and is the first
	locked bool  // the counter is, by this request
	lacks  bool  // of the last try
	failed bool  // the store could not be asked
	Standing
}

// Reservation is what a request has reserved, from its admission to its end. It is
// used by one goroutine.
type Reservation struct {
	set    *Set
	req    Request
	holds  []hold
	grown  int64 // output that is reserved
	step   int64
	retry  int64 // from which output on to try again
	sent   bool
	tiered bool   // at the admission, the client's tier held in place of limits keyed by client
	shadow string // the first limit that would have refused, but only counts
	room   [12]hold
}

// Reserve admits the request if all limits that apply to it have room: then it has
// reserved what it may need of all of them. Otherwise it has reserved nothing. End must
// be called in either case, whatever happens. ctx ends the wait for the store, which most
// requests do not need: then the reason is ReasonGone.
func (s *Set) Reserve(ctx context.Context, req *Request) (*Reservation, *Refusal) {
	r := s.e.pool.Get().(*Reservation)
	r.set, r.req = s, *req
	r.holds, r.grown, r.step, r.retry, r.sent, r.shadow = r.room[:0], firstStep, firstStep, 0, false, ""
	refused := r.collect(false)
	if refused == nil {
		refused = r.admit(ctx)
	}
	if refused != nil {
		r.count(refused)
	}
	return r, refused
}

// Retarget is called before the request is sent to another provider or with another
// model: it reserves what the limits of these ask for, beside what is reserved already,
// or nothing. What is reserved of money grows to what the request may cost there; price
// is nil if it has none.
func (r *Reservation) Retarget(ctx context.Context, provider, model string, price *Price) *Refusal {
	if r.req.Provider == provider && r.req.Model == model {
		return nil
	}
	before := r.req
	r.req.Provider, r.req.Model, r.req.Price = provider, model, price
	var room [12]bool
	active := room[:0]
	for i := range r.holds {
		h := &r.holds[i]
		active = append(active, h.active)
		h.active = !h.l.retargets()
	}
	refused := r.collect(true)
	slices.SortStableFunc(r.holds, inOrder)
	if refused == nil {
		refused = r.admit(ctx)
	}
	if refused == nil {
		return nil
	}
	r.count(refused)
	r.holds = slices.DeleteFunc(r.holds, func(h hold) bool { return h.fresh })
	for i := range r.holds { // in the order of before
		r.holds[i].active, r.holds[i].asks = active[i], false
	}
	r.req = before
	return refused
}

// inOrder is the order in which counters are locked.
func inOrder(a, b hold) int { return cmp.Compare(a.c.m.order, b.c.m.order) }

// count counts a refusal, and notes whether it is one of the target's.
func (r *Reservation) count(refused *Refusal) {
	for _, l := range r.set.limits {
		if l.Name == refused.Limit {
			l.state.refused[refused.Reason].Add(1)
			refused.OfTarget = l.retargets()
		}
	}
}

// collect finds the counters of the limits that apply, in the order in which they
// are locked; retarget has it look only at limits that depend on provider and model.
func (r *Reservation) collect(retarget bool) *Refusal {
	now := r.set.e.now()
	from := len(r.holds)
	tiered := r.req.Tier != "" && r.set.hasTier(&r.req)
	untiered := retarget && r.tiered && !tiered // the tier is not about this target, so what it stood for holds
	if !retarget {
		r.tiered = tiered
	}
	for _, l := range r.set.limits {
		if retarget && !l.retargets() && (!untiered || !l.byClient) || !l.applies(&r.req, tiered) {
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
			combination = tuple.Append(combination, value)
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

// hasTier reports whether there is the limit that the client's virtual key names, and is
// about the request.
func (s *Set) hasTier(r *Request) bool {
	for _, l := range s.limits {
		if l.Name == r.Tier {
			return l.applies(r, true)
		}
	}
	return false
}

// add adds a hold of the counter in its place among those from an index on. One that
// an earlier attempt reserved is to be enough for this one.
func (r *Reservation) add(from int, l *compiled, c *counter) {
	for i := range r.holds[:from] {
		h := &r.holds[i]
		if h.c != c || h.l != l {
			continue
		}
		h.active = true
		if h.taken && c.m.unit.grows() {
			h.need = max(r.req.amount(l, c.m.unit, h.output)-h.before-h.amount, 0)
			h.asks = h.need > 0
		}
		return
	}
	h := hold{c: c, l: l, active: true, asks: true, fresh: true}
	h.output = r.req.maxOutput(l)
	if r.req.Stream {
		h.output = min(h.output, r.grown)
	}
	h.need = r.req.amount(l, c.m.unit, h.output)
	i := len(r.holds)
	r.holds = append(r.holds, h)
	for ; i > from && r.holds[i-1].c.m.order > c.m.order; i-- {
		r.holds[i] = r.holds[i-1]
	}
	r.holds[i] = h
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
