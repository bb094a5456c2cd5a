package limit

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
)

func TestAllOrNone(t *testing.T) {
	b := newBench(t)
	s := b.compile(t,
		&Definition{Name: "wide", Amounts: []Amount{{Unit: UnitRequests, Amount: "100", Window: "1m"}, {Unit: UnitTokens, Amount: "1000", Window: "day"}}, Concurrent: 5},
		&Definition{Name: "narrow", Key: []Key{KeyClient}, Amounts: one(UnitRequests, "2", "1m")})
	alice := subject{KeyClient: "alice"}
	for range 2 {
		if refused := spend(t, s, request(alice, 10, 20), 10, 5); refused != nil {
			t.Fatalf("refused: %+v", refused)
		}
	}
	refused := spend(t, s, request(alice, 10, 20), 10, 5)
	if refused == nil || refused.Limit != "narrow" || refused.Unit != UnitRequests || refused.RetryAfter != 30*time.Second || refused.Budget {
		t.Fatalf("got %+v", refused)
	}
	for i, want := range []string{"2", "30", "0"} {
		if got := of(t, s, "wide", i); used(t, s, "wide", i) != want || got.Reserved != "0" {
			t.Errorf("%s: used %s, reserved %s; want %s", got.Unit, used(t, s, "wide", i), got.Reserved, want)
		}
	}
	if refused := spend(t, s, request(subject{KeyClient: "bob"}, 10, 20), 10, 5); refused != nil {
		t.Errorf("another client is refused: %+v", refused)
	}
}

// TestEndings holds what each ending is charged.
func TestEndings(t *testing.T) {
	price := &Price{Input: 2_000_000, Output: 10_000_000} // 2 and 10 of the currency for a million
	for _, test := range []struct {
		how                         Ending
		usage                       Usage
		input, output, tokens, cost string
	}{
		{Metered, Usage{30, 40, 123}, "30", "40", "70", "0.000000123"},
		{Metered, Usage{30, 40, -1}, "30", "40", "70", "0.00046"},
		{Rejected, Usage{}, "0", "0", "0", "0"},
		{Unbegun, Usage{}, "100", "0", "100", "0.0008"},
		{Cut, Usage{Output: 7}, "100", "7", "107", "0.00087"},
		{Unreported, Usage{Output: 7}, "100", "7", "100", "0.0008"},
		{Unreported, Usage{Output: 700}, "100", "700", "700", "0.007"},
		{Unmetered, Usage{}, "100", "500", "600", "0.0058"},
		{Unbegun, Usage{Input: 300}, "300", "0", "300", "0.0006"},
		{Cut, Usage{300, 7, 0}, "300", "7", "307", "0.00067"},
		{Cut, Usage{300, 7, 900_000}, "300", "7", "307", "0.0009"},
		{Cut, Usage{30, 7, -1}, "30", "7", "37", "0.00013"},
		{Unreported, Usage{Input: 300, Output: 7}, "300", "7", "300", "0.0006"},
		{Unmetered, Usage{Input: 300}, "300", "500", "800", "0.0056"},
		{Rejected, Usage{Input: 300}, "0", "0", "0", "0"},
	} {
		b := newBench(t)
		s := b.compile(t,
			&Definition{Name: "t", Amounts: []Amount{{Unit: UnitInput, Amount: "10000", Window: "day"}, {Unit: UnitOutput, Amount: "10000", Window: "day"},
				{Unit: UnitTokens, Amount: "10000", Window: "day"}, {Unit: UnitRequests, Amount: "5", Window: "day"}}},
			&Definition{Name: "c", Amounts: one(UnitCost, "10", "day")})
		r := request(nil, 100, 500)
		r.Price = price
		got := mustReserve(t, s, r)
		if reserved := of(t, s, "t", 2).Reserved; reserved != "600" {
			t.Errorf("reserved %s", reserved)
		}
		got.Charge(test.how, test.usage)
		got.End()
		for i, want := range []string{test.input, test.output, test.tokens, "1"} {
			if v := of(t, s, "t", i); used(t, s, "t", i) != want || v.Reserved != "0" {
				t.Errorf("%v %+v: %s is %s, reserved %s, want %s", test.how, test.usage, v.Unit, used(t, s, "t", i), v.Reserved, want)
			}
		}
		if got := used(t, s, "c", 0); got != test.cost { // strictly, 400 tokens
			t.Errorf("%v %+v: cost %s, want %s", test.how, test.usage, got, test.cost)
		}
	}
}

