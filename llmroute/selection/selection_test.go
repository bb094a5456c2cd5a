package selection

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// share lets 16 clients pick 10,000 times in all, and returns the first
// candidate's part.
func share(p Policy, weights func() [2]uint32) float64 {
	var first atomic.Int64
	var wait sync.WaitGroup
	for range 16 {
		wait.Go(func() {
			for range 10_000 / 16 {
				w := weights()
				if p.Select(nil, []Candidate{{Weight: w[0]}, {Weight: w[1]}}) == 0 {
					first.Add(1)
				}
			}
		})
	}
	wait.Wait()
	return float64(first.Load()) / 10_000
}

func TestWeightedShare(t *testing.T) {
	for _, w := range [][2]uint32{{50, 50}, {99, 1}, {1, 99}, {80, 20}, {1, 1}, {1, 2}, {1 << 30, 1 << 30}} {
		t.Run(fmt.Sprint(w), func(t *testing.T) {
			for range 20 { // from 20 random beginnings
				p := new(Weighted)
				_ = p.Provision(caddy.Context{})
				want := float64(w[0]) / float64(uint64(w[0])+uint64(w[1]))
				if got := share(p, func() [2]uint32 { return w }); math.Abs(got-want) > 0.01 {
					t.Errorf("share %.4f, want %.4f", got, want)
				}
			}
		})
	}
}

func TestWeightedShareWithAChangeHalfWay(t *testing.T) {
	p := new(Weighted)
	_ = p.Provision(caddy.Context{})
	var n atomic.Int64
	got := share(p, func() [2]uint32 {
		if n.Add(1) <= 5000 {
			return [2]uint32{50, 50}
		}
		return [2]uint32{99, 1}
	})
	if want := (0.50 + 0.99) / 2; math.Abs(got-want) > 0.01 {
		t.Errorf("share %.4f, want %.4f", got, want)
	}
}

func TestLeastRequests(t *testing.T) {
	p := new(LeastRequests)
	for name, test := range map[string]struct {
		candidates []Candidate
		want       int
	}{
		"fewest":                    {[]Candidate{{Weight: 1, InFlight: 5}, {Weight: 1, InFlight: 2}, {Weight: 1, InFlight: 3}}, 1},
		"in relation to the weight": {[]Candidate{{Weight: 10, InFlight: 15}, {Weight: 1, InFlight: 2}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := p.Select(nil, test.candidates); got != test.want {
				t.Errorf("picked %d, want %d", got, test.want)
			}
		})
	}
	var picked [3]int
	for range 3000 {
		picked[p.Select(nil, []Candidate{{Weight: 1}, {Weight: 1}, {Weight: 1}})]++
	}
	for i, n := range picked {
		if n < 850 || n > 1150 {
			t.Errorf("equal candidate %d was picked %d times of 3000", i, n)
		}
	}
}

func BenchmarkWeighted(b *testing.B) {
	p := new(Weighted)
	_ = p.Provision(caddy.Context{})
	candidates := []Candidate{{Weight: 80}, {Weight: 20}}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			p.Select(nil, candidates)
		}
	})
}

// TestFurtherAttemptsDoNotDisturbWeights holds while one of three backends
// fails each time it is picked.
func TestFurtherAttemptsDoNotDisturbWeights(t *testing.T) {
	p := new(Weighted)
	_ = p.Provision(caddy.Context{})
	var first, second [3]int
	for range 9000 {
		i := p.Select(nil, []Candidate{{Weight: 1}, {Weight: 1}, {Weight: 1}})
		first[i]++
		if i == 0 {
			second[1+p.Select(nil, []Candidate{{Weight: 1}, {Weight: 1}})]++
		}
	}
	for i, n := range first {
		if n < 2950 || n > 3050 {
			t.Errorf("candidate %d was picked first %d times of 9000", i, n)
		}
	}
	if second[1] < 1450 || second[1] > 1550 {
		t.Errorf("the other two were picked next %d and %d times", second[1], second[2])
	}
}
