package pool

import (
	"context"
	"time"
)

const (
	// maxTries is the most endpoints that one request is sent to in a pool.
	maxTries = 16
	// maxTaken is the most of them that may take the request and give no response: each
	// may have cost all of the first-byte timeout, and it may be the request that
	// breaks them.
	maxTaken = 3
)

// Visit is one request's way through a pool. It serves one request and is not safe for
// concurrent use.
type Visit struct {
	// Key is what endpoints are chosen by. It is set before the first Next.
	Key Key

	pool     *Pool
	tried    [maxTries]*Endpoint
	n        int
	taken    int       // that gave no response
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
	var table *affinity
	if !v.fixed {
		table = v.pool.registry.affinityTable()
	}
	e, reason := s.choose(&v.Key, table, v.tried[:v.n], now)
	if e == nil {
		return nil, false
	}
	if v.n > 0 {
		v.pool.registry.retries.Add(1)
	}
	v.pool.registry.choices[reason].Add(1)
	v.tried[v.n], v.endpoint = e, e
	v.n++
	e.inFlight.Add(1)
	e.chosen.Add(1)
	v.pool.use(now)
	return e, true
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

// More reports whether the request may go on to another endpoint: there is one that
// was not tried yet and does not cool down.
func (v *Visit) More(now time.Time) bool {
	return v.n < maxTries && v.taken < maxTaken && v.any(v.tried[:v.n], now)
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
