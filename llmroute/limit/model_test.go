package limit

import (
	"fmt"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/llmroute/limit/period"
)

// world is a small instance of a limit that outlives its processes: one counter, the
// storage behind it, and what really was used. Its steps are those of the real code,
// and happen in any order.
type world struct {
	spent, reserved, left, block int64
	restored                     bool

	disk    int64 // what storage has, -1 for nothing
	writing int64 // what is being written, -1 for nothing
	more    int64 // that it leases
	open    int8  // requests that have reserved 2
	used    int64 // by all processes
	crashes int8
}

const (
	modelLimit   = 5
	modelNeeds   = 2
	modelCrashes = 2
)

// model has the variants of the protocol that are searched.
type model struct {
	early     bool // leases before the write has ended
	forgetful bool // begins again without reading storage
}

func (w world) counter(m *meter) *counter {
	return &counter{m: m, spent: w.spent, reserved: w.reserved, left: w.left, block: w.block, restored: w.restored, start: 0, end: 1 << 40}
}

func (w *world) take(c *counter) {
	w.spent, w.reserved, w.left, w.block, w.restored = c.spent, c.reserved, c.left, c.block, c.restored
}

// next returns what may happen next.
func (v model) next(w world, m *meter, n *numbers) map[string]world {
	out := make(map[string]world)
	now := time.Unix(1000, 0)
	step := func(name string, f func(w *world, c *counter)) {
		after := w
		c := after.counter(m)
		f(&after, c)
		after.take(c)
		out[name] = after
	}
	if c := w.counter(m); c.available(n) >= modelNeeds && c.left >= modelNeeds && w.open < 2 {
		step("reserve", func(w *world, c *counter) {
			c.take(modelNeeds)
			w.open++
		})
	}
	if w.open > 0 {
		for _, used := range []int64{0, 1, modelNeeds} {
			step(fmt.Sprint("settle ", used), func(w *world, c *counter) {
				c.settle(c.gen, modelNeeds, used, n)
				w.open--
				w.used += used
			})
		}
	}
	if w.writing < 0 {
		step("write begins", func(w *world, c *counter) {
			if !c.restored && w.disk >= 0 && !v.forgetful {
				c.restore(record{At: 0, Units: w.disk}, now, n)
			}
			c.restored = true
			w.more = c.ask(modelNeeds, now, n)
			w.writing = c.record(w.more, now).Units
			if v.early {
				c.left += w.more
			}
		})
	} else {
		step("write ends", func(w *world, c *counter) {
			w.disk, w.writing = w.writing, -1
			if !v.early {
				c.left += w.more
			}
		})
		step("write fails", func(w *world, _ *counter) { w.writing = -1 })
		step("write is lost", func(w *world, _ *counter) { w.disk, w.writing = w.writing, -1 }) // it was done, and looked as if not
	}
	if w.crashes < modelCrashes {
		crash := world{disk: w.disk, writing: -1, used: w.used + int64(w.open)*modelNeeds, crashes: w.crashes + 1} // open requests use what they reserved
		out["crash"] = crash
		if w.writing >= 0 {
			crash.disk = w.writing
			out["crash after the write"] = crash
		}
	}
	return out
}

// search returns the most that is used in any order of steps.
func (v model) search() (most int64, states int) {
	m := &meter{unit: UnitTokens, window: period.Window{Period: period.Month, Zone: time.UTC}}
	n := &numbers{modelLimit, modelLimit}
	m.numbers.Store(n)
	m.current.Store(&bounds{0, 1 << 40})
	seen := map[world]bool{}
	todo := []world{{disk: -1, writing: -1}}
	for len(todo) > 0 {
		w := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[w] {
			continue
		}
		seen[w] = true
		most = max(most, w.used)
		for _, after := range v.next(w, m, n) {
			if !seen[after] && after.used <= 2*modelLimit {
				todo = append(todo, after)
			}
		}
	}
	return most, len(seen)
}

// TestModel goes through every order of steps of a small instance, crashes and failed
// writes included: what is used never exceeds the limit, and may reach it. Two
// tempting variants break it, so the search finds what it is for.
func TestModel(t *testing.T) {
	if most, states := (model{}).search(); most != modelLimit && most != modelLimit-1 || states < 1000 {
		t.Errorf("%d of %d used in %d states", most, modelLimit, states)
	} else {
		t.Logf("%d states", states)
	}
	if most, _ := (model{early: true}).search(); most <= modelLimit {
		t.Error("to lease before the write has ended breaks nothing")
	}
	if most, _ := (model{forgetful: true}).search(); most <= modelLimit {
		t.Error("to begin without reading breaks nothing")
	}
}