func TestNothingWasSent(t *testing.T) {
	b := newBench(t)
	s := b.compile(t, &Definition{Name: "a", Amounts: one(UnitRequests, "1", "day")})
	mustReserve(t, s, request(nil, 1, 1)).End()
	if got := used(t, s, "a", 0); got != "0" {
		t.Errorf("used %s", got)
	}
}

func TestTooLarge(t *testing.T) {
	b := newBench(t)
	s := b.compile(t, &Definition{Name: "a", Amounts: one(UnitTokens, "100", "1m")})
	refused := spend(t, s, request(nil, 90, 20), 0, 0)
	if refused == nil || refused.Reason != ReasonTooLarge || refused.Needed != 110 || refused.RetryAfter != 0 {
		t.Errorf("got %+v", refused)
	}
}

func TestGrowth(t *testing.T) {
	for _, test := range []struct {
		onExceeded string
		cut        bool
	}{{"", false}, {OnExceededCut, true}} {
		b := newBench(t)
		s := b.compile(t, &Definition{Name: "a", Amounts: one(UnitTokens, "3000", "day"), OnExceeded: test.onExceeded, Concurrent: 9})
		r := request(nil, 100, 100_000)
		r.Stream = true
		got := mustReserve(t, s, r)
		if v := of(t, s, "a", 0); v.Reserved != "612" {
			t.Errorf("reserved %s at first", v.Reserved)
		}
		cut := false
		produced := int64(0)
		for produced < 4000 && !cut {
			produced++
			refused, goes := got.Grow(produced)
			cut = !goes
			reserved, _ := of(t, s, "a", 0).Reserved.Int64()
			if reserved > 3000 || reserved < min(100+produced, 2700) {
				t.Fatalf("%d produced, %d reserved", produced, reserved)
			}
			if cut && (refused == nil || refused.Limit != "a") {
				t.Errorf("cut without a reason: %+v", refused)
			}
		}
		if cut != test.cut {
			t.Errorf("%q: cut is %v after %d", test.onExceeded, cut, produced)
		}
		got.Charge(Metered, Usage{Input: 100, Output: produced})
		got.End()
		v := of(t, s, "a", 0)
		if v.Reserved != "0" || v.Spent != Number(strconv.FormatInt(100+produced, 10)) {
			t.Errorf("in the end %+v", v)
		}
		if over := v.Overrun != "0"; over == test.cut {
			t.Errorf("%q: overrun %s after %d tokens", test.onExceeded, v.Overrun, produced)
		}
	}
}

// TestGrowthBeyondMaximum has streams that do not keep to their maximum: what they produce is
// held to the limit all the same. One that keeps to it is not, though what it produces is
// counted higher than it is.
func TestGrowthBeyondMaximum(t *testing.T) {
	for _, test := range []struct {
		maximum, usual, produces int64
		cut                      bool
	}{
		{1, 0, 9000, true},
		{1000, 0, 9000, true},
		{4900, 0, 9700, false},
		{0, 0, 9000, true}, // the limit's max_output is what the request is expected to keep to
		{0, 1000, 9000, true},
	} {
		b := newBench(t)
		s := b.compile(t, &Definition{Name: "a", Amounts: one(UnitTokens, "5000", "day"), OnExceeded: OnExceededCut, MaxOutput: test.usual})
		r := &Request{Typical: 100, Strict: 400, Output: test.maximum, Choices: 1, Stream: true}
		got := mustReserve(t, s, r)
		produced, cut := int64(0), false
		for produced < test.produces && !cut {
			produced++
			_, goes := got.Grow(produced)
			cut = !goes
			reserved, _ := of(t, s, "a", 0).Reserved.Int64()
			if most := max(2*test.maximum, firstStep); test.cut && produced > most && reserved < 100+produced-retryStep {
				t.Fatalf("%+v: %d produced, %d reserved", test, produced, reserved)
			}
		}
		if cut != test.cut || cut && (produced < 4500 || produced > 5000) {
			t.Errorf("%+v: cut is %v after %d", test, cut, produced)
		}
		got.End()
	}
}

