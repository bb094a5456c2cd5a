package limit

import (
	"testing"
	"time"

	"github.com/caddy-llm/gateway/llmroute/limit/grant"
	"github.com/caddy-llm/gateway/llmroute/limit/period"
)

// sharedWorld is a small instance of a shared limit: two gateways with a counter each, the
// store, and what is under way between them. Its steps are those of the real code, and
// happen in any order.
type sharedWorld struct {
	total, known, fresh int64 // in the store
	lost                bool
	holders             [2]sharedHolder
	replicas            [2]sharedReplica
	calls               [2]sharedCall // under way, or made and kept by the network
	used                int64
	over                int64
	crashed             bool
}

// worldKey is a world in small numbers: worlds are equal if their keys are. As the key of a map it
// is far cheaper than the world, which has texts and interfaces.
type worldKey [72]int8

// key returns the world's key. What all calls have in common is not in it.
func (w *sharedWorld) key() (k worldKey) {
	n := 0
	put := func(values ...int64) {
		for _, v := range values {
			if k[n] = int8(v); int64(k[n]) != v {
				panic("a number of the model is too large for its key")
			}
			n++
		}
	}
	bit := func(b bool) int64 {
		if b {
			return 1
		}
		return 0
	}
	put(w.total, w.known, w.fresh, bit(w.lost), w.used, w.over, bit(w.crashed))
	for _, h := range w.holders {
		put(bit(h.holds), h.granted, int64(h.seq))
	}
	for _, r := range w.replicas {
		put(r.state.spent, r.state.reserved, r.state.left, r.state.granted, r.state.others, int64(r.state.seq), r.open, bit(r.waits), bit(r.gone))
	}
	for i := range w.calls {
		c := &w.calls[i]
		call := &c.call
		put(bit(c.there), bit(c.made), int64(c.replica), bit(call.Op == grant.OpLower), int64(call.Seq), call.Gen, call.Base, call.Claim, call.Target, call.Least, call.Known,
			int64(c.mark.gen), c.mark.start, bit(c.mark.more), c.reply.Granted, c.reply.Total, c.reply.Gen, bit(c.reply.Err != nil))
	}
	return k
}

type sharedHolder struct {
	holds   bool
	granted int64
	seq     uint64
}

type sharedReplica struct {
	state counterState
	open  int64
	waits bool // for the reply to its newest call
	gone  bool
}

// counterState is what a counter has of a shared window.
type counterState struct {
	spent, reserved, left, granted, others int64
	seq                                    uint64
}

type sharedCall struct {
	there, made bool
	replica     int
	call        grant.Call
	mark        mark
	reply       grant.Reply
}

const (
	sharedLimit = 2
)

// modelCalls bounds how many calls each gateway makes.
var modelCalls = [2]uint64{3, 1}

// sharedModel has the variants of the protocol that are searched.
type sharedModel struct {
	believes bool // replies to calls that were given up, too
	reorders bool // the store makes calls that are older than the last one
	expires  bool // the store gives the lease of a crashed gateway to others, which lives on
}

const modelStart = 1000 // in seconds since 1970

func (st *counterState) counter(m *meter, i int) *counter {
	c := &counter{m: m, spent: st.spent, reserved: st.reserved, left: st.left, start: 0, end: 1 << 40, restored: true}
	c.lease = lease{holder: string(rune('a' + i)), granted: st.granted, others: st.others, touched: time.Unix(modelStart, 0)}
	return c
}

func (st *counterState) take(c *counter) {
	st.spent, st.reserved, st.left, st.granted, st.others = c.spent, c.reserved, c.left, c.granted, c.others
}

// one has the store make a call.
func (w *sharedWorld) one(call *grant.Call, store *StoreModel) grant.Reply {
	c := counterModel{total: w.total, lost: w.lost, known: w.known, fresh: w.fresh, holders: map[string]holderModel{}}
	for i, h := range w.holders {
		if h.holds {
			c.holders[string(rune('a'+i))] = holderModel{granted: h.granted, seq: h.seq}
		}
	}
	store.counters[call.Key] = c
	r := store.One(call)
	c = store.counters[call.Key]
	w.total, w.lost, w.known, w.fresh = c.total, c.lost, c.known, c.fresh
	for i := range w.holders {
		h, ok := c.holders[string(rune('a'+i))]
		w.holders[i] = sharedHolder{ok, h.granted, h.seq}
	}
	return r
}

