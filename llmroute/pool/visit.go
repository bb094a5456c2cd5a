package pool

import (
	"context"
	"slices"
	"time"
)

const (
	// maxTries is the most endpoints that one request is sent to in a pool.
	maxTries = 16
	// maxTaken is the most of them that may take the request and give no response: each
	// may have cost all of the first-byte timeout, and it may be the request that
	// breaks them.
	maxTaken = 3
	// maxCooling is the most of them that cool down, where no others are left.
	maxCooling = 3
)

// Visit is one request's way through a pool. It serves one request and is not safe for
// concurrent use.
type Visit struct {
	// Key is what endpoints are chosen by. It is set before the first Next.
	Key Key

	pool     *Pool
	listed   []*Endpoint // by an endpoint picker, that are still to be tried
	tried    [maxTries]*Endpoint
	n        int
	taken    int       // that gave no response
	cooling  int       // that cooled down when they were chosen
	counted  *Endpoint // the last of them
	endpoint *Endpoint // in use
	fixed    bool      // prefixes lead nowhere
}

// Visit begins a request's way. byPrefix says whether the key's prefix counts.
func (p *Pool) Visit(byPrefix bool) *Visit { return &Visit{pool: p, fixed: !byPrefix} }

// Many reports whether there is more than one endpoint, so that the key makes a
// difference. It waits for the endpoints to be known.
func (v *Visit) Many(ctx context.Context) bool {
	s := v.pool.await(ctx)
	return s != nil && len(s.endpoints) > 1
}

// Next chooses an endpoint that was not tried yet, and counts a request in flight
// there until Done. It returns false if there is none.
func (v *Visit) Next(ctx context.Context, now time.Time) (*Endpoint, bool) {
	s := v.pool.await(ctx)
	if s == nil || v.n == maxTries {
		return nil, false
	}
	if e := v.next(s); e != nil {
		v.use(e, ByPicker, now)
		return e, true
	}
	var table *affinity
	if !v.fixed {
		table = v.pool.registry.affinityTable()
	}
	e, reason := s.choose(&v.Key, table, v.tried[:v.n], now)
	if e == nil {
		return nil, false
	}
	v.use(e, reason, now)
	return e, true
}

// use counts a request at an endpoint.
func (v *Visit) use(e *Endpoint, reason Reason, now time.Time) {
	if v.n > 0 {
		v.pool.registry.retries.Add(1)
	}
	v.pool.registry.choices[reason].Add(1)
	v.tried[v.n], v.endpoint = e, e
	v.n++
	if e.cooling(ticks(now)) {
		v.cooling++
	}
	e.inFlight.Add(1)
	e.chosen.Add(1)
	v.pool.use(now)
}

// next is the first of the listed endpoints that is still one of the pool and was not tried.
func (v *Visit) next(s *set) *Endpoint {
	for len(v.listed) > 0 {
		e := v.listed[0]
		v.listed = v.listed[1:]
		if s.find(e.Address) == e && !slices.Contains(v.tried[:v.n], e) {
			return e
		}
	}
	return nil
}

// Prefer has the endpoints with these addresses tried first, in this order, whether they
// cool down or not, and those of others after them. It leaves out what is no endpoint of
// the pool, and returns how many are left.
func (v *Visit) Prefer(addresses []string) int {
	s := v.pool.current.Load()
	if s == nil {
		return 0
	}
	v.listed = make([]*Endpoint, 0, len(addresses))
	for _, address := range addresses {
		if e := s.find(address); e != nil {
			v.listed = append(v.listed, e)
		}
	}
	return len(v.listed)
}

// maxHint is the most endpoints that Hint names.
const maxHint = 1000

// Hint returns the addresses of the endpoints that do not cool down; nil if all do, none
// does, or there are too many.
func (v *Visit) Hint(now time.Time) []string {
	s := v.pool.current.Load()
	if s == nil || len(s.endpoints) > maxHint {
		return nil
	}
	at, cooling := ticks(now), 0
	for _, e := range s.endpoints {
		if e.cooling(at) {
			cooling++
		}
	}
	if cooling == 0 || cooling == len(s.endpoints) {
		return nil
	}
	out := make([]string, 0, len(s.endpoints)-cooling)
	for _, e := range s.endpoints {
		if !e.cooling(at) {
			out = append(out, e.Address)
		}
	}
	return out
}

// Endpoint is the one in use, nil without one.
func (v *Visit) Endpoint() *Endpoint { return v.endpoint }

// Done ends the request at the endpoint in use, if there is one.
func (v *Visit) Done() {
	if v.endpoint != nil {
		v.endpoint.inFlight.Add(-1)
		v.endpoint = nil
	}
}

// Taken notes, once for each endpoint, that the one in use took the request and gave no
// response that is of use.
func (v *Visit) Taken() {
	if v.counted != v.endpoint {
		v.counted = v.endpoint
		v.taken++
	}
}

// More reports whether the request may go on to another endpoint: there is one that was
// not tried yet and does not cool down, or that a picker has named.
func (v *Visit) More(now time.Time) bool {
	return v.n < maxTries && v.taken < maxTaken && (len(v.listed) > 0 || v.any(v.tried[:v.n], now))
}

// Last reports whether the request may go on to an endpoint that was not tried yet though it
// cools down, which is worth it where nothing else is left and the one in use took nothing.
func (v *Visit) Last() bool {
	s := v.pool.current.Load()
	return s != nil && v.n < min(maxTries, len(s.endpoints)) && v.taken < maxTaken && v.cooling < maxCooling
}

// Spare reports whether the request may go on to another endpoint should the one in use
// take it and give no response.
func (v *Visit) Spare(now time.Time) bool { return v.taken+1 < maxTaken && v.More(now) }

// Others reports whether the pool has endpoints beside the one in use that do not cool
// down, tried or not.
func (v *Visit) Others(now time.Time) bool { return v.any([]*Endpoint{v.endpoint}, now) }

// any reports whether there is an endpoint that does not cool down, but for those.
func (v *Visit) any(but []*Endpoint, now time.Time) bool {
	s := v.pool.current.Load()
	if s == nil {
		return false
	}
	c := chooser{s, ticks(now), but}
	for _, e := range s.endpoints {
		if c.usable(e, true) {
			return true
		}
	}
	return false
}
