package limit

import (
	"fmt"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/llmroute/limit/grant"
)

// spendAt is a whole request at one gateway.
func (f *fleet) spendAt(t *testing.T, i int, req *Request, used int64) *Refusal {
	t.Helper()
	got, refused := f.each[i].reserve(t, req)
	if refused == nil {
		got.Charge(Metered, Usage{Output: used, Cost: -1})
	}
	got.End()
	return refused
}

// round has every gateway look after its leases.
func (f *fleet) round() {
	for _, r := range f.each {
		r.s.sharing.tick()
		r.s.sharing.flush()
	}
}

// TestSharedIsUsedUp holds that several gateways together may use all of a limit, and no
// more, however uneven the requests are spread.
func TestSharedIsUsedUp(t *testing.T) {
	for name, window := range map[string]string{"calendar": "month", "bucket": "720h"} {
		for _, hot := range []int{1, 5} {
			t.Run(fmt.Sprint(name, hot), func(t *testing.T) {
				f := newFleet(t, 5, 1, &Definition{Name: "a", Key: []Key{KeyClient}, Amounts: one(UnitTokens, "10000", window)})
				used, refusals := 0, 0
				for i := 0; refusals < 40; i++ {
					if refused := f.spendAt(t, i%hot, request(subject{KeyClient: "alice"}, 0, 50), 10); refused == nil {
						used += 10
					} else {
						refusals++
						if refused.Reason != ReasonExceeded {
							t.Fatalf("refused: %+v", refused)
						}
						f.clock.add(time.Second) // leases that nobody uses come back
						f.round()
					}
				}
				if used > 10_010 || used < 9_900 {
					t.Errorf("%d of 10000 used", used)
				}
				if refused := f.spendAt(t, 0, request(subject{KeyClient: "bob"}, 0, 50), 10); refused != nil {
					t.Errorf("another client is refused: %+v", refused)
				}
			})
		}
	}
}

// TestSharedAsksSeldom holds that requests do not wait for the store while a lease lasts.
func TestSharedAsksSeldom(t *testing.T) {
	f := newFleet(t, 2, 1, &Definition{Name: "a", Amounts: one(UnitTokens, "1000000", "month")}, &Definition{Name: "b", Concurrent: 50})
	f.spendAt(t, 0, request(subject{}, 0, 500), 400)
	f.net.cut = true
	for i := range 4 {
		if refused := f.spendAt(t, 0, request(subject{}, 0, 500), 400); refused != nil {
			t.Errorf("request %d: %+v", i, refused)
		}
	}
	if f.each[0].s.sharing.down() {
		t.Error("the store was asked")
	}
}

// TestSharedWithoutTheStore holds what on_store_failure has happen, from the start on and
// later, and that nothing is forgotten.
func TestSharedWithoutTheStore(t *testing.T) {
	for _, window := range []string{"month", "1h"} {
		for failure, want := range map[string][2]int{OnFailureDeny: {0, 0}, OnFailureShare: {40, 20}, OnFailureAllow: {60, 60}} {
			t.Run(failure+window, func(t *testing.T) {
				for step, known := range []bool{false, true} {
					f := newFleet(t, 0, 1, &Definition{Name: "a", Amounts: one(UnitRequests, "40", window), OnStoreFailure: failure})
					f.net.cut = !known
					f.each = append(f.each, f.begin(t), f.begin(t))
					f.clock.add(beatEvery)
					f.round()
					f.net.cut = true
					admitted := 0
					for range 60 {
						if refused := f.spendAt(t, 0, request(subject{}, 0, 0), 0); refused == nil {
							admitted++
						} else if refused.Reason != ReasonStore && failure == OnFailureDeny {
							t.Errorf("refused: %+v", refused)
						}
					}
					if admitted != want[step] {
						t.Errorf("gateways known %v: %d admitted, want %d", known, admitted, want[step])
					}
					f.net.cut = false
					f.clock.add(2 * time.Second)
					f.round()
					f.round()
					rest := 0
					for range 80 {
						if f.spendAt(t, 1, request(subject{}, 0, 0), 0) == nil {
							rest++
						}
					}
					if rest != max(40-admitted, 0) {
						t.Errorf("gateways known %v: %d admitted, then %d of 40", known, admitted, rest)
					}
				}
			})
		}
	}
}

