package dataplane_test

import (
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
)

// tally counts answers by provider.
type tally struct {
	mu     sync.Mutex
	byFrom map[string]int
}

func (c *tally) add(from string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byFrom == nil {
		c.byFrom = map[string]int{}
	}
	c.byFrom[from]++
}

// checkShare compares the share of one provider with what its weight says, in
// percent.
func (c *tally) checkShare(t *testing.T, phase, from string, want float64) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	total := 0
	for _, n := range c.byFrom {
		total += n
	}
	share := 100 * float64(c.byFrom[from]) / float64(max(total, 1))
	t.Logf("%s: %s got %.2f %% of %d requests", phase, from, share, total)
	if total == 0 || math.Abs(share-want) > 1 {
		t.Errorf("%s: %s got %.2f %% of %d requests, want %v ± 1", phase, from, share, total, want)
	}
}

// inParallel makes n requests by 16 clients.
func inParallel(t *testing.T, s *site, n int, host string, got func(*answer)) {
	t.Helper()
	var left atomic.Int64
	left.Store(int64(n))
	var wg sync.WaitGroup
	for range 16 {
		c := newClient(t)
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				a := post(c, s.url, host)
				if !a.ok() {
					t.Errorf("a request failed: %v", &a)
					return
				}
				got(&a)
			}
		})
	}
	wg.Wait()
}

func TestWeightsUnderLoad(t *testing.T) {
	requests := 10000
	if testing.Short() {
		requests = 2000
	}
	for _, tc := range []struct {
		name             string
		weightA, weightB int
		wantA            float64
	}{
		{"50 to 50", 50, 50, 50},
		{"99 to 1", 99, 1, 99},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, a, b := startTwo(t, map[string]any{"WeightA": tc.weightA, "WeightB": tc.weightB}, fakeprovider.Plain())
			var shares tally
			inParallel(t, s, requests, "", func(a *answer) { shares.add(a.from) })
			shares.checkShare(t, tc.name, "a", tc.wantA)
			if got := a.Count() + b.Count(); got != requests {
				t.Errorf("the providers got %d requests for %d", got, requests)
			}
		})
	}
}

// TestWeightsChangeUnderLoad changes the weights in a manifest half-way. Each
// answer tells by which version it was made.
func TestWeightsChangeUnderLoad(t *testing.T) {
	requests := 10000
	if testing.Short() {
		requests = 2000
	}
	s, _ := startFiles(t, "50ms", manifest(1, backend{hostA, 50}, backend{hostB, 50}), hostA, hostB)
	var made atomic.Int64
	var before, after tally
	began := time.Now()
	inParallel(t, s, requests, demoHost, func(a *answer) {
		if made.Add(1) == int64(requests/2) {
			s.WriteFile(manifestFile, manifest(2, backend{hostA, 99}, backend{hostB, 1}))
		}
		switch a.model {
		case version(1):
			before.add(a.from)
		case version(2):
			after.add(a.from)
		default:
			t.Errorf("a response has the model %q", a.model)
		}
	})
	t.Logf("%.0f requests a second", float64(requests)/time.Since(began).Seconds())
	before.checkShare(t, "before the change, 50 to 50", hostA, 50)
	after.checkShare(t, "after the change, 99 to 1", hostA, 99)
	if total := after.byFrom[hostA] + after.byFrom[hostB]; total < requests/5 {
		t.Errorf("only %d requests were answered after the change, too few for a share", total)
	}
}