func TestShadow(t *testing.T) {
	b := newBench(t)
	s := b.compile(t, &Definition{Name: "a", Amounts: []Amount{{Unit: UnitRequests, Amount: "1", Window: "day"}, {Unit: UnitTokens, Amount: "9", Window: "1m"}}, Shadow: true})
	for i := range 3 {
		got := mustReserve(t, s, request(nil, 1, 1))
		if (got.Shadow() == "a") != (i > 0) || got.Applied() {
			t.Errorf("request %d: shadow %q, applied %v", i, got.Shadow(), got.Applied())
		}
		got.Charge(Metered, Usage{1, 1, 0})
		got.End()
	}
	if v := s.View()[0]; v.WouldRefuse != 2 || v.Admitted != 1 || used(t, s, "a", 0) != "1" || used(t, s, "a", 1) != "2" {
		t.Errorf("got %+v", v)
	}
}

func TestFilters(t *testing.T) {
	b := newBench(t)
	s := b.compile(t,
		&Definition{Name: "rule", Rules: []string{"vip"}, Amounts: one(UnitRequests, "1", "day")},
		&Definition{Name: "model", Models: []string{"gpt-4o*", "*-mini"}, Amounts: one(UnitRequests, "1", "day")},
		&Definition{Name: "provider", Providers: []string{"p"}, Amounts: one(UnitRequests, "1", "day")},
		&Definition{Name: "match", MatcherSetsRaw: nil, Key: []Key{"header X-Team"}, Require: true, Rules: []string{"team"}, Amounts: one(UnitRequests, "1", "day")},
		&Definition{Name: "cost", Rules: []string{"dear"}, Amounts: one(UnitCost, "1", "day")},
		&Definition{Name: "clients", Key: []Key{KeyClient}, Rules: []string{"tiers"}, Amounts: one(UnitRequests, "1", "day")},
		&Definition{Name: "gold", Tier: true, Key: []Key{KeyClient}, Rules: []string{"tiers"}, Amounts: one(UnitRequests, "2", "day")})
	for _, test := range []struct {
		req   Request
		limit string // that refuses the n-th request, n counted from 0
		n     int
		why   Reason
	}{
		{Request{Rule: "vip"}, "rule", 1, ReasonExceeded},
		{Request{Rule: "other"}, "", 3, 0},
		{Request{Model: "gpt-4o-large"}, "model", 1, ReasonExceeded},
		{Request{Model: "o5-mini"}, "model", 0, ReasonExceeded},
		{Request{Model: "o5-mini-x"}, "", 3, 0},
		{Request{Provider: "p"}, "provider", 1, ReasonExceeded},
		{Request{Rule: "team"}, "match", 0, ReasonKey},
		{Request{Rule: "team", Subject: subject{"header X-Team": "a"}}, "match", 1, ReasonExceeded},
		{Request{Rule: "dear", Model: "m"}, "cost", 0, ReasonPrice},
		{Request{Rule: "tiers", Subject: subject{KeyClient: "a"}}, "clients", 1, ReasonExceeded},
		{Request{Rule: "tiers", Tier: "gold", Subject: subject{KeyClient: "b"}}, "gold", 2, ReasonExceeded},
		{Request{Rule: "tiers", Tier: "unknown", Subject: subject{KeyClient: "c"}}, "clients", 1, ReasonExceeded},
	} {
		if test.req.Subject == nil {
			test.req.Subject = subject{}
		}
		for i := range 3 {
			refused := spend(t, s, &test.req, 1, 1)
			if wanted := test.limit != "" && i >= test.n; wanted != (refused != nil) || wanted && (refused.Limit != test.limit || refused.Reason != test.why) {
				t.Errorf("%+v, request %d: %+v", test.req, i, refused)
			}
		}
	}
}

