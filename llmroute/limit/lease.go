package limit

import (
	"encoding/hex"
	"strconv"
	"time"

	"github.com/caddy-llm/gateway/llmroute/limit/grant"
	"github.com/caddy-llm/gateway/llmroute/limit/period"
	"github.com/caddy-llm/gateway/llmroute/limit/tuple"
)

// lease is what a shared store has granted to a counter of this gateway. What is left of
// it is counter.left.
type lease struct {
	holder  string
	granted int64 // in the running window; of a bucket, since the beginning
	others  int64 // what was granted to other gateways when the store was asked last
	gen     int64 // of the store
	contact time.Time
	touched time.Time // when something was taken last
	last    int64     // how much

	least       int64 // the smallest that a request waits for
	unused      bool  // what is left is to be given back
	dry         bool  // the store had less than was wanted
	unreachable bool  // at the last try
	since       time.Time
	share       int64 // of a bucket, what this gateway may use since then without the store
}

// mark is what a reply must still find.
type mark struct {
	gen   uint64
	start int64
	more  bool // more was wanted
}

// quantum is how many units of a counter one unit of the store is: with it, all that
// can be configured is below 2^53.
func (u Unit) quantum() int64 {
	if u == UnitCost {
		return 1000
	}
	return 1
}

func ceil(n, q int64) int64 {
	if n < 0 {
		return n / q
	}
	return (n + q - 1) / q
}

// maxShared bounds numbers in the store.
const maxShared = 1 << 52

func (m *meter) sort() grant.Sort {
	switch {
	case m.unit == UnitConcurrent:
		return grant.SortSlots
	case m.bucket():
		return grant.SortBucket
	}
	return grant.SortWindow
}

// storeKey is the key of a combination's counter in the shared store.
func (m *meter) storeKey(start int64, h tuple.Hash) string {
	return m.storePrefix(start) + h.String()
}

func (m *meter) storePrefix(start int64) string {
	return m.limit + ":" + hex.EncodeToString(m.sum[:8]) + ":" + strconv.FormatInt(start, 10) + ":"
}

// call returns what is to be asked of the store. It gives back what is not used: first
// here, then there. No reply to an earlier call is believed any more.
func (c *counter) call(seq uint64, s *sharing) (grant.Call, mark) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, n, m := s.now(), c.m.numbers.Load(), c.m
	c.advance(now, n)
	q := m.unit.quantum()
	if m.unit == UnitConcurrent && now.Sub(c.contact) >= grant.DeadAfter/2 && c.left > 0 {
		c.granted, c.left = c.granted-c.left, 0 // the store may have given it to others
	}
	call := m.storeCall(grant.OpRaise, c.start, c.hash, n, now)
	call.Of.Parts, call.Of.Combination = len(m.keys), c.combination
	call.Holder, call.Seq, call.Gen = c.holder, seq, c.lease.gen
	more := int64(0)
	switch {
	case c.want > 0 || !c.unused && now.Sub(c.touched) < giveBackAfter && c.lowOnLease():
		more = c.ask(c.want, now, n)
	case c.unused && c.left >= q:
		back := c.left / q * q
		c.granted, c.left = c.granted-back, c.left-back
		call.Op = grant.OpLower
	}
	claim := c.granted + max(-c.left, 0)
	call.Base, call.Claim, call.Target = c.granted/q, ceil(claim, q), ceil(c.granted+more, q)
	if c.least > 0 {
		call.Least = ceil(c.granted-c.left+c.least, q)
	}
	call.Known = ceil(c.others+claim, q)
	if m.bucket() {
		call.Known = (c.level - c.left) / q
	}
	c.want, c.least, c.unused = 0, 0, false
	return call, mark{gen: c.gen, start: c.start, more: more > 0}
}

// storeCall is a call without what concerns a holder.
func (m *meter) storeCall(op grant.Op, start int64, h tuple.Hash, n *numbers, now time.Time) grant.Call {
	q := m.unit.quantum()
	call := grant.Call{
		Op: op, Sort: m.sort(), Key: m.storeKey(start, h), Every: m.window.Every,
		Amount: min(n.amount/q, maxShared), Burst: max(min(n.burst/q, maxShared), 1),
		Of: grant.Counted{Limit: m.limit, Unit: string(m.unit), Window: m.name, Start: start, Hash: h.String()},
	}
	switch call.Sort {
	case grant.SortWindow:
		_, end := m.bounds(now)
		call.Keep = time.Unix(end, 0).Sub(now) + 24*time.Hour
		call.Of.Length = time.Duration(end-start) * time.Second
	case grant.SortBucket:
		call.Keep = m.refillTime(n)*2 + time.Minute // a new one would be full as well
	case grant.SortSlots:
		call.Keep = 2 * grant.DeadAfter
	}
	return call
}

// refillTime is how long an empty bucket takes until it is full, at most.
func (m *meter) refillTime(n *numbers) time.Duration {
	return time.Duration(min(float64(m.window.Every)*max(float64(n.burst)/float64(n.amount), 1), float64(2*period.Max)))
}

// reply takes what the store said. The caller holds c.mu.
func (c *counter) reply(call *grant.Call, m mark, r *grant.Reply, now time.Time) {
	c.unreachable, c.since = false, time.Time{}
	if m.gen != c.gen || m.start != c.start {
		return // the window has ended
	}
	q := c.m.unit.quantum()
	c.contact, c.restored = now, true
	if r.Gen != call.Gen { // it was reset elsewhere
		c.renew(r.Gen)
		c.others = r.Total * q
		return
	}
	granted := r.Granted * q
	c.left += granted - c.granted
	c.granted = granted
	c.dry = m.more && r.Granted < call.Target
	if c.m.bucket() {
		c.level, c.at = clipSigned(r.Total*q+c.left), now
	} else {
		c.others = r.Total*q - granted
	}
}

// renew begins another generation: what is open counts no more.
func (c *counter) renew(gen int64) {
	c.gen++
	c.spent, c.reserved = 0, 0
	c.left, c.granted, c.others, c.lease.gen = 0, 0, 0, gen
	c.level, c.rest = c.m.numbers.Load().burst, 0
}

// stale reports whether the store must be asked before a request is refused.
func (c *counter) stale(now time.Time) bool {
	return c.m.sharing != nil && now.Sub(c.contact) >= fresh
}

// unshared returns how much this gateway may still use while the store cannot be used: of
// its part of the limit.
func (c *counter) unshared(now time.Time, n *numbers) int64 {
	s := c.m.sharing
	if !c.m.bucket() {
		return s.share(n.amount) - c.spent - c.reserved
	}
	burst := s.share(n.burst)
	if c.since.IsZero() {
		c.since, c.share = now, min(burst, s.share(max(c.level, 0)))
	}
	if gained := gain(now.Sub(c.since), s.share(n.amount), c.m.window.Every); gained > 0 {
		c.since, c.share = now, min(c.share+gained, burst)
	}
	return c.share + max(c.left, 0)
}

// gain is what a bucket gains in the time.
func gain(since time.Duration, amount int64, every time.Duration) int64 {
	return int64(min(float64(amount)*max(float64(since), 0)/float64(every), maxUnits))
}
