package pool

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Reason says why an endpoint was chosen.
type Reason uint8

// The reasons.
const (
	ByLoad    Reason = iota // the better of two at random
	ByPrefix                // the conversation was there last
	BySession               // the session belongs there
	Only                    // no other could be used
	ByPicker                // an endpoint picker named it

	reasons
)

// String is the reason in metrics and on the status page.
func (r Reason) String() string {
	return [reasons]string{"load", "prefix", "session", "only", "picker"}[r]
}

const (
	// draws is how often two random candidates are drawn before all are looked through.
	draws = 8
	// adapterWorth is how many requests less an endpoint is taken to have if it has
	// loaded the adapter that the request asks for.
	adapterWorth = 2
	// A queue is clearly longer than another one if it has this many requests more, or
	// one more for each prefixWorth bytes that need not be computed again, at most
	// maxLonger.
	leastLonger = 1
	maxLonger   = 8
	prefixWorth = 2 << 10
)

// Key is what an endpoint is chosen by.
type Key struct {
	// Model is the model that the request is sent with.
	Model string
	// Session is the session's hash from SessionHash, 0 without one.
	Session uint64
	// Prefix is the conversation's beginning, empty without one.
	Prefix Prefix
}

// SessionHash returns the hash of what a session is known by. All replicas of the
// gateway have the same.
func SessionHash(s string) uint64 { return max(hashString(s), 1) }

// set is the endpoints of a pool at one time. It is immutable.
type set struct {
	endpoints []*Endpoint
	hashes    []uint64    // of the endpoints
	byID      []*Endpoint // nil where the number is not one of this set
}

func newSet(endpoints []*Endpoint) *set {
	s := &set{endpoints: endpoints, hashes: make([]uint64, len(endpoints))}
	most := 0
	for i, e := range endpoints {
		s.hashes[i], most = e.hash, max(most, int(e.id))
	}
	s.byID = make([]*Endpoint, most+1)
	for _, e := range endpoints {
		s.byID[e.id] = e
	}
	return s
}

// find returns the endpoint with that address, nil without one.
func (s *set) find(address string) *Endpoint {
	if i, ok := slices.BinarySearchFunc(s.endpoints, address, func(e *Endpoint, address string) int { return strings.Compare(e.Address, address) }); ok {
		return s.endpoints[i]
	}
	return nil
}

// chooser is one choice.
type chooser struct {
	*set
	now   int64
	tried []*Endpoint
}

// choose picks an endpoint that was not tried yet; nil if there is none. Those that
// cool down are picked only if there is no other.
func (s *set) choose(key *Key, table *affinity, tried []*Endpoint, now time.Time) (*Endpoint, Reason) {
	c := chooser{s, ticks(now), tried}
	if key.Session != 0 && len(s.endpoints) > 1 {
		if e := c.bySession(key.Session, true); e != nil {
			return e, BySession
		}
		return c.bySession(key.Session, false), BySession
	}
	e, alone := c.byLoad(key.Model)
	if e == nil {
		return nil, Only
	}
	reason := ByLoad
	if alone {
		reason = Only
	}
	if table == nil || key.Prefix.n == 0 || len(s.endpoints) < 2 {
		return e, reason
	}
	id, size := table.last(&key.Prefix)
	if int(id) < len(s.byID) && id != 0 {
		if last := s.byID[id]; last != nil && !alone && c.usable(last, true) && c.near(last, e, size) {
			e, reason = last, ByPrefix
		}
	}
	table.note(&key.Prefix, e.id)
	return e, reason
}

// near reports whether the queue of last, which has that much of the conversation in
// its cache, is not clearly longer than that of the best other.
func (c *chooser) near(last, best *Endpoint, size uint32) bool {
	return last == best || last.queue(c.now) <= best.queue(c.now)+min(leastLonger+int64(size/prefixWorth), maxLonger)
}

func (c *chooser) usable(e *Endpoint, skipCooling bool) bool {
	if skipCooling && e.cooling(c.now) {
		return false
	}
	for _, t := range c.tried {
		if t == e {
			return false
		}
	}
	return true
}

// byLoad picks the better of two random candidates. alone reports that there was only
// one.
func (c *chooser) byLoad(model string) (e *Endpoint, alone bool) {
	n := len(c.endpoints)
	if n > 2 {
		var first *Endpoint
		for range draws {
			drawn := c.endpoints[rand.IntN(n)]
			switch {
			case drawn == first || !c.usable(drawn, true):
			case first == nil:
				first = drawn
			default:
				return c.better(first, drawn, model), false
			}
		}
	}
	if e, alone = c.fromAll(model, true); e == nil {
		e, alone = c.fromAll(model, false)
	}
	return e, alone
}

// fromAll draws two candidates from those that can be used, and picks the better.
func (c *chooser) fromAll(model string, skipCooling bool) (e *Endpoint, alone bool) {
	var one, two *Endpoint
	seen := 0
	for _, next := range c.endpoints {
		if !c.usable(next, skipCooling) {
			continue
		}
		switch seen++; {
		case one == nil:
			one = next
		case two == nil:
			two = next
		default: // each has the same chance to be one of the two
			switch rand.IntN(seen) {
			case 0:
				one = next
			case 1:
				two = next
			}
		}
	}
	if two == nil {
		return one, true
	}
	return c.better(one, two, model), false
}

// better returns the candidate that will answer sooner, as far as that is known.
func (c *chooser) better(a, b *Endpoint, model string) *Endpoint {
	left, right := a.queue(c.now), b.queue(c.now)
	if model != "" {
		if a.hasAdapter(model, c.now) {
			left -= adapterWorth
		}
		if b.hasAdapter(model, c.now) {
			right -= adapterWorth
		}
	}
	difference := left - right
	if difference == 0 {
		difference = a.busier(b, c.now)
	}
	if difference < 0 || difference == 0 && rand.Uint32()&1 == 0 {
		return a
	}
	return b
}

// bySession picks the endpoint whose hash with the session's is the highest
// (rendezvous hashing): when endpoints come and go, only their own sessions move.
func (c *chooser) bySession(session uint64, skipCooling bool) (best *Endpoint) {
	var highest uint64
	for i, hash := range c.hashes {
		if h := mix(hash ^ session); (best == nil || h > highest) && c.usable(c.endpoints[i], skipCooling) {
			best, highest = c.endpoints[i], h
		}
	}
	return best
}