func TestRetarget(t *testing.T) {
	b := newBench(t)
	s := b.compile(t,
		&Definition{Name: "all", Amounts: one(UnitTokens, "10000", "day")},
		&Definition{Name: "each", Key: []Key{KeyProvider}, Amounts: one(UnitTokens, "1000", "day")})
	r := request(subject{}, 100, 500)
	r.Provider = "one"
	full := *r
	full.Provider = "full"
	if refused := spend(t, s, &full, 900, 0); refused != nil {
		t.Fatal(refused)
	}
	got := mustReserve(t, s, r)
	got.Charge(Rejected, Usage{})
	if refused := got.Retarget(t.Context(), "full", "", nil); refused == nil || refused.Limit != "each" {
		t.Errorf("the full provider: %+v", refused)
	}
	if refused := got.Retarget(t.Context(), "two", "", nil); refused != nil {
		t.Errorf("the other provider: %+v", refused)
	}
	got.Charge(Metered, Usage{Input: 90, Output: 30})
	got.End()
	v := of(t, s, "each", 0)
	if used(t, s, "all", 0) != "1020" || len(v.Fullest) != 2 || v.Fullest[1].Key != "provider=two" || v.Fullest[1].Used != "120" || v.Reserved != "0" {
		t.Errorf("all %s, each %+v", used(t, s, "all", 0), v)
	}
}

// TestRetargetCosts holds that what is reserved of money follows the price of the
// provider that is asked, and that a model without a price is refused there too.
func TestRetargetCosts(t *testing.T) {
	cheap, dear := &Price{Input: 1_000_000, Output: 1_000_000}, &Price{Input: 1_000_000_000, Output: 2_000_000_000}
	for _, test := range []struct {
		name       string
		to         *Price
		limit      string
		reason     Reason
		refused    bool
		reserved   string
		thenMostly string // after settling 400 input and 500 output at the second
	}{
		{"dearer", dear, "10", 0, false, "1.4", "1.4"},
		{"too dear", dear, "1.3", ReasonTooLarge, true, "0.0009", "0"},
		{"cheaper", &Price{Input: 1, Output: 1}, "10", 0, false, "0.0009", "0.000000002"},
		{"unpriced", nil, "10", ReasonPrice, true, "0.0009", "0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t)
			s := b.compile(t, &Definition{Name: "c", Amounts: one(UnitCost, test.limit, "day")}, &Definition{Name: "each", Key: []Key{KeyModel}, Concurrent: 9})
			r := request(subject{}, 100, 500) // strictly, 400 tokens
			r.Provider, r.Model, r.Price = "one", "m", cheap
			got := mustReserve(t, s, r)
			got.Charge(Rejected, Usage{})
			refused := got.Retarget(t.Context(), "two", "n", test.to)
			if (refused != nil) != test.refused || test.refused && (refused.Reason != test.reason || !refused.OfTarget) {
				t.Errorf("got %+v", refused)
			}
			if v := of(t, s, "c", 0); string(v.Reserved) != test.reserved {
				t.Errorf("%s is reserved, want %s", v.Reserved, test.reserved)
			}
			if open := of(t, s, "each", 0).Reserved; test.refused && open != "1" {
				t.Errorf("%s requests are open", open)
			}
			if refused == nil {
				got.Charge(Metered, Usage{Input: 400, Output: 500, Cost: -1})
			}
			got.End()
			if v := of(t, s, "c", 0); v.Reserved != "0" || string(v.Spent) != test.thenMostly || v.Overrun != "0" {
				t.Errorf("in the end %+v", v)
			}
			if open := of(t, s, "each", 0).Reserved; open != "0" {
				t.Errorf("%s requests are open in the end", open)
			}
		})
	}
}

