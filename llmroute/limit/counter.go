package limit

import (
	"math"
	"math/bits"
	"sync"
	"time"

	"github.com/caddy-llm/gateway/llmroute/limit/period"
	"github.com/caddy-llm/gateway/llmroute/limit/tuple"
)

// unlimited is the lease of a counter that no store is asked for.
const unlimited = math.MaxInt64 / 2

// counter is what one combination of values has used of one amount. Requests lock
// the counters that they need in the order of their meters.
type counter struct {
	m           *meter
	combination string
	hash        tuple.Hash

	mu   sync.Mutex
	dead bool   // evicted; nothing refers to it any more
	open int    // holds that were not settled
	gen  uint64 // of the window: holds of an earlier one change nothing

	start, end      int64 // of the calendar window, in seconds since 1970
	spent, reserved int64

	level, rest int64     // what the bucket holds, and what refilled since of a unit, in parts of the window
	at          time.Time // when level was so

	// left is how much may be taken before the store must be asked, unlimited
	// without one. block is how much is asked for beyond that, since asked.
	left, block int64
	want        int64 // what is missing, as the store is to know
	asked       time.Time
	restored    bool // what an earlier process used is in spent or level

	lease // of a shared store
}

// advance brings the counter to the time now.
func (c *counter) advance(now time.Time, n *numbers) {
	switch {
	case c.m.unit == UnitConcurrent:
	case c.m.window.Calendar():
		c.turn(now)
	default:
		c.refill(now, n)
	}
}

// turn begins another window of the calendar, if it is time to.
func (c *counter) turn(now time.Time) {
	if s := now.Unix(); s >= c.start && s < c.end {
		return
	}
	start, end := c.m.bounds(now)
	if start < c.start {
		// The clock was set back: what was spent stays spent. After a leap into some
		// far future, it is spent in the window that is running now.
		if c.start-end > end-start {
			c.start, c.end = start, end
		}
		return
	}
	same := start == c.start
	if c.start, c.end = start, end; same {
		return
	}
	c.spent, c.reserved = 0, 0
	c.gen++
	if c.m.stored {
		c.left = 0
	}
	c.granted, c.others, c.lease.gen, c.contact = 0, 0, 0, time.Time{}
}

// refill adds to the bucket what came in since the last time, exactly: rest keeps
// the fraction.
func (c *counter) refill(now time.Time, n *numbers) {
	if c.level > n.burst && !c.at.IsZero() { // credit, or a burst that became smaller
		c.at, c.rest = now, 0
		return
	}
	since := now.Sub(c.at)
	if since <= 0 {
		return // the clock was set back
	}
	hi, lo := bits.Mul64(uint64(since), uint64(n.amount))
	lo, carry := bits.Add64(lo, uint64(c.rest), 0)
	hi += carry
	every := uint64(c.m.window.Every)
	c.at = now
	if hi >= every {
		c.level, c.rest = n.burst, 0
		return
	}
	gained, rest := bits.Div64(hi, lo, every)
	if gained >= uint64(n.burst-c.level) {
		c.level, c.rest = n.burst, 0
		return
	}
	c.level, c.rest = c.level+int64(gained), int64(rest)
}

// available returns how much may still be taken; below zero after overruns.
func (c *counter) available(n *numbers) int64 {
	if c.m.bucket() {
		return c.level
	}
	return n.amount - c.others - c.spent - c.reserved
}

// take reserves an amount. What it may take has been checked.
func (c *counter) take(amount int64) {
	c.reserved = clipSigned(c.reserved + amount)
	if !c.since.IsZero() {
		c.share -= max(amount-max(c.left, 0), 0)
	}
	c.left -= amount
	if c.m.bucket() {
		c.level = clipSigned(c.level - amount)
	}
	c.m.reserved.Add(amount)
}

// settle turns what was reserved into what was used. A hold of an earlier window
// changes nothing of this one.
func (c *counter) settle(gen uint64, reserved, used int64, n *numbers) {
	c.m.reserved.Add(-reserved)
	if c.m.unit == UnitConcurrent {
		used = 0
	}
	c.m.spent.Add(used)
	if over := used - reserved; over > 0 {
		c.m.overrun.Add(over)
	}
	if gen != c.gen {
		return
	}
	c.reserved -= reserved
	c.spent = clipSigned(c.spent + used)
	c.left += reserved - used
	c.share += reserved - used
	if c.m.bucket() {
		c.level = clipSigned(c.level + reserved - used)
		if reserved > used && c.level > n.burst {
			c.level, c.rest = n.burst, 0
		}
	}
}

// idle reports whether the counter is as a new one would be, so that it may be
// evicted without giving anything back.
func (c *counter) idle(n *numbers) bool {
	switch {
	case c.open > 0 || c.reserved != 0 || c.m.sharing != nil && c.left != 0:
		return false
	case c.m.bucket():
		return c.level >= n.burst && c.level <= n.burst
	}
	return c.spent == 0
}

// lowOnLease reports whether more is to be asked of the store soon.
func (c *counter) lowOnLease() bool { return c.left < c.block/2 }

// ask chooses how much to ask the store for: what is missing, and a block of 0.5 % of
// the limit, which grows to 5 % while the store is asked often. A restart loses at most
// the block.
func (c *counter) ask(need int64, now time.Time, n *numbers) int64 {
	least, most := max(n.amount/200, 1), max(n.amount/20, 1)
	if c.m.unit == UnitCost {
		most = least // money is not to be lost in a crash, and is worth waiting for
	}
	if c.m.sharing != nil { // enough that the next requests need not wait, and something for other gateways
		least = max(least, 2*c.last)
		if c.m.unit == UnitCost {
			least = max(n.amount/200, c.last)
		}
		most = max(most, least)
	}
	switch since := now.Sub(c.asked); {
	case since < time.Second:
		c.block *= 2
	case since > 10*time.Second:
		c.block /= 2
	}
	c.block = min(max(c.block, least), most)
	c.asked = now
	missing := max(need-c.left, 0)
	there := c.available(n) - c.left
	if s := c.m.sharing; s != nil {
		return missing + max(min(c.block, (there-missing)/(2*max(s.gateways.Load(), 1))), 0)
	}
	return max(missing, min(missing+c.block, there)) // no more than there is
}

// resetsIn returns when the counter is at its amount again: the end of the window,
// or when the bucket is full.
func (c *counter) resetsIn(now time.Time, n *numbers) time.Duration {
	switch {
	case c.m.unit == UnitConcurrent:
		return 0
	case c.m.window.Calendar():
		return max(time.Unix(c.end, 0).Sub(now), 0)
	}
	return period.UntilRefilled(n.burst-c.level, n.amount, c.m.window.Every)
}

// roomIn returns when there is room for the amount, if nothing else is taken.
func (c *counter) roomIn(amount int64, now time.Time, n *numbers) time.Duration {
	if c.m.bucket() {
		return period.UntilRefilled(amount-c.level, n.amount, c.m.window.Every)
	}
	return c.resetsIn(now, n)
}
