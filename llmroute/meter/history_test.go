package meter

import (
	"math"
	"testing"
	"time"
)

// after returns a time that much later than another one.
func after(d time.Duration) time.Time { return time.Unix(3600, 0).Add(d) }

func TestHistoryWindow(t *testing.T) {
	m := newMetrics()
	h := &m.history
	count := func(n int, failure string) {
		for range n {
			m.endings.add(failure)
		}
	}
	h.record(m, after(0), "", 0)
	count(3, "")
	count(2, "no_route")
	count(1, ErrorClientGone)
	h.record(m, after(4*time.Second), "", 0)
	if w := h.window(); w.requests != 6 || w.failed != 2 || w.left != 1 || len(h.complete()) != 0 {
		t.Errorf("in the first part: %+v, %d complete", w, len(h.complete()))
	}
	count(10, "")
	h.record(m, after(7*time.Second), "", 0) // counted before the part ended
	if c := h.complete(); len(c) != 1 || c[0].requests != 16 || c[0].failed != 2 {
		t.Errorf("%d parts are complete: %+v", len(c), c)
	}
	count(1, "no_route")
	h.record(m, after(299*time.Second), "", 0)
	recent, total := failuresOf(&m.endings)
	if w := h.window(); w.requests != 17 || recent["no_route"] != 3 || total["no_route"] != 3 || len(h.complete()) != 59 {
		t.Errorf("after five minutes: %+v, %v, %d complete", w, recent, len(h.complete()))
	}
	h.record(m, after(306*time.Second), "", 0)
	recent, total = failuresOf(&m.endings)
	if w := h.window(); w.requests != 1 || w.failed != 1 || recent["no_route"] != 1 || total["no_route"] != 3 || len(h.complete()) != historySteps {
		t.Errorf("when the first part is too old: %+v, %v, %v", w, recent, total)
	}
	count(4, "")
	h.record(m, after(24*time.Hour), "", 0)
	recent, _ = failuresOf(&m.endings)
	if w := h.window(); w.requests != 0 || len(recent) != 0 || h.total.requests != 21 || m.endings.well.recent != 0 || len(h.complete()) != historySteps {
		t.Errorf("a day later: %+v, %v, %+v", w, recent, h.total)
	}
	h.record(m, after(23*time.Hour), "", 0) // a clock that was set back
	count(1, "")
	h.record(m, after(24*time.Hour+time.Second), "", 0)
	if w := h.window(); w.requests != 1 {
		t.Errorf("after a clock was set back: %+v", w)
	}
}

func TestHistoryThatBeginsLate(t *testing.T) {
	m := newMetrics()
	m.endings.add("no_route")
	m.history.record(m, after(0), "", 0)
	for i := range 4 {
		m.endings.add("no_route")
		m.history.record(m, after(time.Duration(i)*time.Second), "", 0)
	}
	recent, total := failuresOf(&m.endings)
	if w := m.history.window(); w.failed != 4 || m.history.total.failed != 5 || recent["no_route"] != 4 || total["no_route"] != 5 {
		t.Errorf("%+v, %+v, %v, %v; want 4 in the window and 5 in all", w, m.history.total, recent, total)
	}
	if n := len(m.history.parts[0].changes); n != 1 {
		t.Errorf("one tally is in a part %d times", n)
	}
}

func TestHistoryOfAnotherCurrency(t *testing.T) {
	m := newMetrics()
	h := &m.history
	h.record(m, after(0), "USD", 0)
	h.parts[0].all.cost, h.total.cost = 5, 5
	h.record(m, after(time.Second), "USD", 0)
	if w := h.window(); w.cost != 5 || h.total.cost != 5 {
		t.Errorf("%d, %d in the same currency; want 5", w.cost, h.total.cost)
	}
	h.record(m, after(2*time.Second), "EUR", 0)
	if w := h.window(); w.cost != 0 || h.total.cost != 0 {
		t.Errorf("%d, %d of another currency are left", w.cost, h.total.cost)
	}
}

func TestQuantiles(t *testing.T) {
	tallies := &ruleTallies{}
	for _, seconds := range []float64{.03, .03, .03, .03, .05, .05, .05, .05, .05, 60} {
		tallies.firstToken(seconds)
	}
	var c firstCounts
	for i := range tallies.first {
		c[i] = tallies.first[i].n.Load()
	}
	for q, want := range map[float64]float64{.2: .03, .4: .04, .5: .044, .9: .06, .99: 10} {
		if got, ok := c.quantile(q); !ok || math.Abs(got-want) > 1e-9 {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	if _, ok := new(firstCounts).quantile(.5); ok {
		t.Error("there is a median of nothing")
	}
}