// TestRetargetsEndAtZero goes a random way through providers and models of all limits:
// whatever is refused on it, nothing stays reserved, and nothing was used beyond what
// was reserved.
func TestRetargetsEndAtZero(t *testing.T) {
	b := newBench(t)
	s := b.compile(t,
		&Definition{Name: "money", Amounts: []Amount{{Unit: UnitCost, Amount: "0.01", Window: "day"}, {Unit: UnitTokens, Amount: "900000", Window: "1m"}}},
		&Definition{Name: "provider", Key: []Key{KeyProvider}, Amounts: one(UnitTokens, "3000", "1m"), Concurrent: 2},
		&Definition{Name: "model", Models: []string{"m*"}, Amounts: one(UnitOutput, "4000", "day")},
		&Definition{Name: "shadow", Key: []Key{KeyModel}, Amounts: one(UnitRequests, "2", "day"), Shadow: true})
	rng := rand.New(rand.NewPCG(7, 7))
	price := func() *Price {
		if rng.IntN(8) == 0 {
			return nil
		}
		return &Price{Input: uint64(rng.IntN(3000)), Output: uint64(rng.IntN(5_000_000))}
	}
	for range 3000 {
		r := request(subject{}, rng.Int64N(200), 1+rng.Int64N(300))
		r.Provider, r.Model, r.Price, r.Stream = fmt.Sprint("p", rng.IntN(3)), fmt.Sprint("m", rng.IntN(2)), price(), rng.IntN(2) == 0
		got, refused := reserve(t, s, r)
		for refused == nil && rng.IntN(3) > 0 {
			got.Charge(Rejected, Usage{})
			if rng.IntN(4) == 0 {
				b.add(time.Duration(rng.IntN(40)) * time.Hour)
			}
			refused = got.Retarget(t.Context(), fmt.Sprint("p", rng.IntN(3)), fmt.Sprint("m", rng.IntN(2)), price())
		}
		if refused == nil {
			got.Charge(Metered, Usage{Input: rng.Int64N(r.Typical + 1), Output: rng.Int64N(min(r.Output, firstStep) + 1), Cost: -1})
		}
		got.End()
		b.add(time.Duration(rng.IntN(20)) * time.Second)
	}
	for _, v := range s.View() {
		for _, a := range v.Amounts {
			if a.Reserved != "0" || a.Overrun != "0" {
				t.Errorf("%s %s: %+v", v.Name, a.Unit, a)
			}
		}
	}
}

func TestReload(t *testing.T) {
	b := newBench(t)
	def := func(amount string) *Definition {
		return &Definition{Name: "a", Key: []Key{KeyClient}, Amounts: one(UnitTokens, amount, "day")}
	}
	alice := subject{KeyClient: "alice"}
	old := b.compile(t, def("100"))
	open := mustReserve(t, old, request(alice, 10, 40))
	if refused := spend(t, old, request(alice, 10, 40), 10, 40); refused != nil {
		t.Fatal(refused)
	}
	now := b.compile(t, def("150"))
	old.Close()
	if refused := spend(t, now, request(alice, 20, 40), 0, 0); refused == nil || refused.Remaining != 50 {
		t.Errorf("got %+v", refused)
	}
	open.Charge(Metered, Usage{Input: 10})
	open.End()
	if refused := spend(t, now, request(alice, 50, 40), 0, 0); refused != nil {
		t.Errorf("got %+v", refused)
	}
	less := b.compile(t, def("60"))
	if refused := spend(t, less, request(alice, 1, 0), 0, 0); refused == nil || refused.Remaining != 0 {
		t.Errorf("60 are used, and %+v", refused)
	}
}

