package limit

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestBucketIsExact holds a bucket to B + ρT, at any pace, without a drift.
func TestBucketIsExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		b := newBench(t)
		rate, burst := 1+rng.Int64N(1000), 1+rng.Int64N(500)
		s := b.compile(t, &Definition{Name: "a", Amounts: []Amount{{Unit: UnitTokens, Amount: Number(UnitTokens.Format(rate)), Window: "7s", Burst: Number(UnitTokens.Format(burst))}}})
		began, taken := b.clock.now(), int64(0)
		for range 300 {
			b.add(time.Duration(rng.Int64N(int64(300 * time.Millisecond))))
			n := 1 + rng.Int64N(burst)
			elapsed := b.clock.now().Sub(began)
			room := burst + int64(float64(rate)*elapsed.Seconds()/7+1e-9) - taken
			refused := spend(t, s, request(nil, n, 0), n, 0)
			if refused == nil {
				taken += n
			}
			if refused == nil && n > room {
				t.Fatalf("rate %d, burst %d: took %d in %s", rate, burst, taken, elapsed)
			}
		}
	}
}

// TestBucketWastesNothing spends one unit as soon as it is there.
func TestBucketWastesNothing(t *testing.T) {
	b := newBench(t)
	s := b.compile(t, &Definition{Name: "a", Amounts: []Amount{{Unit: UnitRequests, Amount: "7", Window: "3s", Burst: "1"}}})
	admitted := 0
	for range 300_000 {
		b.add(time.Millisecond)
		if spend(t, s, request(nil, 0, 0), 0, 0) == nil {
			admitted++
		}
	}
	if admitted < 699 || admitted > 701 {
		t.Errorf("%d requests in 300 s at 7 per 3 s", admitted)
	}
}

func TestClockSetBack(t *testing.T) {
	for _, window := range []string{"hour", "day", "1h"} {
		b := newBench(t)
		s := b.compile(t, &Definition{Name: "a", Amounts: one(UnitRequests, "1", window)})
		if refused := spend(t, s, request(nil, 0, 0), 0, 0); refused != nil {
			t.Fatal(refused)
		}
		for _, d := range []time.Duration{-time.Hour, 59 * time.Minute, -50 * time.Hour, 50 * time.Hour} {
			b.add(d)
			if refused := spend(t, s, request(nil, 0, 0), 0, 0); refused == nil && b.clock.now().Hour() == 12 {
				t.Errorf("per %s: set by %s, there is room again", window, d)
			}
		}
	}
}