// TestSharedAskedWhileItFails holds that a request does not wait for a store that failed
// in the round before.
func TestSharedAskedWhileItFails(t *testing.T) {
	f := newFleet(t, 1, 1, &Definition{Name: "a", Key: []Key{KeyClient}, Amounts: one(UnitRequests, "40", "month")})
	s := f.each[0].s
	f.net.cut = true
	asks := func(client string) *batch {
		c := s.limits[0].meters[0].find([]byte(client), f.clock.now())
		c.mu.Lock()
		defer c.mu.Unlock()
		return s.e.ask(c, 1, true)
	}
	first := asks("alice")
	var second *batch
	f.net.before = func() { second = asks("bob") } // while the calls are under way
	s.sharing.flush()
	if second == nil || second == first || !s.sharing.down() {
		t.Fatal("the second request is not of a round of its own, after one that failed")
	}
	s.sharing.flush()
	select {
	case <-second.done:
	default:
		t.Error("the second request still waits")
	}
}

// TestSharedForeignKeys holds that a key that is unusable concerns its own counter, and one
// that counts the gateways none.
func TestSharedForeignKeys(t *testing.T) {
	f := newFleet(t, 1, 1, &Definition{Name: "a", Key: []Key{KeyClient}, Amounts: one(UnitRequests, "40", "month"), OnStoreFailure: OnFailureDeny})
	s := f.each[0].s
	f.net.foreign = s.limits[0].meters[0].find([]byte("\x05alice"), f.clock.now()).hash.String()
	f.clock.add(beatEvery)
	f.round()
	for range 3 {
		if refused := f.spendAt(t, 0, request(subject{KeyClient: "alice"}, 0, 0), 0); refused == nil || refused.Reason != ReasonStore {
			t.Errorf("without a usable counter: %+v", refused)
		}
		if refused := f.spendAt(t, 0, request(subject{KeyClient: "bob"}, 0, 0), 0); refused != nil {
			t.Errorf("with another counter: %+v", refused)
		}
	}
	if s.sharing.down() || s.e.StoreErrors() == 0 {
		t.Errorf("down %v, %d errors", s.sharing.down(), s.e.StoreErrors())
	}
	f.net.foreign = ""
	if refused := f.spendAt(t, 0, request(subject{KeyClient: "alice"}, 0, 0), 0); refused != nil {
		t.Errorf("with the counter usable again: %+v", refused)
	}
}

// TestSharedDataLost has the store forget everything in the middle: gateways tell it what
// they know, what others used included.
func TestSharedDataLost(t *testing.T) {
	for _, window := range []string{"month", "720h"} {
		f := newFleet(t, 3, 1, &Definition{Name: "a", Amounts: one(UnitTokens, "10000", window)})
		used := 0
		spend := func(i int) bool {
			ok := f.spendAt(t, i, request(subject{}, 0, 50), 50) == nil
			if ok {
				used += 50
			}
			return ok
		}
		for i := range 120 {
			spend(i % 3)
		}
		f.each = f.each[1:] // one has crashed; what it used is known to the others alone
		spend(0)
		f.net.Lose()
		for i := 0; i < 400; i++ {
			spend(i % 2)
			if i%20 == 0 {
				f.clock.add(time.Second)
				f.round()
			}
		}
		if leases := 3 * 10000 / 20; used > 10_000+leases {
			t.Errorf("%s: %d of 10000 used", window, used)
		} else if used < 9000 {
			t.Errorf("%s: only %d of 10000 used", window, used)
		}
	}
}

// TestSharedSlots holds that open requests are counted over all gateways, and that those
// of a gateway that died come back.
func TestSharedSlots(t *testing.T) {
	f := newFleet(t, 3, 1, &Definition{Name: "a", Concurrent: 6})
	open := func(i, n int) (got []*Reservation) {
		for range n {
			r, refused := f.each[i].reserve(t, request(subject{}, 0, 0))
			if refused == nil {
				got = append(got, r)
			} else {
				r.End()
			}
		}
		return got
	}
	giveBack := func() { // what is leased and not used
		f.clock.add(3 * time.Second)
		f.round()
	}
	first := open(0, 4)
	giveBack()
	second := open(1, 4)
	if len(first)+len(second) != 6 || len(open(2, 3)) != 0 {
		t.Errorf("%d and %d are open", len(first), len(second))
	}
	for _, r := range second {
		r.End()
	}
	giveBack()
	third := open(2, 9)
	if len(first)+len(third) != 6 {
		t.Errorf("%d and %d are open", len(first), len(third))
	}
	f.each = f.each[1:] // the first gateway dies with its requests
	for range 4 {
		f.clock.add(grant.DeadAfter / 3)
		f.round()
	}
	if got := open(0, 9); len(got)+len(third) != 6 {
		t.Errorf("%d and %d are open after one died", len(got), len(third))
	}
	if v := of(t, f.each[1].s, "a", 0); v.Reserved != Number(fmt.Sprint(len(third))) {
		t.Errorf("the view is %+v", v)
	}
}