// TestRejectedReload holds that a configuration that is only checked, or is rejected
// after it was started, changes nothing of the running one.
func TestRejectedReload(t *testing.T) {
	b := newBench(t)
	config := func(amount string) *Config {
		return &Config{Limits: []*Definition{{Name: "a", Amounts: []Amount{{Unit: UnitTokens, Amount: Number(amount), Window: "1m"}}}}}
	}
	running := b.Compile(config("100"), nil)
	running.Activate()
	for _, started := range []bool{false, true} {
		rejected := b.Compile(config("5"), nil)
		if started {
			rejected.Activate()
			if v := of(t, running, "a", 0); v.Amount != "5" {
				t.Errorf("started, it has %s", v.Amount)
			}
		}
		rejected.Close()
		if v := of(t, running, "a", 0); v.Amount != "100" {
			t.Errorf("started %v: the running configuration has %s", started, v.Amount)
		}
		b.add(time.Hour)
	}
	if refused := spend(t, running, request(nil, 90, 0), 90, 0); refused != nil {
		t.Errorf("refused: %+v", refused)
	}
}

// TestConcurrentRequests has many goroutines spend at once: what is used never
// exceeds the limit, nothing stays reserved, and no request is refused while there
// is room for it.
func TestConcurrentRequests(t *testing.T) {
	b := newBench(t)
	s := b.compile(t,
		&Definition{Name: "tokens", Amounts: one(UnitTokens, "20000", "day")},
		&Definition{Name: "clients", Key: []Key{KeyClient}, Amounts: one(UnitRequests, "150", "day"), Concurrent: 3})
	var wg sync.WaitGroup
	var mu sync.Mutex
	admitted := map[string]int{}
	for g := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 1))
			client := fmt.Sprint("c", g%4)
			for range 100 {
				got, refused := s.Reserve(t.Context(), request(subject{KeyClient: client}, 5, 20))
				if refused == nil {
					mu.Lock()
					admitted[client]++
					mu.Unlock()
					got.Charge(Metered, Usage{Input: 5, Output: rng.Int64N(21)})
				}
				got.End()
			}
		})
	}
	wg.Wait()
	for client, n := range admitted {
		if n > 150 {
			t.Errorf("%s had %d requests", client, n)
		}
	}
	for _, v := range s.View() {
		for _, a := range v.Amounts {
			if a.Reserved != "0" || a.Overrun != "0" {
				t.Errorf("%s %s: reserved %s, overrun %s", v.Name, a.Unit, a.Reserved, a.Overrun)
			}
		}
	}
	if spent, _ := of(t, s, "tokens", 0).Spent.Int64(); spent > 20000 {
		t.Errorf("spent %d", spent)
	}
}

func BenchmarkReserve(b *testing.B) {
	bench := newBench(b)
	bench.Engine = newEngine(time.Now)
	bench.checkpoint.use(bench.disk, zap.NewNop())
	var limits []*Definition
	for i := range 10 {
		limits = append(limits, &Definition{
			Name: fmt.Sprint("limit-", i), Key: []Key{KeyClient},
			Amounts: one([]Unit{UnitTokens, UnitRequests, UnitOutput}[i%3], "900000000000000", []string{"1m", "month"}[i%2]),
		})
	}
	s := bench.compile(b, limits...)
	r := request(subject{KeyClient: "alice"}, 100, 200)
	b.ReportAllocs()
	for b.Loop() {
		got, refused := s.Reserve(b.Context(), r)
		if refused != nil {
			b.Fatal(refused)
		}
		got.Charge(Metered, Usage{Input: 90, Output: 10})
		got.End()
	}
}

func TestReserveAllocatesNothing(t *testing.T) {
	b := newBench(t)
	s := b.compile(t, &Definition{Name: "a", Key: []Key{KeyClient, "header X-Team"}, Amounts: one(UnitTokens, "900000000", "month"), Concurrent: 9},
		&Definition{Name: "b", Amounts: one(UnitRequests, "900000000", "1m")})
	r := request(subject{KeyClient: "alice", "header X-Team": "a"}, 1, 2)
	allocs := testing.AllocsPerRun(200, func() {
		got := mustReserve(t, s, r)
		got.Charge(Metered, Usage{Input: 1})
		got.End()
	})
	if allocs >= 1 {
		t.Errorf("%v allocations", allocs)
	}
}