// next calls yield with what may happen next.
func (v sharedModel) next(w sharedWorld, m *meter, s *sharing, store *StoreModel, yield func(sharedWorld)) {
	n := m.numbers.Load()
	step := func(i int, f func(w *sharedWorld, r *sharedReplica, c *counter)) {
		after := w
		r := &after.replicas[i]
		c := r.state.counter(m, i)
		f(&after, r, c)
		r.state.take(c)
		yield(after)
	}
	for i := range w.replicas {
		r := &w.replicas[i]
		if r.gone {
			continue
		}
		if r.state.left >= 1 && r.open < 1 {
			step(i, func(_ *sharedWorld, r *sharedReplica, c *counter) {
				c.take(1)
				r.open++
			})
		}
		if r.open > 0 {
			for _, used := range []int64{0, 1, 2}[i:] {
				if used == 2 && w.over > 0 {
					continue
				}
				step(i, func(w *sharedWorld, r *sharedReplica, c *counter) {
					c.settle(c.gen, 1, used, n)
					r.open--
					w.used += used
					w.over += max(used-1, 0)
				})
			}
		}
		for slot := range w.calls {
			if w.calls[slot].there || r.state.seq >= modelCalls[i] {
				continue
			}
			for _, lower := range []bool{false, true}[:2-i] {
				step(i, func(w *sharedWorld, r *sharedReplica, c *counter) {
					if c.unused = lower; !lower {
						c.want = 2
					}
					r.state.seq++
					call, mark := c.call(r.state.seq, s)
					w.calls[slot], r.waits = sharedCall{there: true, replica: i, call: call, mark: mark}, true
				})
			}
			break
		}
		if i == 0 && !w.crashed {
			after := w
			after.crashed = true
			if v.expires { // it was only thought to have crashed
				after.total -= after.holders[0].granted
				after.holders[0] = sharedHolder{}
			} else {
				after.used += r.open
				after.replicas[0] = sharedReplica{gone: true}
			}
			yield(after)
		}
	}
	for i := range w.calls {
		c := &w.calls[i]
		if !c.there {
			continue
		}
		after := w // made, or once more
		call := c.call
		if h := &after.holders[c.replica]; v.reorders && h.holds && h.seq >= call.Seq {
			h.seq = call.Seq - 1
		}
		after.calls[i].made, after.calls[i].reply = true, after.one(&call, store)
		yield(after)
		r := &w.replicas[c.replica]
		if c.made && !r.gone && (v.believes || r.waits && c.call.Seq == r.state.seq) {
			step(c.replica, func(w *sharedWorld, r *sharedReplica, counter *counter) {
				counter.reply(&c.call, c.mark, &c.reply, time.Unix(modelStart, 0))
				r.waits = false
			})
		}
		after = w // it is lost, or its reply
		after.calls[i] = sharedCall{}
		yield(after)
	}
}

// search returns the most that is used beyond overruns, in any order of steps; it ends
// when that is enough.
func (v sharedModel) search(enough int64, states int) (most int64, seen map[worldKey]bool) {
	at := time.Unix(modelStart, 0)
	now := func() time.Time { return at }
	s := newSharing(now, NewStoreModel(time.Now))
	s.gateways.Store(1)
	m := &meter{unit: UnitRequests, window: period.Window{Period: period.Month, Zone: time.UTC}, limit: "a", sharing: s, stored: true}
	m.numbers.Store(&numbers{sharedLimit, sharedLimit})
	m.current.Store(&bounds{0, 1 << 40})
	store := NewStoreModel(now)
	first := sharedWorld{}
	seen = map[worldKey]bool{first.key(): true}
	todo := []sharedWorld{first}
	for len(todo) > 0 && most < enough && len(seen) < states { // the shortest ways first
		w := todo[0]
		todo = todo[1:]
		v.next(w, m, s, store, func(after sharedWorld) {
			if k := after.key(); !seen[k] {
				seen[k] = true
				most = max(most, after.used-after.over)
				todo = append(todo, after)
			}
		})
	}
	return most, seen
}

// TestSharedModel goes through the orders of steps of a small instance: calls that are
// lost, late or made twice, replies that are lost, a crash, an overrun. What is used
// never exceeds the limit and the overrun. Three tempting variants break it, so the
// search finds what it is for.
func TestSharedModel(t *testing.T) {
	if most, seen := (sharedModel{}).search(sharedLimit+1, 115_000); most != sharedLimit {
		t.Errorf("%d of %d used in %d states", most, sharedLimit, len(seen))
	} else {
		t.Logf("%d states", len(seen))
	}
	for name, v := range map[string]sharedModel{
		"to believe late replies": {believes: true}, "to make old calls": {reorders: true}, "to let leases of living gateways expire": {expires: true},
	} {
		if most, seen := v.search(sharedLimit+1, 1_000_000); most <= sharedLimit {
			t.Errorf("%s breaks nothing in %d states", name, len(seen))
		} else {
			t.Logf("%s breaks it after %d states", name, len(seen))
		}
	}
}