// TestSharedChanges holds that a reset and a credit at one gateway hold at all.
func TestSharedChanges(t *testing.T) {
	for _, window := range []string{"month", "720h"} {
		f := newFleet(t, 2, 1, &Definition{Name: "a", Key: []Key{KeyClient}, Amounts: one(UnitRequests, "10", window)})
		all := func(client string) (n int) {
			for i := range 40 {
				if f.spendAt(t, i%2, request(subject{KeyClient: client}, 0, 0), 0) == nil {
					n++
				}
				f.clock.add(300 * time.Millisecond)
				f.round()
			}
			return n
		}
		all("alice")
		all("bob")
		if n, err := f.each[0].s.Credit("a", Change{Key: map[string]string{"client": "alice"}, Unit: UnitRequests, Amount: "5"}); n != 1 || err != nil {
			t.Errorf("%d counters, %v", n, err)
		}
		if a, b := all("alice"), all("bob"); a != 5 || b != 0 {
			t.Errorf("%s: after the credit %d and %d", window, a, b)
		}
		if n, err := f.each[1].s.Reset("a", Change{}); n != 2 || err != nil {
			t.Errorf("%d counters, %v", n, err)
		}
		if a, b := all("alice"), all("bob"); a != 10 || b != 10 {
			t.Errorf("%s: after the reset %d and %d", window, a, b)
		}
		f.net.cut = true
		if _, err := f.each[0].s.Reset("a", Change{}); err == nil {
			t.Error("a reset without the store succeeds")
		}
	}
}

// TestSharedWindowsEnd holds that a window begins anew, and that what is known of the one
// before is evicted when there is no room.
func TestSharedWindowsEnd(t *testing.T) {
	f := newFleet(t, 2, 1, &Definition{Name: "a", Amounts: one(UnitRequests, "10", "day")})
	for day := range 3 {
		n := 0
		for i := range 30 {
			if f.spendAt(t, i%2, request(subject{}, 0, 0), 0) == nil {
				n++
			}
			f.clock.add(3 * time.Second)
			f.round()
		}
		if n != 10 {
			t.Errorf("day %d: %d requests", day, n)
		}
		f.clock.add(24 * time.Hour)
	}
}

// TestSharedForgetsKeysWithoutUse holds that keys whose requests used nothing leave
// nothing behind in the store.
func TestSharedForgetsKeysWithoutUse(t *testing.T) {
	f := newFleet(t, 1, 1, &Definition{Name: "a", Key: []Key{"header X-Any"}, Amounts: one(UnitTokens, "1000", "month")})
	for i := range 50 {
		if refused := f.spendAt(t, 0, request(subject{"header X-Any": fmt.Sprint(i)}, 0, 50), int64(i%2)); refused != nil {
			t.Fatal(refused)
		}
	}
	f.clock.add(giveBackAfter)
	f.round()
	if keys, _ := f.net.Keys(t.Context(), ""); len(keys) != 25 {
		t.Errorf("%d keys are left, want those of 25 requests that used something", len(keys))
	}
}

// TestSharedCloses holds that a gateway that ends in order gives its leases back.
func TestSharedCloses(t *testing.T) {
	f := newFleet(t, 2, 1, &Definition{Name: "a", Amounts: one(UnitTokens, "1000", "month")})
	for i := range 2 {
		if refused := f.spendAt(t, i, request(subject{}, 0, 100), 7); refused != nil {
			t.Fatal(refused)
		}
	}
	f.net.before = func() {
		if f.net.closed {
			t.Error("a call is made after the store was closed")
		}
	}
	f.each[0].s.Close()
	if f.net.before = nil; !f.net.closed {
		t.Error("the store is not closed")
	}
	n := 0
	for ; f.spendAt(t, 1, request(subject{}, 0, 1), 1) == nil; n++ {
	}
	if n != 1000-14 {
		t.Errorf("%d tokens were left, want %d", n, 1000-14)
	}
	if n, _ := f.net.Gateways(t.Context(), "other", false); n != 2 {
		t.Errorf("%d gateways", n)
	}
}
